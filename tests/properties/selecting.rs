//! A list with a selector is the full list, filtered.

use crate::api::{self, MAPS, get, items, list, name, write};
use proptest::prelude::*;
use serde_json::Value;

/// A requirement on label `v`, as text and as what it means.
#[derive(Clone, Debug)]
enum Term {
    Equal(u8),
    Unequal(u8),
    In(Vec<u8>),
    NotIn(Vec<u8>),
    Exists,
    Absent,
    Above(u8),
    Other,
}

fn term() -> impl Strategy<Value = Term> {
    let some = proptest::collection::vec(0..5u8, 1..4);
    prop_oneof![
        (0..5u8).prop_map(Term::Equal),
        (0..5u8).prop_map(Term::Unequal),
        some.clone().prop_map(Term::In),
        some.prop_map(Term::NotIn),
        Just(Term::Exists),
        Just(Term::Absent),
        (0..5u8).prop_map(Term::Above),
        Just(Term::Other),
    ]
}

impl Term {
    fn text(&self) -> String {
        let set = |all: &[u8]| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        match self {
            Self::Equal(v) => format!("v={v}"),
            Self::Unequal(v) => format!("v!={v}"),
            Self::In(all) => format!("v in ({})", set(all)),
            Self::NotIn(all) => format!("v notin ({})", set(all)),
            Self::Exists => "v".into(),
            Self::Absent => "!v".into(),
            Self::Above(v) => format!("v>{v}"),
            Self::Other => "!other".into(),
        }
    }

    fn holds(&self, label: Option<u8>) -> bool {
        match self {
            Self::Equal(v) => label == Some(*v),
            Self::Unequal(v) => label != Some(*v),
            Self::In(all) => label.is_some_and(|l| all.contains(&l)),
            Self::NotIn(all) => label.is_none_or(|l| !all.contains(&l)),
            Self::Exists => label.is_some(),
            Self::Absent => label.is_none(),
            Self::Above(v) => label.is_some_and(|l| l > *v),
            Self::Other => true,
        }
    }
}

fn label(object: &Value) -> Option<u8> {
    object["metadata"]["labels"]["v"].as_str().and_then(|v| v.parse().ok())
}

fn escaped(text: &str) -> String {
    text.replace('!', "%21").replace('=', "%3D").replace(' ', "%20").replace('>', "%3E")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_selector_filters_the_full_list(
        writes in api::writes(20),
        terms in proptest::collection::vec(term(), 0..4),
        fields in proptest::collection::vec((any::<bool>(), 0..6u8), 0..3),
    ) {
        api::run(async {
            let server = api::server().await;
            for w in &writes {
                write(&server, w).await;
            }
            let (all, _) = list(&server).await;
            let labels: Vec<String> = terms.iter().map(Term::text).collect();
            let by_field: Vec<String> =
                fields.iter().map(|(is, n)| format!("metadata.name{}m{n}", if *is { "=" } else { "!=" })).collect();
            let path = format!(
                "{MAPS}?labelSelector={}&fieldSelector={}",
                escaped(&labels.join(",")),
                escaped(&by_field.join(","))
            );
            let wanted: Vec<Value> = all
                .into_iter()
                .filter(|o| terms.iter().all(|t| t.holds(label(o))))
                .filter(|o| fields.iter().all(|(is, n)| (name(o) == format!("m{n}")) == *is))
                .collect();
            let (code, found) = get(&server, &path).await;
            assert_eq!(code, 200, "{found}");
            assert_eq!(items(&found), wanted, "{path}");
        });
    }
}
