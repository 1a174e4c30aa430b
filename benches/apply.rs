//! What the richer forms cost: custom resources with a large schema, server-side apply, protobuf.

#![allow(clippy::disallowed_methods, reason = "benchmarks measure the machine's own time")]

mod support;

use bytes::Bytes;
use http::Method;
use rehearsal::{Cluster, Controllers};
use serde_json::{Value, json};
use support::client::Client;
use support::runner::in_turns;
use support::{Options, Outcome, Report, Target, objects, runtime};

fn main() -> Outcome {
    let options = Options::parse();
    let mut report = Report::new("apply");
    let runtime = runtime()?;
    runtime.block_on(custom_resources(&options, &mut report))?;
    runtime.block_on(server_side_apply(&options, &mut report))?;
    runtime.block_on(protobuf(&options, &mut report))?;
    report.finish(options.record)
}

async fn cluster() -> Outcome<(Cluster, Client)> {
    let cluster = Cluster::builder().controllers(Controllers::none()).start().await?;
    let client = Client::connect(&cluster.url().replace("http://", "")).await?;
    Ok((cluster, client))
}

/// Creating custom resources whose schema has 200 fields, against creating config maps.
async fn custom_resources(options: &Options, report: &mut Report) -> Outcome {
    let (_cluster, mut client) = cluster().await?;
    let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    client.call(Method::POST, crds, Bytes::from(definition().to_string())).await?;
    let path = "/apis/example.com/v1/namespaces/default/wides";
    for _ in 0..100 {
        if client.get(path).await.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    if client.get(path).await.is_err() {
        println!("custom resources are not served: left out");
        return Ok(());
    }
    let mut other = Client::connect(&_cluster.url().replace("http://", "")).await?;
    let stock =
        |make: fn(usize) -> Value| (0..150_000).map(make).map(|o| Bytes::from(o.to_string())).collect::<Vec<_>>();
    let (mut wides, mut maps) = (stock(wide).into_iter(), stock(config_map).into_iter());
    let found = in_turns(
        options.count(21, 5),
        &mut async || client.call(Method::POST, path, wides.next().ok_or("out of bodies")?).await.map(drop),
        &mut async || {
            let body = maps.next().ok_or("out of bodies")?;
            other.call(Method::POST, "/api/v1/namespaces/default/configmaps", body).await.map(drop)
        },
    )
    .await?;
    report.figure(
        "create of custom resources with 200 fields, against config maps",
        Target::AtLeast(0.5, "×"),
        found.ratio,
    );
    report.figure("custom resources", Target::Shown("creates/s"), found.ours);
    report.figure("config maps", Target::Shown("creates/s"), found.theirs);
    Ok(())
}

fn config_map(n: usize) -> Value {
    objects::config_map("default", &format!("c{n}"))
}

/// A custom resource that gives twenty of its two hundred fields.
fn wide(n: usize) -> Value {
    let spec: serde_json::Map<String, Value> =
        (0..20).map(|f| (format!("field{}", f * 10), json!(format!("v{f}")))).collect();
    json!({"apiVersion": "example.com/v1", "kind": "Wide", "metadata": {"name": format!("w{n}")}, "spec": spec})
}

fn definition() -> Value {
    let field = |f: usize| {
        (format!("field{f}"), json!({"type": "string", "maxLength": 64, "description": format!("Field {f}.")}))
    };
    let fields: serde_json::Map<String, Value> = (0..200).map(field).collect();
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": fields}}});
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "wides.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "wides", "singular": "wide", "kind": "Wide", "listKind": "WideList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]}})
}

/// Server-side apply of a Deployment with twenty containers that three managers own together, against a PUT of it.
async fn server_side_apply(options: &Options, report: &mut Report) -> Outcome {
    let (cluster, mut client) = cluster().await?;
    let path = "/apis/apps/v1/namespaces/default/deployments/web";
    for manager in ["one", "two", "three"] {
        let query = format!("{path}?fieldManager={manager}&force=true");
        client.call(Method::PATCH, &query, part(manager, 0)).await?;
    }
    let mut other = Client::connect(&cluster.url().replace("http://", "")).await?;
    let live: Value = serde_json::from_slice(&client.get(path).await?)?;
    let (mut n, mut m) = (1, 1);
    let found = in_turns(
        options.count(21, 5),
        &mut async || {
            m += 1;
            other.call(Method::PUT, path, replacement(&live, m)).await.map(drop)
        },
        &mut async || {
            n += 1;
            let query = format!("{path}?fieldManager=one&force=true");
            client.call(Method::PATCH, &query, part("one", n)).await.map(drop)
        },
    )
    .await?;
    report.figure(
        "server-side apply of 20 containers and 3 managers, against PUT",
        Target::AtMost(4.0, "×"),
        found.ratio,
    );
    report.figure("server-side apply", Target::Shown("requests/s"), found.theirs);
    report.figure("PUT of the same object", Target::Shown("requests/s"), found.ours);
    Ok(())
}

/// What a manager applies: the first the whole, the others labels and an environment variable of each container.
fn part(manager: &str, n: usize) -> Bytes {
    let mut object = objects::deployment("web", 20);
    if manager == "one" {
        object["metadata"]["annotations"] = json!({"n": n.to_string()});
        return Bytes::from(object.to_string());
    }
    let containers: Vec<Value> =
        (0..20).map(|c| json!({"name": format!("c{c}"), "env": [{"name": manager, "value": "x"}]})).collect();
    let labels = json!({manager: "x"});
    let part = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": labels},
        "spec": {"template": {"spec": {"containers": containers}}}});
    Bytes::from(part.to_string())
}

fn replacement(live: &Value, n: usize) -> Bytes {
    let mut object = live.clone();
    object["metadata"]["annotations"] = json!({"n": format!("put{n}")});
    if let Some(meta) = object["metadata"].as_object_mut() {
        meta.remove("resourceVersion");
    }
    Bytes::from(object.to_string())
}

/// Listing 5,000 pods as protobuf, against as JSON, in lists a second.
async fn protobuf(options: &Options, report: &mut Report) -> Outcome {
    let (cluster, mut client) = cluster().await?;
    let pods = options.count(5000, 500);
    for n in 0..pods {
        cluster.apply(objects::pod("default", &format!("web-{n:05}"))).await?;
    }
    let mut other = Client::connect(&cluster.url().replace("http://", "")).await?;
    let path = "/api/v1/namespaces/default/pods";
    let media = "application/vnd.kubernetes.protobuf";
    let found = in_turns(
        options.count(21, 5),
        &mut async || client.call_as(Method::GET, path, Bytes::new(), media).await.map(drop),
        &mut async || other.get(path).await.map(drop),
    )
    .await?;
    #[allow(clippy::cast_precision_loss)]
    let pods = pods as f64;
    report.figure("list of 5,000 pods as protobuf, against JSON", Target::AtLeast(1.0, "×"), found.ratio);
    report.figure("as protobuf", Target::Shown("objects/s"), found.ours * pods);
    report.figure("as JSON", Target::Shown("objects/s"), found.theirs * pods);
    Ok(())
}
