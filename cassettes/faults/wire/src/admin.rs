//! The `/faults` part of an admin API, for every server that has one: arming, marks, switches, what has fired.
//!
//! Bodies are fault plans as in a file: YAML, of which JSON is a part. See docs/ADMIN_API.md.

use crate::control::{Faults, UnknownRule};
use http::Method;
use rehearsal_faults::Plan;
use serde_json::{Value, json};
use std::time::Duration;

/// How plans are called in the places of their problems.
const FILE: &str = "body";

/// One request below `/faults`.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Its method.
    pub method: &'a Method,
    /// The segments of its path after `/faults`.
    pub rest: &'a [&'a str],
    /// For a wait: how many firings are waited for.
    pub count: u64,
    /// For a wait: only those for requests of this lane count.
    pub lane: Option<&'a str>,
    /// For a wait: how long, at most.
    pub wait: Duration,
    /// Its body.
    pub body: &'a [u8],
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 400, with what is wrong.
    BadRequest(String),
    /// 404, with what there is not.
    NotFound(String),
    /// 405
    Method,
    /// 404 for a route that there is not.
    Route,
}

impl Faults {
    /// Carries an order out: the status and the body of its answer.
    ///
    /// # Errors
    /// A plan that is refused, a rule or set that there is not, another route or method.
    pub async fn carry_out(&self, order: Order<'_>) -> Result<(u16, Value), Refusal> {
        let Order { method, rest, count, lane, wait, body } = order;
        match (method, rest) {
            (&Method::GET, []) => Ok((200, json!(self.state()))),
            (&Method::POST, []) => Ok((201, json!({"id": self.add(&plan(body)?).map_err(refused)?.id}))),
            (&Method::PUT, []) => Ok((200, json!({"id": self.replace(&plan(body)?).map_err(refused)?.id}))),
            (&Method::DELETE, []) => {
                self.clear();
                Ok((200, json!({})))
            }
            (&Method::GET, ["firings"]) => Ok((200, json!({"firings": self.firings()}))),
            (&Method::DELETE, ["sets", id]) => match id.parse().is_ok_and(|id| self.remove(id)) {
                true => Ok((200, json!({}))),
                false => Err(Refusal::NotFound(format!("fault set {id:?} not found"))),
            },
            (&Method::POST, ["marks", name]) => {
                self.mark(name);
                Ok((200, json!({})))
            }
            (&Method::POST, ["rules", rule, switch @ ("arm" | "disarm")]) => {
                self.switch(rule, *switch == "arm").map_err(unknown)?;
                Ok((200, json!({})))
            }
            (&Method::GET, ["rules", rule, "fired"]) => {
                let waited = async {
                    match lane {
                        Some(lane) => self.fired_in(rule, lane, count).await,
                        None => self.fired(rule, count).await,
                    }
                };
                let reached = match tokio::time::timeout(wait, waited).await {
                    Ok(outcome) => outcome.map(|()| true),
                    Err(_) => Ok(false),
                };
                let reached = reached.map_err(unknown)?;
                let fired = lane.map_or_else(|| self.count(rule), |lane| self.count_in(rule, lane)).map_err(unknown)?;
                Ok((200, json!({"rule": rule, "fired": fired, "reached": reached})))
            }
            (_, [] | ["firings"] | ["sets" | "marks", _] | ["rules", _, "arm" | "disarm" | "fired"]) => {
                Err(Refusal::Method)
            }
            _ => Err(Refusal::Route),
        }
    }
}

fn plan(body: &[u8]) -> Result<Plan, Refusal> {
    let text = std::str::from_utf8(body).map_err(|error| Refusal::BadRequest(format!("body: {error}")))?;
    Plan::from_yaml(FILE, text).map_err(refused)
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn refused(error: rehearsal_faults::PlanError) -> Refusal {
    Refusal::BadRequest(error.to_string())
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn unknown(error: UnknownRule) -> Refusal {
    Refusal::NotFound(error.to_string())
}
