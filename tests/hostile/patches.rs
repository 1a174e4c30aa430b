//! Patches that are deep, long, or make the document grow.

use crate::wire::{MAPS, Victim};

const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

async fn victim() -> (Victim, String) {
    let victim = Victim::start().await;
    victim.create("x").await;
    (victim, format!("{MAPS}/x?fieldManager=m"))
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_patches_are_refused() {
    let (victim, path) = victim().await;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(10_500), close.repeat(10_500));
        let operation = format!(r#"[{{"op":"add","path":"/data/a","value":{deep}}}]"#);
        for (media, body) in [(JSON, &operation), (JSON, &deep), (MERGE, &deep), (STRATEGIC, &deep), (APPLY, &deep)] {
            let answer = victim.request("PATCH", &path, media, body.as_bytes()).await;
            assert!((400..500).contains(&answer.code), "{media}: {} {:.200}", answer.code, answer.text());
        }
    }
    let pointer = format!(r#"[{{"op":"add","path":"{}","value":1}}]"#, "/a".repeat(100_000));
    victim.request("PATCH", &path, JSON, pointer.as_bytes()).await.refuses(422, "");
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn depth_cannot_be_built_step_by_step() {
    let (victim, path) = victim().await;
    let wrap = r#"{"op":"copy","from":"/data","path":"/data/n"}"#;
    let copies = format!("[{}]", vec![wrap; 200].join(","));
    let answer = victim.request("PATCH", &path, JSON, copies.as_bytes()).await;
    assert!((400..500).contains(&answer.code), "{} {:.200}", answer.code, answer.text());
    // Each step moves the whole tree one level down.
    let mut steps = vec![r#"{"op":"add","path":"/data/t","value":{}}"#.to_owned()];
    for _ in 0..4_000 {
        steps.push(r#"{"op":"add","path":"/data/u","value":{}}"#.to_owned());
        steps.push(r#"{"op":"move","from":"/data/t","path":"/data/u/t"}"#.to_owned());
        steps.push(r#"{"op":"move","from":"/data/u","path":"/data/t"}"#.to_owned());
    }
    steps.truncate(10_000);
    let moves = format!("[{}]", steps.join(","));
    let answer = victim.request("PATCH", &path, JSON, moves.as_bytes()).await;
    assert!((400..500).contains(&answer.code), "{} {:.200}", answer.code, answer.text());
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_operations_are_too_large() {
    let (victim, path) = victim().await;
    let operation = r#"{"op":"test","path":"/data/k","value":"v"}"#;
    let patch = |n: usize| format!("[{}]", vec![operation; n].join(","));
    let answer = victim.request("PATCH", &path, JSON, patch(10_001).as_bytes()).await;
    answer.refuses(413, "The allowed maximum operations in a JSON patch is 10000, got 10001");
    assert_eq!(victim.request("PATCH", &path, JSON, patch(10_000).as_bytes()).await.code, 200);
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_do_not_double_for_ever() {
    let (victim, path) = victim().await;
    let mut steps = vec![r#"{"op":"add","path":"/data/a0","value":["x"]}"#.to_owned()];
    for i in 1..60 {
        steps.push(format!(r#"{{"op":"add","path":"/data/a{i}","value":[]}}"#));
        for _ in 0..2 {
            steps.push(format!(r#"{{"op":"copy","from":"/data/a{}","path":"/data/a{i}/-"}}"#, i - 1));
        }
    }
    let answer = victim.request("PATCH", &path, JSON, format!("[{}]", steps.join(",")).as_bytes()).await;
    assert!((400..500).contains(&answer.code), "{} {:.200}", answer.code, answer.text());
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_is_refused() {
    let (victim, path) = victim().await;
    let json = [
        "",
        "{",
        "null null",
        "{}",
        "[1]",
        "[null]",
        r#"[{"op":"x"}]"#,
        r#"[{"op":"add"}]"#,
        r#"[{"op":"add","path":"/data/-1/x","value":1}]"#,
        r#"[{"op":"remove","path":""}]"#,
        r#"[{"op":"add","path":"","value":1}]"#,
        r#"[{"op":"move","from":"/data","path":"/data/k/x"}]"#,
        r#"[{"op":"add","path":"/metadata/finalizers/99999999999999999999","value":"x"}]"#,
        r#"[{"op":"add","path":"/data/~","value":1},{"op":"test","path":"/~3","value":1}]"#,
        r#"[{"op":"remove","path":"/metadata"}]"#,
        r#"[{"op":"replace","path":"/kind","value":[]}]"#,
    ];
    for body in json {
        let answer = victim.request("PATCH", &path, JSON, body.as_bytes()).await;
        assert!((400..500).contains(&answer.code), "{body}: {} {:.200}", answer.code, answer.text());
    }
    let merge = [
        "",
        "[",
        "[]",
        "1",
        r#"{"metadata":1}"#,
        r#"{"metadata":{"name":"other"}}"#,
        r#"{"data":[1]}"#,
        r#"{"kind":7}"#,
    ];
    for body in merge {
        for media in [MERGE, STRATEGIC, APPLY] {
            let answer = victim.request("PATCH", &path, media, body.as_bytes()).await;
            assert!(answer.code < 500, "{media} {body}: {} {:.200}", answer.code, answer.text());
        }
    }
    let directives = [
        r#"{"$patch":"nope"}"#,
        r#"{"$patch":1}"#,
        r#"{"data":{"$patch":"delete"}}"#,
        r#"{"$retainKeys":1}"#,
        r#"{"$setElementOrder/x":1}"#,
        r#"{"metadata":{"$setElementOrder/finalizers":{}}}"#,
        r#"{"metadata":{"$deleteFromPrimitiveList/finalizers":1}}"#,
        r#"{"metadata":{"ownerReferences":[{}]}}"#,
        r#"{"metadata":{"ownerReferences":[{"$patch":"delete"}]}}"#,
        r#"{"metadata":{"ownerReferences":[1,null]}}"#,
    ];
    for body in directives {
        // Some of these are a 500 at the real server too: a Status, that is, not the end of a handler.
        let answer = victim.request("PATCH", &path, STRATEGIC, body.as_bytes()).await;
        assert!(answer.json()["kind"].is_string(), "{body}: {} {:.200}", answer.code, answer.text());
    }
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stored_can_be_read_again_however_deep() {
    let (victim, _) = victim().await;
    let crd = r#"{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"deeps.x.io"},
        "spec":{"group":"x.io","scope":"Cluster","names":{"plural":"deeps","singular":"deep","kind":"Deep"},
        "versions":[{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}]}}"#;
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let answer = victim.request("POST", crds, "application/json", crd.as_bytes()).await;
    assert_eq!(answer.code, 201, "{}", answer.text());
    let all = "/apis/x.io/v1/deeps";
    let mut stored = 0;
    for depth in (100..135).step_by(2) {
        let deep = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let body =
            format!(r#"{{"apiVersion":"x.io/v1","kind":"Deep","metadata":{{"name":"d{depth}"}},"spec":{deep}}}"#);
        let one = format!("{all}/d{depth}");
        let answer = victim.request("POST", all, "application/json", body.as_bytes()).await;
        if answer.code != 201 {
            answer.refuses(400, "");
            let answer = victim.request("PATCH", &format!("{one}?fieldManager=m"), APPLY, body.as_bytes()).await;
            assert!(answer.code == 201 || answer.code == 400, "{depth}: {} {:.200}", answer.code, answer.text());
            continue;
        }
        stored += 1;
        assert_eq!(victim.get(&one).await.code, 200);
        let answer = victim.request("PATCH", &one, MERGE, br#"{"metadata":{"labels":{"a":"b"}}}"#).await;
        assert_eq!(answer.code, 200, "{depth}: {:.200}", answer.text());
        // One level at a time, until the server says no.
        for _ in 0..20 {
            let step = r#"[{"op":"add","path":"/next","value":{}},{"op":"move","from":"/spec","path":"/next/a"},{"op":"move","from":"/next","path":"/spec"}]"#;
            let answer = victim.request("PATCH", &one, JSON, step.as_bytes()).await;
            assert!(matches!(answer.code, 200 | 400 | 422), "{depth}: {} {:.200}", answer.code, answer.text());
            assert_eq!(victim.get(&one).await.code, 200);
        }
    }
    assert!(stored > 5, "{stored}");
    assert_eq!(victim.get(all).await.code, 200);
    assert_eq!(victim.request("DELETE", all, "application/json", b"").await.code, 200);
    victim.is_well().await;
}
