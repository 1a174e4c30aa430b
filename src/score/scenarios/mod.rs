//! All scenarios, a file a group.

mod connections;
mod credentials;
mod errors;
mod handshakes;
mod outcomes;
mod refusals;
mod throttling;
mod watches;

use super::scenario::Scenario;
use super::table;

/// Which scenarios are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Profile {
    /// What tells clients apart, in well under a minute.
    #[default]
    Short,
    /// Everything that is scored.
    Full,
    /// Two faults and then success: every verb, every fault, nothing scored.
    Table9,
}

impl Profile {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Short => "short",
            Self::Full => "full",
            Self::Table9 => "table9",
        }
    }
}

/// The scenarios of a profile whose ids contain one of the words; without words all.
#[must_use]
pub fn select(profile: Profile, only: &[String]) -> Vec<Scenario> {
    let all = match profile {
        Profile::Table9 => table::scenarios(),
        Profile::Short => every().into_iter().filter(|s| s.short).collect(),
        Profile::Full => every(),
    };
    all.into_iter().filter(|s| only.is_empty() || only.iter().any(|word| s.id.contains(word))).collect()
}

/// Everything that is scored.
fn every() -> Vec<Scenario> {
    [
        throttling::scenarios(),
        errors::scenarios(),
        connections::scenarios(),
        handshakes::scenarios(),
        outcomes::scenarios(),
        refusals::scenarios(),
        watches::scenarios(),
        credentials::scenarios(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::scenario::Class;
    use rehearsal_faults::Plan;
    use std::collections::BTreeSet;

    #[test]
    fn every_plan_is_accepted_and_every_name_is_its_own() {
        let mut ids = BTreeSet::new();
        for scenario in every().into_iter().chain(table::scenarios()) {
            let text = scenario.plan.replace("${elsewhere}", "http://127.0.0.1:1/");
            if !text.is_empty()
                && let Err(error) = Plan::from_yaml(&scenario.id, &text)
            {
                panic!("{error}\n{text}");
            }
            let checks: BTreeSet<_> = scenario.checks.iter().map(|c| c.id).collect();
            assert_eq!(checks.len(), scenario.checks.len(), "{}", scenario.id);
            assert!(ids.insert(scenario.id.clone()), "{} twice", scenario.id);
        }
    }

    #[test]
    fn the_short_profile_has_every_class() {
        let classes: BTreeSet<_> =
            select(Profile::Short, &[]).iter().flat_map(|s| s.checks.iter().map(|c| c.class)).collect();
        assert_eq!(classes.into_iter().collect::<Vec<_>>(), Class::ALL);
    }

    #[test]
    fn words_pick_scenarios() {
        let only = ["watch-".to_owned()];
        let picked = select(Profile::Full, &only);
        assert!(!picked.is_empty() && picked.iter().all(|s| s.id.contains("watch-")));
    }
}
