//! [`Scope`]: which part of an answer a tape wants compared. Recordings want all of it; imported transcripts say more.

use super::bindings::Bindings;
use super::check::{Live, content};
use crate::format::Tree;
use crate::format::model::{Call, Extra};
use serde_json::Value;

/// The member of a call that holds its scope.
const MEMBER: &str = "compare";

/// Which part of an answer is compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    /// The status code alone; the body is there to learn from.
    pub status: bool,
    /// Only the values at these dotted paths of the body; the recorded body is a map by path. Empty: the whole body.
    pub only: Vec<String>,
    /// Dotted paths of the answer (`body.…`, `headers.…`; `*` for every member) that are left out.
    pub ignore: Vec<String>,
    /// Dotted paths of lists in the answer whose order says nothing.
    pub sort: Vec<String>,
    /// Who manages which fields is compared too.
    pub managed_fields: bool,
    /// The request is sent again until this holds of its answer: what it waits for happens by itself.
    pub until: Option<Until>,
}

/// What a request waits for.
#[derive(Clone, Debug, PartialEq)]
pub enum Until {
    /// A status code.
    Status(u16),
    /// A value at a dotted path of the body.
    Value(String, Tree),
}

impl Until {
    fn of(tree: &Tree) -> Option<Self> {
        if let Some(Tree::Int(status)) = tree.get("status") {
            return u16::try_from(*status).ok().map(Self::Status);
        }
        let path = tree.text_at(&["path"]);
        (!path.is_empty()).then(|| Self::Value(path.to_owned(), tree.get("equals").cloned().unwrap_or_default()))
    }

    fn member(&self) -> Tree {
        let entries = match self {
            Self::Status(status) => vec![("status".to_owned(), Tree::Int(i64::from(*status)))],
            Self::Value(path, equals) => {
                vec![("path".to_owned(), path.as_str().into()), ("equals".to_owned(), equals.clone())]
            }
        };
        Tree::Map(entries)
    }

    /// Whether it holds.
    #[must_use]
    pub fn holds(&self, live: &Live, bindings: &Bindings) -> bool {
        match self {
            Self::Status(status) => live.status == *status,
            Self::Value(path, equals) => {
                let body = live.body.as_ref().and_then(content).unwrap_or_default();
                lookup(&body, path).unwrap_or(&Tree::Null) == &bindings.tree(equals)
            }
        }
    }
}

impl Scope {
    /// What a call says.
    #[must_use]
    pub fn of(call: &Call) -> Self {
        let Some((_, tree)) = call.extra.iter().find(|(key, _)| key == MEMBER) else { return Self::default() };
        let texts = |key: &str| {
            let items = tree.get(key).map(Tree::items).unwrap_or_default();
            items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        Self {
            status: tree.get("status") == Some(&Tree::Bool(true)),
            only: texts("only"),
            ignore: texts("ignore"),
            sort: texts("sort"),
            managed_fields: tree.get("managedFields") == Some(&Tree::Bool(true)),
            until: tree.get("until").and_then(Until::of),
        }
    }

    /// The same as members of a call; empty for the whole answer.
    #[must_use]
    pub fn members(&self) -> Extra {
        let mut entries = Vec::new();
        if self.status {
            entries.push(("status".to_owned(), Tree::Bool(true)));
        }
        for (key, paths) in [("only", &self.only), ("ignore", &self.ignore), ("sort", &self.sort)] {
            if !paths.is_empty() {
                let items = paths.iter().map(|path| Tree::Text(path.clone())).collect();
                entries.push((key.to_owned(), Tree::List(items)));
            }
        }
        if self.managed_fields {
            entries.push(("managedFields".to_owned(), Tree::Bool(true)));
        }
        entries.extend(self.until.as_ref().map(|until| ("until".to_owned(), until.member())));
        if entries.is_empty() { Vec::new() } else { vec![(MEMBER.to_owned(), Tree::Map(entries))] }
    }

    /// The part of a live body that is looked at.
    #[must_use]
    pub fn project(&self, body: Tree) -> Tree {
        if self.only.is_empty() {
            return body;
        }
        let value = |path: &String| (path.clone(), lookup(&body, path).cloned().unwrap_or_default());
        Tree::Map(self.only.iter().map(value).collect())
    }

    /// Whether a header is looked at.
    #[must_use]
    pub fn has_header(&self, name: &str) -> bool {
        !self.ignore.iter().any(|path| path.strip_prefix("headers.") == Some(name))
    }

    /// Takes out of a normal body what is not looked at, and orders what has no order.
    pub fn settle(&self, member: &str, body: &mut Value) {
        let within = |path: &'_ String| {
            let rest = path.strip_prefix(member)?;
            rest.strip_prefix('.').map(str::to_owned)
        };
        for path in self.ignore.iter().filter_map(within) {
            drop_at(body, &path.split('.').collect::<Vec<_>>());
        }
        for path in self.sort.iter().filter_map(within) {
            let pointer: String = path.split('.').map(|part| format!("/{part}")).collect();
            if let Some(Value::Array(items)) = body.pointer_mut(&pointer) {
                items.sort_by_cached_key(ToString::to_string);
            }
        }
    }
}

fn lookup<'t>(tree: &'t Tree, path: &str) -> Option<&'t Tree> {
    path.split('.').filter(|part| !part.is_empty()).try_fold(tree, |tree, part| match tree {
        Tree::List(items) => match part.parse::<isize>().ok()? {
            at if at < 0 => items.get(items.len().checked_sub(at.unsigned_abs())?),
            at => items.get(at.unsigned_abs()),
        },
        other => other.get(part),
    })
}

fn drop_at(value: &mut Value, path: &[&str]) {
    let Some((head, rest)) = path.split_first() else { return };
    match value {
        Value::Object(members) if rest.is_empty() && *head == "*" => members.clear(),
        Value::Object(members) if rest.is_empty() => drop(members.remove(*head)),
        Value::Object(members) if *head == "*" => members.values_mut().for_each(|value| drop_at(value, rest)),
        Value::Object(members) => members.get_mut(*head).into_iter().for_each(|value| drop_at(value, rest)),
        Value::Array(items) => {
            let at = head.parse::<usize>().ok();
            for (_, item) in items.iter_mut().enumerate().filter(|(n, _)| *head == "*" || at == Some(*n)) {
                if rest.is_empty() { *item = Value::Null } else { drop_at(item, rest) }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_scope_comes_back_from_a_call_and_takes_out_what_it_says() {
        let scope = Scope {
            ignore: vec!["body.a.*.b".into(), "headers.x".into()],
            sort: vec!["body.l".into()],
            managed_fields: true,
            until: Some(Until::Value("status.phase".into(), "Active".into())),
            ..Scope::default()
        };
        let call = Call { extra: scope.members(), ..Call::default() };
        assert_eq!(Scope::of(&call), scope);
        assert!(!scope.has_header("x") && scope.has_header("y"));
        let mut body = json!({"a": [{"b": 1, "c": 2}], "l": [2, 1]});
        scope.settle("body", &mut body);
        assert_eq!(body, json!({"a": [{"c": 2}], "l": [1, 2]}));
    }
}
