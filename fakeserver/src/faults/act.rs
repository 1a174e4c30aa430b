//! What only the server can do for a rule: forget the past, end a gap, skew the clock, change objects.

use super::View;
use super::host::target;
use crate::handle::Core;
use crate::store::{Expect, Op, Storage as _};
use crate::watch::Ceiling;
use http::Extensions;
use rehearsal_fault_wire::{Facts, Fired};
use rehearsal_faults::{Action, Offset};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;

/// Does one action. `true` when it was one of ours.
pub(super) async fn act(
    core: &Arc<Core>,
    action: &Action,
    fired: &Fired,
    facts: &Facts,
    request: Option<&mut Extensions>,
) -> bool {
    match action {
        Action::Compact { keep } => {
            let now = core.memory.snapshot().revision();
            core.memory.compact(now.saturating_sub(*keep));
        }
        Action::Gap { .. } => {
            // One revision further: whoever resumes from what it saw last must find that too old.
            let now = core.memory.bump();
            core.memory.compact(now);
        }
        Action::Shutdown { delay, drain, down } => super::shutdown::begin(core, fired, *delay, *drain, *down),
        Action::SkewClock { offset, over } => skew(core, fired, *offset, *over),
        Action::StaleRead { lag } => {
            let at = core.views.behind(*lag, core.memory.snapshot().revision(), core.faults.now());
            let view = View { ceiling: Arc::new(Ceiling::at(at)), catches_up: true };
            request.map(|request| request.insert(view));
        }
        Action::SwitchReplica { replica, lag } => {
            let at = core.views.behind(*lag, core.memory.snapshot().revision(), core.faults.now());
            let ceiling = core.views.switch(&fired.lane, replica, at);
            request.map(|request| request.insert(View { ceiling, catches_up: false }));
            let core = core.clone();
            fired.set.on_removal(move || core.views.lift_all());
        }
        Action::FreezeReplica { replica } => {
            let now = core.memory.snapshot().revision();
            let ceiling = core.views.replica(replica, now);
            ceiling.set(now);
            fired.set.on_removal(move || ceiling.lift());
        }
        Action::ThawReplica { replica } => core.views.replica(replica, 0).lift(),
        Action::LateVisibility { lasts } => late(core, fired, *lasts),
        Action::Recreate { gap } => recreate(core, facts, fired, *gap).await,
        Action::MutateBetweenPages { changes } => mutate(core, facts, *changes).await,
        _ => return false,
    }
    true
}

/// Does an action to a connection that is nothing on its wire.
pub(crate) fn act_on_connection(core: &Arc<Core>, action: &Action, fired: &Fired) {
    if let Action::SkewClock { offset, over } = action {
        skew(core, fired, *offset, *over);
    }
}

/// Lets the lane see nothing newer than now, for a while.
fn late(core: &Arc<Core>, fired: &Fired, lasts: Duration) {
    let ceiling = core.views.of_lane(&fired.lane);
    ceiling.set(core.memory.snapshot().revision());
    let over = core.faults.sleep(lasts, &fired.set);
    tokio::spawn(async move {
        over.await;
        ceiling.lift();
    });
}

fn skew(core: &Arc<Core>, fired: &Fired, offset: Offset, over: Duration) {
    let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
    let by = if offset.negative { -micros(offset.by) } else { micros(offset.by) };
    core.registry.clock().skew(by, micros(over));
    let core = core.clone();
    fired.set.on_removal(move || core.registry.clock().skew(0, 0));
}

/// Deletes the object, whatever its finalizers say, and makes it again under its name.
async fn recreate(core: &Arc<Core>, facts: &Facts, fired: &Fired, gap: Duration) {
    let Some(target) = target(core, facts) else { return };
    let Some(mut object) = core.registry.peek_target(&target) else { return };
    let op = Op::Delete { collection: target.info.collection(), key: target.key(), expect: Expect::Any };
    if core.memory.commit(vec![op]).is_err() {
        return;
    }
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for key in ["uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "managedFields", "generation"] {
            meta.remove(key);
        }
    }
    let (core, away) = (core.clone(), core.faults.sleep(gap, &fired.set));
    let again = async move {
        away.await;
        if let Err(status) = core.registry.load(object).await {
            tracing::warn!(target: "fakeserver::faults", message = %status.message, "make an object again");
        }
    };
    if gap.is_zero() {
        again.await;
    } else {
        // The request goes on while the object is away.
        tokio::spawn(again);
    }
}

/// Changes objects of the listed collection, the last ones first: they are the likeliest to be on later pages.
async fn mutate(core: &Core, facts: &Facts, changes: u64) {
    use rehearsal_apimachinery::ObjectMetaMut as _;
    let Some(target) = target(core, facts) else { return };
    let all = crate::registry::Target { name: String::new(), ..target };
    let prefix = crate::registry::prefix(&all);
    let snapshot = core.memory.snapshot();
    let mut objects: Vec<_> =
        snapshot.range(all.info.collection().as_str(), &prefix, "").map(|(_, object)| object.clone()).collect();
    objects.reverse();
    objects.truncate(usize::try_from(changes).unwrap_or(usize::MAX));
    for stored in objects {
        let Ok(mut object) = serde_json::from_slice::<Value>(stored.bytes()) else { continue };
        object.remove_meta("resourceVersion");
        object.set_annotation("rehearsal.dev/changed-at", &snapshot.revision().to_string());
        if let Err(status) = core.registry.load(object).await {
            tracing::warn!(target: "fakeserver::faults", message = %status.message, "change an object between pages");
        }
    }
}
