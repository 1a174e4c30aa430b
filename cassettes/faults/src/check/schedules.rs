//! Occurrences, windows and limits of a rule: is there any request they could pick.

use std::time::Duration;

use crate::error::{Complaint, Path, ProblemKind};
use crate::plan::Rule;
use crate::schedule::{Trigger, Window};

pub(super) fn check(rule: &Rule, path: &Path, complaints: &mut Vec<Complaint>) {
    let when = path.key("when");
    let schedule = &rule.schedule;
    let mut say = |kind, path: Path, message: String| complaints.push(Complaint::new(kind, path, message));
    let counts = [("nth", schedule.nth), ("every", schedule.every), ("first", schedule.first)];
    for (name, _) in counts.iter().filter(|(_, value)| *value == Some(0)) {
        say(ProblemKind::NeverFires, when.key(name), format!("occurrences count from 1, so `{name}: 0` never fires"));
    }
    if rule.count == Some(0) {
        say(ProblemKind::NeverFires, path.key("count"), "`count: 0` never fires".to_owned());
    }
    for (name, value) in [("every", schedule.every), ("first", schedule.first)] {
        if schedule.nth.is_some() && value.is_some() {
            say(
                ProblemKind::Contradiction,
                when.key(name),
                format!("`nth` picks one occurrence already; leave `{name}` out"),
            );
        }
    }
    if let (Some(every), Some(first)) = (schedule.every, schedule.first)
        && every > first
    {
        say(ProblemKind::NeverFires, when.key("every"), format!("the first {first} hold no occurrence number {every}"));
    }
    if let (Some(_), Some(count @ 2..)) = (schedule.nth, rule.count) {
        let message = format!("`nth` fires once in a scope, so it never comes to {count}");
        say(ProblemKind::Contradiction, path.key("count"), message);
    }
    if let (Some(_), Some(_)) = (schedule.nth, rule.cooldown) {
        let message = "`nth` fires once in a scope, so there is nothing to cool down from".to_owned();
        say(ProblemKind::Contradiction, path.key("cooldown"), message);
    }
    match schedule.probability {
        Some(0.0) => say(ProblemKind::NeverFires, when.key("p"), "a probability of 0 never fires".to_owned()),
        Some(p) if !(0.0..=1.0).contains(&p) => {
            say(ProblemKind::Value, when.key("p"), format!("{p} is no probability; it lies between 0 and 1"));
        }
        _ => {}
    }
    if schedule.trigger == Some(Trigger::Idle(Duration::ZERO)) {
        let message = "no time at all has always passed; leave `idle` out".to_owned();
        say(ProblemKind::Contradiction, when.key("after").key("idle"), message);
    }
    if let Some(window) = &schedule.window {
        check_window(window, &when.key("between"), complaints);
    }
}

fn check_window(window: &Window, path: &Path, complaints: &mut Vec<Complaint>) {
    let mut say = |kind, key: &str, message: String| complaints.push(Complaint::new(kind, path.key(key), message));
    let ends = [
        ("until", window.until.is_some()),
        ("untilMark", window.until_mark.is_some()),
        ("for", window.lasts.is_some()),
    ];
    let ends: Vec<_> = ends.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    if let [first, second, ..] = ends[..] {
        say(ProblemKind::Contradiction, second, format!("`{first}` and `{second}` both end the window"));
    }
    if window.mark.is_some() && window.until.is_some() {
        let message = "`until` is a time of the clock and the window begins at a mark; use `for`".to_owned();
        say(ProblemKind::Contradiction, "until", message);
    }
    if window.lasts == Some(Duration::ZERO) {
        say(ProblemKind::NeverFires, "for", "the window is never open".to_owned());
    }
    if window.mark.is_none() && window.until.is_some_and(|until| until <= window.from.unwrap_or_default()) {
        say(ProblemKind::NeverFires, "until", "the window closes before it opens".to_owned());
    }
    if window.mark.is_some() && window.mark == window.until_mark {
        say(ProblemKind::NeverFires, "untilMark", "one mark opens and closes the window".to_owned());
    }
}
