//! `derive(CustomResource)`: the root object of a custom resource from the struct of its spec.
//!
//! Counterpart: the types, deepcopy functions and registration that controller-gen and client-gen write for a Go struct.
//! `attributes.rs` reads what the author says, `expand.rs` writes the type.

mod attributes;
mod expand;

use proc_macro::TokenStream;

/// Makes the root object type of a custom resource: a struct with `metadata`, `spec` and, if it has one, `status`.
///
/// ```text
/// #[derive(CustomResource, Serialize, Deserialize, Clone, Debug, PartialEq)]
/// #[resource(group = "demo.io", version = "v1", kind = "Widget", plural = "widgets", scope = "Namespaced",
///            status = "WidgetStatus", scale(spec = ".spec.replicas", status = ".status.replicas"))]
/// struct WidgetSpec { replicas: i32 }
/// ```
///
/// | in `#[resource(…)]` | means | unset |
/// |---|---|---|
/// | `group`, `version`, `kind`, `plural` | its names | must be set |
/// | `scope` | `"Namespaced"` or `"Cluster"` | `"Namespaced"` |
/// | `status` | type of the status, served as a subresource | no status |
/// | `scale(spec, status, selector)` | JSON paths of the scale subresource; the last may be left out | no scale |
/// | `singular`, `short_names("a", "b")`, `categories("all")` | more names | the kind in lower case; none |
/// | `column(name, type, path, priority)` | a printer column; may be repeated | `Age` alone |
/// | `schema` | path of a function that gives the OpenAPI schema of the spec as a JSON value | anything goes |
/// | `status_schema` | the same of the status | anything goes |
/// | `crate` | path of `rehearsal_client` | `::rehearsal_client` |
///
/// The type gets `new(name, spec)`, `crd()` with the manifest of its definition, `register(&mut Scheme)`, the traits
/// `Resource` and all verbs, and what the spec is of `Clone`, `Debug`, `PartialEq` and `Default` by `#[resource(derive(…))]`;
/// `Clone` and `Debug` always.
#[proc_macro_derive(CustomResource, attributes(resource))]
pub fn custom_resource(input: TokenStream) -> TokenStream {
    expand::custom_resource(input.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
