//! Which verbs a type's resource serves, as marker traits: a handle has a method only if its type has the marker.
//!
//! Counterpart: the interfaces that client-gen writes for each resource. The markers of built-in types are generated
//! beside their group; `derive(CustomResource)` sets all of them.
//!
//! ```
//! # use rehearsal_client::*;
//! # async fn run(clients: &Clientset) -> Result<(), Error> {
//! clients.core_v1().component_statuses().list(&ListOptions::default()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! ```compile_fail,E0599
//! # use rehearsal_client::*;
//! # async fn run(clients: &Clientset) -> Result<(), Error> {
//! clients.core_v1().component_statuses().watch(&ListOptions::default()).await?; // nobody can watch these
//! # Ok(())
//! # }
//! ```

use super::Resource;

/// Its objects can be created.
#[diagnostic::on_unimplemented(message = "`{Self}` cannot be created")]
pub trait Create: Resource {}

/// Its objects can be read.
#[diagnostic::on_unimplemented(message = "`{Self}` cannot be read")]
pub trait Get: Resource {}

/// Its objects can be listed.
#[diagnostic::on_unimplemented(message = "`{Self}` cannot be listed")]
pub trait List: Resource {}

/// Its objects can be watched.
#[diagnostic::on_unimplemented(message = "`{Self}` cannot be watched")]
pub trait Watch: Resource {}

/// Its objects can be replaced.
#[diagnostic::on_unimplemented(message = "`{Self}` cannot be updated")]
pub trait Update: Resource {}

/// Its objects can be patched and applied.
#[diagnostic::on_unimplemented(message = "`{Self}` cannot be patched")]
pub trait Patch: Resource {}

/// Its objects can be deleted.
#[diagnostic::on_unimplemented(message = "`{Self}` cannot be deleted")]
pub trait Delete: Resource {}

/// Its objects can be deleted many at once.
#[diagnostic::on_unimplemented(message = "`{Self}` cannot be deleted as a collection")]
pub trait DeleteCollection: Resource {}

/// It has a `status` subresource.
#[diagnostic::on_unimplemented(message = "`{Self}` has no status subresource")]
pub trait HasStatus: Resource {}

/// It has a `scale` subresource.
#[diagnostic::on_unimplemented(message = "`{Self}` has no scale subresource")]
pub trait HasScale: Resource {}

/// Marks a type with the verbs of its resource.
macro_rules! verbs {
    ($kind:ty: $($verb:ident)*) => {
        $(impl $crate::scheme::verbs::$verb for $kind {})*
    };
}

pub(crate) use verbs;
