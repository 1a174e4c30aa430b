//! From a journal to its canonical form: a pure function. Events of one exchange come together, `seq` keeps the order
//! between exchanges, what was open is given an end, frames are told their causes, repeated bodies are shared.

use super::cause;
use super::model::*;
use super::same;
use super::tree::Tree;
use std::collections::HashMap;

/// Folds the documents of a journal. Canonical documents among them pass through.
///
/// Exchanges without an end get `recorder-crash`, or `recorder-stop` where the journal was sealed. A call whose request
/// was lost keeps what is left of it, marked `x-lost: request`.
#[must_use]
pub fn fold(documents: Vec<Document>) -> Tape {
    let mut tape = gather(documents);
    cause::compute(&mut tape);
    same::share(&mut tape);
    tape
}

/// Brings exchanges together, and no more: no causes, no body is shared.
pub(super) fn gather(documents: Vec<Document>) -> Tape {
    let mut folding = Folding::default();
    documents.into_iter().for_each(|document| folding.add(document));
    let mut tape = folding.finish();
    // Canonical documents among them may share bodies, and a shared one does not tell its uid.
    tape.unshare();
    tape
}

#[derive(Default)]
struct Folding {
    header: Option<Header>,
    open: Vec<Open>,
    /// Where the newest exchange of an id is among the open ones.
    by_id: HashMap<u64, usize>,
    entries: Vec<Entry>,
    sealed: Option<Sealed>,
}

/// What is known of one exchange.
#[derive(Default)]
struct Open {
    id: u64,
    req: Option<ReqDoc>,
    head: Option<HeadDoc>,
    frames: Vec<Frame>,
    end: Option<EndDoc>,
}

impl Folding {
    fn add(&mut self, document: Document) {
        match document {
            Document::Header(header) => {
                self.header.get_or_insert(header);
            }
            Document::Req(it) => {
                let id = it.of;
                self.begin(id).req = Some(it);
            }
            Document::Head(it) => {
                let id = it.of;
                self.exchange(id).head = Some(it);
            }
            Document::Frame(FrameDoc { of, frame }) => self.exchange(of).frames.push(frame),
            Document::End(it) => {
                let id = it.of;
                self.exchange(id).end = Some(it);
            }
            Document::Call(call) => self.entries.push(Entry::Call(call)),
            Document::Upgrade(upgrade) => self.entries.push(Entry::Upgrade(upgrade)),
            Document::Mark(mark) => self.entries.push(Entry::Mark(mark)),
            Document::Sealed(sealed) => self.sealed = Some(sealed),
        }
    }

    /// A request begins an exchange, even where its id is taken: `lint` tells of doubled ids, and nothing is lost.
    fn begin(&mut self, id: u64) -> &mut Open {
        let fresh = self.by_id.get(&id).is_none_or(|at| self.open[*at].req.is_some());
        if fresh {
            self.by_id.insert(id, self.open.len());
            self.open.push(Open { id, ..Open::default() });
        }
        self.exchange(id)
    }

    fn exchange(&mut self, id: u64) -> &mut Open {
        let next = self.open.len();
        let at = *self.by_id.entry(id).or_insert(next);
        if at == next {
            self.open.push(Open { id, ..Open::default() });
        }
        &mut self.open[at]
    }

    fn finish(self) -> Tape {
        let cut = if self.sealed.is_some() { End::RecorderStop } else { End::RecorderCrash };
        let mut entries = self.entries;
        // An upgraded connection has a request of its own in the journal, so that a crash leaves evidence of it.
        let upgrades: std::collections::HashSet<u64> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Upgrade(upgrade) => Some(upgrade.id),
                _ => None,
            })
            .collect();
        let open = self.open.into_iter().filter(|open| !upgrades.contains(&open.id));
        entries.extend(open.map(|open| Entry::Call(open.close(&cut))));
        entries.sort_by_key(Entry::seq);
        Tape { header: self.header.unwrap_or_default(), entries, sealed: self.sealed }
    }
}

impl Open {
    fn close(mut self, cut: &End) -> Call {
        self.frames.sort_by_key(|frame| frame.seq);
        let last = self.last();
        let req_lost = self.req.is_none();
        let req = self.req.unwrap_or_else(|| ReqDoc { of: self.id, ..ReqDoc::default() });
        let mut extra = req.extra;
        if req_lost {
            merge(&mut extra, vec![("x-lost".into(), Tree::from("request"))], "");
        }
        let mut call = Call {
            id: self.id,
            lane: req.lane,
            conn: req.conn,
            seq: Marks { req: req.seq, head: None, end: last.0 },
            t: Marks { req: req.t, head: None, end: last.1 },
            request: req.request,
            response: None,
            frames: self.frames,
            end: cut.clone(),
            faults: Vec::new(),
            audit_id: req.audit_id,
            extra,
        };
        if let Some(head) = self.head {
            (call.seq.head, call.t.head) = (Some(head.seq), Some(head.t));
            call.response = Some(head.response);
            merge(&mut call.extra, head.extra, "head-");
        }
        if let Some(end) = self.end {
            (call.seq.end, call.t.end) = (end.seq, end.t);
            call.end = end.end;
            call.faults = end.faults;
            merge(&mut call.extra, end.extra, "end-");
        }
        if req_lost {
            call.seq.req = call.seq.head.or(call.frames.first().map(|f| f.seq)).unwrap_or(call.seq.end);
            call.t.req = call.t.head.or(call.frames.first().map(|f| f.t)).unwrap_or(call.t.end);
        }
        call
    }

    /// The last thing that is known to have happened.
    fn last(&self) -> (Seq, Micros) {
        let req = self.req.iter().map(|req| (req.seq, req.t));
        let head = self.head.iter().map(|head| (head.seq, head.t));
        let frames = self.frames.iter().map(|frame| (frame.seq, frame.t));
        req.chain(head).chain(frames).max().unwrap_or_default()
    }
}

/// Adds unknown fields; one whose name is taken by another value gets a prefix.
fn merge(into: &mut Extra, from: Extra, prefix: &str) {
    for (key, value) in from {
        match into.iter().find(|(k, _)| *k == key) {
            None => into.push((key, value)),
            Some((_, same)) if *same == value => {}
            Some(_) => {
                let key = format!("{prefix}{key}");
                if !into.iter().any(|(k, _)| *k == key) {
                    into.push((key, value));
                }
            }
        }
    }
}

impl Entry {
    /// Ordinal of its first event.
    #[must_use]
    pub fn seq(&self) -> Seq {
        match self {
            Self::Call(call) => call.seq.req,
            Self::Upgrade(upgrade) => upgrade.seq.req,
            Self::Mark(mark) => mark.seq,
        }
    }

    /// The call, where it is one.
    #[must_use]
    pub fn call(&self) -> Option<&Call> {
        match self {
            Self::Call(call) => Some(call),
            _ => None,
        }
    }
}

impl Document {
    /// Ordinal of its last event; 0 for header and seal.
    #[must_use]
    pub fn seq(&self) -> Seq {
        match self {
            Self::Header(_) | Self::Sealed(_) => 0,
            Self::Req(it) => it.seq,
            Self::Head(it) => it.seq,
            Self::Frame(it) => it.frame.seq,
            Self::End(it) => it.seq,
            Self::Call(it) => it.seq.end,
            Self::Upgrade(it) => it.seq.end,
            Self::Mark(it) => it.seq,
        }
    }
}

impl From<Entry> for Document {
    fn from(entry: Entry) -> Self {
        match entry {
            Entry::Call(it) => Self::Call(it),
            Entry::Upgrade(it) => Self::Upgrade(it),
            Entry::Mark(it) => Self::Mark(it),
        }
    }
}

impl Tape {
    /// The calls, in order.
    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.entries.iter().filter_map(Entry::call)
    }

    /// The calls, to be changed.
    pub fn calls_mut(&mut self) -> impl Iterator<Item = &mut Call> {
        self.entries.iter_mut().filter_map(|entry| match entry {
            Entry::Call(call) => Some(call),
            _ => None,
        })
    }
}
