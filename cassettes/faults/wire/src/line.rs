//! [`Line`]: the handle by which a request reaches the connection it came over.
//!
//! Shared by the [`Socket`](crate::Socket) below TLS, the [`Surface`](crate::Surface) above it, the task that drives the
//! connection, and the bodies of its answers.

use futures::task::AtomicWaker;
use parking_lot::Mutex;
use rehearsal_faults::{Cut, H2Code};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long a body waits for its bytes to be on the way before the cut comes anyway: a peer that reads nothing must not
/// keep a fault from happening.
const DELIVERY: Duration = Duration::from_secs(5);

/// A connection, from above. Cheap to clone; put into the extensions of every request of the connection.
#[derive(Clone, Debug)]
pub struct Line(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    ordinal: u64,
    /// The lane whose listener it came to.
    lane: Option<Arc<str>>,
    requests: AtomicU64,
    /// A [`Cut`], or none.
    cut: AtomicU8,
    severed: Notify,
    held: Mutex<Option<CancellationToken>>,
    /// Bytes handed to the kernel, and how many of them there were at the last flush.
    written: AtomicU64,
    flushed: AtomicU64,
    flush: Notify,
    /// Largest write, 0 for any; for as long as its plan is armed.
    segment: AtomicU64,
    segmented: Mutex<Option<CancellationToken>>,
    waker: AtomicWaker,
    has_orders: AtomicBool,
    orders: Mutex<VecDeque<Order>>,
}

/// What the surface is to do on an HTTP/2 connection.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    GoAway {
        code: H2Code,
        streams_back: u64,
        abrupt: bool,
        after: Moment,
    },
    /// PING gets no answer from now on, for as long as the plan is armed.
    IgnorePing(CancellationToken),
    /// SETTINGS are sent once, the next time anything can be.
    Settings,
    /// An interim answer, before the next head.
    Interim,
    /// A line that the next head of HTTP/1.1 has beside its own.
    HeadLine(Vec<u8>),
}

/// When a GOAWAY is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// At the next frame boundary.
    Now,
    /// After the next head.
    Head,
    /// After the next end of a stream.
    End,
}

const NONE: u8 = 0;

fn code(cut: Cut) -> u8 {
    match cut {
        Cut::Reset => 1,
        Cut::Eof => 2,
        Cut::TlsEof => 3,
        Cut::HalfOpen => 4,
        Cut::Clean => 5,
    }
}

impl Line {
    /// A new connection; `ordinal` counts connections from 1.
    #[must_use]
    pub fn new(ordinal: u64) -> Self {
        Self::of_lane(ordinal, None)
    }

    /// A new connection to the listener of a lane, or of all; `ordinal` counts the connections of that listener from 1.
    #[must_use]
    pub fn of_lane(ordinal: u64, lane: Option<Arc<str>>) -> Self {
        Self(Arc::new(Shared {
            ordinal,
            lane,
            requests: AtomicU64::new(0),
            cut: AtomicU8::new(NONE),
            severed: Notify::new(),
            held: Mutex::default(),
            written: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
            flush: Notify::new(),
            segment: AtomicU64::new(0),
            segmented: Mutex::default(),
            waker: AtomicWaker::new(),
            has_orders: AtomicBool::new(false),
            orders: Mutex::default(),
        }))
    }

    /// The lane whose listener it came to; empty for a listener of all.
    #[must_use]
    pub fn lane(&self) -> &str {
        self.0.lane.as_deref().unwrap_or_default()
    }

    /// Who and which it is, before anything is read from it.
    #[must_use]
    pub fn facts(&self) -> rehearsal_faults::ConnectionFacts<'_> {
        rehearsal_faults::ConnectionFacts { lane: self.lane(), connection: self.ordinal() }
    }

    /// Ordinal of the connection among those of its listener, from 1.
    #[must_use]
    pub fn ordinal(&self) -> u64 {
        self.0.ordinal
    }

    /// Ordinal of the next request, from 1.
    #[must_use]
    pub fn next_request(&self) -> u64 {
        self.0.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Cuts the connection. A half-open one is kept for as long as `held` is not cancelled.
    pub fn cut(&self, how: Cut, held: &CancellationToken) {
        *self.0.held.lock() = Some(held.clone());
        let _ = self.0.cut.compare_exchange(NONE, code(how), Ordering::AcqRel, Ordering::Acquire);
        self.0.severed.notify_one();
        self.0.waker.wake();
    }

    /// How the connection was cut.
    #[must_use]
    pub fn severed(&self) -> Option<Cut> {
        let cuts = [Cut::Reset, Cut::Eof, Cut::TlsEof, Cut::HalfOpen, Cut::Clean];
        let now = self.0.cut.load(Ordering::Acquire);
        cuts.into_iter().find(|cut| code(*cut) == now)
    }

    /// Waits until whoever drives the connection has to drop it, and returns then. A proper end and [`Cut::Eof`] are left
    /// to the surface; a half-open connection is held here until its plan is gone. Cancel-safe.
    pub async fn doomed(&self) {
        loop {
            let severed = self.0.severed.notified();
            match self.severed() {
                Some(Cut::Reset | Cut::TlsEof) => return,
                Some(Cut::HalfOpen) => {
                    let held = self.0.held.lock().clone().unwrap_or_default();
                    held.cancelled().await;
                    return;
                }
                Some(Cut::Eof | Cut::Clean) => std::future::pending().await,
                None => severed.await,
            }
        }
    }

    /// Largest write from now on, in bytes, for as long as `held` is not cancelled; 0 for any.
    pub fn segment(&self, bytes: u64, held: &CancellationToken) {
        *self.0.segmented.lock() = Some(held.clone());
        self.0.segment.store(bytes, Ordering::Release);
    }

    /// Bytes written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.0.written.load(Ordering::Acquire)
    }

    /// Waits until so many bytes have been written and flushed, five seconds at most. Cancel-safe.
    pub async fn delivered(&self, bytes: u64) {
        let all = async {
            loop {
                let mut flush = std::pin::pin!(self.0.flush.notified());
                flush.as_mut().enable();
                if self.0.flushed.load(Ordering::Acquire) >= bytes {
                    return;
                }
                flush.await;
            }
        };
        let _ = tokio::time::timeout(DELIVERY, all).await;
    }

    pub(crate) fn largest_write(&self) -> usize {
        match self.0.segment.load(Ordering::Acquire) {
            0 => usize::MAX,
            _ if self.0.segmented.lock().as_ref().is_none_or(CancellationToken::is_cancelled) => usize::MAX,
            n => usize::try_from(n).unwrap_or(usize::MAX),
        }
    }

    pub(crate) fn wrote(&self, bytes: usize) {
        self.0.written.fetch_add(bytes as u64, Ordering::AcqRel);
    }

    pub(crate) fn has_flushed(&self) {
        let written = self.0.written.load(Ordering::Acquire);
        if self.0.flushed.swap(written, Ordering::AcqRel) != written {
            self.0.flush.notify_waiters();
        }
    }

    pub(crate) fn watch(&self, cx: &std::task::Context<'_>) {
        self.0.waker.register(cx.waker());
    }

    pub(crate) fn order(&self, order: Order) {
        self.0.orders.lock().push_back(order);
        self.0.has_orders.store(true, Ordering::Release);
        self.0.waker.wake();
    }

    pub(crate) fn take_orders(&self) -> VecDeque<Order> {
        if !self.0.has_orders.swap(false, Ordering::AcqRel) {
            return VecDeque::new();
        }
        std::mem::take(&mut *self.0.orders.lock())
    }

    /// Says GOAWAY after the next answer, as Go does for `Connection: close`; nothing on HTTP/1.1.
    pub fn go_away(&self) {
        self.order(Order::GoAway { code: H2Code::NoError, streams_back: 0, abrupt: false, after: Moment::End });
    }

    /// Leaves every PING of an HTTP/2 client without an answer from now on, for as long as `held` is not cancelled.
    pub fn ignore_pings(&self, held: &CancellationToken) {
        self.order(Order::IgnorePing(held.clone()));
    }

    /// Sends SETTINGS that change nothing, again and again, for as long as the connection lives and `held` stands.
    pub fn churn_every(&self, wait: Duration, held: &CancellationToken) {
        let (line, held) = (Arc::downgrade(&self.0), held.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = held.cancelled() => return,
                }
                let Some(line) = line.upgrade() else { return };
                Self(line).order(Order::Settings);
            }
        });
    }
}
