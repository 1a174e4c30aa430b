//! [`Recorder`]: gives every event its place, queues it within a budget of bytes, and writes behind the clients' backs.
//!
//! The order of the tape is the order of the queue: place and entry are given in one step. The queue is bounded by bytes,
//! not by entries, for a frame may be a hundred bytes or a megabyte; who finds it full waits, and the time is counted.
//!
//! Whoever waits for the tape first lends a hand: it writes what is queued, its own and others' events, where the sink is
//! a prompt one and there is little to do; for the rest there is a thread. So the usual exchange costs no change of
//! threads, and what several have queued meanwhile is written at once.
//!
//! What a sudden death may cost is bounded apart from that: no request is forwarded before it is in the file, and neither
//! a frame nor the end of an answer passes before its documents are.

use super::clock::TapeClock;
use super::event::{Event, RequestHead};
use super::limits::{Limits, Recorded};
use super::session::{Exchange, Session};
use super::sink::{RecordError, Sink};
use super::writer::Writer;
use crate::filter::Filter;
use crate::format::model::{Document, End, Header, Micros, Sealed, Seq};
use parking_lot::{Condvar, Mutex};
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;

/// Bytes that may wait to be written unless another limit is given.
pub(crate) const BUDGET: usize = 32 << 20;

/// Who waits for the tape writes events of so many bytes itself. More is the thread's, for others have work to do.
const SOON: usize = 128 << 10;
/// Bytes of events that are written in one go.
const BATCH: usize = 256 << 10;

/// How a recording is made.
#[derive(Clone)]
pub struct RecorderOptions {
    /// The first document.
    pub header: Header,
    /// Time.
    pub clock: Arc<dyn TapeClock>,
    /// Part of every Audit-ID: tells this recording from others.
    pub run: String,
    /// Bytes that may wait to be written. Default 32 MiB.
    pub budget: usize,
    /// Note the sizes of the pieces that frames came in.
    pub wire: bool,
    /// Keep what passes through upgraded connections.
    pub streams: bool,
    /// Write an answer that was given before as a reference to the first time.
    pub share: bool,
    /// Id and place after which to go on, where a tape is added to. Default: from 1.
    pub after: (u64, Seq),
    /// What is recorded. Default: everything.
    pub filter: Filter,
    /// After how much the recording ends by itself. Default: never.
    pub limits: Limits,
}

impl RecorderOptions {
    /// Defaults: 32 MiB of budget, no sizes of pieces, no contents of upgraded connections.
    #[must_use]
    pub fn new(header: Header, clock: Arc<dyn TapeClock>, run: impl Into<String>) -> Self {
        Self {
            header,
            clock,
            run: run.into(),
            budget: BUDGET,
            wire: false,
            streams: false,
            share: false,
            after: (0, 0),
            filter: Filter::default(),
            limits: Limits::default(),
        }
    }
}

/// What a recording came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The footer as it was written, but for its hash.
    pub sealed: Sealed,
}

/// Takes events. Clones share one recording.
#[derive(Clone)]
pub struct Recorder(Arc<Shared>);

struct Shared {
    clock: Arc<dyn TapeClock>,
    run: String,
    wire: bool,
    streams: bool,
    ids: AtomicU64,
    budget: Arc<Semaphore>,
    size: usize,
    order: Mutex<Order>,
    /// Tells the thread that there is something for it.
    more: Condvar,
    writer: Mutex<Writer>,
    /// The sink is never long about it.
    prompt: bool,
    stalled: AtomicU64,
    /// Exchanges that wait now.
    waiting: AtomicUsize,
    /// Place of the last event that is in the file.
    written: AtomicU64,
    progress: Notify,
    failure: OnceLock<RecordError>,
    failed: CancellationToken,
    filter: Filter,
    limits: Limits,
    /// Why the recording ended before it was sealed, while traffic goes on.
    retired: OnceLock<String>,
    retiring: CancellationToken,
    done: Mutex<Option<oneshot::Receiver<Result<Summary, RecordError>>>>,
}

struct Order {
    seq: Seq,
    open: BTreeSet<u64>,
    so_far: Recorded,
    queue: VecDeque<Queued>,
    /// Sealed, retired or failed.
    closed: bool,
}

pub(super) struct Queued {
    pub(super) seq: Seq,
    pub(super) event: Event,
    /// Given back when the event has been written.
    _room: Option<OwnedSemaphorePermit>,
}

/// Room in the queue for events.
pub(crate) type Room = OwnedSemaphorePermit;

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("run", &self.0.run).finish_non_exhaustive()
    }
}

impl Recorder {
    /// Writes the header and starts the writing thread.
    ///
    /// # Errors
    /// When the header cannot be written, or no thread be had.
    pub fn start(options: RecorderOptions, mut sink: Box<dyn Sink>) -> Result<Self, RecordError> {
        sink.write(Document::Header(options.header))?;
        sink.flush()?;
        let (finish, done) = oneshot::channel();
        let size = options.budget.clamp(1 << 16, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        let shared = Arc::new(Shared {
            clock: options.clock,
            run: options.run,
            wire: options.wire,
            streams: options.streams,
            ids: AtomicU64::new(options.after.0 + 1),
            budget: Arc::new(Semaphore::new(size)),
            size,
            order: Mutex::new(Order {
                seq: options.after.1,
                open: BTreeSet::new(),
                so_far: Recorded::default(),
                queue: VecDeque::new(),
                closed: false,
            }),
            more: Condvar::new(),
            prompt: sink.is_prompt(),
            writer: Mutex::new(Writer::new(sink, options.share)),
            stalled: AtomicU64::new(0),
            waiting: AtomicUsize::new(0),
            written: AtomicU64::new(0),
            progress: Notify::new(),
            failure: OnceLock::new(),
            failed: CancellationToken::new(),
            filter: options.filter,
            limits: options.limits,
            retired: OnceLock::new(),
            retiring: CancellationToken::new(),
            done: Mutex::new(Some(done)),
        });
        let writer = shared.clone();
        std::thread::Builder::new()
            .name("tape".into())
            .spawn(move || {
                let _ = finish.send(writer.write_all());
            })
            .map_err(|error| RecordError::write(format!("start a thread: {error}")))?;
        Ok(Self(shared))
    }

    /// Microseconds since the tape began.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.0.clock.micros()
    }

    /// Whether sizes of pieces are noted.
    #[must_use]
    pub fn wire(&self) -> bool {
        self.0.wire
    }

    /// Whether contents of upgraded connections are kept.
    #[must_use]
    pub fn streams(&self) -> bool {
        self.0.streams
    }

    /// The id of the next call or upgrade.
    #[must_use]
    pub fn next_id(&self) -> u64 {
        self.0.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// The Audit-ID of a call.
    #[must_use]
    pub fn audit_id(&self, id: u64) -> String {
        format!("tape-{}-{id}", self.0.run)
    }

    /// Takes a place in the order for something that is written later.
    #[must_use]
    pub fn tick(&self) -> Seq {
        let mut order = self.0.order.lock();
        order.seq += 1;
        order.seq
    }

    /// Writes down a request, which may then be forwarded, and follows its exchange.
    ///
    /// # Errors
    /// When nothing can be written any more: the request must not be forwarded then.
    pub async fn begin(&self, exchange: Exchange) -> Result<Session, RecordError> {
        Session::begin(self.clone(), exchange).await
    }

    /// Puts a note on the time line.
    ///
    /// # Errors
    /// When nothing can be written any more.
    pub async fn mark(&self, what: &str, text: &str) -> Result<(), RecordError> {
        self.push(Event::Mark { t: self.now(), what: what.to_owned(), text: text.to_owned() }).await.map(drop)
    }

    /// Whether an exchange is to be written down: the filter wants it, and the recording goes on.
    #[must_use]
    pub fn wants(&self, lane: &str, head: &RequestHead) -> bool {
        let goes_on = self.0.retired.get().is_none();
        goes_on && (self.0.filter.is_all() || self.0.filter.wants(lane, &head.request(None)))
    }

    /// Ends the recording while traffic goes on: the tape gets a mark that says why, open exchanges get their end, and
    /// what comes after is let through and not written down. Does nothing when the recording has ended already.
    pub fn retire(&self, why: &str) {
        let mut order = self.0.order.lock();
        self.0.retire(&mut order, why.to_owned());
    }

    /// Resolves once the recording has ended by itself, and tells why.
    pub async fn retired(&self) -> String {
        self.0.retiring.cancelled().await;
        self.0.retired.get().cloned().unwrap_or_default()
    }

    /// Queues an event, waiting for room, and tells its place. Cancelling loses the event.
    ///
    /// # Errors
    /// When nothing can be written any more.
    pub async fn push(&self, event: Event) -> Result<Seq, RecordError> {
        let cost = event.cost();
        let room = match self.try_room(cost) {
            Some(room) => room,
            None => self.room(cost).await?,
        };
        let seq = self.enqueue(event, Some(room))?;
        self.work();
        Ok(seq)
    }

    /// Room for an event, if there is some at once.
    pub(crate) fn try_room(&self, cost: usize) -> Option<Room> {
        self.0.budget.clone().try_acquire_many_owned(self.permits(cost)).ok()
    }

    /// Room for an event, when there is some.
    pub(crate) async fn room(&self, cost: usize) -> Result<Room, RecordError> {
        self.work();
        let _stall = Stall::begin(&self.0);
        let room = self.0.budget.clone().acquire_many_owned(self.permits(cost)).await;
        room.map_err(|_| self.failure())
    }

    fn permits(&self, cost: usize) -> u32 {
        u32::try_from(cost.min(self.0.size)).unwrap_or(u32::MAX)
    }

    /// Queues an event; [`work`](Self::work) must follow. Without room this is for those who cannot wait: an exchange that
    /// was dropped.
    pub(crate) fn enqueue(&self, event: Event, room: Option<Room>) -> Result<Seq, RecordError> {
        let mut order = self.0.order.lock();
        if order.closed && self.0.retired.get().is_some() {
            return Ok(0);
        }
        order.so_far.bytes += event.cost() as u64;
        match &event {
            Event::Frame { .. } => order.so_far.frames += 1,
            Event::Req { of, .. } => {
                order.open.insert(*of);
            }
            Event::End { of, .. } => {
                order.open.remove(of);
            }
            _ => {}
        }
        let seq = order.put(event, room).map_err(|()| self.failure())?;
        if let Some(why) = self.0.limits.reached(order.so_far) {
            self.0.retire(&mut order, why);
        }
        Ok(seq)
    }

    /// Sees to it that what is queued is written: here, where that is soon done, else by the thread.
    pub(crate) fn work(&self) {
        if !self.0.prompt || !self.0.write_soon() {
            self.0.more.notify_one();
        }
    }

    /// As [`work`](Self::work), where nothing may be done at once.
    pub(crate) fn work_later(&self) {
        self.0.more.notify_one();
    }

    /// Whether everything up to a place is in the file.
    pub(crate) fn is_safe(&self, seq: Seq) -> bool {
        self.0.written.load(Ordering::Acquire) >= seq
    }

    /// Waits until everything up to a place is in the file, where a crash of this process leaves it.
    ///
    /// # Errors
    /// When it never will be.
    pub async fn safe(&self, seq: Seq) -> Result<(), RecordError> {
        if self.is_safe(seq) {
            return Ok(());
        }
        self.work();
        if self.is_safe(seq) {
            return Ok(());
        }
        let _stall = Stall::begin(&self.0);
        while !self.is_safe(seq) {
            let progress = self.0.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            if self.is_safe(seq) {
                break;
            }
            tokio::select! {
                () = progress => {}
                () = self.0.failed.cancelled() => return Err(self.failure()),
            }
        }
        Ok(())
    }

    /// Exchanges that wait for the tape at this moment: for room in the queue, or for what they have told to be in the
    /// file.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Why nothing more is written.
    fn failure(&self) -> RecordError {
        self.0.failure.get().cloned().unwrap_or(RecordError::Ended)
    }

    /// Resolves once the tape cannot be written any more.
    pub async fn failed(&self) -> RecordError {
        self.0.failed.cancelled().await;
        self.failure()
    }

    /// Ends the recording: open exchanges get their end, everything queued is written, then the footer. A second call
    /// finds the recording ended.
    ///
    /// # Errors
    /// When the tape could not be written or finished. Cancelling leaves the writer to finish by itself.
    pub async fn seal(&self) -> Result<Summary, RecordError> {
        let Some(done) = self.0.done.lock().take() else { return Err(self.failure()) };
        self.0.close(&mut self.0.order.lock());
        done.await.unwrap_or(Err(RecordError::Write("the writing thread ended early".into())))
    }
}

/// A wait for the tape: its time is counted however it ends, be it that nobody waits any more.
struct Stall<'a> {
    shared: &'a Shared,
    since: Micros,
}

impl<'a> Stall<'a> {
    fn begin(shared: &'a Shared) -> Self {
        let since = shared.clock.micros();
        shared.waiting.fetch_add(1, Ordering::Relaxed);
        Self { shared, since }
    }
}

impl Drop for Stall<'_> {
    fn drop(&mut self) {
        self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
        let time = self.shared.clock.micros().saturating_sub(self.since);
        self.shared.stalled.fetch_add(time, Ordering::Relaxed);
    }
}

impl Order {
    fn put(&mut self, event: Event, room: Option<Room>) -> Result<Seq, ()> {
        if self.closed {
            return Err(());
        }
        self.seq += 1;
        self.queue.push_back(Queued { seq: self.seq, event, _room: room });
        Ok(self.seq)
    }

    /// Takes events of so many bytes, and one at least, unless it is the first that has more than all are to have.
    fn batch(&mut self, most: usize) -> Vec<Queued> {
        let mut bytes = 0;
        let fits = |queued: &&Queued| {
            bytes += queued.event.cost();
            bytes <= most
        };
        let count = self.queue.iter().take_while(fits).count();
        self.queue.drain(..count).collect()
    }
}

impl Shared {
    /// Gives every open exchange its end and the writer the end of the queue.
    fn close(&self, order: &mut Order) {
        let t = self.clock.micros();
        for of in order.open.clone() {
            // The writer may be gone; then there is nothing to end.
            let _ = order.put(Event::End { of, t, end: End::RecorderStop, faults: Vec::new() }, None);
        }
        order.closed = true;
        self.more.notify_one();
    }

    /// Ends the recording for good, for a reason that is not an error.
    fn retire(&self, order: &mut Order, why: String) {
        if order.closed {
            return;
        }
        let text = format!("the recording ended: {why}");
        // The writer may be gone; its failure is told elsewhere.
        let _ = order.put(Event::Mark { t: self.clock.micros(), what: "end".to_owned(), text }, None);
        self.close(order);
        let _ = self.retired.set(why);
        self.retiring.cancel();
    }

    /// Writes what is queued, as far as it is little. False where something is left for the thread.
    fn write_soon(&self) -> bool {
        let mut left = SOON;
        loop {
            // Whoever holds it looks again once it has let go.
            let Some(mut writer) = self.writer.try_lock() else { return true };
            loop {
                let batch = self.order.lock().batch(left);
                if batch.is_empty() {
                    break;
                }
                left = left.saturating_sub(batch.iter().map(|queued| queued.event.cost()).sum());
                if self.write(&mut writer, batch).is_err() {
                    return true;
                }
            }
            drop(writer);
            let order = self.order.lock();
            match order.queue.front() {
                None => return true,
                Some(next) if next.event.cost() > left => return false,
                Some(_) => {}
            }
        }
    }

    /// Writes events in their order; then they are in the file.
    fn write(&self, writer: &mut Writer, batch: Vec<Queued>) -> Result<(), RecordError> {
        // A panic would lose what it was about, and those who wait for it would wait for ever.
        let mut outcome = Outcome { shared: self, failed: Some(RecordError::write("writing panicked")) };
        let mut last = 0;
        let mut rooms = Vec::with_capacity(batch.len());
        let mut written = Ok(());
        for Queued { seq, event, _room: room } in batch {
            rooms.push(room);
            written = writer.write(event, seq);
            if written.is_err() {
                break;
            }
            last = seq;
        }
        let written = written.and_then(|()| writer.flush());
        outcome.failed = written.clone().err();
        if written.is_ok() {
            self.written.fetch_max(last, Ordering::Release);
            self.progress.notify_waiters();
        }
        written
    }

    /// The thread: writes what nobody else does, and the end.
    fn write_all(&self) -> Result<Summary, RecordError> {
        // A sink that may be long about a document gives back the room of each.
        let most = if self.prompt { BATCH } else { 0 };
        loop {
            let mut order = self.order.lock();
            while order.queue.is_empty() && !order.closed {
                self.more.wait(&mut order);
            }
            drop(order);
            let mut writer = self.writer.lock();
            if let Some(error) = self.failure.get() {
                return Err(error.clone());
            }
            let mut order = self.order.lock();
            let mut batch = order.batch(most);
            if batch.is_empty() {
                batch.extend(order.queue.pop_front());
            }
            let over = batch.is_empty() && order.closed;
            drop(order);
            if over {
                return self.finish(&mut writer);
            }
            self.write(&mut writer, batch)?;
        }
    }

    fn finish(&self, writer: &mut Writer) -> Result<Summary, RecordError> {
        // Places that were taken and not used are behind us too.
        self.written.store(Seq::MAX, Ordering::Release);
        self.progress.notify_waiters();
        let open = self.order.lock().open.len() as u64;
        let sealed = writer.seal(open, self.stalled.load(Ordering::Relaxed) / 1000)?;
        Ok(Summary { sealed })
    }

    fn fail(&self, error: RecordError) {
        tracing::error!(target: "cassettes::record", %error, "recording stops");
        let _ = self.failure.set(error);
        // Nobody waits for room that never comes, and nobody adds to what cannot be written.
        self.budget.close();
        let mut order = self.order.lock();
        order.closed = true;
        order.queue.clear();
        drop(order);
        self.failed.cancel();
        self.more.notify_one();
    }
}

/// What became of writing some events, told when it is dropped.
struct Outcome<'a> {
    shared: &'a Shared,
    failed: Option<RecordError>,
}

impl Drop for Outcome<'_> {
    fn drop(&mut self) {
        if let Some(error) = self.failed.take() {
            self.shared.fail(error);
        }
    }
}

#[cfg(test)]
mod tests;
