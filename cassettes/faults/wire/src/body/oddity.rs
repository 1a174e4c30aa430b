//! Objects that are well-formed and surprising.

use rehearsal_faults::Oddity;
use serde_json::{Value, json};

/// Makes an object odd; what is odd about the event around it is not done here.
pub(crate) fn make_odd(object: &mut Value, form: Oddity) {
    match form {
        Oddity::PartialMetadata => {
            if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                meta.remove("uid");
                meta.remove("resourceVersion");
            }
        }
        Oddity::UnknownField => object["rehearsalUnknown"] = json!({"nobody": ["knows", "this"]}),
        Oddity::NullItems => object["items"] = Value::Null,
        Oddity::WrongType | Oddity::UnknownDelete => {}
    }
}

/// The frames that come instead of one, as event and object.
pub(super) fn odd_events(event: &str, mut object: Value, form: Oddity) -> Vec<(String, Value)> {
    match form {
        Oddity::WrongType => {
            let other = if event == "ADDED" { "MODIFIED" } else { "ADDED" };
            vec![(other.to_owned(), object)]
        }
        Oddity::UnknownDelete => {
            let mut never = object.clone();
            let name = never.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
            never["metadata"]["name"] = Value::from(format!("{name}-that-never-was"));
            never["metadata"]["uid"] = Value::from("00000000-0000-4000-8000-000000000000");
            vec![("DELETED".to_owned(), never), (event.to_owned(), object)]
        }
        _ => {
            make_odd(&mut object, form);
            vec![(event.to_owned(), object)]
        }
    }
}
