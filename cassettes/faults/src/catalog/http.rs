//! Family S: the server's refusals, with the bytes that the real one sends.

use super::{ALL, DAY, Legality, Protocols, READS, READS_AND_STREAMS, READS_AND_WRITES, Row, Site, WRITES, knob};
use crate::action::{Action, Stage};
use crate::knob::{KnobKind, Knobs};
use crate::reply::{Case, Reply};
use crate::units::Wait;

const ARRIVE: &[Stage] = &[Stage::Arrive];
/// Before or after a commit the same answer means different things, and a client cannot tell.
const ANY_SIDE: &[Stage] = &[Stage::Arrive, Stage::BeforeCommit, Stage::AfterCommit];

fn respond(case: Case, knobs: &Knobs) -> Vec<Action> {
    let reply = Reply::new(case);
    let reply = match knobs.retry_after("retryAfter") {
        Some(header) => reply.retry_after(header),
        None => reply,
    };
    vec![Action::Respond { reply }]
}

const fn retry_after(default: &'static str) -> crate::knob::Knob {
    knob("retryAfter", KnobKind::RetryAfter, default, "the Retry-After header")
}

fn internal(k: &Knobs) -> Vec<Action> {
    let text = k.text("text").to_owned();
    let case = match k.text("form") {
        "storage" => Case::Storage(text),
        "server-timeout" => Case::ServerTimeout,
        "panic" => Case::Panic,
        _ => Case::Internal(text),
    };
    let usual = Reply::new(case.clone()).retry_after;
    let mut actions = respond(case, k);
    // `form: server-timeout` brings its own header unless the plan says otherwise.
    if k.retry_after("retryAfter") == Some(crate::reply::RetryAfter::Absent) {
        actions = actions.into_iter().map(|action| with_header(action, usual.clone())).collect();
    }
    actions
}

fn with_header(action: Action, header: crate::reply::RetryAfter) -> Action {
    match action {
        Action::Respond { reply } => Action::Respond { reply: reply.retry_after(header) },
        other => other,
    }
}

fn rejected(k: &Knobs) -> Vec<Action> {
    let message = k.text("message").to_owned();
    let case = match k.text("status") {
        "400" => Case::BadRequest(message),
        "405" => Case::MethodNotAllowed,
        "406" => Case::NotAcceptable,
        "413" => Case::TooLarge,
        "415" => Case::UnsupportedMediaType,
        "431" => Case::HeadersTooLarge,
        _ => Case::Invalid(message),
    };
    respond(case, k)
}

fn admission(k: &Knobs) -> Vec<Action> {
    let webhook = k.text("webhook").to_owned();
    if k.text("form") == "denied" {
        return respond(Case::WebhookDenied { webhook, message: k.text("message").to_owned() }, k);
    }
    let url = format!("https://{webhook}.default.svc:443/?timeout=10s");
    let mut actions = vec![Action::Delay { wait: Wait::Fixed(k.duration("delay")) }];
    actions.extend(respond(Case::WebhookTimeout { webhook, url }, k));
    actions
}

fn apf(k: &Knobs) -> Vec<Action> {
    let case = Case::ApfReject {
        flow_schema: k.text("flowSchema").to_owned(),
        priority_level: k.text("priorityLevel").to_owned(),
    };
    respond(case, k)
}

fn shutdown(k: &Knobs) -> Vec<Action> {
    match k.text("form") {
        "refuse" => respond(Case::ShutdownRetry, k),
        "late" => respond(Case::ShuttingDown, k),
        "starting" => respond(Case::PathsNotInstalled, k),
        _ => {
            vec![Action::Shutdown { delay: k.duration("delay"), drain: k.duration("drain"), down: k.duration("down") }]
        }
    }
}

fn aggregated(k: &Knobs) -> Vec<Action> {
    match k.text("form") {
        "dial" => respond(Case::DialError("dial tcp 10.0.0.1:443: connect: connection refused".to_owned()), k),
        "hidden" => vec![Action::HideGroup { group: k.text("group").to_owned() }],
        _ => respond(Case::AggregatedUnavailable, k),
    }
}

fn exists(k: &Knobs) -> Vec<Action> {
    let case = match k.text("form") {
        "apply" => Case::ApplyConflict { manager: k.text("manager").to_owned(), field: k.text("field").to_owned() },
        "uid" => Case::UidMismatch,
        _ => Case::AlreadyExists,
    };
    respond(case, k)
}

fn gateway(k: &Knobs) -> Vec<Action> {
    let status = k.text("status").parse().unwrap_or(502);
    respond(Case::Gateway { status, html: k.text("body") != "empty" }, k)
}

fn odd_header(k: &Knobs) -> Vec<Action> {
    let case = match k.text("status") {
        "503" => Case::Custom { status: 503, content_type: String::new(), headers: Vec::new(), body: None },
        _ => Case::TooManyInflight,
    };
    respond(case, k)
}

/// The parts that all rows of the family share.
macro_rules! row {
    ($id:literal, $name:literal, $on:expr, $site:ident, $stages:expr, $legality:expr, $wire:literal, $client:literal, $knobs:expr, $build:expr) => {
        Row {
            id: $id,
            name: $name,
            wire: $wire,
            client: $client,
            legality: $legality,
            on: $on,
            site: Site::$site,
            protocols: Protocols::Any,
            stages: $stages,
            knobs: $knobs,
            build: $build,
        }
    };
}
pub(super) use row;

const L: Legality = Legality::Legal;

pub(super) const ROWS: &[Row] = &[
    row!(
        "S1",
        "too-many-inflight",
        ALL,
        Request,
        ARRIVE,
        L,
        "429 text/plain, Retry-After, no priority-and-fairness headers",
        "waits at least Retry-After, with jitter; repeats any verb, for nothing was executed",
        &[retry_after("1")],
        |k| respond(Case::TooManyInflight, k)
    ),
    row!(
        "S2",
        "apf-reject",
        ALL,
        Request,
        ARRIVE,
        L,
        "429 text/plain with both X-Kubernetes-Pf uids and a Retry-After that doubles up to 32",
        "as for S1, and follows the growth",
        &[
            retry_after("ramp(1,32)"),
            knob("flowSchema", KnobKind::Text, "fa7a2a63-5f4c-4b5a-8b0c-7c2f3f0d0001", "uid of the flow schema"),
            knob("priorityLevel", KnobKind::Text, "fa7a2a63-5f4c-4b5a-8b0c-7c2f3f0d0002", "uid of the priority level"),
        ],
        apf
    ),
    row!(
        "S3",
        "cache-not-ready",
        READS_AND_STREAMS,
        Request,
        ARRIVE,
        L,
        "429 JSON Status `storage is (re)initializing`",
        "as for S1",
        &[retry_after("1")],
        |k| respond(Case::CacheNotReady, k)
    ),
    row!(
        "S4",
        "shutdown",
        ALL,
        Request,
        ARRIVE,
        L,
        "graceful: readyz 500 at once, service until the delay is over, watches end cleanly, then 429 and a closed port",
        "connects elsewhere and resumes its watch without a relist",
        &[
            knob(
                "form",
                KnobKind::Choice(&["graceful", "refuse", "late", "starting"]),
                "graceful",
                "the whole sequence, or one of its answers: 429 with close, 503 of the closed wait group, 503 at start-up"
            ),
            knob("delay", KnobKind::Duration(DAY), "3s", "from the signal to the end of service"),
            knob("drain", KnobKind::Duration(DAY), "200ms", "from the end of service to a closed port"),
            knob("down", KnobKind::Duration(DAY), "1s", "how long the port stays closed; 0s for ever"),
        ],
        shutdown
    ),
    row!(
        "S5",
        "internal-error",
        ALL,
        Request,
        ANY_SIDE,
        L,
        "500: InternalError Status, bare storage error, ServerTimeout with Retry-After 2, or the text of a panic",
        "repeats reads with backoff; a write's outcome is unknown",
        &[
            knob("text", KnobKind::Text, "etcdserver: request timed out", "the cause that is quoted"),
            knob(
                "form",
                KnobKind::Choice(&["internal", "storage", "server-timeout", "panic"]),
                "internal",
                "which 500"
            ),
            retry_after("absent"),
        ],
        internal
    ),
    row!(
        "S6",
        "gateway-error",
        ALL,
        Response,
        ANY_SIDE,
        L,
        "502, 503 or 504 of a load balancer: HTML or nothing, no Retry-After",
        "as after a reset; does not parse the page",
        &[
            knob("status", KnobKind::Choice(&["502", "503", "504"]), "502", "HTTP status code"),
            knob("body", KnobKind::Choice(&["html", "empty"]), "html", "what it says"),
        ],
        gateway
    ),
    row!(
        "S7",
        "request-timeout",
        READS_AND_WRITES,
        Request,
        ANY_SIDE,
        L,
        "504 with a Status without kind under text/plain (form filter), or a whole JSON Status (form write)",
        "repeats reads; a write's outcome is unknown",
        &[
            knob(
                "delay",
                KnobKind::Duration(DAY),
                "0s",
                "how long the server thinks first; the real one thinks for 60s, 34s for a write"
            ),
            knob("form", KnobKind::Choice(&["filter", "write"]), "filter", "which deadline passed"),
        ],
        |k| {
            let mut actions = Vec::new();
            if !k.duration("delay").is_zero() {
                actions.push(Action::Delay { wait: Wait::Fixed(k.duration("delay")) });
            }
            let write = k.text("form") == "write";
            actions.extend(respond(if write { Case::WriteDeadline } else { Case::RequestTimeout }, k));
            actions
        }
    ),
    row!(
        "S8",
        "aggregated-unavailable",
        READS,
        Request,
        ARRIVE,
        L,
        "503 text of an aggregated API, or its group absent from discovery",
        "does without that group only; deletes nothing because a kind vanished",
        &[
            knob("form", KnobKind::Choice(&["unavailable", "dial", "hidden"]), "unavailable", "what is seen of it"),
            knob("group", KnobKind::Text, "", "the hidden group; that of the request when empty"),
        ],
        aggregated
    ),
    row!(
        "S9",
        "unauthorized",
        ALL,
        Credentials,
        ARRIVE,
        L,
        "401 Status, no priority-and-fairness headers",
        "refreshes its credential once and repeats once",
        &[],
        |k| respond(Case::Unauthorized, k)
    ),
    row!(
        "S10",
        "forbidden",
        ALL,
        Credentials,
        ARRIVE,
        L,
        "403 Status that quotes user, verb, resource and scope",
        "reports it, backs off slowly, recovers",
        &[],
        |k| respond(Case::Forbidden, k)
    ),
    row!(
        "S11",
        "conflict",
        WRITES,
        Request,
        ARRIVE,
        L,
        "409 Conflict: the object has been modified",
        "reads again and applies its intent anew, a bounded number of times; never overwrites blindly",
        &[],
        |k| respond(Case::Conflict, k)
    ),
    row!(
        "S12",
        "already-exists",
        WRITES,
        Request,
        ARRIVE,
        L,
        "409 AlreadyExists, or Conflict of an apply or of a uid precondition",
        "reads back and checks who owns it; does not force by default",
        &[
            knob("form", KnobKind::Choice(&["exists", "apply", "uid"]), "exists", "which 409"),
            knob("manager", KnobKind::Text, "kubectl", "the other field manager, for apply"),
            knob("field", KnobKind::Text, ".spec.replicas", "the field, for apply"),
        ],
        exists
    ),
    row!(
        "S13",
        "not-found",
        WRITES,
        Request,
        ARRIVE,
        L,
        "404 NotFound, or 410 Gone",
        "takes 404 of a delete for done",
        &[knob("form", KnobKind::Choice(&["not-found", "gone"]), "not-found", "which of the two")],
        |k| respond(if k.text("form") == "gone" { Case::Gone } else { Case::NotFound }, k)
    ),
    row!(
        "S14",
        "rejected",
        READS_AND_WRITES,
        Request,
        ARRIVE,
        L,
        "400, 405, 406, 413, 415, 422 or 431",
        "does not repeat; may negotiate anew after 406 and 415",
        &[
            knob(
                "status",
                KnobKind::Choice(&["400", "405", "406", "413", "415", "422", "431"]),
                "422",
                "HTTP status code"
            ),
            knob(
                "message",
                KnobKind::Text,
                "the server rejected our request due to an error in our request",
                "text of 400 and 422"
            ),
        ],
        rejected
    ),
    row!(
        "S15",
        "admission-failure",
        WRITES,
        Request,
        ARRIVE,
        L,
        "500 `failed calling webhook … context deadline exceeded` after a delay, or 400 of a denial",
        "backs off; does not drop the write silently",
        &[
            knob("form", KnobKind::Choice(&["timeout", "denied"]), "timeout", "what the webhook does"),
            knob("delay", KnobKind::Duration(DAY), "10s", "how long the server waits for the webhook"),
            knob("webhook", KnobKind::Text, "webhook.example.com", "its name"),
            knob("message", KnobKind::Text, "denied by the fault plan", "what it says when it denies"),
        ],
        admission
    ),
    row!(
        "S16",
        "retry-after",
        ALL,
        Response,
        ARRIVE,
        Legality::Except("retryAfter", &["negative", "twice", "text"]),
        "429 or 503 with any shape of Retry-After",
        "honours whole numbers and caps them; takes dates; falls back to its own backoff for garbage",
        &[retry_after("0"), knob("status", KnobKind::Choice(&["429", "503"]), "429", "HTTP status code")],
        odd_header
    ),
    row!(
        "S17",
        "warning",
        ALL,
        Response,
        &[Stage::Head],
        L,
        "Warning: 299 headers on the proper answer",
        "logs each text once",
        &[
            knob("text", KnobKind::Text, "this API is deprecated", "the warning"),
            knob("times", KnobKind::Count("headers", 1, 100), "1", "how many"),
        ],
        |k| vec![Action::Warn { text: k.text("text").to_owned(), times: k.count("times") }]
    ),
];
