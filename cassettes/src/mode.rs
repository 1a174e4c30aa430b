//! Recording modes: what happens to a request that a tape knows, and to one that it does not.
//!
//! Counterpart: VCR's record modes. The decision is a function of the mode, of whether the tape existed before, and of
//! whether the tape has an answer, so it can be tested without either a tape or a server.

use std::fmt;
use std::str::FromStr;

/// How a recorder treats requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Records everything into a new tape; replays an existing one and never adds to it. The default.
    #[default]
    Once,
    /// Replays only. What under `CI` every mode but [`Passthrough`](Self::Passthrough) and
    /// [`Compare`](Self::Compare) becomes.
    None,
    /// Replays what the tape knows and records the rest.
    NewEpisodes,
    /// Records everything anew.
    All,
    /// Lets everything through and records nothing.
    Passthrough,
    /// Lets everything through and compares the answers with the tape.
    Compare,
}

/// What to do with one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answer from the tape.
    Replay,
    /// Ask the server and write the answer down.
    Record,
    /// Ask the server.
    Forward,
    /// Ask the server and hold its answer against the tape's.
    Compare,
    /// Answer that the tape has nothing.
    Refuse,
}

/// A word that is no mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownMode(String);

impl fmt::Display for UnknownMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Mode::ALL.map(Mode::as_str).join(", ");
        write!(f, "unknown recording mode {:?}: choose among {known}", self.0)
    }
}

impl std::error::Error for UnknownMode {}

impl Mode {
    /// All modes, in the order in which help lists them.
    pub const ALL: [Self; 6] = [Self::Once, Self::None, Self::NewEpisodes, Self::All, Self::Passthrough, Self::Compare];

    /// The word on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::None => "none",
            Self::NewEpisodes => "new_episodes",
            Self::All => "all",
            Self::Passthrough => "passthrough",
            Self::Compare => "compare",
        }
    }

    /// The mode in force: under `CI` nothing is ever recorded.
    #[must_use]
    pub fn under_ci(self, ci: bool) -> Self {
        match self {
            Self::Passthrough | Self::Compare => self,
            _ if ci => Self::None,
            _ => self,
        }
    }

    /// The mode in force for a tape that has outlived its time: recorded anew where a run records at all.
    #[must_use]
    pub fn for_expired(self) -> Self {
        if self == Self::Once { Self::All } else { self }
    }

    /// What to do with a request. `fresh`: the tape was made by this run; `known`: the tape has an answer.
    #[must_use]
    pub fn action(self, fresh: bool, known: bool) -> Action {
        match (self, fresh, known) {
            (Self::Passthrough, ..) | (Self::Compare, _, false) => Action::Forward,
            (Self::Compare, _, true) => Action::Compare,
            (Self::All, ..) | (Self::Once, true, _) | (Self::NewEpisodes, _, false) => Action::Record,
            (Self::Once | Self::None | Self::NewEpisodes, _, true) => Action::Replay,
            (Self::Once | Self::None, _, false) => Action::Refuse,
        }
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(word: &str) -> Result<Self, UnknownMode> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word).ok_or_else(|| UnknownMode(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_tape_is_never_added_to_once() {
        assert_eq!(Mode::Once.action(true, false), Action::Record);
        assert_eq!(Mode::Once.action(false, true), Action::Replay);
        assert_eq!(Mode::Once.action(false, false), Action::Refuse);
    }

    #[test]
    fn nothing_is_recorded_under_ci() {
        for mode in Mode::ALL {
            for (fresh, known) in [(false, false), (false, true), (true, false), (true, true)] {
                assert_ne!(mode.under_ci(true).action(fresh, known), Action::Record, "{mode:?}");
            }
        }
    }

    #[test]
    fn an_expired_tape_is_recorded_anew_but_not_under_ci() {
        assert_eq!(Mode::Once.for_expired(), Mode::All);
        assert_eq!(Mode::Once.under_ci(true).for_expired(), Mode::None);
        assert_eq!(Mode::Compare.for_expired(), Mode::Compare);
    }

    #[test]
    fn words_read_as_they_print() {
        for mode in Mode::ALL {
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        assert!("sometimes".parse::<Mode>().unwrap_err().to_string().contains("new_episodes"));
    }
}
