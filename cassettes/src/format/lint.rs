//! What `rehearsal tape lint` finds: everything that is legal text and yet no good tape.

use super::canonical::{self, Seal};
use super::error::{Place, TapeError};
use super::model::*;
use super::paths;
use super::read;
use super::side::{SideFiles, name_of};
use super::symbols::Symbols;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The tape can be used.
    Warning,
    /// It cannot, or not to the end.
    Error,
}

/// One thing that is wrong with a tape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is.
    pub place: Place,
    /// Name of the rule.
    pub rule: &'static str,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{}: {severity}: {} [{}]", self.place, self.message, self.rule)
    }
}

/// What a tape must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LintOptions {
    /// A missing or edited seal is an error.
    pub require_seal: bool,
}

/// Looks a tape over, side files included. A text that is no tape is a finding too.
///
/// # Errors
/// A file that cannot be read.
pub fn lint(path: &Path, options: LintOptions) -> Result<Vec<Finding>, TapeError> {
    let bytes = std::fs::read(path).map_err(|error| TapeError::io("read", path, &error))?;
    let mut lint = Lint { path, findings: Vec::new(), lines: Vec::new() };
    match canonical::load_bytes(&bytes) {
        Ok(loaded) => {
            lint.whole(&loaded, options);
            if let Some(text) = std::str::from_utf8(&bytes).ok().filter(|_| !loaded.journal) {
                lint.text(text, &loaded.tape);
            }
            lint.tape(&loaded.tape);
            lint.side_files(&loaded.tape);
        }
        Err(error) => lint.unreadable(error),
    }
    lint.findings.sort_by_key(|finding| (finding.place.line, finding.rule));
    Ok(lint.findings)
}

struct Lint<'p> {
    path: &'p Path,
    findings: Vec<Finding>,
    /// Document and line of each entry, by its seq.
    lines: Vec<(Seq, usize, usize)>,
}

impl Lint<'_> {
    fn find(&mut self, severity: Severity, rule: &'static str, at: Option<&Entry>, message: String) {
        let known = at.and_then(|entry| self.lines.iter().find(|(seq, ..)| *seq == entry.seq()));
        let (document, line) = known.map_or((0, 0), |(_, document, line)| (*document, *line));
        let place = Place { file: Some(self.path.to_owned()), document, line };
        self.findings.push(Finding { severity, place, rule, message });
    }

    fn error(&mut self, rule: &'static str, at: Option<&Entry>, message: String) {
        self.find(Severity::Error, rule, at, message);
    }

    fn warning(&mut self, rule: &'static str, at: Option<&Entry>, message: String) {
        self.find(Severity::Warning, rule, at, message);
    }

    fn unreadable(&mut self, error: TapeError) {
        let (place, message) = match error {
            TapeError::Invalid { place, message } | TapeError::Version { place, message } => (place, message),
            other => (Place::default(), other.to_string()),
        };
        let place = place.in_file(self.path);
        self.findings.push(Finding { severity: Severity::Error, place, rule: "unreadable", message });
    }

    fn whole(&mut self, loaded: &canonical::Loaded, options: LintOptions) {
        if loaded.lost_bytes > 0 {
            self.error("lost-bytes", None, format!("{} bytes hold no whole document", loaded.lost_bytes));
        }
        if loaded.journal {
            self.warning("journal", None, "a journal; `rehearsal tape fmt` makes a tape of it".into());
        }
        let severity = if options.require_seal { Severity::Error } else { Severity::Warning };
        match loaded.seal {
            Seal::Intact => {}
            Seal::Edited => self.find(severity, "edited", None, "edited since seal".into()),
            Seal::None => self.find(severity, "unsealed", None, "not sealed: its recorder did not end well".into()),
        }
        if let Some(sealed) = loaded.tape.sealed.as_ref().filter(|sealed| sealed.drops > 0) {
            self.error("drops", None, format!("{} events were not recorded", sealed.drops));
        }
    }

    /// Lines of the entries, and whether the text is what `fmt` would write.
    fn text(&mut self, text: &str, tape: &Tape) {
        for piece in read::pieces(text).skip(1) {
            if let Ok(document) = read::document(&piece) {
                let seq = match document {
                    Document::Call(it) => it.seq.req,
                    Document::Upgrade(it) => it.seq.req,
                    Document::Mark(it) => it.seq,
                    _ => continue,
                };
                self.lines.push((seq, piece.document, piece.line));
            }
        }
        if canonical::to_text(tape) != text {
            self.warning("not-canonical", None, "not in canonical form; `rehearsal tape fmt` writes it".into());
        }
    }

    fn tape(&mut self, tape: &Tape) {
        self.header(&tape.header);
        self.ids(tape);
        self.order(tape);
        self.links(tape);
        let symbols = Symbols::of(&tape.header);
        for entry in &tape.entries {
            for name in symbols.unknown(entry) {
                self.error("symbol", Some(entry), format!("the table has no symbol {name:?}"));
            }
        }
    }

    fn header(&mut self, header: &Header) {
        let imported = header.recorded.placement == "import";
        match header.redaction.passes {
            0 if !imported => self.warning("redaction", None, "was not redacted; scan it before you share it".into()),
            1 => self.warning(
                "redaction",
                None,
                "the second pass of the redaction is missing; scan it before you share it".into(),
            ),
            _ => {}
        }
        if let Some(plan) = &header.plan
            && !plan.sha256.is_empty()
            && canonical::sha256(plan.text.as_bytes()) != plan.sha256
        {
            self.warning("plan", None, "the fault plan is not the one that its hash is of".into());
        }
        for (name, value) in &header.symbols {
            if value.as_str().is_none() {
                self.error("symbol", None, format!("symbol {name:?} is no text"));
            }
        }
    }

    fn ids(&mut self, tape: &Tape) {
        let mut seen = BTreeSet::new();
        for entry in &tape.entries {
            let id = match entry {
                Entry::Call(call) => call.id,
                Entry::Upgrade(upgrade) => upgrade.id,
                Entry::Mark(_) => continue,
            };
            if !seen.insert(id) {
                self.error("duplicate-id", Some(entry), format!("id {id} is taken"));
            }
        }
    }

    /// Every event has an ordinal of its own, and those of one exchange rise.
    fn order(&mut self, tape: &Tape) {
        let mut seen: BTreeMap<Seq, u64> = BTreeMap::new();
        for entry in &tape.entries {
            let (id, marks, frames) = match entry {
                Entry::Call(call) => (call.id, call.seq, call.frames.as_slice()),
                Entry::Upgrade(upgrade) => (upgrade.id, upgrade.seq, &[][..]),
                Entry::Mark(mark) => (0, Marks { req: mark.seq, head: None, end: mark.seq }, &[][..]),
            };
            let mut events = vec![marks.req];
            events.extend(marks.head);
            events.extend(frames.iter().map(|frame| frame.seq));
            if !events.is_sorted_by(|a, b| a < b) {
                self.error("seq", Some(entry), format!("the events of {} do not rise", name(entry)));
            }
            if events.last().is_some_and(|last| marks.end < *last) {
                self.error("seq", Some(entry), format!("{} ends before its last event", name(entry)));
            }
            events.push(marks.end);
            // An answer that is complete with its head ends where it begins.
            events.dedup();
            for seq in events {
                if let Some(other) = seen.insert(seq, id).filter(|other| *other != id || id == 0) {
                    self.error("seq", Some(entry), format!("seq {seq} of {} is also of #{other}", name(entry)));
                }
            }
            if let Entry::Call(call) = entry {
                let times = std::iter::once(call.t.req).chain(call.t.head).chain(call.frames.iter().map(|f| f.t));
                if !times.chain([call.t.end]).is_sorted() {
                    self.warning("time", Some(entry), format!("the times of {} go back", name(entry)));
                }
            }
        }
    }

    /// What one entry says about another, and about the header.
    fn links(&mut self, tape: &Tape) {
        let ids: BTreeSet<u64> = tape.calls().map(|call| call.id).collect();
        let lanes = &tape.header.lanes;
        for entry in &tape.entries {
            let Entry::Call(call) = entry else { continue };
            if !call.lane.is_empty() && !lanes.contains_key(&call.lane) {
                self.warning("lane", Some(entry), format!("the header has no lane {:?}", call.lane));
            }
            if call.request.method.is_empty() {
                self.error("lost-request", Some(entry), format!("the request of #{} was lost", call.id));
            }
            if call.end == End::RecorderCrash {
                self.warning("open", Some(entry), format!("#{} was open when its recorder died", call.id));
            }
            if let Some(body @ Body::Same { of }) = call.response.as_ref().and_then(|response| response.body.as_ref())
                && tape.resolve(body).is_none()
            {
                self.error("same", Some(entry), format!("the body of #{} is that of #{of}, which has none", call.id));
            }
            let others = call.frames.iter().filter(|frame| matches!(frame.content, Body::Same { .. })).count();
            if others > 0 || matches!(call.request.body, Some(Body::Same { .. })) {
                self.error(
                    "same",
                    Some(entry),
                    format!("only responses can have the body of another call: #{}", call.id),
                );
            }
            let strangers: BTreeSet<_> =
                call.frames.iter().flat_map(|frame| &frame.cause).filter(|id| !ids.contains(id)).collect();
            for id in strangers {
                self.warning(
                    "cause",
                    Some(entry),
                    format!("a frame of #{} has the cause #{id}, which is not there", call.id),
                );
            }
        }
    }

    fn side_files(&mut self, tape: &Tape) {
        let files = SideFiles::of(self.path);
        let mut seen = BTreeSet::new();
        for entry in &tape.entries {
            for body in entry.bodies() {
                if name_of(body).is_some_and(|name| seen.insert(name))
                    && let Err(TapeError::SideFile { path, reason, .. }) = files.load(body)
                {
                    self.error("side-file", Some(entry), format!("side file {}: {reason}", path.display()));
                }
            }
        }
        let own = paths::side_dir(self.path);
        for name in files.names().into_iter().filter(|name| !seen.contains(name)) {
            self.warning("side-file", None, format!("nothing needs {}", own.join(name).display()));
        }
    }
}

fn name(entry: &Entry) -> String {
    match entry {
        Entry::Call(call) => format!("#{}", call.id),
        Entry::Upgrade(upgrade) => format!("#{}", upgrade.id),
        Entry::Mark(mark) => format!("mark {:?}", mark.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(id: u64, seq: Seq) -> Call {
        Call {
            id,
            seq: Marks { req: seq, head: Some(seq + 1), end: seq + 2 },
            request: Request { method: "GET".into(), path: "/".into(), ..Request::default() },
            response: Some(Response { status: 200, ..Response::default() }),
            ..Call::default()
        }
    }

    fn rules(change: impl FnOnce(&mut Tape), options: LintOptions) -> Vec<String> {
        let mut tape = Tape { entries: vec![Entry::Call(call(1, 1)), Entry::Call(call(2, 11))], ..Tape::default() };
        tape.header.redaction.passes = 2;
        change(&mut tape);
        if tape.sealed.is_none() {
            canonical::seal(&mut tape);
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tape.yaml");
        canonical::save(&tape, &path).unwrap();
        let found = lint(&path, options).unwrap();
        found.into_iter().map(|it| format!("{}:{} {}", it.place.line, it.rule, it.message)).collect()
    }

    fn second(tape: &mut Tape, change: impl FnOnce(&mut Call)) {
        change(tape.calls_mut().nth(1).unwrap());
    }

    #[test]
    fn a_good_tape_has_no_findings() {
        assert_eq!(rules(|_| {}, LintOptions { require_seal: true }), Vec::<String>::new());
    }

    #[test]
    fn each_thing_that_is_wrong_is_found_with_its_line() {
        let plain = LintOptions::default();
        let body = Some(Body::Ref {
            hash: "0123456789abcdef".into(),
            bytes: 1,
            is: "json".into(),
            render: Render::GO,
            summary: Vec::new(),
        });
        assert_eq!(rules(|tape| second(tape, |it| it.id = 1), plain), ["19:duplicate-id id 1 is taken"]);
        assert_eq!(
            rules(|tape| second(tape, |it| it.seq.head = Some(4)), plain)[0],
            "19:seq the events of #2 do not rise"
        );
        assert_eq!(rules(|tape| second(tape, |it| it.seq.req = 2), plain)[0], "19:seq seq 2 of #2 is also of #1");
        assert_eq!(rules(|tape| second(tape, |it| it.t.req = 9), plain), ["19:time the times of #2 go back"]);
        assert_eq!(
            rules(|tape| second(tape, |it| it.lane = "x".into()), plain),
            ["19:lane the header has no lane \"x\""]
        );
        assert!(
            rules(|tape| second(tape, |it| it.request.body = body), plain)[0].starts_with("19:side-file side file")
        );
        assert_eq!(rules(|tape| tape.header.redaction.passes = 0, plain).len(), 1);
        assert_eq!(rules(|tape| tape.sealed = Some(Sealed::default()), plain), ["0:edited edited since seal"]);
        let symbols = rules(
            |tape| {
                tape.header.symbols = vec![("a".into(), "b".into())];
                second(tape, |it| it.request.path = "/${c}".into());
            },
            plain,
        );
        assert_eq!(symbols, ["21:symbol the table has no symbol \"c\""]);
    }

    #[test]
    fn a_seal_can_be_demanded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tape.yaml");
        canonical::save(&Tape::default(), &path).unwrap();
        let worst =
            |require_seal| lint(&path, LintOptions { require_seal }).unwrap().iter().map(|it| it.severity).max();
        assert_eq!((worst(false), worst(true)), (Some(Severity::Warning), Some(Severity::Error)));
    }

    #[test]
    fn what_is_no_tape_is_a_finding() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tape.yaml");
        std::fs::write(&path, "---\nkind: Tape\nformat: {major: 1}\n---\nkind: Call\nid: x\n").unwrap();
        let found = lint(&path, LintOptions::default()).unwrap();
        assert_eq!((found[0].rule, found[0].place.line), ("unreadable", 6));
    }
}
