//! What a fired rule asks for, fully determined: whoever applies it (server middleware, recording proxy) adds no choice.
//!
//! One action is one mechanical thing; a row of the catalogue may need two (a late commit is a 504 and a delayed write).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::overload::{FlowDistinguisher, LimitResponse, Limits};
use crate::reply::Reply;
use crate::rng::Dice;
use crate::units::{self, Offset, Wait};
use crate::words::words;

words! {
    /// When, on the way of a request, an action takes place.
    pub enum Stage {
        /// A connection was accepted; nothing is read yet.
        Connection = "conn",
        /// The request is read, nothing is done.
        Arrive = "arrive",
        /// A write is prepared and not stored.
        BeforeCommit = "before-commit",
        /// The write is stored, nothing is answered.
        AfterCommit = "after-commit",
        /// The answer begins: its head, then its body or stream.
        Head = "head",
        /// A single watch frame is about to be sent.
        Frame = "frame",
    }
}

words! {
    /// How a connection is cut.
    pub enum Cut {
        /// `SO_LINGER 0` and close: the peer sees RST.
        Reset = "reset",
        /// FIN without the end of the body; on HTTP/2 END_STREAM short of the announced length.
        Eof = "eof",
        /// TCP closed under TLS without `close_notify`.
        TlsEof = "tls-eof",
        /// Nothing is read or written any more and nothing is closed; the kernel still acknowledges.
        HalfOpen = "half-open",
        /// A proper end: terminating chunk, or END_STREAM.
        Clean = "clean",
    }
}

words! {
    /// How a TLS handshake fails.
    pub enum HandshakeFailure {
        /// A certificate whose time is over.
        ExpiredCertificate = "expired-certificate",
        /// A certificate for another name.
        WrongName = "wrong-name",
        /// A certificate of an authority nobody knows.
        UnknownAuthority = "unknown-authority",
        /// HTTP in clear text on the TLS port.
        Plaintext = "plaintext",
        /// A fatal alert `handshake_failure`.
        Alert = "alert",
        /// Silence after the ClientHello.
        Stall = "stall",
        /// ALPN agrees on HTTP/1.1 only.
        NoHttp2 = "no-http2",
    }
}

words! {
    /// An HTTP/2 error code (RFC 9113, section 7).
    pub enum H2Code {
        /// 0
        NoError = "NO_ERROR",
        /// 1
        ProtocolError = "PROTOCOL_ERROR",
        /// 2
        InternalError = "INTERNAL_ERROR",
        /// 5
        StreamClosed = "STREAM_CLOSED",
        /// 7
        RefusedStream = "REFUSED_STREAM",
        /// 8
        Cancel = "CANCEL",
        /// 11
        EnhanceYourCalm = "ENHANCE_YOUR_CALM",
    }
}

impl H2Code {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u32 {
        match self {
            Self::NoError => 0,
            Self::ProtocolError => 1,
            Self::InternalError => 2,
            Self::StreamClosed => 5,
            Self::RefusedStream => 7,
            Self::Cancel => 8,
            Self::EnhanceYourCalm => 11,
        }
    }
}

words! {
    /// How bytes are cut into segments.
    pub enum Segmentation {
        /// Inside a multi-byte character.
        InsideUtf8 = "inside-utf8",
        /// Inside the line that tells a chunk's size (HTTP/1.1).
        InsideChunkSize = "inside-chunk-size",
        /// Every so many bytes.
        Bytes = "bytes",
        /// Many events in one write.
        Merged = "merged",
    }
}

words! {
    /// Which bookmarks of a watch are held back.
    pub enum Bookmarks {
        /// None is sent.
        Missing = "missing",
        /// Only every n-th is sent.
        Rare = "rare",
        /// Only the one that ends the initial events is sent.
        InitialOnly = "initial-only",
        /// The one that ends the initial events comes late.
        InitialLate = "initial-late",
    }
}

words! {
    /// What is done to a frame that no correct server would do.
    pub enum Tampering {
        /// The frame is never sent.
        Drop = "drop",
        /// The frame is sent twice.
        Duplicate = "duplicate",
        /// The frame changes places with the next.
        Reorder = "reorder",
    }
}

words! {
    /// A frame or list that is well-formed and surprising.
    pub enum Oddity {
        /// MODIFIED for an object that was never ADDED.
        WrongType = "wrong-type",
        /// DELETED for a key that never was.
        UnknownDelete = "unknown-delete",
        /// Metadata without uid and resourceVersion.
        PartialMetadata = "partial-metadata",
        /// A member nobody knows.
        UnknownField = "unknown-field",
        /// `"items": null`.
        NullItems = "null-items",
    }
}

words! {
    /// A body that is not what it says.
    pub enum Garbage {
        /// JSON that does not parse.
        Json = "json",
        /// Protobuf that does not parse.
        Protobuf = "protobuf",
        /// A proper body under the wrong content type.
        ContentType = "content-type",
        /// 200 and nothing.
        Empty = "empty",
        /// A gzip stream cut in two.
        GzipCut = "gzip-cut",
        /// A byte-order mark before the JSON.
        ByteOrderMark = "byte-order-mark",
        /// `NaN` where a number belongs.
        NotANumber = "nan",
    }
}

words! {
    /// What is too big.
    pub enum Oversize {
        /// A response header.
        Header = "header",
        /// One line of a watch.
        Line = "line",
        /// The items of a list.
        List = "list",
        /// Nested objects.
        Nesting = "nesting",
    }
}

words! {
    /// HTTP that is rare or wrong.
    pub enum HttpOddity {
        /// A redirect to another host.
        Redirect = "redirect",
        /// An interim 1xx answer.
        Informational = "informational",
        /// Two `Content-Length` headers (HTTP/1.1).
        DuplicateLength = "duplicate-length",
        /// Trailers nobody announced.
        Trailers = "trailers",
    }
}

words! {
    /// What is done to the client's process, where the run supervises it.
    pub enum ClientOrder {
        /// SIGKILL.
        Kill = "kill",
        /// SIGKILL and a new start.
        Restart = "restart",
        /// SIGSTOP, then SIGCONT.
        Pause = "pause",
    }
}

/// Where in an answer something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// At the stage of the action itself: before any byte of the answer, unless it has begun.
    Here,
    /// After so many bytes of the body.
    AfterBytes(u64),
    /// After so many watch frames.
    AfterFrames(u64),
    /// After so much time.
    After(#[serde(with = "units::text")] Duration),
}

/// How far a view lags behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lag {
    /// By so many revisions of the store.
    Revisions(u64),
    /// By so much time.
    Age(#[serde(with = "units::text")] Duration),
}

/// One thing to do. See the catalogue for what each looks like on the wire.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum Action {
    /// The port is closed for so long: ECONNREFUSED.
    Refuse {
        /// How long.
        #[serde(with = "units::text")]
        lasts: Duration,
    },
    /// Connecting hangs for so long: a full accept backlog.
    Blackhole {
        /// How long.
        #[serde(with = "units::text")]
        lasts: Duration,
    },
    /// The TLS handshake fails.
    Handshake {
        /// How.
        failure: HandshakeFailure,
    },
    /// The connection or stream is cut.
    Cut {
        /// How.
        how: Cut,
        /// Where.
        at: Point,
    },
    /// Nothing happens for a while.
    Delay {
        /// How long; drawn already in a verdict.
        wait: Wait,
    },
    /// The body flows at most this fast.
    Throttle {
        /// Bytes a second.
        bytes_per_second: u64,
    },
    /// The body comes in equal parts over a while.
    Dribble {
        /// How many parts.
        chunks: u64,
        /// Over how long.
        #[serde(with = "units::text")]
        over: Duration,
    },
    /// The body is cut into odd segments.
    Segment {
        /// Where the cuts are.
        how: Segmentation,
        /// Bytes a segment, for [`Segmentation::Bytes`].
        bytes: u64,
    },
    /// HTTP/2 GOAWAY.
    GoAway {
        /// Error code.
        code: H2Code,
        /// How many of the newest streams are left out of `last-stream-id`; 0 names the newest.
        streams_back: u64,
        /// Whether the connection is torn down at once.
        abrupt: bool,
    },
    /// HTTP/2 RST_STREAM.
    RstStream {
        /// Error code.
        code: H2Code,
        /// Where.
        at: Point,
    },
    /// Stingy HTTP/2 settings.
    Http2Limits {
        /// `SETTINGS_MAX_CONCURRENT_STREAMS`.
        streams: u64,
        /// Initial window in bytes.
        window: u64,
        /// New SETTINGS every so often; zero for never.
        #[serde(with = "units::text")]
        churn: Duration,
        /// Whether PING is answered.
        answers_ping: bool,
    },
    /// The answer is this refusal.
    Respond {
        /// Which.
        reply: Reply,
    },
    /// The request needs a seat of the rule's priority level before it is handled.
    Overload {
        /// What becomes of it without one.
        response: LimitResponse,
        /// Seats and queues.
        limits: Limits,
        /// How long it waits at most.
        #[serde(with = "units::text")]
        wait_limit: Duration,
        /// What tells flows apart.
        flows: FlowDistinguisher,
    },
    /// A `Warning: 299` header on the answer.
    Warn {
        /// Its text.
        text: String,
        /// How many of them.
        times: u64,
    },
    /// The server shuts down gracefully: readyz fails at once, everything is served for the delay, then watches end
    /// cleanly, requests are refused, the port closes.
    Shutdown {
        /// From the signal to the end of service.
        #[serde(with = "units::text")]
        delay: Duration,
        /// From the end of service to a closed port.
        #[serde(with = "units::text")]
        drain: Duration,
        /// From then until it serves again; zero for never.
        #[serde(with = "units::text")]
        down: Duration,
    },
    /// A group is absent from discovery.
    HideGroup {
        /// Which; empty for that of the request.
        group: String,
    },
    /// The write is stored, this much later than the answer.
    CommitLater {
        /// How much later.
        #[serde(with = "units::text")]
        after: Duration,
    },
    /// The watch ends with an ERROR frame.
    ErrorFrame {
        /// The refusal in the frame.
        reply: Reply,
        /// After so many frames.
        after_frames: u64,
    },
    /// The watch stays open and sends nothing.
    Silence {
        /// For how long; zero for as long as the client stays.
        #[serde(with = "units::text")]
        lasts: Duration,
        /// After so many frames.
        after_frames: u64,
    },
    /// Bookmarks are held back.
    Bookmarks {
        /// Which.
        mode: Bookmarks,
        /// For [`Bookmarks::Rare`]: one of how many is sent.
        every: u64,
        /// For [`Bookmarks::InitialLate`]: how late.
        #[serde(with = "units::text")]
        delay: Duration,
    },
    /// Frames are held until so many have gathered or so much time has passed, and then sent in order.
    HoldFrames {
        /// So many; zero for no such limit.
        frames: u64,
        /// So long; zero for no such limit.
        #[serde(with = "units::text")]
        lasts: Duration,
        /// Whether several changes of one object become one.
        coalesce: bool,
    },
    /// The watch ends, and the store compacts past it, so that resuming needs a relist.
    Gap {
        /// After so many frames.
        after_frames: u64,
    },
    /// The initial events come in an order drawn from this seed.
    ShuffleInitial {
        /// Drawn by the decision.
        seed: u64,
    },
    /// A frame is tampered with.
    Tamper {
        /// How.
        how: Tampering,
        /// Which, counted from the decision on, from 1.
        frame: u64,
    },
    /// A frame or list is odd.
    Odd {
        /// How.
        form: Oddity,
        /// Which frame, counted from the decision on, from 1.
        frame: u64,
    },
    /// Half a frame, then the end of the stream.
    TruncateFrame {
        /// After so many whole frames.
        after_frames: u64,
        /// How many bytes of the next are sent; 0 for half of them.
        bytes: u64,
    },
    /// Reads are answered from the past.
    StaleRead {
        /// How far in the past.
        lag: Lag,
    },
    /// The client's lane sees another server from now on: a replica that may lag.
    SwitchReplica {
        /// Its name.
        replica: String,
        /// How far it lags when it does not exist yet.
        lag: Lag,
    },
    /// A replica stops following.
    FreezeReplica {
        /// Its name.
        replica: String,
    },
    /// A replica catches up.
    ThawReplica {
        /// Its name.
        replica: String,
    },
    /// Objects of the listed collection change between two pages.
    MutateBetweenPages {
        /// How many.
        changes: u64,
    },
    /// What the lane writes is not visible to its own reads and watches for a while.
    LateVisibility {
        /// How long.
        #[serde(with = "units::text")]
        lasts: Duration,
    },
    /// The object is deleted and made again under the same name with a new uid.
    Recreate {
        /// How long it is away.
        #[serde(with = "units::text")]
        gap: Duration,
    },
    /// The store forgets its past.
    Compact {
        /// How many revisions are kept.
        keep: u64,
    },
    /// The server's clock is off.
    SkewClock {
        /// By how much.
        offset: Offset,
        /// Over how long the clock gets there; zero for a jump.
        #[serde(with = "units::text")]
        over: Duration,
    },
    /// The body is garbage.
    Garble {
        /// Of which kind.
        form: Garbage,
    },
    /// Something is too big.
    Oversize {
        /// What.
        what: Oversize,
        /// Bytes, items or levels.
        size: u64,
    },
    /// The HTTP is odd.
    HttpOddity {
        /// How.
        form: HttpOddity,
        /// Where a redirect points to.
        location: String,
    },
    /// A frame that the plan wrote out.
    InjectFrame {
        /// Its bytes, newline not included.
        line: String,
    },
    /// A mark is set, for windows, triggers and the journal.
    Mark {
        /// Its name.
        name: String,
    },
    /// The run is failed with this message.
    FailTest {
        /// Why.
        message: String,
    },
    /// The client's process is killed, restarted or paused.
    Client {
        /// Which of them.
        order: ClientOrder,
        /// How long it is down or paused.
        #[serde(with = "units::text")]
        lasts: Duration,
    },
}

impl Action {
    /// Whether the action settles what the client gets, so that no later rule is asked. All others stack.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(
            self,
            Self::Refuse { .. }
                | Self::Blackhole { .. }
                | Self::Handshake { .. }
                | Self::Cut { .. }
                | Self::GoAway { abrupt: true, .. }
                | Self::RstStream { .. }
                | Self::Respond { .. }
                | Self::ErrorFrame { .. }
                | Self::Silence { .. }
                | Self::Gap { .. }
                | Self::TruncateFrame { .. }
                | Self::Garble { .. }
        )
    }

    /// Fixes whatever is drawn or counted: waits, ramps, seeds.
    pub(crate) fn resolve(&self, dice: &Dice, firing: u64) -> Self {
        let at = |reply: &Reply| reply.clone().retry_after(reply.retry_after.at(firing));
        match self {
            Self::Delay { wait } => Self::Delay { wait: wait.resolve(dice) },
            Self::Respond { reply } => Self::Respond { reply: at(reply) },
            Self::ErrorFrame { reply, after_frames } => {
                Self::ErrorFrame { reply: at(reply), after_frames: *after_frames }
            }
            Self::ShuffleInitial { .. } => Self::ShuffleInitial { seed: dice.bits("shuffle") },
            other => other.clone(),
        }
    }
}
