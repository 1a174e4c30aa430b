//! Conditions on an object: can they be read, and can an object meet them.

use crate::error::{Complaint, Path, ProblemKind};
use crate::object::ObjectConditions;

/// `path` is that of the map whose fields the conditions are.
pub(super) fn check(conditions: &ObjectConditions, path: &Path, complaints: &mut Vec<Complaint>) {
    for bad in conditions.problems() {
        let place = path.key(bad.field);
        let place = bad.key.iter().fold(place, |place, key| place.key(key));
        let place = bad.index.iter().fold(place, |place, index| place.index(*index));
        let kind = if bad.impossible { ProblemKind::Impossible } else { ProblemKind::Value };
        complaints.push(Complaint::new(kind, place, bad.message));
    }
}
