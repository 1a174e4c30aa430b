//! A parsed tree as a [`Document`]: the mirror of `write`, with a message for everything a hand can get wrong.

use super::delta;
use super::fields::{Fields, FromTree, Step, Wrong};
use super::model::*;
use super::tree::Tree;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;

pub(super) fn document(tree: Tree) -> Result<Document, Wrong> {
    let mut f = Fields::of(tree)?;
    let kind: String = f.required("kind")?;
    Ok(match kind.as_str() {
        "Tape" => Document::Header(header(f)?),
        "Req" => Document::Req(req(f)?),
        "Head" => Document::Head(head(f)?),
        "Frame" => Document::Frame(FrameDoc { of: f.required("of")?, frame: frame(f)? }),
        "End" => Document::End(end_doc(f)?),
        "Call" => Document::Call(call(f)?),
        "Upgrade" => Document::Upgrade(upgrade(f)?),
        "Mark" => Document::Mark(mark(f)?),
        "Sealed" => Document::Sealed(sealed(f)?),
        other => return Err(Wrong::new(format!("no document is a {other:?}")).at(key("kind"))),
    })
}

fn key(name: &str) -> Step {
    Step::Key(name.to_owned())
}

/// The format of a header, read before anything else of it: what follows may mean something else in another version.
pub(super) fn format(tree: &Tree) -> Result<FormatVersion, Wrong> {
    let Some(tree) = tree.get("format") else { return Err(Wrong::new("format is missing")) };
    let read = || {
        let mut f = Fields::of(tree.clone())?;
        Ok(FormatVersion {
            major: f.required("major")?,
            minor: f.or_default("minor")?,
            requires: f.or_default("requires")?,
        })
    };
    read().map_err(|wrong: Wrong| wrong.at(key("format")))
}

fn header(mut f: Fields) -> Result<Header, Wrong> {
    Ok(Header {
        format: f.with("format", |tree| {
            let mut f = Fields::of(tree)?;
            let format = FormatVersion {
                major: f.required("major")?,
                minor: f.or_default("minor")?,
                requires: f.or_default("requires")?,
            };
            f.closed()?;
            Ok(format)
        })?,
        name: f.or_default("name")?,
        recorded: f.with("recorded", |tree| {
            let mut f = Fields::of(tree)?;
            Ok(Recorded {
                at: f.or_default("at")?,
                tool: f.or_default("tool")?,
                mode: f.or_default("mode")?,
                placement: f.or_default("placement")?,
                seed: f.or_default("seed")?,
                origin: f.or_default("origin")?,
                extra: f.rest(),
            })
        })?,
        server: f.with("server", |tree| {
            let mut f = Fields::of(tree)?;
            Ok(ServerFacts {
                version: f.or_default("version")?,
                platform: f.or_default("platform")?,
                discovery_hash: f.or_default("discoveryHash")?,
                flags: f.or_default("flags")?,
                extra: f.rest(),
            })
        })?,
        lanes: f.with("lanes", |tree| members(tree, lane))?.into_iter().collect(),
        clock: f.with("clock", |tree| {
            let mut f = Fields::of(tree)?;
            Ok(Clock {
                start: f.or_default("start")?,
                source: f.or_default("source")?,
                resolution: f.or_default("resolution")?,
                extra: f.rest(),
            })
        })?,
        redaction: f.with("redaction", |tree| {
            let mut f = Fields::of(tree)?;
            Ok(Redaction {
                policy: f.or_default("policy")?,
                key_id: f.or_default("keyId")?,
                passes: f.or_default("passes")?,
                extra: f.rest(),
            })
        })?,
        plan: f.maybe("plan", |tree| {
            let mut f = Fields::of(tree)?;
            Ok(PlanFacts { text: f.or_default("text")?, sha256: f.or_default("sha256")?, extra: f.rest() })
        })?,
        symbols: f.with("symbols", |tree| members(tree, Ok))?,
        pins: f.with("pins", |tree| members(tree, String::from_tree))?.into_iter().collect::<BTreeMap<_, _>>(),
        extra: f.rest(),
    })
}

/// The members of a map whose keys are free.
fn members<T>(tree: Tree, read: impl Fn(Tree) -> Result<T, Wrong>) -> Result<Vec<(String, T)>, Wrong> {
    let entries = Fields::of(tree)?.rest().into_iter();
    entries
        .map(|(name, value)| match read(value) {
            Ok(value) => Ok((name, value)),
            Err(wrong) => Err(wrong.at(Step::Key(name))),
        })
        .collect()
}

fn lane(tree: Tree) -> Result<Lane, Wrong> {
    let mut f = Fields::of(tree)?;
    Ok(Lane {
        user_agent: f.or_default("userAgent")?,
        auth: f.or_default("auth")?,
        role: f.with("role", |tree| match String::from_tree(tree)?.as_str() {
            "sut" => Ok(Role::Sut),
            "driver" => Ok(Role::Driver),
            "ambient" => Ok(Role::Ambient),
            other => Err(Wrong::new(format!("expected sut, driver or ambient, found {other:?}"))),
        })?,
        extra: f.rest(),
    })
}

/// Milliseconds, as a number with or without a point.
#[derive(Default)]
struct Millis(Micros);

/// 35 years. As floats all times before are exact to the microsecond.
const LATEST: Micros = (1 << 50) - 1;

impl FromTree for Millis {
    fn from_tree(tree: Tree) -> Result<Self, Wrong> {
        let micros = match tree {
            Tree::Int(ms) => u64::try_from(ms).ok().map(|ms| ms.saturating_mul(1000)),
            Tree::Float(ms) if ms >= 0.0 => Some((ms * 1000.0).round() as u64),
            _ => None,
        };
        let micros = micros.filter(|micros| *micros <= LATEST);
        micros.map(Self).ok_or_else(|| Wrong::new("expected milliseconds, a number from 0 to 1125899906842.623"))
    }
}

fn micros(f: &mut Fields) -> Result<Micros, Wrong> {
    Ok(f.required::<Millis>("t")?.0)
}

fn req(mut f: Fields) -> Result<ReqDoc, Wrong> {
    Ok(ReqDoc {
        of: f.required("of")?,
        seq: f.required("seq")?,
        t: micros(&mut f)?,
        lane: f.or_default("lane")?,
        conn: f.or_default("conn")?,
        request: required(&mut f, "request", request)?,
        audit_id: f.optional("auditId")?,
        extra: f.rest(),
    })
}

fn required<T>(f: &mut Fields, name: &str, read: impl FnOnce(Tree) -> Result<T, Wrong>) -> Result<T, Wrong> {
    f.maybe(name, read)?.ok_or_else(|| Wrong::new(format!("{name} is missing")))
}

fn head(mut f: Fields) -> Result<HeadDoc, Wrong> {
    Ok(HeadDoc {
        of: f.required("of")?,
        seq: f.required("seq")?,
        t: micros(&mut f)?,
        response: required(&mut f, "response", response)?,
        extra: f.rest(),
    })
}

fn end_doc(mut f: Fields) -> Result<EndDoc, Wrong> {
    Ok(EndDoc {
        of: f.required("of")?,
        seq: f.required("seq")?,
        t: micros(&mut f)?,
        end: required(&mut f, "end", end)?,
        faults: f.or_default("faults")?,
        extra: f.rest(),
    })
}

fn call(mut f: Fields) -> Result<Call, Wrong> {
    Ok(Call {
        id: f.required("id")?,
        lane: f.or_default("lane")?,
        conn: f.or_default("conn")?,
        seq: required(&mut f, "seq", |tree| marks(tree, u64::from_tree))?,
        t: required(&mut f, "t", |tree| marks(tree, |tree| Ok(Millis::from_tree(tree)?.0)))?,
        request: required(&mut f, "request", request)?,
        response: f.maybe("response", response)?,
        frames: {
            let mut frames: Vec<Frame> = f.or_default("frames")?;
            delta::expand(&mut frames)?;
            frames
        },
        end: required(&mut f, "end", end)?,
        faults: f.or_default("faults")?,
        audit_id: f.optional("auditId")?,
        extra: f.rest(),
    })
}

fn marks<T: Default>(tree: Tree, read: impl Fn(Tree) -> Result<T, Wrong>) -> Result<Marks<T>, Wrong> {
    let mut f = Fields::of(tree)?;
    let marks = Marks {
        req: required(&mut f, "req", &read)?,
        head: f.maybe("head", &read)?,
        end: required(&mut f, "end", &read)?,
    };
    f.closed()?;
    Ok(marks)
}

fn request(tree: Tree) -> Result<Request, Wrong> {
    let mut f = Fields::of(tree)?;
    Ok(Request {
        method: f.required("method")?,
        path: f.required("path")?,
        query: f.with("query", multimap)?,
        headers: f.with("headers", multimap)?,
        body: f.maybe("body", body)?,
        extra: f.rest(),
    })
}

fn response(tree: Tree) -> Result<Response, Wrong> {
    let mut f = Fields::of(tree)?;
    Ok(Response {
        status: f.required("status")?,
        headers: f.with("headers", multimap)?,
        body: f.maybe("body", body)?,
        extra: f.rest(),
    })
}

fn multimap(tree: Tree) -> Result<Vec<(String, String)>, Wrong> {
    let mut entries = Vec::new();
    for (name, values) in members(tree, |tree| match tree {
        Tree::Text(text) => Ok(vec![text]),
        list @ Tree::List(_) => Vec::<String>::from_tree(list),
        _ => Err(Wrong::new("expected a text or a list of texts (numbers need quotes)")),
    })? {
        entries.extend(values.into_iter().map(|value| (name.clone(), value)));
    }
    entries.sort_by(|a: &(String, String), b| a.0.cmp(&b.0));
    Ok(entries)
}

fn body(tree: Tree) -> Result<Body, Wrong> {
    let mut f = Fields::of(tree)?;
    let is: String = f.required("is")?;
    let body = match is.as_str() {
        "json" => Body::Json { render: f.with("render", render)?, tree: f.required("tree")? },
        "yaml" => Body::Yaml(f.required("text")?),
        "text" => Body::Text(f.required("text")?),
        "proto" => Body::Proto { summary: f.with("summary", summary)?, bytes: required(&mut f, "base64", base64)? },
        "base64" => Body::Bytes(required(&mut f, "base64", base64)?),
        "ref" => Body::Ref {
            is: f.required("what")?,
            hash: required(&mut f, "hash", hash)?,
            bytes: f.required("bytes")?,
            render: f.with("render", render)?,
            summary: f.with("summary", summary)?,
        },
        "same" => Body::Same { of: f.required("of")? },
        other => {
            let kinds = "json, yaml, proto, text, base64, ref or same";
            return Err(Wrong::new(format!("expected {kinds}, found {other:?}")).at(key("is")));
        }
    };
    // A body with a member that is not understood would give wrong bytes back; minor versions may not add any.
    f.closed()?;
    Ok(body)
}

/// The name of a side file becomes a path, so it is nothing but digits.
fn hash(tree: Tree) -> Result<String, Wrong> {
    let hash = String::from_tree(tree)?;
    let digits = hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if digits { Ok(hash) } else { Err(Wrong::new("expected 16 hexadecimal digits")) }
}

fn summary(tree: Tree) -> Result<Vec<(String, String)>, Wrong> {
    members(tree, String::from_tree)
}

fn base64(tree: Tree) -> Result<Vec<u8>, Wrong> {
    STANDARD.decode(String::from_tree(tree)?).map_err(|error| Wrong::new(format!("not base64: {error}")))
}

fn render(tree: Tree) -> Result<Render, Wrong> {
    let words = String::from_tree(tree)?;
    match words.as_str() {
        "go-compact" => return Ok(Render::GO),
        "go-pretty" => return Ok(Render::PRETTY),
        "" | "compact" => return Ok(Render::COMPACT),
        _ => {}
    }
    let mut render = Render::default();
    for word in words.split('+') {
        match word {
            "indent" => render.indent = true,
            "html" => render.html = true,
            "newline" => render.newline = true,
            "spaced" => render.spaced = true,
            "ascii" => render.ascii = true,
            other => return Err(Wrong::new(format!("no way of rendering is called {other:?}"))),
        }
    }
    Ok(render)
}

impl FromTree for Frame {
    fn from_tree(tree: Tree) -> Result<Self, Wrong> {
        frame(Fields::of(tree)?)
    }
}

fn frame(mut f: Fields) -> Result<Frame, Wrong> {
    Ok(Frame {
        seq: f.required("seq")?,
        t: micros(&mut f)?,
        coalesced: f.optional("coalesced")?,
        slices: f.or_default("slices")?,
        cause: f.or_default("cause")?,
        content: content(&mut f)?,
        extra: f.rest(),
    })
}

fn content(f: &mut Fields) -> Result<Body, Wrong> {
    if f.has("event") {
        let render = f.maybe("render", render)?.unwrap_or(Render::GO);
        return Ok(Body::Json { tree: f.required("event")?, render });
    }
    match f.maybe("body", body)? {
        Some(body) => Ok(body),
        None => Err(Wrong::new("event or body is missing")),
    }
}

fn end(tree: Tree) -> Result<End, Wrong> {
    if let Tree::Map(_) = tree {
        let mut f = Fields::of(tree)?;
        let end = match (f.optional("reset")?, f.optional("upstream")?) {
            (code @ Some(_), None) => End::Reset { code },
            (None, Some(message)) => End::Upstream { message },
            _ => return Err(Wrong::new("expected one of reset and upstream")),
        };
        f.closed()?;
        return Ok(end);
    }
    let word = String::from_tree(tree)?;
    Ok(match word.as_str() {
        "complete" => End::Complete,
        "client-cancel" => End::ClientCancel,
        "server-goaway" => End::ServerGoaway,
        "reset" => End::Reset { code: None },
        "eof-no-notify" => End::EofNoNotify,
        "timeout" => End::Timeout,
        "recorder-stop" => End::RecorderStop,
        "recorder-crash" => End::RecorderCrash,
        other => return Err(Wrong::new(format!("no exchange ends with {other:?}"))),
    })
}

fn upgrade(mut f: Fields) -> Result<Upgrade, Wrong> {
    Ok(Upgrade {
        id: f.required("id")?,
        lane: f.or_default("lane")?,
        conn: f.or_default("conn")?,
        seq: required(&mut f, "seq", |tree| marks(tree, u64::from_tree))?,
        t: required(&mut f, "t", |tree| marks(tree, |tree| Ok(Millis::from_tree(tree)?.0)))?,
        request: required(&mut f, "request", request)?,
        response: f.maybe("response", response)?,
        protocol: f.or_default("protocol")?,
        channels: f.or_default("channels")?,
        close_code: f.optional("closeCode")?,
        messages: f.or_default("messages")?,
        end: required(&mut f, "end", end)?,
        extra: f.rest(),
    })
}

impl FromTree for ChannelBytes {
    fn from_tree(tree: Tree) -> Result<Self, Wrong> {
        let mut f = Fields::of(tree)?;
        let bytes =
            Self { channel: f.required("channel")?, sent: f.or_default("sent")?, received: f.or_default("received")? };
        f.closed()?;
        Ok(bytes)
    }
}

impl FromTree for ChannelMessage {
    fn from_tree(tree: Tree) -> Result<Self, Wrong> {
        let mut f = Fields::of(tree)?;
        let message = Self {
            seq: f.required("seq")?,
            t: micros(&mut f)?,
            channel: f.required("channel")?,
            from_client: required(&mut f, "from", |tree| match String::from_tree(tree)?.as_str() {
                "client" => Ok(true),
                "server" => Ok(false),
                other => Err(Wrong::new(format!("expected client or server, found {other:?}"))),
            })?,
            content: required(&mut f, "body", body)?,
        };
        f.closed()?;
        Ok(message)
    }
}

fn mark(mut f: Fields) -> Result<Mark, Wrong> {
    Ok(Mark {
        seq: f.required("seq")?,
        t: micros(&mut f)?,
        what: f.or_default("what")?,
        text: f.or_default("text")?,
        extra: f.rest(),
    })
}

fn sealed(mut f: Fields) -> Result<Sealed, Wrong> {
    Ok(Sealed {
        calls: f.or_default("calls")?,
        frames: f.or_default("frames")?,
        revisions: f
            .with("revisions", |tree| {
                members(tree, |tree| match <[String; 2]>::try_from(Vec::<String>::from_tree(tree)?) {
                    Ok([first, last]) => Ok((first, last)),
                    Err(_) => Err(Wrong::new("expected the first and the last resourceVersion")),
                })
            })?
            .into_iter()
            .collect(),
        open: f.or_default("open")?,
        drops: f.or_default("drops")?,
        stalled_ms: f.or_default("stalledMs")?,
        sha256: f.or_default("sha256")?,
        extra: f.rest(),
    })
}
