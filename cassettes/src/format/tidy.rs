//! What `rehearsal tape fmt` does: any layer becomes the canonical form, with symbols or without.

use super::canonical::{Loaded, Seal, seal};
use super::model::Tape;
use super::symbols::{literal, symbolise};

/// What becomes of volatile values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// A tape keeps the form it has.
    #[default]
    Keep,
    /// They are put under names.
    Symbolic,
    /// They stand where they are.
    Literal,
}

/// The canonical tape of what was read. A seal that was good is made anew; one that was edited past stays, so that
/// tidying up hides nothing; a journal whose recorder died gets none.
#[must_use]
pub fn tidy(loaded: Loaded, form: Form) -> Tape {
    let Loaded { mut tape, journal, seal: old, .. } = loaded;
    match form {
        Form::Keep => {}
        Form::Symbolic => symbolise(&mut tape),
        Form::Literal => literal(&mut tape),
    }
    if old == Seal::Intact || journal && tape.sealed.is_some() {
        seal(&mut tape);
    }
    tape
}
