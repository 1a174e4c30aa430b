//! What a tape holds, as values: one header, the interactions and marks, a footer. No text form and no I/O.
//!
//! Two views of one thing: a [`Document`] is what the journal appends, one a wire event; a [`Tape`] is the folded,
//! canonical form with one [`Call`] an interaction. Global order across interactions is `seq`, drawn from one counter
//! at the recorder; times are microseconds since the header's clock start.

use super::tree::Tree;
use std::collections::BTreeMap;

/// Ordinal of an event on the whole tape, from 1; strictly increasing in the order the recorder saw things.
pub type Seq = u64;

/// Microseconds since [`Clock::start`]; written as milliseconds with three decimals.
pub type Micros = u64;

/// Fields that a newer minor version wrote and this one does not know; written back where they were found.
pub type Extra = Vec<(String, Tree)>;

/// A whole tape in its canonical form.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tape {
    /// What was recorded, how, and what was taken out.
    pub header: Header,
    /// Interactions, upgrades and marks, by the `seq` of their first event.
    pub entries: Vec<Entry>,
    /// Present once the recorder has ended well.
    pub sealed: Option<Sealed>,
}

/// One entry of a canonical tape.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// A request and its answer.
    Call(Call),
    /// A connection that changed protocol (exec, attach, port-forward).
    Upgrade(Upgrade),
    /// A note on the time line.
    Mark(Mark),
}

/// One document of a journal.
#[derive(Clone, Debug, PartialEq)]
pub enum Document {
    /// Opens every tape.
    Header(Header),
    /// A request, written before it is forwarded.
    Req(ReqDoc),
    /// Status and headers of its answer; the body too, for answers that are not streams.
    Head(HeadDoc),
    /// One frame of a streamed answer.
    Frame(FrameDoc),
    /// How the exchange ended.
    End(EndDoc),
    /// A whole interaction: what a canonical tape has instead of the four above.
    Call(Call),
    /// An upgraded connection.
    Upgrade(Upgrade),
    /// A note on the time line.
    Mark(Mark),
    /// Closes a tape whose recorder ended well.
    Sealed(Sealed),
}

/// The first document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    /// Version of the format.
    pub format: FormatVersion,
    /// Name of the tape.
    pub name: String,
    /// Circumstances of the recording.
    pub recorded: Recorded,
    /// The server that was recorded.
    pub server: ServerFacts,
    /// Logical clients by id.
    pub lanes: BTreeMap<String, Lane>,
    /// What the times count from.
    pub clock: Clock,
    /// What was taken out.
    pub redaction: Redaction,
    /// The fault plan that was in force.
    pub plan: Option<PlanFacts>,
    /// Volatile values by symbol name (`uid.cm.c1`, `rv.8`), where the tape is symbolised; in order of appearance.
    pub symbols: Vec<(String, Tree)>,
    /// Versions of what normalises bodies.
    pub pins: BTreeMap<String, String>,
    /// Unknown fields.
    pub extra: Extra,
}

/// Version of the format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatVersion {
    /// Incompatible changes; older ones are converted, newer ones refused.
    pub major: u32,
    /// Additions that older readers may carry along unread.
    pub minor: u32,
    /// Features a reader must know to read this tape at all.
    pub requires: Vec<String>,
}

impl Default for FormatVersion {
    fn default() -> Self {
        Self { major: 1, minor: 0, requires: Vec::new() }
    }
}

/// Circumstances of a recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    /// RFC 3339 time.
    pub at: String,
    /// Tool and version.
    pub tool: String,
    /// Recording mode, such as `once`.
    pub mode: String,
    /// `proxy`, `layer`, `server` or `import`.
    pub placement: String,
    /// Seed of everything drawn.
    pub seed: u64,
    /// Where imported data came from; empty for recordings.
    pub origin: String,
    /// Unknown fields.
    pub extra: Extra,
}

/// The recorded server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServerFacts {
    /// `gitVersion` of `/version`.
    pub version: String,
    /// `platform` of `/version`.
    pub platform: String,
    /// Hash over discovery; empty when it was not seen.
    pub discovery_hash: String,
    /// Behaviour switches noticed (`pretty`, `watch-list`…).
    pub flags: Vec<String>,
    /// Unknown fields.
    pub extra: Extra,
}

/// A logical client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lane {
    /// First User-Agent seen.
    pub user_agent: String,
    /// Pseudonym of the credential.
    pub auth: String,
    /// What the lane is to the recording.
    pub role: Role,
    /// Unknown fields.
    pub extra: Extra,
}

/// What a lane is to a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// The client under test.
    #[default]
    Sut,
    /// What drives the scenario; replayed by the player itself.
    Driver,
    /// Everybody else.
    Ambient,
}

/// What times count from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clock {
    /// RFC 3339 time of zero.
    pub start: String,
    /// `monotonic` or `manual`.
    pub source: String,
    /// Smallest step, in microseconds.
    pub resolution: u64,
    /// Unknown fields.
    pub extra: Extra,
}

/// What was taken out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Redaction {
    /// SHA-256 of the policy in force, in hexadecimal.
    pub policy: String,
    /// Id of the pseudonym key; never the key.
    pub key_id: String,
    /// 1: structural, while recording; 2: swept at the seal as well.
    pub passes: u32,
    /// Unknown fields.
    pub extra: Extra,
}

/// The fault plan that was in force.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanFacts {
    /// YAML of the plan.
    pub text: String,
    /// SHA-256 of the text, in hexadecimal.
    pub sha256: String,
    /// Unknown fields.
    pub extra: Extra,
}

/// A request and its answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    /// Unique on the tape.
    pub id: u64,
    /// Logical client.
    pub lane: String,
    /// Ordinal of the client's connection; 0 without one.
    pub conn: u64,
    /// When things happened, in order.
    pub seq: Marks<Seq>,
    /// When things happened, in time.
    pub t: Marks<Micros>,
    /// What was asked.
    pub request: Request,
    /// What was answered; none when the exchange ended before an answer.
    pub response: Option<Response>,
    /// Frames of a streamed answer.
    pub frames: Vec<Frame>,
    /// How it ended.
    pub end: End,
    /// Firings of the fault plan, as `rehearsal_faults::Firing` writes them.
    pub faults: Vec<Tree>,
    /// The Audit-ID sent to the server.
    pub audit_id: Option<String>,
    /// Unknown fields.
    pub extra: Extra,
}

/// The three moments of a call. `head` is `None` where no answer came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks<T> {
    /// The request was complete.
    pub req: T,
    /// Status and headers of the answer were there.
    pub head: Option<T>,
    /// The exchange had ended.
    pub end: T,
}

/// What was asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// HTTP method, upper case.
    pub method: String,
    /// Decoded path, without the query.
    pub path: String,
    /// Decoded query, sorted by key; values of one key keep their order.
    pub query: Vec<(String, String)>,
    /// Allowed headers, lower-case names, sorted.
    pub headers: Vec<(String, String)>,
    /// Body, content-decoded.
    pub body: Option<Body>,
    /// Unknown fields.
    pub extra: Extra,
}

/// What was answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Allowed headers, lower-case names, sorted.
    pub headers: Vec<(String, String)>,
    /// Body, content-decoded; none for streamed answers.
    pub body: Option<Body>,
    /// Unknown fields.
    pub extra: Extra,
}

/// One event of a streamed answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frame {
    /// Order on the tape.
    pub seq: Seq,
    /// When it passed.
    pub t: Micros,
    /// What it says.
    pub content: Body,
    /// How many frames the same read brought, when more than this one.
    pub coalesced: Option<u32>,
    /// Sizes of the pieces on the wire, with `--wire`.
    pub slices: Vec<u32>,
    /// Ids of the calls whose commit produced it.
    pub cause: Vec<u64>,
    /// Unknown fields.
    pub extra: Extra,
}

/// A body, or the content of a frame. Reading it back gives the recorded bytes (after content decoding).
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// JSON: `{type, object}` for a watch event.
    Json {
        /// The parsed value.
        tree: Tree,
        /// How the bytes are made from it.
        render: Render,
    },
    /// YAML, kept as text.
    Yaml(String),
    /// Protobuf with its envelope; for a watch frame without the length prefix.
    Proto {
        /// The message.
        bytes: Vec<u8>,
        /// For human readers and indexes: `apiVersion`, `kind`, `name`, `uid`, `resourceVersion`, and `type` for a
        /// watch frame, as far as they are known.
        summary: Vec<(String, String)>,
    },
    /// Any other text.
    Text(String),
    /// Any other bytes.
    Bytes(Vec<u8>),
    /// Kept in a side file.
    Ref {
        /// First 16 hexadecimal digits of the SHA-256 of the content.
        hash: String,
        /// Length of the content in bytes.
        bytes: u64,
        /// The kind of body within: `json`, `yaml`, `proto`, `text`, `base64`.
        is: String,
        /// How JSON bytes are made from the side file's compact form.
        render: Render,
        /// For human readers and indexes, as for [`Body::Proto`]; `uid` too.
        summary: Vec<(String, String)>,
    },
    /// Equal to the response body of another call. Only response bodies are.
    Same {
        /// Id of that call.
        of: u64,
    },
}

impl Default for Body {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// How a program turns a JSON tree into bytes. The first three tell all forms of an API server apart (measured on 30
/// bodies of 15 endpoints); the last two are the habits of Python's `json`, so that its requests stay readable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Render {
    /// Two-space indent, as for curl and browsers.
    pub indent: bool,
    /// `<`, `>`, `&`, U+2028 and U+2029 are escaped, as Go's encoder does by default.
    pub html: bool,
    /// A newline ends the text.
    pub newline: bool,
    /// A space follows every comma and colon.
    pub spaced: bool,
    /// Everything beyond ASCII is escaped.
    pub ascii: bool,
}

/// How an exchange ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// As HTTP says it should.
    #[default]
    Complete,
    /// The client went away.
    ClientCancel,
    /// GOAWAY, and the stream was not served.
    ServerGoaway,
    /// RST, or RST_STREAM.
    Reset {
        /// HTTP/2 error code; none for TCP.
        code: Option<u32>,
    },
    /// The connection ended without the protocol's goodbye.
    EofNoNotify,
    /// A deadline of the recorder's.
    Timeout,
    /// The recorder was stopped while the exchange was going on.
    RecorderStop,
    /// The recorder died; written by whoever recovers the journal.
    RecorderCrash,
    /// The upstream could not be reached, or answered nonsense; the text says why.
    Upstream {
        /// Why, without secrets.
        message: String,
    },
}

/// A request in a journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReqDoc {
    /// Id of the call.
    pub of: u64,
    /// Order on the tape.
    pub seq: Seq,
    /// When.
    pub t: Micros,
    /// Logical client.
    pub lane: String,
    /// Ordinal of the client's connection.
    pub conn: u64,
    /// The request.
    pub request: Request,
    /// The Audit-ID sent to the server.
    pub audit_id: Option<String>,
    /// Unknown fields.
    pub extra: Extra,
}

/// The head of an answer in a journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeadDoc {
    /// Id of the call.
    pub of: u64,
    /// Order on the tape.
    pub seq: Seq,
    /// When.
    pub t: Micros,
    /// The answer.
    pub response: Response,
    /// Unknown fields.
    pub extra: Extra,
}

/// A frame in a journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FrameDoc {
    /// Id of the call.
    pub of: u64,
    /// The frame.
    pub frame: Frame,
}

/// The end of an exchange in a journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EndDoc {
    /// Id of the call.
    pub of: u64,
    /// Order on the tape.
    pub seq: Seq,
    /// When.
    pub t: Micros,
    /// How it ended.
    pub end: End,
    /// Firings of the fault plan.
    pub faults: Vec<Tree>,
    /// Unknown fields.
    pub extra: Extra,
}

/// An upgraded connection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Upgrade {
    /// Unique on the tape, one sequence with calls.
    pub id: u64,
    /// Logical client.
    pub lane: String,
    /// Ordinal of the client's connection.
    pub conn: u64,
    /// When things happened, in order.
    pub seq: Marks<Seq>,
    /// When things happened, in time.
    pub t: Marks<Micros>,
    /// The handshake's request.
    pub request: Request,
    /// The handshake's answer.
    pub response: Option<Response>,
    /// Protocol agreed on, such as `v5.channel.k8s.io` or `SPDY/3.1`.
    pub protocol: String,
    /// Bytes sent and received by channel; channel -1 where the protocol is opaque.
    pub channels: Vec<ChannelBytes>,
    /// WebSocket close code, where there was one.
    pub close_code: Option<u16>,
    /// Messages by channel, with `--record-streams`.
    pub messages: Vec<ChannelMessage>,
    /// How it ended.
    pub end: End,
    /// Unknown fields.
    pub extra: Extra,
}

/// Bytes of one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelBytes {
    /// Number of the channel.
    pub channel: i16,
    /// Bytes from the client.
    pub sent: u64,
    /// Bytes to the client.
    pub received: u64,
}

/// A message of one channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChannelMessage {
    /// Order on the tape.
    pub seq: Seq,
    /// When.
    pub t: Micros,
    /// Number of the channel.
    pub channel: i16,
    /// Whether the client sent it.
    pub from_client: bool,
    /// What it says.
    pub content: Body,
}

/// A note on the time line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Mark {
    /// Order on the tape.
    pub seq: Seq,
    /// When.
    pub t: Micros,
    /// `note`, `process-start`, `process-exit`, `quiet`.
    pub what: String,
    /// Free text.
    pub text: String,
    /// Unknown fields.
    pub extra: Extra,
}

/// The last document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sealed {
    /// Calls on the tape.
    pub calls: u64,
    /// Frames on the tape.
    pub frames: u64,
    /// First and last resourceVersion seen of each resource (`pods`, `deployments.apps`).
    pub revisions: BTreeMap<String, (String, String)>,
    /// Exchanges that were open at the seal.
    pub open: u64,
    /// Events lost; 0 unless the recorder says otherwise.
    pub drops: u64,
    /// Milliseconds that clients waited because the tape could not be written fast enough.
    pub stalled_ms: u64,
    /// SHA-256 over the canonical text before this document, in hexadecimal.
    pub sha256: String,
    /// Unknown fields.
    pub extra: Extra,
}
