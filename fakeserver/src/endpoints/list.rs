//! GET of a collection: full lists, Tables, partial metadata.

use super::context::{RequestContext, invalid_options};
use super::list_body::Pieces;
use super::negotiate::{Accepted, Media, Transform};
use super::respond::{self, Asked};
use crate::catalog::ResourceInfo;
use crate::registry::{ListQuery, ListResult, Object, Target, reads_as_stored};
use crate::store::StoredObject;
use axum::body::Body;
use bytes::Bytes;
use http::Response;
use rehearsal_apimachinery::Catalog;
use rehearsal_apimachinery::codec::protobuf;
use rehearsal_apimachinery::options::{self, ListOptions};
use rehearsal_apimachinery::selector::{FieldSelector, LabelSelector};
use rehearsal_apimachinery::status::Status;
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers with a page of the collection.
pub(crate) async fn list(cx: &RequestContext) -> Result<Response<Body>, Status> {
    let accepted = cx.accept()?;
    let query = list_query(cx, false)?;
    let found = cx.reader().list(&cx.collection_target(), &query).await?;
    answer(cx, &accepted, &found)
}

/// A list in the negotiated form.
pub(crate) fn answer(cx: &RequestContext, accepted: &Accepted, found: &ListResult) -> Result<Response<Body>, Status> {
    let compact = match &accepted.transform {
        Transform::None => return Ok(full(cx, accepted, found)),
        _ => {
            let objects = values(&cx.info, found);
            respond::transformed_list(cx, accepted, &objects, &list_meta(found), Asked::List)?
        }
    };
    Ok(respond::encoded(&cx.headers, accepted, 200, compact))
}

fn full(cx: &RequestContext, accepted: &Accepted, found: &ListResult) -> Response<Body> {
    let pieces = match accepted.media {
        Media::Json if !accepted.pretty => Some(json_list(&cx.info, found)),
        Media::Protobuf => protobuf_list(&cx.info, found),
        _ => None,
    };
    match pieces {
        Some(pieces) => respond::pieces(&cx.headers, accepted.media.content_type(), pieces),
        None => {
            let line = json_list(&cx.info, found).into_bytes();
            respond::encoded(&cx.headers, accepted, 200, line.slice(..line.len().saturating_sub(1)))
        }
    }
}

fn values(info: &ResourceInfo, found: &ListResult) -> Vec<Value> {
    found.items.iter().map(|o| Object::Stored(o.clone()).value(info)).collect()
}

fn list_meta(found: &ListResult) -> Value {
    let mut meta = json!({"resourceVersion": found.revision.to_string()});
    if !found.continue_token.is_empty() {
        meta["continue"] = json!(found.continue_token);
    }
    if let Some(n) = found.remaining {
        meta["remainingItemCount"] = json!(n);
    }
    meta
}

/// The list as compact JSON with a newline: the stored bytes of the items between a head and a tail.
fn json_list(info: &ResourceInfo, found: &ListResult) -> Pieces {
    let api_version = info.gvk().api_version();
    let (head, tail) =
        if info.custom { custom_frame(info, found, &api_version) } else { frame(info, found, &api_version) };
    // Items of built-in kinds do not say what they are. Every object begins with its kind, or just with a brace.
    let own = format!("{{\"kind\":\"{}\",\"apiVersion\":\"{api_version}\",", info.kind);
    let skipped =
        move |json: &[u8], custom: bool| if !custom && json.starts_with(own.as_bytes()) { own.len() } else { 1 };
    let custom = info.custom;
    let items: Vec<Item> = found.items.iter().map(|item| Item::new(item, info)).collect();
    let inner: usize = items.iter().map(|item| item.json().len() - skipped(item.json(), custom) + 2).sum();
    let length = head.len() + inner.saturating_sub(usize::from(!items.is_empty())) + tail.len() + 1;
    let (mut items, mut first) = (items.into_iter(), true);
    let (mut head, mut tail) = (Some(head), Some(tail));
    Pieces::new(length, move |out| {
        if let Some(head) = head.take() {
            out.extend_from_slice(head.as_bytes());
        } else if let Some(item) = items.next() {
            out.extend_from_slice(if std::mem::take(&mut first) { b"{" } else { b",{" });
            out.extend_from_slice(&item.json()[skipped(item.json(), custom)..]);
        } else if let Some(tail) = tail.take() {
            out.extend_from_slice(tail.as_bytes());
            out.push(b'\n');
        } else {
            return false;
        }
        true
    })
}

/// An item as the list shows it.
enum Item {
    /// The stored object; a `Bytes` of its own would cost an allocation that stays.
    Stored(Arc<StoredObject>),
    /// In another version than the stored one.
    Converted(Bytes),
}

impl Item {
    fn new(stored: &Arc<StoredObject>, info: &ResourceInfo) -> Self {
        if reads_as_stored(info, stored) {
            return Self::Stored(stored.clone());
        }
        Self::Converted(Object::Stored(stored.clone()).json(info))
    }

    fn json(&self) -> &[u8] {
        match self {
            Self::Stored(stored) => stored.bytes(),
            Self::Converted(bytes) => bytes,
        }
    }
}

fn frame(info: &ResourceInfo, found: &ListResult, api_version: &str) -> (String, String) {
    let meta = list_meta(found);
    let mut head = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"{api_version}\",\"metadata\":{{\"resourceVersion\":\"{}\"",
        info.list_kind, found.revision
    );
    for key in ["continue", "remainingItemCount"] {
        if let Some(value) = meta.get(key) {
            head.push_str(&format!(",\"{key}\":{value}"));
        }
    }
    head.push_str("},\"items\":[");
    (head, "]}".to_owned())
}

/// Custom resource lists sort their members, name the kind of every item and always print `continue`.
fn custom_frame(info: &ResourceInfo, found: &ListResult, api_version: &str) -> (String, String) {
    let mut meta = list_meta(found);
    if meta.get("continue").is_none() {
        meta["continue"] = json!("");
    }
    let head = format!("{{\"apiVersion\":\"{api_version}\",\"items\":[");
    (head, format!("],\"kind\":\"{}\",\"metadata\":{meta}}}", info.list_kind))
}

/// The list as protobuf from the messages of its items, each of which is encoded once in its life. `None` where items
/// are shown in another version than the stored one.
fn protobuf_list(info: &ResourceInfo, found: &ListResult) -> Option<Pieces> {
    let catalog = Catalog::builtin();
    let root = info.root.filter(|_| info.serves_storage_form() && !info.custom)?;
    let encode =
        |item: &Arc<StoredObject>| item.protobuf(|json| protobuf::encode_json_message(json, root, catalog)).ok();
    let items: Vec<_> = found.items.iter().map(encode).collect::<Option<_>>()?;
    let inner = items.iter().map(|item| protobuf::list_item_head(item.len()).len() + item.len()).sum();
    let gvk = info.group_version().kind(&info.list_kind);
    let (head, tail) = protobuf::list_frame(&gvk, &list_meta(found), inner, catalog).ok()?;
    let (mut items, length) = (items.into_iter(), head.len() + inner + tail.len());
    let (mut head, mut tail) = (Some(head), Some(tail));
    Some(Pieces::new(length, move |out| {
        if let Some(head) = head.take() {
            out.extend_from_slice(&head);
        } else if let Some(item) = items.next() {
            out.extend_from_slice(&protobuf::list_item_head(item.len()));
            out.extend_from_slice(&item);
        } else if let Some(tail) = tail.take() {
            out.extend_from_slice(&tail);
        } else {
            return false;
        }
        true
    }))
}

/// Reads selectors and list options of a request.
pub(crate) fn list_query(cx: &RequestContext, watch: bool) -> Result<ListQuery, Status> {
    let mut options = ListOptions::from_query(&cx.query).map_err(Status::bad_request)?;
    options.watch = watch;
    let labels = LabelSelector::parse(&options.label_selector).map_err(Status::bad_request)?;
    let fields = FieldSelector::parse(&options.field_selector).map_err(Status::bad_request)?;
    check_fields(&cx.collection_target(), &fields)?;
    let fields = stored_labels(cx, fields);
    invalid_options("ListOptions", &options::validate_list_options(&options))?;
    Ok(ListQuery { labels, fields, options })
}

/// Events of events.k8s.io name some of their fields differently from the stored core events.
fn stored_labels(cx: &RequestContext, fields: FieldSelector) -> FieldSelector {
    if cx.info.group != "events.k8s.io" {
        return fields;
    }
    fields.terms().iter().cloned().fold(FieldSelector::everything(), |all, mut term| {
        if let Some(rest) = term.field.strip_prefix("regarding.") {
            term.field = format!("involvedObject.{rest}");
        } else if term.field == "reportingController" {
            term.field = "reportingComponent".to_owned();
        }
        all.and(term)
    })
}

/// 400 for a field that the kind cannot select by.
fn check_fields(target: &Target, fields: &FieldSelector) -> Result<(), Status> {
    for field in fields.fields() {
        if let Some(text) = target.unknown_field(field) {
            return Err(Status::bad_request(text));
        }
    }
    Ok(())
}
