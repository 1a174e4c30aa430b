//! What no proxy can do: change a store, show another view of it, set its clock.

use rehearsal_faults::{Action, Word as _};

/// What a proxy has to carry out plans with.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// It speaks TLS, and with it HTTP/2.
    pub tls: bool,
    /// The client is a process that it has started.
    pub supervises: bool,
}

/// Why an action is beyond a proxy; none for one that it can do.
pub(super) fn beyond(action: &Action, abilities: Abilities) -> Option<String> {
    let told = |name: &str, why: &str| Some(format!("`{name}` {why}"));
    let store = |name: &str, what: &str| {
        told(name, &format!("{what}, and a proxy has no store; use it with `rehearsal serve` or `run`"))
    };
    match action {
        Action::Compact { .. } => store("compact", "makes the store forget its past"),
        Action::Gap { .. } => store("gap", "makes the store forget what a watch would go on from"),
        Action::StaleRead { .. } => store("stale-read", "answers from an older state of the store"),
        Action::SwitchReplica { .. } => store("time-travel", "answers from an older state of the store"),
        Action::FreezeReplica { .. } => store("freeze-replica", "holds a view of the store back"),
        Action::ThawReplica { .. } => store("thaw-replica", "lets a view of the store catch up"),
        Action::LateVisibility { .. } => store("late-visibility", "hides what the store has"),
        Action::Recreate { .. } => store("recreate", "changes an object in the store"),
        Action::MutateBetweenPages { .. } => store("page-mutation", "changes objects in the store"),
        Action::SkewClock { .. } => told("skew-clock", "needs the server's clock, which is not the proxy's to set"),
        Action::Shutdown { .. } => told(
            "shutdown",
            "in its form `graceful` is a whole server's way to end; its single answers are other forms",
        ),
        Action::Handshake { failure } if !abilities.tls => {
            told("tls-handshake", &format!("({}) needs TLS, and this proxy speaks plain HTTP", failure.word()))
        }
        Action::GoAway { .. } | Action::RstStream { .. } | Action::Http2Limits { .. } if !abilities.tls => {
            Some("this is a fault of HTTP/2, and this proxy speaks plain HTTP/1.1".to_owned())
        }
        Action::Client { .. } if !abilities.supervises => {
            Some("what is done to the client's process needs a command after `--`".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::proxy_faults;
    use super::*;
    use rehearsal_faults::{Plan, catalog};

    const NOTHING: Abilities = Abilities { tls: false, supervises: false };
    const ALL: Abilities = Abilities { tls: true, supervises: true };

    fn refused(fault: &str, abilities: Abilities) -> Option<String> {
        let knobs = match fault {
            "freeze-replica" | "thaw-replica" => "{replica: b}",
            "skew-clock" => "{offset: 5s}",
            "respond" => "{status: 503}",
            "mark" => "{name: m}",
            "fail-test" => "{message: m}",
            "inject-frame" => "{line: '{}'}",
            _ => "{}",
        };
        let text = format!("byzantine: allowed\nrules:\n  - id: r\n    do: {{{fault}: {knobs}}}\n");
        let plan = Plan::from_yaml("p.yaml", &text).unwrap();
        proxy_faults(abilities).add(&plan).err().map(|error| error.to_string())
    }

    #[tokio::test]
    async fn what_needs_a_store_is_refused_and_everything_else_armed() {
        let mut beyond: Vec<_> = catalog::rows().filter(|row| refused(row.name, ALL).is_some()).map(|r| r.id).collect();
        beyond.sort_unstable();
        assert_eq!(beyond, ["C1", "C10", "C2", "C5", "C6", "C7", "C8", "C9", "K1", "S4", "W7"]);
        let more =
            ["tls-handshake", "goaway", "goaway-error", "refused-stream", "rst-stream", "h2-limits", "kill-client"];
        for fault in more {
            assert!(refused(fault, NOTHING).is_some() && refused(fault, ALL).is_none(), "{fault}");
        }
    }

    #[tokio::test]
    async fn a_refusal_names_the_place_and_the_way_out() {
        let said = refused("compact", ALL).unwrap();
        assert_eq!(
            said,
            "p.yaml:4:9: rules[0].do: `compact` makes the store forget its past, and a proxy has no store; use it with \
             `rehearsal serve` or `run`"
        );
    }
}
