//! A [`Document`] as YAML text: one function a kind, fields always in the same order, absent ones left out.

use super::emit::Yaml;
use super::model::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The text of one document, from its `---` to its last newline.
#[must_use]
pub fn document(document: &Document) -> String {
    match document {
        Document::Header(it) => header(it),
        Document::Req(it) => req(it),
        Document::Head(it) => head(it),
        Document::Frame(it) => frame_doc(it),
        Document::End(it) => end_doc(it),
        Document::Call(it) => call(it),
        Document::Upgrade(it) => upgrade(it),
        Document::Mark(it) => mark(it),
        Document::Sealed(it) => sealed(it),
    }
}

/// The text of an entry of a canonical tape.
#[must_use]
pub fn entry(entry: &Entry) -> String {
    match entry {
        Entry::Call(it) => call(it),
        Entry::Upgrade(it) => upgrade(it),
        Entry::Mark(it) => mark(it),
    }
}

pub(super) fn header(it: &Header) -> String {
    let mut y = Yaml::document("Tape");
    y.map("format", |y| {
        y.plain("major", it.format.major);
        y.plain("minor", it.format.minor);
        y.texts("requires", &it.format.requires);
    });
    y.text_unless_empty("name", &it.name);
    y.map("recorded", |y| {
        let it = &it.recorded;
        y.text_unless_empty("at", &it.at);
        y.text_unless_empty("tool", &it.tool);
        y.text_unless_empty("mode", &it.mode);
        y.text_unless_empty("placement", &it.placement);
        number(y, "seed", it.seed);
        y.text_unless_empty("origin", &it.origin);
        y.members(&it.extra);
    });
    y.map("server", |y| {
        let it = &it.server;
        y.text_unless_empty("version", &it.version);
        y.text_unless_empty("platform", &it.platform);
        y.text_unless_empty("discoveryHash", &it.discovery_hash);
        y.texts("flags", &it.flags);
        y.members(&it.extra);
    });
    y.map("lanes", |y| it.lanes.iter().for_each(|(id, it)| lane(y, id, it)));
    y.map("clock", |y| {
        let it = &it.clock;
        y.text_unless_empty("start", &it.start);
        y.text_unless_empty("source", &it.source);
        number(y, "resolution", it.resolution);
        y.members(&it.extra);
    });
    y.map("redaction", |y| {
        let it = &it.redaction;
        y.text_unless_empty("policy", &it.policy);
        y.text_unless_empty("keyId", &it.key_id);
        number(y, "passes", u64::from(it.passes));
        y.members(&it.extra);
    });
    if let Some(it) = &it.plan {
        y.map("plan", |y| {
            y.text("text", &it.text);
            y.text_unless_empty("sha256", &it.sha256);
            y.members(&it.extra);
        });
    }
    y.map("symbols", |y| y.members(&it.symbols));
    y.map("pins", |y| it.pins.iter().for_each(|(name, version)| y.text(name, version)));
    y.members(&it.extra);
    y.finish()
}

fn lane(y: &mut Yaml, id: &str, it: &Lane) {
    y.map(id, |y| {
        y.text_unless_empty("userAgent", &it.user_agent);
        y.text_unless_empty("auth", &it.auth);
        y.text("role", role(it.role));
        y.members(&it.extra);
    });
}

/// The word of a role.
pub(super) fn role(role: Role) -> &'static str {
    match role {
        Role::Sut => "sut",
        Role::Driver => "driver",
        Role::Ambient => "ambient",
    }
}

/// A number that is left out when it is zero.
fn number(y: &mut Yaml, key: &str, value: u64) {
    if value != 0 {
        y.plain(key, value);
    }
}

fn req(it: &ReqDoc) -> String {
    let mut y = Yaml::document("Req");
    moment(&mut y, it.of, it.seq, it.t);
    y.text_unless_empty("lane", &it.lane);
    number(&mut y, "conn", it.conn);
    request(&mut y, &it.request);
    if let Some(id) = &it.audit_id {
        y.text("auditId", id);
    }
    y.members(&it.extra);
    y.finish()
}

fn moment(y: &mut Yaml, of: u64, seq: Seq, t: Micros) {
    y.plain("of", of);
    y.plain("seq", seq);
    y.plain("t", millis(t));
}

/// Milliseconds with three decimals.
fn millis(t: Micros) -> String {
    format!("{}.{:03}", t / 1000, t % 1000)
}

fn head(it: &HeadDoc) -> String {
    let mut y = Yaml::document("Head");
    moment(&mut y, it.of, it.seq, it.t);
    response(&mut y, &it.response);
    y.members(&it.extra);
    y.finish()
}

fn frame_doc(it: &FrameDoc) -> String {
    let mut y = Yaml::document("Frame");
    y.plain("of", it.of);
    frame(&mut y, &it.frame);
    y.finish()
}

fn end_doc(it: &EndDoc) -> String {
    let mut y = Yaml::document("End");
    moment(&mut y, it.of, it.seq, it.t);
    end(&mut y, &it.end);
    faults(&mut y, &it.faults);
    y.members(&it.extra);
    y.finish()
}

fn call(it: &Call) -> String {
    let mut y = Yaml::document("Call");
    y.plain("id", it.id);
    y.text_unless_empty("lane", &it.lane);
    number(&mut y, "conn", it.conn);
    marks(&mut y, &it.seq, &it.t);
    request(&mut y, &it.request);
    if let Some(it) = &it.response {
        response(&mut y, it);
    }
    y.list("frames", &it.frames, frame);
    end(&mut y, &it.end);
    faults(&mut y, &it.faults);
    if let Some(id) = &it.audit_id {
        y.text("auditId", id);
    }
    y.members(&it.extra);
    y.finish()
}

fn marks(y: &mut Yaml, seq: &Marks<Seq>, t: &Marks<Micros>) {
    let line = |req: String, head: Option<String>, end: String| match head {
        Some(head) => format!("{{req: {req}, head: {head}, end: {end}}}"),
        None => format!("{{req: {req}, end: {end}}}"),
    };
    y.plain("seq", line(seq.req.to_string(), seq.head.map(|s| s.to_string()), seq.end.to_string()));
    y.plain("t", line(millis(t.req), t.head.map(millis), millis(t.end)));
}

fn request(y: &mut Yaml, it: &Request) {
    y.map("request", |y| {
        y.text("method", &it.method);
        y.text("path", &it.path);
        multimap(y, "query", &it.query);
        multimap(y, "headers", &it.headers);
        if let Some(it) = &it.body {
            y.map("body", |y| body(y, it));
        }
        y.members(&it.extra);
    });
}

fn response(y: &mut Yaml, it: &Response) {
    y.map("response", |y| {
        y.plain("status", it.status);
        multimap(y, "headers", &it.headers);
        if let Some(it) = &it.body {
            y.map("body", |y| body(y, it));
        }
        y.members(&it.extra);
    });
}

/// A multimap: sorted by key, one value as text, several as a list in their order.
fn multimap(y: &mut Yaml, key: &str, entries: &[(String, String)]) {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    y.map(key, |y| {
        for group in sorted.chunk_by(|a, b| a.0 == b.0) {
            match group {
                [(name, value)] => y.text(name, value),
                _ => y.texts(&group[0].0, &group.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>()),
            }
        }
    });
}

fn body(y: &mut Yaml, it: &Body) {
    match it {
        Body::Json { tree, render } => {
            y.text("is", "json");
            y.text_unless_empty("render", &render_words(*render));
            y.tree("tree", tree);
        }
        Body::Yaml(text) => {
            y.text("is", "yaml");
            y.text("text", text);
        }
        Body::Proto { bytes, summary: facts } => {
            y.text("is", "proto");
            summary(y, facts);
            y.text("base64", &STANDARD.encode(bytes));
        }
        Body::Text(text) => {
            y.text("is", "text");
            y.text("text", text);
        }
        Body::Bytes(bytes) => {
            y.text("is", "base64");
            y.text("base64", &STANDARD.encode(bytes));
        }
        Body::Ref { hash, bytes, is, render, summary: facts } => {
            y.text("is", "ref");
            y.text("what", is);
            y.text("hash", hash);
            y.plain("bytes", bytes);
            y.text_unless_empty("render", &render_words(*render));
            summary(y, facts);
        }
        Body::Same { of } => {
            y.text("is", "same");
            y.plain("of", of);
        }
    }
}

fn summary(y: &mut Yaml, facts: &[(String, String)]) {
    y.map("summary", |y| facts.iter().for_each(|(name, value)| y.text(name, value)));
}

/// `go-compact`, `go-pretty`, or the flags joined with `+`; empty for plain compact JSON.
pub(super) fn render_words(render: Render) -> String {
    match render {
        Render::GO => "go-compact".into(),
        Render::PRETTY => "go-pretty".into(),
        Render { indent, html, newline, spaced, ascii } => {
            let flags =
                [(indent, "indent"), (html, "html"), (newline, "newline"), (spaced, "spaced"), (ascii, "ascii")];
            flags.into_iter().filter(|(on, _)| *on).map(|(_, word)| word).collect::<Vec<_>>().join("+")
        }
    }
}

fn frame(y: &mut Yaml, it: &Frame) {
    y.plain("seq", it.seq);
    y.plain("t", millis(it.t));
    if let Some(n) = it.coalesced {
        y.plain("coalesced", n);
    }
    y.flow("slices", &it.slices);
    y.flow("cause", &it.cause);
    match &it.content {
        Body::Json { tree, render } => {
            match render_words(*render).as_str() {
                "go-compact" => {}
                "" => y.text("render", "compact"),
                words => y.text("render", words),
            }
            y.tree("event", tree);
        }
        other => y.map("body", |y| body(y, other)),
    }
    y.members(&it.extra);
}

fn end(y: &mut Yaml, it: &End) {
    let word = match it {
        End::Complete => "complete",
        End::ClientCancel => "client-cancel",
        End::ServerGoaway => "server-goaway",
        End::Reset { code: None } => "reset",
        End::Reset { code: Some(code) } => return y.map("end", |y| y.plain("reset", code)),
        End::EofNoNotify => "eof-no-notify",
        End::Timeout => "timeout",
        End::RecorderStop => "recorder-stop",
        End::RecorderCrash => "recorder-crash",
        End::Upstream { message } => return y.map("end", |y| y.text("upstream", message)),
    };
    y.text("end", word);
}

fn faults(y: &mut Yaml, faults: &[super::tree::Tree]) {
    if !faults.is_empty() {
        y.tree("faults", &super::tree::Tree::List(faults.to_vec()));
    }
}

fn upgrade(it: &Upgrade) -> String {
    let mut y = Yaml::document("Upgrade");
    y.plain("id", it.id);
    y.text_unless_empty("lane", &it.lane);
    number(&mut y, "conn", it.conn);
    marks(&mut y, &it.seq, &it.t);
    request(&mut y, &it.request);
    if let Some(it) = &it.response {
        response(&mut y, it);
    }
    y.text_unless_empty("protocol", &it.protocol);
    y.list("channels", &it.channels, |y, it| {
        y.plain("channel", it.channel);
        y.plain("sent", it.sent);
        y.plain("received", it.received);
    });
    if let Some(code) = it.close_code {
        y.plain("closeCode", code);
    }
    y.list("messages", &it.messages, |y, it| {
        y.plain("seq", it.seq);
        y.plain("t", millis(it.t));
        y.plain("channel", it.channel);
        y.text("from", if it.from_client { "client" } else { "server" });
        y.map("body", |y| body(y, &it.content));
    });
    end(&mut y, &it.end);
    y.members(&it.extra);
    y.finish()
}

fn mark(it: &Mark) -> String {
    let mut y = Yaml::document("Mark");
    y.plain("seq", it.seq);
    y.plain("t", millis(it.t));
    y.text_unless_empty("what", &it.what);
    y.text_unless_empty("text", &it.text);
    y.members(&it.extra);
    y.finish()
}

fn sealed(it: &Sealed) -> String {
    let mut y = Yaml::document("Sealed");
    y.plain("calls", it.calls);
    y.plain("frames", it.frames);
    y.map("revisions", |y| {
        for (resource, (first, last)) in &it.revisions {
            y.texts(resource, &[first.clone(), last.clone()]);
        }
    });
    number(&mut y, "open", it.open);
    number(&mut y, "drops", it.drops);
    number(&mut y, "stalledMs", it.stalled_ms);
    y.text_unless_empty("sha256", &it.sha256);
    y.members(&it.extra);
    y.finish()
}
