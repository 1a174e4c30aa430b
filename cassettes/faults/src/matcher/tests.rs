//! Each condition, met and not met.

use serde_json::json;

use super::*;
use crate::plan::Rule;

fn check(rule: &Rule, facts: RequestFacts<'_>) -> Option<&'static str> {
    let subject = Subject::new(Moment::Request, &facts, None);
    let matcher = Matcher::new(&rule.when, VerbSet::MAX);
    let mismatch = matcher.mismatch(&subject);
    assert!(
        mismatch.is_some() || subject.may_be_of(&Looks::new([&rule.when]), 0),
        "the short look says no where the long one says yes"
    );
    mismatch
}

fn pod() -> RequestFacts<'static> {
    RequestFacts {
        verb: "update",
        version: "v1",
        resource: "pods",
        subresource: "status",
        namespace: "demo",
        name: "web-0",
        lane: "sut",
        user_agent: "controller/1.0",
        method: "PUT",
        path: "/api/v1/namespaces/demo/pods/web-0/status",
        protocol: Protocol::Http2,
        connection: 2,
        stream: 5,
        headers: &[("x-one", "1")],
        ..RequestFacts::default()
    }
}

#[test]
fn each_condition_lets_its_request_through_and_no_other() {
    let r = || Rule::new("r");
    let table: Vec<(Rule, Rule, &str)> = vec![
        (r().resource("pods"), r().resource("secrets"), "resource"),
        (r().resource("*"), r().resource("pods.metrics.k8s.io"), "resource"),
        (r().resource("secrets").resource("pods"), r().resource("secrets").resource("nodes"), "resource"),
        (r().resource("*").resource("secrets"), r().resource("secrets"), "resource"),
        (r().group(""), r().group("apps"), "group"),
        (r().version("v1"), r().version("v2"), "version"),
        (r().subresource("status"), r().subresource(""), "subresource"),
        (r().namespace("de*"), r().namespace("prod"), "namespace"),
        (r().name("web-?"), r().name("db-*"), "name"),
        (r().lane("sut"), r().lane("driver"), "lane"),
        (r().user_agent("controller/*"), r().user_agent("kubectl*"), "userAgent"),
        (r().method("PUT"), r().method("PATCH"), "method"),
        (r().path("/api/v1/*"), r().path("/apis/*"), "path"),
        (r().header("X-One", "?"), r().header("X-Two", "*"), "header"),
        (r().header("x-ONE", "1"), r().header("x-one", "2"), "header"),
        (r().protocol(Protocol::Http2), r().protocol(Protocol::Http1), "protocol"),
        (r().dry_run(false), r().dry_run(true), "dryRun"),
        (r().connection(2), r().connection(1), "connection"),
        (r().stream(5), r().stream(1), "stream"),
    ];
    for (through, stopped, field) in table {
        assert_eq!(check(&through, pod()), None, "{through:?}");
        assert_eq!(check(&stopped, pod()), Some(field), "{stopped:?}");
    }
}

#[test]
fn verbs_are_a_set() {
    let subject = |verb| Subject::new(Moment::Request, &RequestFacts { verb, ..pod() }, None);
    let matcher = Matcher::new(&When::default(), WRITE_VERBS);
    assert_eq!(matcher.mismatch(&subject("patch")), None);
    assert_eq!(matcher.mismatch(&subject("get")), Some("verb"));
    assert_eq!(matcher.mismatch(&subject("connect")), Some("verb"));
}

#[test]
fn a_resource_with_a_group_is_that_of_the_group_only() {
    let facts = |group| RequestFacts { resource: "deployments", group, ..pod() };
    assert_eq!(check(&Rule::new("r").resource("deployments.apps"), facts("apps")), None);
    assert_eq!(check(&Rule::new("r").resource("deployments.apps"), facts("extensions")), Some("resource"));
    assert_eq!(check(&Rule::new("r").resource("deployments"), facts("extensions")), None);
}

#[test]
fn members_of_the_object_are_matched_by_their_text() {
    let object = json!({
        "metadata": {"labels": {"app": "web", "a.b/c": "d"}},
        "spec": {"replicas": 3, "paused": true, "containers": [{"image": "nginx:1"}]},
    });
    let facts = RequestFacts { object: Some(&object), ..pod() };
    let r = || Rule::new("r");
    for rule in [
        r().label("app", "w*"),
        r().label("a.b/c", "d"),
        r().object("spec.replicas", "3"),
        r().object("spec.paused", "true"),
        r().object("spec.containers.0.image", "nginx:*"),
        r().object("spec.containers", "*"),
        r().object("$.spec.containers[*].image", "nginx:*").object("{.spec.containers}", "*"),
        r().label_selector("app in (db,web),!canary"),
        r().label_selector("app=db").label_selector("app=web"),
        r().field_selector("spec.replicas=3,spec.paused!=false"),
        r().filter("@.spec.replicas > 4").filter("@.spec.replicas >= 3"),
    ] {
        assert_eq!(check(&rule, facts), None, "{rule:?}");
    }
    for (rule, field) in [
        (r().label("app", "db"), "labels"),
        (r().object("spec.replicas", "4"), "object"),
        (r().object("spec.none", "*"), "object"),
        (r().object("{.spec.containers[*].image}", "redis:*"), "object"),
        (r().label_selector("app in (db),!canary"), "labelSelector"),
        (r().field_selector("spec.replicas!=3"), "fieldSelector"),
        (r().filter("@.spec.replicas > 3"), "filter"),
    ] {
        assert_eq!(check(&rule, facts), Some(field), "{rule:?}");
        assert_eq!(check(&rule, pod()), Some(field), "without an object no condition on it is met");
    }
}

#[test]
fn the_type_is_that_of_the_frame() {
    let matcher = Matcher::new(&Rule::new("r").event(EventType::Deleted).when, VerbSet::MAX);
    let subject = |event| Subject::new(Moment::Frame, &pod(), event);
    assert_eq!(matcher.mismatch(&subject(Some(EventType::Deleted))), None);
    assert_eq!(matcher.mismatch(&subject(Some(EventType::Added))), Some("type"));
    assert_eq!(matcher.mismatch(&subject(None)), Some("type"));
}
