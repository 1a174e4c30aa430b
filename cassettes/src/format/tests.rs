//! Round trips and damage, over arbitrary tapes.

use super::model::*;
use super::strategies;
use super::*;
use proptest::prelude::*;

fn journal(header: &Header, events: &[Document]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = framed(&Document::Header(header.clone())).into_bytes();
    let mut ends = vec![bytes.len()];
    for event in events {
        bytes.extend_from_slice(framed(event).as_bytes());
        ends.push(bytes.len());
    }
    (bytes, ends)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_tape_with_any_change_is_read_or_refused_and_what_is_read_is_stable(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..4usize, any::<prop::sample::Index>()), 1..4),
        journal in any::<bool>(),
    ) {
        let golden = include_bytes!("../../fixtures/v1.0.tape.yaml");
        let mut bytes = if journal { bytes_of(&recording()).0 } else { golden.to_vec() };
        for (at, remove, from) in edits {
            // What is put in comes from the text itself, so that it is likely to be syntax.
            let (at, from) = (at.index(bytes.len()), from.index(golden.len() - 4));
            let end = (at + remove).min(bytes.len());
            bytes.splice(at..end, golden[from..from + 3].iter().copied());
        }
        if let Ok(loaded) = load_bytes(&bytes) {
            let text = to_text(&loaded.tape);
            let again = from_text(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
            prop_assert_eq!(to_text(&again), text);
        }
    }

    #[test]
    fn any_tape_comes_back_from_its_text(tape in strategies::tape()) {
        let text = to_text(&tape);
        let read = from_text(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(&read, &tape, "{}", text);
        prop_assert_eq!(to_text(&read), text);
    }

    #[test]
    fn any_body_gives_its_bytes_back(tree in strategies::tree(), flags in any::<[bool; 5]>()) {
        let [indent, html, newline, spaced, ascii] = flags;
        let bytes = json::render(&tree, Render { indent, html, newline, spaced, ascii });
        prop_assert_eq!(model::Body::from_json(&bytes).bytes().unwrap(), bytes);
    }

    #[test]
    fn a_whole_journal_comes_back_and_folds_into_a_fixpoint(
        header in strategies::header(),
        events in prop::collection::vec(strategies::event(), 0..8),
    ) {
        let (bytes, _) = journal(&header, &events);
        let recovered = recover(&bytes).unwrap();
        prop_assert_eq!(recovered.lost_bytes(), 0);
        prop_assert_eq!(&recovered.documents[1..], &events[..]);
        let mut tape = fold(recovered.documents);
        seal(&mut tape);
        let text = to_text(&tape);
        let loaded = load_bytes(text.as_bytes()).unwrap();
        prop_assert_eq!(loaded.seal, Seal::Intact);
        prop_assert_eq!(to_text(&loaded.tape), text);
    }
}

/// A journal as a recorder leaves it: two calls, one watch with frames, a mark.
fn recording() -> Vec<Document> {
    let request = |path: &str| Request { method: "GET".into(), path: path.into(), ..Request::default() };
    let mut events = vec![Document::Header(Header { name: "cut".into(), ..Header::default() })];
    let mut seq = 0;
    let mut next = || {
        seq += 1;
        seq
    };
    events.push(Document::Req(ReqDoc { of: 1, seq: next(), request: request("/watch"), ..ReqDoc::default() }));
    events.push(Document::Head(HeadDoc {
        of: 1,
        seq: next(),
        response: Response { status: 200, ..Response::default() },
        ..HeadDoc::default()
    }));
    for n in 0..12 {
        let text =
            format!("{{\"type\":\"ADDED\",\"object\":{{\"n\":{n},\"text\":\"\\n---\\n# crc 00000000 12\\n\"}}}}\n");
        let frame = Frame { seq: next(), content: Body::from_json(text.as_bytes()), ..Frame::default() };
        events.push(Document::Frame(FrameDoc { of: 1, frame }));
    }
    events.push(Document::Mark(Mark { seq: next(), text: "x".into(), ..Mark::default() }));
    events.push(Document::End(EndDoc { of: 1, seq: next(), ..EndDoc::default() }));
    events
}

fn bytes_of(documents: &[Document]) -> (Vec<u8>, Vec<usize>) {
    let mut bytes = Vec::new();
    let ends = documents
        .iter()
        .map(|document| {
            bytes.extend_from_slice(framed(document).as_bytes());
            bytes.len()
        })
        .collect();
    (bytes, ends)
}

#[test]
fn a_cut_at_any_byte_keeps_every_whole_document() {
    let documents = recording();
    let (bytes, ends) = bytes_of(&documents);
    for cut in 0..=bytes.len() {
        let whole = ends.iter().filter(|end| **end <= cut).count();
        // The newline of a trailer may be missing.
        let whole = whole + usize::from(ends.contains(&(cut + 1)));
        let recovered = recover(&bytes[..cut]).unwrap();
        let kept = &recovered.documents[usize::from(whole == 0)..];
        assert_eq!(kept, &documents[..whole], "cut at {cut}");
        let rest = cut - whole.checked_sub(1).map_or(0, |last| ends[last].min(cut));
        assert_eq!(recovered.lost_bytes(), rest, "cut at {cut}");
        let tape = fold(recovered.documents);
        if whole > 1 && whole < documents.len() {
            assert_eq!(tape.calls().next().unwrap().end, End::RecorderCrash);
        }
    }
}

#[test]
fn bit_flips_lose_the_documents_they_hit_and_no_other() {
    let documents = recording();
    let (bytes, ends) = bytes_of(&documents);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..500 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bit = (random >> 20) as usize % (bytes.len() * 8);
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let hit = ends.iter().filter(|end| **end <= bit / 8).count();
        let recovered = recover(&damaged).unwrap();
        let found = &recovered.documents[usize::from(recovered.header_lost && hit == 0)..];
        let without: Vec<_> =
            documents.iter().enumerate().filter(|(at, _)| *at != hit).map(|(_, d)| d.clone()).collect();
        // A flip in what only separates (the newline after a trailer) need not lose anything.
        assert!(found == without || found == documents, "bit {bit}");
    }
}

#[test]
fn many_flips_at_once_never_yield_a_wrong_document() {
    let documents = recording();
    let (bytes, ends) = bytes_of(&documents);
    let mut damaged = bytes.clone();
    let mut random = 7_u64;
    let mut hit = std::collections::BTreeSet::new();
    for _ in 0..6 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bit = (random >> 20) as usize % (bytes.len() * 8);
        damaged[bit / 8] ^= 1 << (bit % 8);
        hit.insert(ends.iter().filter(|end| **end <= bit / 8).count());
    }
    let recovered = recover(&damaged).unwrap();
    assert!(
        recovered
            .documents
            .iter()
            .all(|found| documents.contains(found) || *found == Document::Header(Header::default()))
    );
    assert!(recovered.documents.len() >= documents.len() - hit.len());
    assert!(recovered.lost_bytes() > 0);
}

#[test]
fn a_journal_of_unknown_version_is_refused() {
    let header = Header { format: FormatVersion { major: 9, ..FormatVersion::default() }, ..Header::default() };
    let (bytes, _) = bytes_of(&[Document::Header(header)]);
    assert!(recover(&bytes).unwrap_err().is_version());
}

#[test]
fn causes_are_found_by_version_and_deletions_by_uid() {
    let object =
        |version: u32| format!(r#"{{"kind":"Pod","metadata":{{"name":"a","uid":"u","resourceVersion":"{version}"}}}}"#);
    let write = |id: u64, method: &str, body: &str| {
        let seq = Marks { req: id * 10, head: Some(id * 10 + 5), end: id * 10 + 5 };
        let request = Request { method: method.into(), path: "/api/v1/pods/a".into(), ..Request::default() };
        let body = Some(Body::from_json(body.as_bytes()));
        Entry::Call(Call {
            id,
            seq,
            request,
            response: Some(Response { status: 200, body, ..Response::default() }),
            ..Call::default()
        })
    };
    let frame = |seq: u64, kind: &str, version: u32| Frame {
        seq,
        content: Body::from_json(format!(r#"{{"type":"{kind}","object":{}}}"#, object(version)).as_bytes()),
        ..Frame::default()
    };
    let watch = Call {
        id: 9,
        // The event of the second write comes before its response, that of a stranger has no cause.
        frames: vec![
            frame(16, "ADDED", 5),
            frame(24, "MODIFIED", 6),
            frame(31, "MODIFIED", 7),
            frame(45, "DELETED", 8),
        ],
        ..Call::default()
    };
    let details = r#"{"kind":"Status","status":"Success","details":{"name":"a","kind":"pods","uid":"u"}}"#;
    let entries = [
        write(1, "POST", &object(5)),
        write(2, "PUT", &object(6)),
        // Changed nothing.
        write(3, "PUT", &object(6)),
        write(4, "DELETE", details),
        Entry::Call(watch),
    ];
    let tape = fold(entries.into_iter().map(Document::from).collect());
    let watch = tape.calls().find(|call| call.id == 9).unwrap();
    let causes: Vec<_> = watch.frames.iter().map(|frame| frame.cause.clone()).collect();
    assert_eq!(causes, [vec![1], vec![2], vec![], vec![4]]);
}

#[test]
fn equal_bodies_are_kept_once_and_come_back() {
    let body = Body::Text("x".repeat(600));
    let call = |id: u64| {
        let response = Some(Response { status: 200, body: Some(body.clone()), ..Response::default() });
        Document::Call(Call { id, seq: Marks { req: id, ..Marks::default() }, response, ..Call::default() })
    };
    let mut tape = fold(vec![call(1), call(2), call(3)]);
    let of = |tape: &Tape, at: usize| tape.calls().nth(at).unwrap().response.clone().unwrap().body.unwrap();
    assert_eq!((of(&tape, 0), of(&tape, 2)), (body.clone(), Body::Same { of: 1 }));
    assert_eq!(tape.resolve(&of(&tape, 2)), Some(&body));
    tape.unshare();
    assert_eq!(of(&tape, 2), body);
}

#[test]
fn what_a_newer_minor_version_wrote_is_carried_along() {
    let text = "---\nkind: Tape\nformat:\n  major: 1\n  minor: 7\nfuture:\n  - 1\n---\nkind: Call\nid: 1\nseq: {req: 1, end: 2}\n\
                t: {req: 0.000, end: 0.001}\nrequest:\n  method: GET\n  path: /\n  priority: high\nend: complete\nmood: good\n";
    assert_eq!(to_text(&from_text(text).unwrap()), text);
}

#[test]
fn a_hand_may_write_any_yaml_and_its_mistakes_have_lines() {
    let text = "# by hand\n---\nkind: Tape\nformat: {major: 1}\n---\nkind: Call\nid: 1 # one\nseq: {req: 1, end: 2}\n\
                t: {req: 0, end: 1.5}\nrequest:\n  method: 'GET'\n  path: >-\n    /api\n  query: {limit: '5'}\nend: complete\n";
    let tape = from_text(text).unwrap();
    assert_eq!(tape.calls().next().unwrap().t.end, 1500);
    let canonical = to_text(&tape);
    assert_eq!(to_text(&from_text(&canonical).unwrap()), canonical);
    let mistakes = [
        ("id: 1 # one", "id: one", ":7 (document 2): id: expected a whole number"),
        ("'5'", "5", ":14 (document 2): request.query.limit: expected a text or a list of texts"),
        ("end: complete", "end: badly", ":15 (document 2): end: no exchange ends with \"badly\""),
        ("kind: Call", "kind: Cull", ":6 (document 2): kind: no document is a \"Cull\""),
        ("method: 'GET'", "method: ['GET']", ":11 (document 2): request.method: expected a text, found a list"),
        ("{major: 1}", "{major: 2}", ":2 (document 1): the tape has format 2.0, this program reads up to 1.0"),
        ("{major: 1}", "{major: 1, requires: [smell]}", ":2 (document 1): the tape requires smell"),
    ];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tape.yaml");
    for (right, wrong, message) in mistakes {
        std::fs::write(&path, text.replace(right, wrong)).unwrap();
        let error = load(&path).unwrap_err().to_string();
        let wanted = format!("{}{message}", path.display());
        assert!(error.starts_with(&wanted), "{error}\n{wanted}");
    }
}

#[test]
fn a_full_disk_is_told_with_what_is_safe() {
    let path = std::path::Path::new("/dev/full");
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    let mut writer = JournalWriter::over(file, path);
    let mark = Document::Mark(Mark { seq: 1, ..Mark::default() });
    let error = writer.append(&mark).unwrap_err();
    assert!(error.is_disk_full(), "{error}");
    let wanted = "write /dev/full: No space left on device (os error 28); 0 documents (0 bytes, up to seq 0) are safe in /dev/full";
    assert_eq!(error.to_string(), wanted);
    assert_eq!(writer.append(&mark).unwrap_err(), error);
}

#[test]
fn a_journal_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.tape.part");
    JournalWriter::create(&path, &Header::default()).unwrap();
    let error = JournalWriter::create(&path, &Header::default()).unwrap_err();
    assert!(error.to_string().starts_with("create ") && error.to_string().contains("x.tape.part"), "{error}");
}
