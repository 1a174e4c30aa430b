//! What a plan asks for that whoever is to carry it out cannot do: told when it is armed, with its place.
//!
//! The language knows nothing of servers and proxies; they say, action by action, what is beyond them.

use crate::action::Action;
use crate::check;
use crate::error::{Complaint, Path, PlanError, ProblemKind};
use crate::plan::Plan;

impl Plan {
    /// Refuses the plan for each rule with an action that cannot be done; `cannot` says why, in a sentence.
    ///
    /// # Errors
    /// Those sentences with their places; everything that is wrong with the plan itself.
    pub fn refuse_where(&self, cannot: impl Fn(&Action) -> Option<String>) -> Result<(), PlanError> {
        let prepared = check::check(self).map_err(|complaints| self.refuse(complaints))?;
        let mut complaints = Vec::new();
        for (index, rule) in prepared.iter().enumerate() {
            let mut messages: Vec<String> = rule.actions.iter().filter_map(&cannot).collect();
            messages.dedup();
            let path = Path::rule(index).key("do");
            complaints.extend(messages.into_iter().map(|m| Complaint::new(ProblemKind::Impossible, path.clone(), m)));
        }
        if complaints.is_empty() { Ok(()) } else { Err(self.refuse(complaints)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_done_is_refused_with_its_place() {
        let text = "rules:\n  - {id: slow, do: delay}\n  - id: forget\n    do: compact\n";
        let plan = Plan::from_yaml("p.yaml", text).unwrap();
        assert!(plan.refuse_where(|_| None).is_ok());
        let cannot = |action: &Action| matches!(action, Action::Compact { .. }).then(|| "there is no store".to_owned());
        let refused = plan.refuse_where(cannot).unwrap_err();
        assert!(refused.has(ProblemKind::Impossible));
        assert_eq!(refused.to_string(), "p.yaml:4:9: rules[1].do: there is no store");
    }
}
