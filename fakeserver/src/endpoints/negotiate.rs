//! Content negotiation: which media type, which transform, pretty or not.
//!
//! Counterpart: apiserver `handlers/negotiation`. The Accept clauses are tried by weight, then in order; the first that
//! the route can serve wins. Refusals carry the server's two wordings: one of the routing layer, one of the handlers.

use http::HeaderMap;
use http::header::{ACCEPT, USER_AGENT};
use rehearsal_apimachinery::request_info::{Query, param};
use rehearsal_apimachinery::status::{Status, StatusDetails, StatusReason};

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// `application/json`
    Json,
    /// `application/yaml`
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
}

impl Media {
    /// The `Content-Type` of a plain answer.
    #[must_use]
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Yaml => "application/yaml",
            Self::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }
}

/// What the object is turned into before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Transform {
    /// As it is.
    None,
    /// `as=Table`, with the version asked for (`v1`, `v1beta1`).
    Table(String),
    /// `as=PartialObjectMetadata`, with the version.
    Partial(String),
    /// `as=PartialObjectMetadataList`, with the version.
    PartialList(String),
}

/// The outcome of negotiation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// Media type of the answer.
    pub media: Media,
    /// Transform of the answer.
    pub transform: Transform,
    /// Two-space indentation.
    pub pretty: bool,
}

impl Accepted {
    /// JSON, untransformed: what errors fall back to.
    #[must_use]
    pub(crate) fn json() -> Self {
        Self { media: Media::Json, transform: Transform::None, pretty: false }
    }
}

/// What a route can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Protobuf is available (built-in kinds).
    pub protobuf: bool,
    /// Tables and partial metadata can be made (resource reads and writes, not subresources of another kind).
    pub transforms: bool,
    /// The answer is a watch stream, which YAML cannot carry.
    pub stream: bool,
    /// A custom resource: the routing layer does not look at Accept at all.
    pub custom: bool,
}

#[derive(Debug)]
struct Clause<'a> {
    kind: &'a str,
    params: Vec<(&'a str, &'a str)>,
    weight: u32,
}

impl Clause<'_> {
    fn param(&self, key: &str) -> Option<&str> {
        self.params.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }
}

fn clauses(header: &str) -> Vec<Clause<'_>> {
    let mut all: Vec<Clause<'_>> = header
        .split(',')
        .filter_map(|text| {
            let mut pieces = text.split(';').map(str::trim);
            let kind = pieces.next().filter(|k| !k.is_empty())?;
            let params: Vec<_> =
                pieces.filter_map(|p| p.split_once('=')).map(|(k, v)| (k.trim(), v.trim().trim_matches('"'))).collect();
            let q = params.iter().find(|(k, _)| *k == "q").and_then(|(_, v)| v.parse::<f64>().ok()).unwrap_or(1.0);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let weight = (q.clamp(0.0, 1.0) * 1000.0) as u32;
            Some(Clause { kind, params, weight })
        })
        .collect();
    all.sort_by_key(|c| std::cmp::Reverse(c.weight));
    all
}

/// Chooses the form of the answer.
///
/// # Errors
/// 406 with the wording of the layer that refuses.
pub(crate) fn accept(headers: &HeaderMap, query: &Query, offer: Offer) -> Result<Accepted, Status> {
    let joined = headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).collect::<Vec<_>>().join(",");
    let header = if joined.trim().is_empty() { "*/*" } else { joined.as_str() };
    let all = clauses(header);
    let media_of = |c: &Clause<'_>| match c.kind {
        "application/json" | "*/*" => Some(Media::Json),
        "application/*" => Some(Media::Json),
        "application/yaml" if !offer.stream => Some(Media::Yaml),
        "application/vnd.kubernetes.protobuf" if offer.protobuf => Some(Media::Protobuf),
        _ => None,
    };
    let routable = |c: &Clause<'_>| {
        matches!(c.kind, "*/*" | "application/json" | "application/yaml")
            || (c.kind == "application/vnd.kubernetes.protobuf" && offer.protobuf)
    };
    if !offer.custom && !all.iter().any(routable) {
        return Err(no_representation(offer.protobuf));
    }
    for clause in &all {
        let Some(media) = media_of(clause) else { continue };
        let Some(transform) = transform(clause, offer, media) else { continue };
        let pretty = media == Media::Json && pretty(headers, query, clause);
        return Ok(Accepted { media, transform, pretty });
    }
    Err(not_acceptable(offer))
}

fn transform(clause: &Clause<'_>, offer: Offer, media: Media) -> Option<Transform> {
    let Some(kind) = clause.param("as") else { return Some(Transform::None) };
    let version = clause.param("v").unwrap_or_default();
    if clause.param("g") != Some("meta.k8s.io") || !matches!(version, "v1" | "v1beta1") || !offer.transforms {
        return None;
    }
    match kind {
        "Table" if media != Media::Protobuf => Some(Transform::Table(version.to_owned())),
        "PartialObjectMetadata" => Some(Transform::Partial(version.to_owned())),
        "PartialObjectMetadataList" => Some(Transform::PartialList(version.to_owned())),
        _ => None,
    }
}

fn pretty(headers: &HeaderMap, query: &Query, clause: &Clause<'_>) -> bool {
    if let Some(wish) = param(query, "pretty") {
        return matches!(wish, "1" | "t" | "T" | "TRUE" | "true" | "True");
    }
    if clause.param("pretty").is_some_and(|v| matches!(v, "1" | "true")) {
        return true;
    }
    let agent = headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|prefix| agent.starts_with(prefix))
}

/// 406 of the routing layer.
fn no_representation(protobuf: bool) -> Status {
    let list = media_types(protobuf, "");
    let text = format!("406: Not Acceptable\n\nAvailable representations: {list}");
    Status::failure(406, StatusReason::NotAcceptable, text).details(StatusDetails::default())
}

/// 406 of the handlers.
fn not_acceptable(offer: Offer) -> Status {
    let list = if offer.stream { stream_types(offer.protobuf) } else { media_types(offer.protobuf, "") };
    Status::failure(406, StatusReason::NotAcceptable, format!("only the following media types are accepted: {list}"))
}

fn media_types(protobuf: bool, suffix: &str) -> String {
    let mut list = format!("application/json{suffix}, application/yaml{suffix}");
    if protobuf {
        list.push_str(", application/vnd.kubernetes.protobuf");
        list.push_str(suffix);
    }
    list
}

fn stream_types(protobuf: bool) -> String {
    let json = "application/json;stream=watch";
    if protobuf { format!("{json}, application/vnd.kubernetes.protobuf;stream=watch") } else { json.to_owned() }
}

/// 415 for a body that no decoder knows.
#[must_use]
pub(crate) fn unsupported_body(protobuf: bool) -> Status {
    let text = format!(
        "the body of the request was in an unknown format - accepted media types include: {}",
        media_types(protobuf, "")
    );
    Status::failure(415, StatusReason::UnsupportedMediaType, text)
}

/// The media type of a request body; a missing header means JSON.
///
/// # Errors
/// 415 for any other type.
pub(crate) fn body_media(headers: &HeaderMap, protobuf: bool) -> Result<Media, Status> {
    let header = headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match header.split(';').next().unwrap_or_default().trim() {
        "" | "application/json" => Ok(Media::Json),
        "application/yaml" => Ok(Media::Yaml),
        "application/vnd.kubernetes.protobuf" if protobuf => Ok(Media::Protobuf),
        _ => Err(unsupported_body(protobuf)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: Offer = Offer { protobuf: true, transforms: true, stream: false, custom: false };

    fn ask(accept_header: &str) -> Result<Accepted, Status> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, accept_header.parse().unwrap());
        accept(&headers, &Vec::new(), OFFER)
    }

    #[test]
    fn the_first_clause_that_can_be_served_wins() {
        let got = ask(
            "application/json;as=Foo;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
        );
        assert_eq!(got.unwrap().transform, Transform::Table("v1".into()));
        assert_eq!(ask("application/yaml;q=0.5,application/json").unwrap().media, Media::Json);
        assert_eq!(ask("application/vnd.kubernetes.protobuf,application/json").unwrap().media, Media::Protobuf);
    }

    #[test]
    fn unknown_types_are_refused_by_the_routing_layer() {
        for header in ["text/html", "application/*", "garbage"] {
            let status = ask(header).unwrap_err();
            assert_eq!(status.code, 406);
            assert!(status.message.starts_with("406: Not Acceptable"), "{header}: {}", status.message);
        }
    }

    #[test]
    fn a_known_type_with_an_unknown_transform_is_refused_by_the_handler() {
        let status = ask("application/json;as=Table;v=v2;g=meta.k8s.io").unwrap_err();
        assert!(status.message.starts_with("only the following media types are accepted"));
    }

    #[test]
    fn browsers_and_curl_get_pretty_json() {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, "curl/8".parse().unwrap());
        assert!(accept(&headers, &Vec::new(), OFFER).unwrap().pretty);
        let query = vec![("pretty".to_owned(), "false".to_owned())];
        assert!(!accept(&headers, &query, OFFER).unwrap().pretty);
    }
}
