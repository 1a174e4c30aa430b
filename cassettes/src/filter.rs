//! [`Filter`]: which traffic goes onto a tape. What stays away passes through all the same, and the tape's header says
//! that it was left out, so that a replay can tell "was not recorded" from "was not asked".
//!
//! A rule is a comma-separated list of terms that must all hold: `resource=pods|deployments.apps,verb=get|list`. Keys are
//! `path`, `resource` (`pods`, `pods/log`, `deployments.apps`), `namespace`, `verb` and `lane`; values are alternatives
//! with `*` for any run of characters. A term without a key is a path where it begins with `/`, else a resource.

use crate::format::Tree;
use crate::format::model::{Header, Request};
use crate::redact::glob;
use rehearsal_apimachinery::request_info::RequestInfo;

/// Member of a header's `recorded` that holds the rules.
const MEMBER: &str = "scope";

/// Which traffic is recorded. The default: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    include: Vec<Rule>,
    exclude: Vec<Rule>,
}

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("filter {rule:?}: {why}")]
pub struct FilterError {
    /// The rule.
    pub rule: String,
    /// What is wrong with it.
    pub why: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    text: String,
    terms: Vec<(Key, Vec<String>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Path,
    Resource,
    Namespace,
    Verb,
    Lane,
}

impl Filter {
    /// Reads rules: without any in `include` everything is in; what one of `exclude` fits is out.
    ///
    /// # Errors
    /// A rule that is none, with what is wrong.
    pub fn parse<T: AsRef<str>>(include: &[T], exclude: &[T]) -> Result<Self, FilterError> {
        let rules = |texts: &[T]| texts.iter().map(|text| Rule::parse(text.as_ref())).collect::<Result<Vec<_>, _>>();
        Ok(Self { include: rules(include)?, exclude: rules(exclude)? })
    }

    /// Whether everything is recorded.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }

    /// Whether a request is recorded, by its method, its path without the query, and whether that asks for a watch.
    #[must_use]
    pub fn wants(&self, lane: &str, request: &Request) -> bool {
        self.reason_to_leave(lane, request).is_none()
    }

    /// Why a request is not recorded; none where it is.
    #[must_use]
    pub fn reason_to_leave(&self, lane: &str, request: &Request) -> Option<String> {
        if self.is_all() {
            return None;
        }
        let info = RequestInfo::parse(&request.method, &request.path, &request.query).unwrap_or_default();
        let fits = |rule: &&Rule| rule.fits(lane, &request.path, &info);
        if let Some(rule) = self.exclude.iter().find(fits) {
            return Some(format!("the recording left out {}", rule.text));
        }
        if self.include.is_empty() || self.include.iter().any(|rule| fits(&rule)) {
            return None;
        }
        let rules: Vec<_> = self.include.iter().map(|rule| rule.text.as_str()).collect();
        Some(format!("the recording took only {}", rules.join(" and ")))
    }

    /// The filter that a tape was recorded with; the default where its header does not say.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        let Some((_, scope)) = header.recorded.extra.iter().find(|(key, _)| key == MEMBER) else {
            return Self::default();
        };
        let texts = |key: &str| -> Vec<String> {
            let items = scope.get(key).map(Tree::items).unwrap_or_default();
            items.iter().filter_map(Tree::as_str).map(str::to_owned).collect()
        };
        // A rule of a newer program is none that could be told about.
        let rules = |texts: Vec<String>| texts.iter().filter_map(|text| Rule::parse(text).ok()).collect();
        Self { include: rules(texts("include")), exclude: rules(texts("exclude")) }
    }

    /// Writes itself into a header, for [`Filter::of`].
    pub fn note(&self, header: &mut Header) {
        header.recorded.extra.retain(|(key, _)| key != MEMBER);
        let sides = [("include", &self.include), ("exclude", &self.exclude)];
        let entries: Vec<_> = sides
            .into_iter()
            .filter(|(_, rules)| !rules.is_empty())
            .map(|(key, rules)| {
                let items = rules.iter().map(|rule| Tree::Text(rule.text.clone())).collect();
                (key.to_owned(), Tree::List(items))
            })
            .collect();
        if !entries.is_empty() {
            header.recorded.extra.push((MEMBER.to_owned(), Tree::Map(entries)));
        }
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, FilterError> {
        let wrong = |why: String| FilterError { rule: text.to_owned(), why };
        let mut terms = Vec::new();
        for term in text.split(',').map(str::trim) {
            let (key, values) = match term.split_once('=') {
                Some((key, values)) => (key.trim(), values),
                None if term.starts_with('/') => ("path", term),
                None => ("resource", term),
            };
            let key = match key {
                "path" => Key::Path,
                "resource" => Key::Resource,
                "namespace" | "ns" => Key::Namespace,
                "verb" => Key::Verb,
                "lane" => Key::Lane,
                other => {
                    let known = "path, resource, namespace, verb and lane";
                    return Err(wrong(format!("unknown key {other:?}, there are {known}")));
                }
            };
            let values: Vec<_> = values.split('|').map(|value| value.trim().to_owned()).collect();
            if values.iter().any(String::is_empty) {
                return Err(wrong("a value is missing".to_owned()));
            }
            terms.push((key, values));
        }
        Ok(Self { text: text.to_owned(), terms })
    }

    fn fits(&self, lane: &str, path: &str, info: &RequestInfo) -> bool {
        self.terms.iter().all(|(key, values)| {
            values.iter().any(|value| match key {
                Key::Path => glob(value, path),
                Key::Resource => is_resource(value, info),
                Key::Namespace => glob(value, &info.namespace),
                Key::Verb => glob(value, &info.verb),
                Key::Lane => glob(value, lane),
            })
        })
    }
}

/// `pods` and `deployments.apps` with all their subresources; `pods/log` with that one, `pods/` with none.
fn is_resource(value: &str, info: &RequestInfo) -> bool {
    if !info.is_resource {
        return false;
    }
    let (resource, subresource) = value.split_once('/').map_or((value, None), |(a, b)| (a, Some(b)));
    let named = match resource.split_once('.') {
        Some((plural, group)) => glob(plural, &info.resource) && glob(group, &info.group),
        None => glob(resource, &info.resource),
    };
    named && subresource.is_none_or(|wanted| glob(wanted, &info.subresource))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, path: &str) -> Request {
        Request { method: method.into(), path: path.into(), ..Request::default() }
    }

    fn wants(include: &[&str], exclude: &[&str], lane: &str, method: &str, path: &str) -> bool {
        Filter::parse(include, exclude).unwrap().wants(lane, &request(method, path))
    }

    #[test]
    fn rules_find_paths_resources_verbs_namespaces_and_lanes() {
        let pods = "/api/v1/namespaces/d/pods/a";
        assert!(wants(&[], &[], "sut", "GET", pods));
        assert!(!wants(&[], &["pods"], "sut", "GET", pods));
        assert!(wants(&[], &["pods/log"], "sut", "GET", pods));
        assert!(!wants(&[], &["pods/log"], "sut", "GET", "/api/v1/namespaces/d/pods/a/log"));
        assert!(!wants(&["deployments.apps"], &[], "sut", "GET", pods));
        assert!(wants(&["deployments.apps"], &[], "sut", "GET", "/apis/apps/v1/deployments"));
        assert!(!wants(&[], &["resource=*.apps"], "sut", "GET", "/apis/apps/v1/deployments"));
        assert!(!wants(&[], &["/openapi/*"], "sut", "GET", "/openapi/v2"));
        assert!(!wants(&[], &["verb=get|list,ns=d"], "sut", "GET", pods));
        assert!(wants(&[], &["verb=get|list,ns=d"], "sut", "DELETE", pods));
        assert!(wants(&["lane=a"], &[], "a", "GET", "/version") && !wants(&["lane=a"], &[], "b", "GET", "/version"));
        let watch = Request { query: vec![("watch".into(), "1".into())], ..request("GET", "/api/v1/pods") };
        assert!(!Filter::parse(&[], &["verb=watch"]).unwrap().wants("sut", &watch));
    }

    #[test]
    fn a_rule_that_is_none_is_refused() {
        let why = |rule: &str| Filter::parse(&[rule], &[]).unwrap_err().to_string();
        assert!(why("colour=red").contains("unknown key \"colour\""));
        assert_eq!(why("verb="), "filter \"verb=\": a value is missing");
        assert!(why("").contains("a value is missing"));
    }

    #[test]
    fn a_header_tells_what_was_left_out() {
        let filter = Filter::parse(&["lane=a"], &["events", "leases"]).unwrap();
        let mut header = Header::default();
        filter.note(&mut header);
        let tape = crate::format::model::Tape { header, ..Default::default() };
        let tape = crate::format::from_text(&crate::format::to_text(&tape)).unwrap();
        assert_eq!(Filter::of(&tape.header), filter);
        let why = |lane: &str, path: &str| filter.reason_to_leave(lane, &request("GET", path));
        assert_eq!(why("a", "/api/v1/events").as_deref(), Some("the recording left out events"));
        assert_eq!(why("b", "/api/v1/pods").as_deref(), Some("the recording took only lane=a"));
        assert_eq!(why("a", "/api/v1/pods"), None);
        assert!(Filter::of(&Header::default()).is_all());
    }
}
