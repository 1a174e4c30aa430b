//! Imports transcripts of a real kube-apiserver as tapes. A transcript is a case of steps in a small language of its
//! own; those cases become tapes whose steps are plain requests and watches. Answers stay as they are, placeholders and
//! all: the tape says so in its header, and the comparison treats them as the player of the transcripts does.

use base64::Engine as _;
use rehearsal_cassettes::format::Tree;
use rehearsal_cassettes::format::model::{
    Body, Call, Entry, Frame, Header, Lane, Marks, Recorded, Render, Request, Response, ServerFacts, Tape,
};
use rehearsal_cassettes::record::target;
use rehearsal_cassettes::verify::{PLACEHOLDERS, Scope, Until};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// What one file of transcripts gives.
pub(crate) struct Area {
    pub(crate) name: String,
    pub(crate) cases: usize,
    pub(crate) tapes: Vec<(String, Tape)>,
    /// Cases that did not become tapes, by reason.
    pub(crate) left: BTreeMap<&'static str, usize>,
}

/// Imports a file.
pub(crate) fn import(text: &[u8]) -> Area {
    let file = Tree::from_json(text).unwrap();
    let name = file.text_at(&["area"]).to_owned();
    let (mut tapes, mut left) = (Vec::new(), BTreeMap::new());
    let cases = file.get("cases").unwrap().items();
    for case in cases {
        let title = case.text_at(&["name"]).to_owned();
        match Importer::tape(&name, &title, file.text_at(&["source"]), case) {
            Ok(tape) => tapes.push((title, tape)),
            Err(reason) => *left.entry(reason).or_default() += 1,
        }
    }
    Area { name, cases: cases.len(), tapes, left }
}

/// One case on its way.
struct Importer {
    variables: HashMap<String, String>,
    entries: Vec<Entry>,
    seq: u64,
    /// Watches that go on, by id, as positions among the entries.
    open: HashMap<String, usize>,
    /// The case compares who manages which fields.
    managed_fields: bool,
}

/// Eight letters that are the case's own.
fn letters(text: &str) -> String {
    let mut hash =
        text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let mut letter = || {
        let at = (hash % 26) as u8;
        hash /= 26;
        char::from(b'a' + at)
    };
    (0..8).map(|_| letter()).collect()
}

fn texts(step: &Tree, key: &str) -> Vec<String> {
    step.get(key).map(Tree::items).unwrap_or_default().iter().filter_map(|t| t.as_str().map(str::to_owned)).collect()
}

/// Events of a watch are frames on a tape.
fn as_frames(path: String) -> String {
    match path.strip_prefix("events.") {
        Some(rest) => format!("frames.{rest}"),
        None => path,
    }
}

impl Importer {
    fn tape(area: &str, title: &str, source: &str, case: &Tree) -> Result<Tape, &'static str> {
        let rand = letters(&format!("{area}/{title}"));
        let namespace = format!("ns-{rand}");
        let mut importer = Self {
            variables: HashMap::from([("ns".to_owned(), namespace.clone()), ("rand".to_owned(), rand)]),
            entries: Vec::new(),
            seq: 0,
            open: HashMap::new(),
            managed_fields: case.get("managedFields") == Some(&Tree::Bool(true)),
        };
        if case.get("namespace") != Some(&Tree::Bool(false)) {
            importer.namespace(&namespace);
        }
        for (step, answer) in case.get("steps").unwrap().items().iter().zip(case.get("answers").unwrap().items()) {
            importer.step(step, answer)?;
        }
        let lane = Lane { user_agent: "oracle/1".to_owned(), ..Lane::default() };
        let lanes: BTreeSet<String> = importer
            .entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Call(call) => Some(call.lane.clone()),
                _ => None,
            })
            .collect();
        let header = Header {
            name: format!("{area}/{title}"),
            recorded: Recorded {
                tool: "oracle".to_owned(),
                placement: "import".to_owned(),
                origin: format!("transcript {area}/{title} of {source}"),
                ..Recorded::default()
            },
            server: ServerFacts { version: source.to_owned(), ..ServerFacts::default() },
            lanes: lanes.into_iter().map(|name| (name, lane.clone())).collect(),
            pins: BTreeMap::from([(PLACEHOLDERS.0.to_owned(), PLACEHOLDERS.1.to_owned())]),
            ..Header::default()
        };
        Ok(Tape { header, entries: importer.entries, sealed: None })
    }

    /// The player makes a namespace for each case, and looks at nothing but that it can be asked.
    fn namespace(&mut self, name: &str) {
        let body = format!(r#"{{"apiVersion":"v1","kind":"Namespace","metadata":{{"name":"{name}"}}}}"#);
        let request = Request {
            method: "POST".to_owned(),
            path: "/api/v1/namespaces".to_owned(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: Some(Body::from_json(body.as_bytes())),
            ..Request::default()
        };
        let extra = Scope { status: true, ..Scope::default() }.members();
        let response = Response { status: 201, ..Response::default() };
        self.push(Call { request, response: Some(response), extra, ..Call::default() });
    }

    fn tick(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    fn push(&mut self, mut call: Call) -> usize {
        call.id = self.entries.len() as u64 + 1;
        if call.lane.is_empty() {
            call.lane = "oracle".to_owned();
        }
        call.seq = Marks { req: self.tick(), head: Some(self.tick()), end: self.tick() };
        call.t = Marks { req: call.seq.req, head: call.seq.head, end: call.seq.end };
        self.entries.push(Entry::Call(call));
        self.entries.len() - 1
    }

    fn step(&mut self, step: &Tree, answer: &Tree) -> Result<(), &'static str> {
        if step.get("sleep").is_some() {
            return Err("waits");
        }
        let lane = match step.get("as").and_then(Tree::as_str) {
            None | Some("admin") => "oracle",
            Some(who @ ("dev" | "anonymous")) => who,
            Some(_) => return Err("asks with a token of its own"),
        };
        if answer.get("error").is_some() || answer.get("status") == Some(&Tree::Int(0)) {
            return Err("got no answer");
        }
        if let Some(id) = step.get("join").and_then(Tree::as_str) {
            let at = self.open.remove(id).unwrap();
            return self.end_watch(at, answer);
        }
        let request = self.request(step)?;
        let paths = |key| texts(step, key).into_iter().map(as_frames).collect();
        let managed_fields = self.managed_fields || step.get("managedFields") == Some(&Tree::Bool(true));
        let until = match step.get("until") {
            Some(until) => Some(self.until(until)?),
            None => None,
        };
        let scope = Scope { ignore: paths("ignore"), sort: paths("sort"), managed_fields, until, ..Scope::default() };
        let lane = lane.to_owned();
        if let Some(watch) = step.get("watch") {
            if watch.get("closes").is_some() {
                return Err("looks at how a watch ends");
            }
            let at = self.push(Call { lane, request, extra: scope.members(), ..Call::default() });
            if step.get("background").is_some() {
                self.open.insert(step.text_at(&["id"]).to_owned(), at);
                return Ok(());
            }
            return self.end_watch(at, answer);
        }
        let (scope, body) = self.saved(step, answer, scope);
        let response = response(answer, body);
        self.push(Call { lane, request, response: Some(response), extra: scope.members(), ..Call::default() });
        Ok(())
    }

    /// What a request is repeated for.
    fn until(&self, until: &Tree) -> Result<Until, &'static str> {
        let until = self.substitute(until);
        match (until.get("status"), until.get("path"), until.get("equals")) {
            (Some(Tree::Int(status)), None, _) => Ok(Until::Status(u16::try_from(*status).unwrap())),
            (None, Some(Tree::Text(path)), Some(equals)) => Ok(Until::Value(path.clone(), equals.clone())),
            _ => Err("asks until something holds that cannot be said here"),
        }
    }

    /// The end of a watch: its frames are all there now.
    fn end_watch(&mut self, at: usize, answer: &Tree) -> Result<(), &'static str> {
        let answer = self.substitute(answer);
        let events = answer.get("events").map(Tree::items).unwrap_or_default().to_vec();
        let frames: Vec<_> = events
            .into_iter()
            .map(|tree| {
                let content = Body::Json { tree, render: Render::GO };
                let seq = self.tick();
                Frame { seq, t: seq, content, ..Frame::default() }
            })
            .collect();
        let end = self.tick();
        let body = answer.get("body").cloned();
        let Some(Entry::Call(call)) = self.entries.get_mut(at) else { return Err("has no watch to join") };
        call.response = Some(response(&answer, body));
        call.frames = frames;
        (call.seq.end, call.t.end) = (end, end);
        Ok(())
    }

    fn request(&self, step: &Tree) -> Result<Request, &'static str> {
        let step = &self.substitute(step);
        let raw = step.text_at(&["path"]);
        if raw.split('?').next().is_some_and(|path| path.contains('%')) {
            return Err("has an encoded path");
        }
        // Placeholders in it are none of a URI's characters.
        let encoded = [('<', "%3C"), ('>', "%3E"), ('{', "%7B"), ('}', "%7D")];
        let raw = encoded.iter().fold(raw.to_owned(), |raw, (letter, code)| raw.replace(*letter, code));
        let uri: http::Uri = raw.parse().map_err(|_| "has a path that is no URI")?;
        let (path, query) = target(&uri);
        let mut headers = BTreeMap::from([
            ("accept".to_owned(), "application/json".to_owned()),
            ("user-agent".to_owned(), "oracle/1".to_owned()),
        ]);
        let body = if let Some(tree) = step.get("body") {
            // As the player of the transcripts wrote it: some messages quote the bytes.
            Some(Body::Json { tree: tree.clone(), render: Render { spaced: true, ascii: true, ..Render::COMPACT } })
        } else if let Some(text) = step.get("rawBody").and_then(Tree::as_str) {
            Some(Body::from_json(text.as_bytes()))
        } else {
            let decode = |text| Body::Bytes(base64::engine::general_purpose::STANDARD.decode(text).unwrap());
            step.get("base64Body").and_then(Tree::as_str).map(decode)
        };
        if body.is_some() && step.get("base64Body").is_none() {
            headers.insert("content-type".to_owned(), "application/json".to_owned());
        }
        for (name, value) in step.get("headers").map(Tree::entries).unwrap_or_default() {
            let name = name.to_ascii_lowercase();
            match value.as_str() {
                Some(value) => headers.insert(name, value.to_owned()),
                None => headers.remove(&name),
            };
        }
        if headers.contains_key("authorization") {
            return Err("asks with a token of its own");
        }
        if headers.values().any(|value| value.contains("protobuf") || value.contains("cbor")) {
            return Err("speaks another form than JSON");
        }
        let headers = headers.into_iter().collect();
        Ok(Request { method: step.text_at(&["method"]).to_owned(), path, query, headers, body, ..Request::default() })
    }

    /// Notes what a step saves. Where the answer that was kept does not show it, the tape gets it under its own name.
    fn saved(&mut self, step: &Tree, answer: &Tree, mut scope: Scope) -> (Scope, Option<Tree>) {
        scope.only = texts(step, "only");
        scope.status = step.get("discard").is_some();
        let answer = self.substitute(answer);
        let mut body = answer.get("body").cloned();
        for (name, path) in step.get("save").map(Tree::entries).unwrap_or_default() {
            let path = path.as_str().unwrap_or_default();
            let shown = body.as_ref().and_then(|body| match scope.only.is_empty() {
                true => lookup(body, path),
                false => body.get(path),
            });
            let symbol = format!("{{{{{name}}}}}");
            let text = match shown {
                Some(Tree::Text(text)) if matches!(text.as_str(), "<rv>" | "<continue>") => {
                    // Of these the transcript does not say which: the variable's name does.
                    let only = !scope.only.is_empty();
                    let path: Vec<_> = if only { vec![path] } else { path.split('.').collect() };
                    set(body.as_mut(), &path, &symbol);
                    symbol
                }
                Some(Tree::Text(text)) => text.clone(),
                Some(Tree::Int(number)) => number.to_string(),
                _ => {
                    if scope.only.is_empty() {
                        body = None;
                    }
                    scope.only.push(path.to_owned());
                    let mut entries = body.take().map(|body| body.entries().to_vec()).unwrap_or_default();
                    entries.push((path.to_owned(), Tree::Text(symbol.clone())));
                    body = Some(Tree::Map(entries));
                    symbol
                }
            };
            self.variables.insert(name.clone(), text);
        }
        (scope, body)
    }

    fn text(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (name, value) in &self.variables {
            out = out.replace(&format!("{{{{{name}}}}}"), value);
        }
        out
    }

    fn substitute(&self, tree: &Tree) -> Tree {
        match tree {
            Tree::Text(text) => Tree::Text(self.text(text)),
            Tree::List(items) => Tree::List(items.iter().map(|item| self.substitute(item)).collect()),
            Tree::Map(entries) => Tree::Map(entries.iter().map(|(k, v)| (self.text(k), self.substitute(v))).collect()),
            other => other.clone(),
        }
    }
}

fn set(tree: Option<&mut Tree>, path: &[&str], text: &str) {
    match (tree, path) {
        (Some(tree), []) => *tree = Tree::from(text),
        (Some(Tree::List(items)), [at, rest @ ..]) => set(items.get_mut(at.parse::<usize>().unwrap()), rest, text),
        (Some(tree), [key, rest @ ..]) => set(tree.get_mut(key), rest, text),
        (None, _) => panic!("a path that is not there"),
    }
}

fn lookup<'t>(tree: &'t Tree, path: &str) -> Option<&'t Tree> {
    path.split('.').try_fold(tree, |tree, part| match tree {
        Tree::List(items) => items.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    })
}

fn response(answer: &Tree, body: Option<Tree>) -> Response {
    let Some(Tree::Int(status)) = answer.get("status") else { panic!("an answer without a status") };
    let mut headers = Vec::new();
    for (name, value) in answer.get("headers").map(Tree::entries).unwrap_or_default() {
        let values = match value {
            Tree::List(items) => items.iter().filter_map(Tree::as_str).collect(),
            other => vec![other.as_str().unwrap_or_default()],
        };
        headers.extend(values.into_iter().map(|value| (name.clone(), value.to_owned())));
    }
    headers.sort();
    let body = body.and_then(|body| match body {
        Tree::Null => None,
        Tree::Text(text) => (!text.is_empty()).then(|| Body::from_text(text.as_bytes())),
        tree => Some(Body::Json { tree, render: Render::GO }),
    });
    Response { status: u16::try_from(*status).unwrap(), headers, body, ..Response::default() }
}
