//! The words of a conflict between managers.
//!
//! Counterpart: apimachinery `managedfields/internal/conflict.go`.

use super::entries::identity;
use crate::patch::apply::{Conflict, Operation, print};
use rehearsal_apimachinery::field::go_quote;
use rehearsal_apimachinery::{Status, StatusReason};

/// The 409 of a conflict, grouped by manager.
pub(super) fn conflict_status(mut conflicts: Vec<Conflict<'_>>) -> Status {
    conflicts.sort_by_cached_key(|c| identity(&c.id));
    let message = match conflicts.as_slice() {
        [one] => format!("1 conflict: conflict with {}: {}", owner(one), print(&one.path)),
        many => {
            let mut lines = Vec::new();
            for group in many.chunk_by(|a, b| a.id == b.id) {
                lines.push(format!("conflicts with {}:", owner(&group[0])));
                lines.extend(group.iter().map(|c| format!("- {}", print(&c.path))));
            }
            format!("{} conflicts: {}", many.len(), lines.join("\n"))
        }
    };
    let status = Status::failure(409, StatusReason::Conflict, format!("Apply failed with {message}"));
    conflicts.iter().fold(status, |status, c| {
        status.cause("FieldManagerConflict", format!("conflict with {}", owner(c)), &print(&c.path))
    })
}

fn owner(conflict: &Conflict<'_>) -> String {
    let mut text = go_quote(conflict.id.manager);
    if !conflict.id.subresource.is_empty() {
        text.push_str(&format!(" with subresource {}", go_quote(conflict.id.subresource)));
    }
    if conflict.id.operation == Operation::Update {
        text.push_str(&format!(" using {}", conflict.id.api_version));
    }
    text
}
