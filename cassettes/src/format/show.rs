//! A tape for a terminal: a line for each call, upgrade and mark, a line for each frame, bodies on demand.

use super::emit::Yaml;
use super::error::TapeError;
use super::file::TapeFile;
use super::model::*;
use super::symbols::symbolise;
use super::write;
use std::io::{self, Write};

/// What of a tape is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only the call or upgrade with this id.
    pub id: Option<u64>,
    /// Only this lane.
    pub lane: Option<String>,
    /// Bodies too.
    pub body: bool,
}

/// Writes a listing of a tape.
///
/// # Errors
/// A tape that cannot be read, inside; an output that cannot be written, outside.
pub fn show(file: &TapeFile, what: &Selection, out: &mut dyn Write) -> io::Result<Result<(), TapeError>> {
    if what.id.is_none() {
        header(file, out)?;
    }
    for (at, row) in file.rows().iter().enumerate() {
        let other_id = what.id.is_some_and(|id| row.id != id);
        if other_id || what.lane.as_deref().is_some_and(|lane| file.lane(row) != lane) {
            continue;
        }
        match file.entry(at) {
            Ok(it) => entry(&it, what.body, Some(file), out)?,
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(()))
}

/// Writes what two recordings of the same events would agree on: symbols for volatile values, bodies, no times and no
/// ordinals. For `textconv` in `.gitattributes`.
///
/// # Errors
/// An output that cannot be written.
pub fn brief(tape: &Tape, out: &mut dyn Write) -> io::Result<()> {
    let mut tape = tape.clone();
    symbolise(&mut tape);
    writeln!(out, "{}", tape.header.name)?;
    tape.entries.iter().try_for_each(|it| entry(it, true, None, out))
}

fn header(file: &TapeFile, out: &mut dyn Write) -> io::Result<()> {
    let header = file.header();
    let name = if header.name.is_empty() { file.path().display().to_string() } else { header.name.clone() };
    writeln!(out, "{name}: format {}.{}", header.format.major, header.format.minor)?;
    let recorded = [&header.recorded.at, &header.recorded.tool, &header.recorded.mode, &header.recorded.placement];
    let facts = [
        ("recorded", recorded.into_iter().filter(|fact| !fact.is_empty()).cloned().collect::<Vec<_>>().join(", ")),
        ("from", header.recorded.origin.clone()),
        ("server", [&header.server.version, &header.server.platform].map(String::as_str).join(" ").trim().to_owned()),
    ];
    for (word, text) in facts.iter().filter(|(_, text)| !text.is_empty()) {
        writeln!(out, "{word:>9} {text}")?;
    }
    for (id, lane) in &header.lanes {
        writeln!(out, "{:>9} {id} ({}) {}", "lane", write::role(lane.role), lane.user_agent)?;
    }
    writeln!(out)
}

/// With a file times are shown and bodies are fetched; without one neither.
fn entry(entry: &Entry, bodies: bool, file: Option<&TapeFile>, out: &mut dyn Write) -> io::Result<()> {
    let lead = |seq: Seq, t: Micros| match file {
        Some(_) => format!("{seq:>7} {:>10}.{:03}  ", t / 1000, t % 1000),
        None => String::new(),
    };
    match entry {
        Entry::Mark(mark) => {
            let text = printable(&format!("-- {} {}", mark.what, mark.text));
            writeln!(out, "{}{text}", lead(mark.seq, mark.t))
        }
        Entry::Upgrade(it) => {
            let status = it.response.as_ref().map_or(0, |response| response.status);
            let head = line(&it.request, &it.lane, it.id);
            let (lead, protocol) = (lead(it.seq.req, it.t.req), &it.protocol);
            writeln!(out, "{lead}{head} {status} {protocol}{}", ending(&it.end))?;
            for it in &it.channels {
                writeln!(out, "{:>20}channel {}: {} bytes sent, {} received", "", it.channel, it.sent, it.received)?;
            }
            Ok(())
        }
        Entry::Call(call) => {
            let answer = call.response.as_ref().map_or("no answer".to_owned(), |it| it.status.to_string());
            let body = call.response.as_ref().and_then(|response| response.body.as_ref());
            let head = line(&call.request, &call.lane, call.id);
            writeln!(
                out,
                "{}{head} {answer}{}{}",
                lead(call.seq.req, call.t.req),
                body.map(label).unwrap_or_default(),
                ending(&call.end)
            )?;
            if bodies {
                full("request", call.request.body.as_ref(), file, out)?;
                full("response", body, file, out)?;
            }
            for frame in &call.frames {
                let causes: Vec<_> = frame.cause.iter().map(|id| format!("#{id}")).collect();
                let cause = if causes.is_empty() { String::new() } else { format!("  <- {}", causes.join(", ")) };
                writeln!(out, "{}  {}{cause}", lead(frame.seq, frame.t), label(&frame.content).trim_start())?;
                if bodies {
                    full("event", Some(&frame.content), file, out)?;
                }
            }
            Ok(())
        }
    }
}

/// `sut #12 POST /api/v1/namespaces/demo/configmaps?dryRun=All`
fn line(request: &Request, lane: &str, id: u64) -> String {
    let query: Vec<_> = request.query.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    let lane = if lane.is_empty() { "-" } else { lane };
    printable(&format!("{lane} #{id} {} {}{mark}{}", request.method, request.path, query.join("&")))
}

fn ending(end: &End) -> String {
    match end {
        End::Complete => String::new(),
        End::Reset { code: Some(code) } => format!("  [reset {code}]"),
        End::Upstream { message } => printable(&format!("  [upstream: {message}]")),
        End::Reset { code: None } => "  [reset]".into(),
        End::ClientCancel => "  [client-cancel]".into(),
        End::ServerGoaway => "  [server-goaway]".into(),
        End::EofNoNotify => "  [eof-no-notify]".into(),
        End::Timeout => "  [timeout]".into(),
        End::RecorderStop => "  [recorder-stop]".into(),
        End::RecorderCrash => "  [recorder-crash]".into(),
    }
}

/// ` ADDED Pod web @12`: what a body is, in a few words.
fn label(body: &Body) -> String {
    let mut words = Vec::new();
    for name in ["type", "kind", "name"] {
        words.push(body.fact(name).to_owned());
    }
    if body.fact("kind") == "Status"
        && let Some(tree) = body.json()
    {
        let status = tree.get("object").unwrap_or(tree);
        words.push(status.text_at(&["reason"]).to_owned());
    }
    let version = body.fact("resourceVersion");
    words.push(if version.is_empty() { String::new() } else { format!("@{version}") });
    match body {
        Body::Same { of } => words.push(format!("= #{of}")),
        Body::Ref { bytes, hash, .. } => words.push(format!("({bytes} bytes in {hash})")),
        Body::Text(text) => words.push(format!("{:?}", text.chars().take(60).collect::<String>())),
        Body::Yaml(text) => words.push(format!("({} bytes of YAML)", text.len())),
        Body::Bytes(bytes) | Body::Proto { bytes, .. } => words.push(format!("({} bytes)", bytes.len())),
        Body::Json { .. } => {}
    }
    let known: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    if known.is_empty() { String::new() } else { printable(&format!(" {}", known.join(" "))) }
}

/// A tape may come from anywhere: nothing in it may speak to the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn full(word: &str, body: Option<&Body>, file: Option<&TapeFile>, out: &mut dyn Write) -> io::Result<()> {
    let Some(body) = body else { return Ok(()) };
    let resolved = file.map_or_else(|| Ok(body.clone()), |file| file.body(body));
    let text = match resolved {
        Ok(Body::Json { tree, .. }) => {
            let mut yaml = Yaml::default();
            yaml.tree(word, &tree);
            yaml.finish()
        }
        Ok(Body::Text(text) | Body::Yaml(text)) => {
            let lines: Vec<_> = text.lines().map(|line| format!("  {}\n", printable(line))).collect();
            format!("{word}:\n{}", lines.concat())
        }
        Ok(other) => format!("{word}:{}\n", label(&other)),
        Err(error) => format!("{word}: {error}\n"),
    };
    text.lines().try_for_each(|line| writeln!(out, "        {line}"))
}

#[cfg(test)]
mod tests {
    use super::super::{canonical, seal};
    use super::*;

    fn tape() -> Tape {
        let pod = r#"{"kind":"Pod","metadata":{"name":"a","resourceVersion":"8"}}"#;
        let body = |text: &str| Some(Body::from_json(text.as_bytes()));
        let request = Request {
            method: "GET".into(),
            path: "/api/v1/pods".into(),
            query: vec![("watch".into(), "true".into())],
            ..Request::default()
        };
        let frame = Frame {
            seq: 3,
            t: 1500,
            content: Body::from_json(format!("{{\"type\":\"ADDED\",\"object\":{pod}}}\n").as_bytes()),
            cause: vec![1],
            ..Frame::default()
        };
        let answer = |status, body| Some(Response { status, body, ..Response::default() });
        let seq = |req| Marks { req, head: Some(req), end: req };
        let first = Call {
            id: 1,
            lane: "sut".into(),
            seq: seq(1),
            request: Request {
                method: "POST".into(),
                path: "/api/v1/pods".into(),
                body: body(pod),
                ..Request::default()
            },
            response: answer(201, body(pod)),
            ..Call::default()
        };
        let watch = Call {
            id: 2,
            seq: seq(2),
            request,
            response: answer(200, None),
            frames: vec![frame],
            end: End::ClientCancel,
            ..Call::default()
        };
        let mark = Mark { seq: 9, what: "note".into(), text: "\u{1b}[2J".into(), ..Mark::default() };
        let mut tape =
            Tape { entries: vec![Entry::Call(first), Entry::Call(watch), Entry::Mark(mark)], ..Tape::default() };
        tape.header.name = "demo".into();
        seal(&mut tape);
        tape
    }

    fn shown(what: &Selection) -> String {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tape.yaml");
        canonical::save(&tape(), &path).unwrap();
        let mut out = Vec::new();
        show(&TapeFile::open_with_cache(&path, None).unwrap(), what, &mut out).unwrap().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_listing_has_a_line_for_everything() {
        let wanted = "demo: format 1.0\n\n\
            \u{20}     1          0.000  sut #1 POST /api/v1/pods 201 Pod a @8\n\
            \u{20}     2          0.000  - #2 GET /api/v1/pods?watch=true 200  [client-cancel]\n\
            \u{20}     3          1.500    ADDED Pod a @8  <- #1\n\
            \u{20}     9          0.000  -- note \u{1b}[2J\n";
        assert_eq!(shown(&Selection::default()), wanted.replace('\u{1b}', "\u{fffd}"));
    }

    #[test]
    fn one_call_is_shown_with_its_bodies() {
        let text = shown(&Selection { id: Some(1), lane: None, body: true });
        assert!(
            text.contains("        request:\n          kind: Pod\n          metadata:\n            name: a\n"),
            "{text}"
        );
        assert_eq!(shown(&Selection { lane: Some("nobody".into()), ..Selection::default() }), "demo: format 1.0\n\n");
    }

    #[test]
    fn brief_has_neither_times_nor_versions() {
        let mut out = Vec::new();
        brief(&tape(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("demo\nsut #1 POST /api/v1/pods 201 Pod a @${rv.1}\n"), "{text}");
        assert!(!text.contains("1.500"));
    }
}
