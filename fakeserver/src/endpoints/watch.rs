//! Watch: the stream of a collection's events, after its present state where that is asked for.
//!
//! Counterpart: apiserver `handlers/watch.go` over `cacher.Watch`. A watcher is a cursor in the collection's log with a
//! selector and a view; nothing is buffered for it beyond the frame it is writing.

use super::context::RequestContext;
use super::list::list_query;
use super::negotiate::{self, Accepted, Media, Transform};
use super::respond;
use super::view::View;
use crate::registry::{self, ListQuery, Target};
use crate::store::{AtError, Revision, Snapshot};
use crate::watch::{Cursor, classify};
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, Stream};
use http::Response;
use rehearsal_apimachinery::status::Status;
use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

/// Shortest and longest life of a watch without `timeoutSeconds` (apiserver `--min-request-timeout` 1800 s, up to twice).
const MIN_TIMEOUT: u64 = 1800;
/// Longest life of any watch, in seconds: ten years, which no clock overflows.
const MAX_TIMEOUT: u64 = 10 * 365 * 24 * 3600;
/// Time between bookmarks (apiserver `bookmarkFrequency`).
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// A last bookmark is sent this long before the end.
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// Starts a watch.
pub(crate) async fn watch(cx: &RequestContext) -> Result<Response<Body>, Status> {
    let accepted = negotiate::accept(&cx.headers, &cx.query, cx.offer(true))?;
    let query = list_query(cx, true)?;
    let target = cx.collection_target();
    check_name(cx, &query)?;
    if !cx.info.has_verb("watch") {
        return Err(not_watchable(cx));
    }
    let revision = registry::parse_revision(&query.options.resource_version).map_err(Status::bare500)?;
    if matches!(accepted.transform, Transform::PartialList(_)) {
        return Ok(respond::raw(200, "application/json", Body::empty()));
    }
    let view = View::new(cx, &accepted)?;
    let content_type = content_type(&accepted);
    match start(cx, &target, &query, revision).await {
        Ok(begin) => {
            let stream = Watcher::new(cx, target, query, view, begin).into_stream();
            let mut response = respond::raw(200, content_type, Body::from_stream(stream));
            response.extensions_mut().insert(crate::faults::watch_facts(cx, accepted.media == Media::Protobuf));
            Ok(response)
        }
        Err(status) => Ok(respond::raw(200, content_type, Body::from(view.error(&status)))),
    }
}

fn content_type(accepted: &Accepted) -> &'static str {
    match accepted.media {
        Media::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
        _ => "application/json",
    }
}

fn not_watchable(cx: &RequestContext) -> Status {
    let text = format!("watch is not supported on resources of kind {:?}", cx.info.resource);
    let details = rehearsal_apimachinery::StatusDetails {
        kind: cx.info.resource.clone(),
        ..rehearsal_apimachinery::StatusDetails::default()
    };
    Status::failure(405, rehearsal_apimachinery::StatusReason::MethodNotAllowed, text).details(details)
}

/// A legacy watch path may name an object; a selector must not name another.
fn check_name(cx: &RequestContext, query: &ListQuery) -> Result<(), Status> {
    match query.fields.exact("metadata.name") {
        Some(name) if name_in_path(cx).is_some_and(|n| n != name) => {
            Err(Status::bad_request("fieldSelector metadata.name doesn't match requested name"))
        }
        _ => Ok(()),
    }
}

/// The name that a legacy watch path ends in.
fn name_in_path(cx: &RequestContext) -> Option<&str> {
    Some(cx.request.name.as_str()).filter(|name| cx.request.watch_path && !name.is_empty())
}

/// Where a watch begins.
struct Begin {
    /// State to send first.
    initial: Option<Snapshot>,
    /// Send the bookmark that ends the initial state.
    end_marker: bool,
    cursor: Cursor,
    from: Revision,
}

async fn start(
    cx: &RequestContext,
    target: &Target,
    query: &ListQuery,
    revision: Option<Revision>,
) -> Result<Begin, Status> {
    let options = &query.options;
    let zero = revision.unwrap_or(0) == 0;
    let initial = options.send_initial_events.unwrap_or(zero && options.resource_version_match.is_empty());
    let registry = cx.reader();
    let storage = registry.storage();
    let collection = target.info.collection();
    let too_old = |oldest: Revision| {
        Status::expired(format!("too old resource version: {} ({})", revision.unwrap_or(0), oldest.saturating_sub(1)))
    };
    if !initial && !zero {
        let from = revision.unwrap_or(0);
        let cursor = storage.watch(&collection, from).map_err(|e| match e {
            AtError::Compacted { oldest } => too_old(oldest),
            AtError::Future { current } => registry::too_large(from, current),
        })?;
        return Ok(Begin { initial: None, end_marker: false, cursor, from });
    }
    let snapshot = match revision {
        Some(n) if n > 0 => registry.at_least(n).await?,
        // Without a version the state is the present one, whatever the view.
        None => cx.core.registry.storage().snapshot(),
        Some(_) => storage.snapshot(),
    };
    let from = snapshot.revision();
    let cursor = storage.watch(&collection, from).map_err(|_| too_old(from))?;
    Ok(Begin {
        initial: initial.then_some(snapshot),
        end_marker: initial && options.allow_watch_bookmarks,
        cursor,
        from,
    })
}

struct Watcher {
    target: Target,
    query: ListQuery,
    /// Keys that are watched begin with this.
    prefix: String,
    /// The one key that is watched, where the path names the object.
    only: Option<String>,
    view: View,
    cursor: Cursor,
    begin: Option<(Snapshot, bool)>,
    bookmarks: bool,
    last_bookmark: Revision,
    next_bookmark: Pin<Box<Sleep>>,
    deadline: Instant,
    stop: CancellationToken,
    /// Cancelled when the kind is no longer served.
    gone: CancellationToken,
    ended: bool,
}

impl Watcher {
    fn new(cx: &RequestContext, target: Target, query: ListQuery, view: View, begin: Begin) -> Self {
        let seconds = match query.options.timeout_seconds {
            Some(n) if n > 0 => n.unsigned_abs().min(MAX_TIMEOUT),
            _ => MIN_TIMEOUT + cx.core.registry.ids().below(MIN_TIMEOUT),
        };
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let prefix = registry::prefix(&target);
        let bookmarks = query.options.allow_watch_bookmarks;
        Self {
            only: name_in_path(cx).map(|name| format!("{prefix}{name}")),
            prefix,
            bookmarks,
            last_bookmark: begin.from,
            next_bookmark: Box::pin(tokio::time::sleep_until(first_bookmark(deadline))),
            deadline,
            stop: cx.port.watches(),
            gone: target.info.rules.as_ref().map(|r| r.life.gone.clone()).unwrap_or_default(),
            begin: begin.initial.map(|s| (s, begin.end_marker)),
            cursor: begin.cursor,
            target,
            query,
            view,
            ended: false,
        }
    }

    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send {
        stream::unfold(self, |mut watcher| async move { watcher.next().await.map(|chunk| (Ok(chunk), watcher)) })
    }

    /// The next chunk to write; `None` ends the stream.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some((snapshot, marker)) = self.begin.take() {
            let chunk = self.initial(&snapshot, marker);
            if !chunk.is_empty() {
                return Some(chunk);
            }
        }
        while !self.ended {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                batch = self.cursor.next() => {
                    let chunk = self.frames(&batch.ok()?.events);
                    if !chunk.is_empty() {
                        return Some(chunk);
                    }
                }
                () = self.gone.cancelled() => return None,
                () = &mut self.next_bookmark => {
                    if Instant::now() >= self.deadline {
                        return None;
                    }
                    if let Some(frame) = self.bookmark() {
                        return Some(frame);
                    }
                }
            }
        }
        None
    }

    fn wanted(&self, key: &str) -> bool {
        match &self.only {
            Some(only) => key == only,
            None => key.starts_with(&self.prefix),
        }
    }

    fn initial(&mut self, snapshot: &Snapshot, marker: bool) -> Bytes {
        let mut out = BytesMut::new();
        for (key, object) in snapshot.range(self.target.info.collection().as_str(), &self.prefix, "") {
            if self.wanted(key) && self.query.matches(key, object) {
                out.extend_from_slice(&self.view.initial(object));
            }
        }
        if marker {
            self.last_bookmark = snapshot.revision();
            out.extend_from_slice(&self.view.bookmark(snapshot.revision(), true));
        }
        out.freeze()
    }

    fn frames(&mut self, events: &[std::sync::Arc<crate::store::Event>]) -> Bytes {
        let mut only: Option<Bytes> = None;
        let mut many = BytesMut::new();
        for event in events {
            if !self.wanted(&event.key) {
                continue;
            }
            let Some((kind, _)) = classify(event, |o| self.query.matches(&event.key, o)) else { continue };
            let frame = self.view.event(event, kind);
            match only.take() {
                None if many.is_empty() => only = Some(frame),
                None => many.extend_from_slice(&frame),
                Some(first) => {
                    many.extend_from_slice(&first);
                    many.extend_from_slice(&frame);
                }
            }
        }
        only.unwrap_or_else(|| many.freeze())
    }

    /// A bookmark, if there is progress to report; sets the timer for the next one.
    fn bookmark(&mut self) -> Option<Bytes> {
        let now = Instant::now();
        let next = first_bookmark_after(now, self.deadline);
        self.next_bookmark.as_mut().reset(next);
        let progress = self.cursor.progress();
        if !self.bookmarks || progress <= self.last_bookmark {
            return None;
        }
        self.last_bookmark = progress;
        Some(self.view.bookmark(progress, false))
    }
}

fn first_bookmark(deadline: Instant) -> Instant {
    first_bookmark_after(Instant::now(), deadline)
}

/// The earlier of the next regular bookmark, the one shortly before the end, and the end.
fn first_bookmark_after(now: Instant, deadline: Instant) -> Instant {
    let late = deadline.checked_sub(BOOKMARK_BEFORE_END).unwrap_or(deadline);
    let last = if late > now { late } else { deadline };
    last.min(now + BOOKMARK_EVERY)
}
