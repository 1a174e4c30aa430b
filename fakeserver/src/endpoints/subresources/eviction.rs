//! `POST …/pods/x/eviction`: a delete that asks the disruption budgets first.

use crate::endpoints::context::{FieldValidation, RequestContext, invalid_options};
use crate::endpoints::respond;
use crate::registry::{Change, Mode, Target};
use crate::strategies::Peek;
use crate::strategies::eviction::{EvictionDecision, disruption_target, eviction};
use axum::body::Body;
use bytes::Bytes;
use http::Response;
use rehearsal_apimachinery::ObjectMeta;
use rehearsal_apimachinery::options::{self, CreateOptions, DeleteOptions};
use rehearsal_apimachinery::status::Status;
use serde_json::{Value, json};

pub(super) async fn create(cx: &mut RequestContext) -> Result<Response<Body>, Status> {
    let accepted = cx.accept()?;
    let bytes = cx.read_body().await?;
    let options = CreateOptions::from_query(&cx.query);
    invalid_options("CreateOptions", &options::validate_create_options(&options))?;
    let mut body = cx.decode(&bytes, &FieldValidation::parse(&options.field_validation))?;
    cx.core.registry.check_namespace(&cx.target(), &mut body)?;
    if body.name() != cx.request.name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let delete = match body.get("deleteOptions") {
        Some(given) => DeleteOptions::from_json(given).map_err(Status::bad_request)?,
        None => DeleteOptions::default(),
    };
    invalid_options("DeleteOptions", &options::validate_delete_options(&delete))?;
    let dry_run = options.is_dry_run() || delete.is_dry_run();
    let target = Target { subresource: String::new(), ..cx.target() };
    let pod = cx.core.registry.get(&target, "").await?.value(&cx.info);
    ask_budgets(cx, &target, &pod, dry_run).await?;
    let mut write = cx.write(&options.field_manager, dry_run);
    let outcome = cx.core.registry.delete(&target, &delete, &mut write).await;
    let warnings = write.warnings;
    cx.warnings.extend(warnings);
    outcome?;
    let compact = Bytes::from(serde_json::to_vec(&Status::success(201)).unwrap_or_default());
    Ok(respond::encoded(&cx.headers, &accepted, 201, compact))
}

/// Asks the budgets; books the eviction with the one that allows it, and marks the pod.
async fn ask_budgets(cx: &RequestContext, target: &Target, pod: &Value, dry_run: bool) -> Result<(), Status> {
    let registry = &cx.core.registry;
    let budgets = registry.peek().list("poddisruptionbudgets.policy", &target.namespace);
    let budgets: Vec<Value> = budgets.iter().map(|b| (**b).clone()).collect();
    let now = registry.clock().now();
    match eviction(pod, &budgets, now) {
        EvictionDecision::Delete => Ok(()),
        EvictionDecision::Refuse(status) => Err(*status),
        EvictionDecision::Disrupt { .. } if dry_run => Ok(()),
        EvictionDecision::Disrupt { budget } => {
            book(cx, target, budget).await?;
            let condition = disruption_target(now);
            let mark = |live: Option<&Value>| {
                let mut pod = live.cloned().ok_or_else(|| target.not_found())?;
                set_condition(&mut pod, condition.clone());
                Ok(Change::To(pod))
            };
            let status = Target { subresource: "status".into(), ..target.clone() };
            registry.update(&status, Mode::Internal, &mut cx.write("", false), &mark).await.map(|_| ())
        }
    }
}

fn set_condition(pod: &mut Value, condition: Value) {
    let Some(list) = pod
        .as_object_mut()
        .map(|pod| pod.entry("status").or_insert_with(|| json!({})))
        .and_then(Value::as_object_mut)
        .map(|status| status.entry("conditions").or_insert_with(|| json!([])))
        .and_then(Value::as_array_mut)
    else {
        return;
    };
    list.retain(|c| c.get("type") != condition.get("type"));
    list.push(condition);
}

/// Writes the budget's new status; a lost race is a conflict that asks the client to try again.
async fn book(cx: &RequestContext, target: &Target, budget: Value) -> Result<(), Status> {
    let registry = &cx.core.registry;
    let at = registry
        .internal_target("poddisruptionbudgets.policy", &target.namespace, budget.name())
        .ok_or_else(Status::no_such_resource)?;
    let at = Target { subresource: "status".into(), ..at };
    let change = |_: Option<&Value>| Ok(Change::To(budget.clone()));
    registry.update(&at, Mode::Internal, &mut cx.write("", false), &change).await.map(|_| ())
}
