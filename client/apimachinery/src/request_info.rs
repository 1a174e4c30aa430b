//! What a URL asks for: verb, group, version, namespace, resource, name, subresource.
//!
//! Counterpart: apiserver `pkg/endpoints/request/requestinfo.go`. Pure string work; whether the resource exists is the
//! server's question.

use percent_encoding::percent_decode_str;

/// The parsed form of a request line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestInfo {
    /// The path names a resource below `/api` or `/apis`.
    pub is_resource: bool,
    /// Path without query, as sent.
    pub path: String,
    /// Kubernetes verb (`list`, `watch`, …), or the lower-cased method for non-resource paths.
    pub verb: String,
    /// API group, empty for the core group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Namespace; for a request that names a namespace object, that namespace.
    pub namespace: String,
    /// Plural resource.
    pub resource: String,
    /// Subresource or empty.
    pub subresource: String,
    /// Object name or empty.
    pub name: String,
    /// Path segments after the name and subresource (proxy paths).
    pub rest: Vec<String>,
    /// A segment was empty or hid a slash: nothing can be routed there.
    pub malformed: bool,
    /// The path is one of the deprecated `/watch/` ones, where the path itself may name the object.
    pub watch_path: bool,
}

/// Why a path has no [`RequestInfo`]: `/api/v1/watch` and its like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unparsable;

/// Decoded query pairs, in order.
pub type Query = Vec<(String, String)>;

/// The first value of a query parameter.
#[must_use]
pub fn param<'a>(query: &'a Query, key: &str) -> Option<&'a str> {
    query.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
}

/// Splits and decodes a query string; `+` is a space, invalid UTF-8 is replaced.
#[must_use]
pub fn parse_query(raw: &str) -> Query {
    let decode = |s: &str| percent_decode_str(&s.replace('+', " ")).decode_utf8_lossy().into_owned();
    raw.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (k, v) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(k), decode(v))
        })
        .collect()
}

impl RequestInfo {
    /// Reads a request line; `method` in upper case, `path` as sent.
    ///
    /// # Errors
    /// [`Unparsable`] where the real server fails before routing.
    pub fn parse(method: &str, path: &str, query: &Query) -> Result<Self, Unparsable> {
        let mut info = Self { path: path.to_owned(), verb: method.to_lowercase(), ..Self::default() };
        let trimmed = path.strip_prefix('/').unwrap_or(path);
        let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
        let raw: Vec<&str> = trimmed.split('/').collect();
        let parts: Vec<String> = raw.iter().map(|s| percent_decode_str(s).decode_utf8_lossy().into_owned()).collect();
        info.malformed = parts.iter().any(|p| p.is_empty() || p.contains('/'));
        let (group, version, rest) = match parts.as_slice() {
            [api, version, rest @ ..] if api == "api" && !rest.is_empty() => (String::new(), version.clone(), rest),
            [apis, group, version, rest @ ..] if apis == "apis" && !rest.is_empty() => {
                (group.clone(), version.clone(), rest)
            }
            _ => return Ok(info),
        };
        info.is_resource = true;
        info.group = group;
        info.version = version;
        info.resource_parts(method, rest, query)?;
        Ok(info)
    }

    fn resource_parts(&mut self, method: &str, parts: &[String], query: &Query) -> Result<(), Unparsable> {
        let mut parts = parts;
        let mut special = "";
        if let [first, rest @ ..] = parts
            && (first == "watch" || first == "proxy")
        {
            if rest.is_empty() {
                return Err(Unparsable);
            }
            special = if first == "watch" { "watch" } else { "proxy" };
            self.watch_path = special == "watch";
            parts = rest;
        }
        if let [first, namespace, rest @ ..] = parts
            && first == "namespaces"
        {
            self.namespace.clone_from(namespace);
            if !rest.is_empty() && !matches!(rest[0].as_str(), "status" | "finalize") {
                parts = rest;
            }
        }
        if let [resource, rest @ ..] = parts {
            self.resource.clone_from(resource);
            self.name = rest.first().cloned().unwrap_or_default();
            if special != "proxy" {
                self.subresource = rest.get(1).cloned().unwrap_or_default();
                self.rest = rest.get(2..).unwrap_or_default().to_vec();
            }
        }
        self.verb = self.kube_verb(method, special, query);
        Ok(())
    }

    fn kube_verb(&mut self, method: &str, special: &str, query: &Query) -> String {
        if !special.is_empty() {
            return special.to_owned();
        }
        let verb = match method {
            "POST" => "create",
            "GET" | "HEAD" => "get",
            "PUT" => "update",
            "PATCH" => "patch",
            "DELETE" => "delete",
            _ => "",
        };
        if !self.name.is_empty() {
            return verb.to_owned();
        }
        match verb {
            "get" => {
                self.name_from_selector(query);
                if wants_watch(query) { "watch" } else { "list" }
            }
            "delete" => "deletecollection",
            other => other,
        }
        .to_owned()
    }

    /// `fieldSelector=metadata.name=x` on a collection stands for the name in authorization.
    fn name_from_selector(&mut self, query: &Query) {
        let selector = param(query, "fieldSelector").unwrap_or_default();
        let name = selector.split(',').find_map(|term| {
            term.strip_prefix("metadata.name==")
                .or_else(|| term.strip_prefix("metadata.name="))
                .filter(|n| !n.is_empty())
        });
        if let Some(name) = name {
            name.clone_into(&mut self.name);
        }
    }
}

/// `watch` counts as set unless it is missing, `false` or `0`.
fn wants_watch(query: &Query) -> bool {
    param(query, "watch").is_some_and(|v| v != "false" && v != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(method: &str, url: &str) -> RequestInfo {
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        RequestInfo::parse(method, path, &parse_query(query)).unwrap()
    }

    #[test]
    fn collections_become_list_watch_and_deletecollection() {
        assert_eq!(info("GET", "/api/v1/pods").verb, "list");
        assert_eq!(info("GET", "/api/v1/pods?watch=1").verb, "watch");
        assert_eq!(info("GET", "/api/v1/pods?watch=xyz").verb, "watch");
        assert_eq!(info("GET", "/api/v1/pods?watch=false").verb, "list");
        assert_eq!(info("DELETE", "/apis/apps/v1/namespaces/x/deployments").verb, "deletecollection");
        assert_eq!(info("GET", "/api/v1/watch/namespaces/x/pods").verb, "watch");
    }

    #[test]
    fn a_namespace_is_both_name_and_namespace_of_itself() {
        let i = info("GET", "/api/v1/namespaces/foo");
        assert_eq!((i.resource.as_str(), i.namespace.as_str(), i.name.as_str()), ("namespaces", "foo", "foo"));
        let i = info("PUT", "/api/v1/namespaces/foo/finalize");
        assert_eq!((i.resource.as_str(), i.subresource.as_str()), ("namespaces", "finalize"));
        let i = info("GET", "/api/v1/namespaces/foo/pods/a/log");
        assert_eq!((i.resource.as_str(), i.name.as_str(), i.subresource.as_str()), ("pods", "a", "log"));
    }

    #[test]
    fn short_paths_are_no_resources() {
        for path in ["/api/v1", "/apis/apps/v1", "/version", "/"] {
            assert!(!info("GET", path).is_resource, "{path}");
        }
    }

    #[test]
    fn hidden_slashes_and_empty_segments_cannot_be_routed() {
        assert!(info("GET", "/api/v1/namespaces/x/pods/a%2Fb").malformed);
        assert!(info("GET", "/api/v1//pods").malformed);
    }

    #[test]
    fn a_namespace_called_watch_makes_no_watch_path() {
        assert!(info("GET", "/api/v1/watch/namespaces/x/pods/a").watch_path);
        assert!(!info("GET", "/api/v1/namespaces/watch/pods?watch=1").watch_path);
    }

    #[test]
    fn a_name_selector_names_the_object_for_authorization() {
        assert_eq!(info("GET", "/api/v1/pods?fieldSelector=metadata.name%3Da").name, "a");
    }
}
