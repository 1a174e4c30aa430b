//! Arbitrary tapes and journals for property tests.

use super::model::*;
use super::tree::Tree;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

pub(super) fn text() -> BoxedStrategy<String> {
    prop_oneof![
        3 => "[a-zA-Z0-9 :#-]{0,12}",
        1 => "\\PC{0,12}",
        1 => any::<String>().prop_map(|text| text.chars().take(12).collect()),
        1 => prop::sample::select(vec![
            "no", "~", "1e3", "00123", "2026-01-01", "---", "- a", "# crc 00000000 12", "\n---\n", "a: b", "null", "=",
            "<<", "&a", "*a", "!t", "%", "@", "`", "{}", "[]", "1_000", "0x1f", ".inf", "12:30:45", "\u{85}", "\u{feff}",
            "${uid.a}", "${$}", "$", "\u{2028}x", "\0", "'", "\"", "\\", "?", "? a", ":", "y", "true",
        ]).prop_map(str::to_owned),
    ]
    .boxed()
}

fn number() -> BoxedStrategy<f64> {
    prop_oneof![any::<f64>().prop_filter("finite", |n| n.is_finite()), Just(1.0), Just(1e21), Just(-0.0), Just(1e-7)]
        .boxed()
}

pub(super) fn tree() -> BoxedStrategy<Tree> {
    let leaf = prop_oneof![
        Just(Tree::Null),
        any::<bool>().prop_map(Tree::Bool),
        any::<i64>().prop_map(Tree::Int),
        (i64::MAX as u64 + 1..).prop_map(Tree::Uint),
        number().prop_map(Tree::Float),
        text().prop_map(Tree::Text),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Tree::List),
            btree_map(text(), inner, 0..4).prop_map(|map| Tree::Map(map.into_iter().rev().collect())),
        ]
    })
    .boxed()
}

fn render() -> BoxedStrategy<Render> {
    any::<[bool; 5]>()
        .prop_map(|[indent, html, newline, spaced, ascii]| Render { indent, html, newline, spaced, ascii })
        .boxed()
}

pub(super) fn body() -> BoxedStrategy<Body> {
    let bytes = || vec(any::<u8>(), 0..20);
    prop_oneof![
        5 => (tree(), render()).prop_map(|(tree, render)| Body::Json { tree, render }),
        1 => text().prop_map(Body::Yaml),
        1 => text().prop_map(Body::Text),
        1 => bytes().prop_map(Body::Bytes),
        1 => (bytes(), pairs()).prop_map(|(bytes, summary)| Body::Proto { bytes, summary }),
        1 => ("[0-9a-f]{16}", any::<u64>(), render(), pairs()).prop_map(|(hash, bytes, render, summary)| Body::Ref {
            hash, bytes, is: "json".into(), render, summary,
        }),
        1 => any::<u64>().prop_map(|of| Body::Same { of }),
    ]
    .boxed()
}

/// Unique keys, any order.
fn pairs() -> BoxedStrategy<Vec<(String, String)>> {
    btree_map(text(), text(), 0..3).prop_map(|map| map.into_iter().rev().collect()).boxed()
}

fn multimap() -> BoxedStrategy<Vec<(String, String)>> {
    vec((text(), text()), 0..4)
        .prop_map(|mut pairs| {
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            pairs
        })
        .boxed()
}

fn extra() -> BoxedStrategy<Extra> {
    prop_oneof![
        3 => Just(Vec::new()),
        1 => btree_map("x-[a-z]{1,6}", tree(), 0..3).prop_map(|map| map.into_iter().rev().collect()),
    ]
    .boxed()
}

fn micros() -> BoxedStrategy<Micros> {
    (0..1u64 << 50).boxed()
}

pub(super) fn request() -> BoxedStrategy<Request> {
    (text(), text(), multimap(), multimap(), prop::option::of(body()), extra())
        .prop_map(|(method, path, query, headers, body, extra)| Request { method, path, query, headers, body, extra })
        .boxed()
}

pub(super) fn response() -> BoxedStrategy<Response> {
    (any::<u16>(), multimap(), prop::option::of(body()), extra())
        .prop_map(|(status, headers, body, extra)| Response { status, headers, body, extra })
        .boxed()
}

pub(super) fn frame() -> BoxedStrategy<Frame> {
    (
        any::<u64>(),
        micros(),
        body(),
        prop::option::of(any::<u32>()),
        vec(any::<u32>(), 0..3),
        vec(any::<u64>(), 0..3),
        extra(),
    )
        .prop_map(|(seq, t, content, coalesced, slices, cause, extra)| Frame {
            seq,
            t,
            content,
            coalesced,
            slices,
            cause,
            extra,
        })
        .boxed()
}

pub(super) fn end() -> BoxedStrategy<End> {
    prop_oneof![
        Just(End::Complete),
        Just(End::ClientCancel),
        Just(End::ServerGoaway),
        prop::option::of(any::<u32>()).prop_map(|code| End::Reset { code }),
        Just(End::EofNoNotify),
        Just(End::Timeout),
        Just(End::RecorderStop),
        Just(End::RecorderCrash),
        text().prop_map(|message| End::Upstream { message }),
    ]
    .boxed()
}

fn marks() -> BoxedStrategy<(Marks<Seq>, Marks<Micros>)> {
    let of =
        |most: u64| (0..most, prop::option::of(0..most), 0..most).prop_map(|(req, head, end)| Marks { req, head, end });
    (of(u64::MAX), of(1 << 50)).boxed()
}

pub(super) fn call() -> BoxedStrategy<Call> {
    let first = (any::<u64>(), text(), any::<u64>(), marks(), request());
    let second =
        (prop::option::of(response()), vec(frame(), 0..3), end(), vec(tree(), 0..2), prop::option::of(text()), extra());
    (first, second)
        .prop_map(|((id, lane, conn, (seq, t), request), (response, frames, end, faults, audit_id, extra))| Call {
            id,
            lane,
            conn,
            seq,
            t,
            request,
            response,
            frames,
            end,
            faults,
            audit_id,
            extra,
        })
        .boxed()
}

fn upgrade() -> BoxedStrategy<Upgrade> {
    let channel = (any::<i16>(), any::<u64>(), any::<u64>()).prop_map(|(channel, sent, received)| ChannelBytes {
        channel,
        sent,
        received,
    });
    let message = (any::<u64>(), micros(), any::<i16>(), any::<bool>(), body())
        .prop_map(|(seq, t, channel, from_client, content)| ChannelMessage { seq, t, channel, from_client, content });
    let first = (any::<u64>(), text(), any::<u64>(), marks(), request());
    let second = (
        prop::option::of(response()),
        text(),
        vec(channel, 0..3),
        prop::option::of(any::<u16>()),
        vec(message, 0..2),
        end(),
        extra(),
    );
    (first, second)
        .prop_map(
            |(
                (id, lane, conn, (seq, t), request),
                (response, protocol, channels, close_code, messages, end, extra),
            )| {
                Upgrade {
                    id,
                    lane,
                    conn,
                    seq,
                    t,
                    request,
                    response,
                    protocol,
                    channels,
                    close_code,
                    messages,
                    end,
                    extra,
                }
            },
        )
        .boxed()
}

fn mark() -> BoxedStrategy<Mark> {
    (any::<u64>(), micros(), text(), text(), extra())
        .prop_map(|(seq, t, what, text, extra)| Mark { seq, t, what, text, extra })
        .boxed()
}

fn sealed() -> BoxedStrategy<Sealed> {
    let revisions = btree_map(text(), (text(), text()), 0..3);
    ((any::<u64>(), any::<u64>(), revisions), any::<[u64; 3]>(), text(), extra())
        .prop_map(|((calls, frames, revisions), [open, drops, stalled_ms], sha256, extra)| Sealed {
            calls,
            frames,
            revisions,
            open,
            drops,
            stalled_ms,
            sha256,
            extra,
        })
        .boxed()
}

pub(super) fn header() -> BoxedStrategy<Header> {
    let role = prop::sample::select(vec![Role::Sut, Role::Driver, Role::Ambient]);
    let lane = (text(), text(), role, extra()).prop_map(|(user_agent, auth, role, extra)| Lane {
        user_agent,
        auth,
        role,
        extra,
    });
    let recorded = (text(), text(), text(), text(), any::<u64>(), text(), extra()).prop_map(
        |(at, tool, mode, placement, seed, origin, extra)| Recorded { at, tool, mode, placement, seed, origin, extra },
    );
    let server = (text(), text(), text(), vec(text(), 0..3), extra()).prop_map(
        |(version, platform, discovery_hash, flags, extra)| ServerFacts {
            version,
            platform,
            discovery_hash,
            flags,
            extra,
        },
    );
    let clock = (text(), text(), any::<u64>(), extra()).prop_map(|(start, source, resolution, extra)| Clock {
        start,
        source,
        resolution,
        extra,
    });
    let redaction = (text(), text(), any::<u32>(), extra()).prop_map(|(policy, key_id, passes, extra)| Redaction {
        policy,
        key_id,
        passes,
        extra,
    });
    let plan = (text(), text(), extra()).prop_map(|(text, sha256, extra)| PlanFacts { text, sha256, extra });
    let first = (text(), any::<u32>(), recorded, server, btree_map(text(), lane, 0..3), clock, redaction);
    let symbols = btree_map(text(), tree(), 0..3).prop_map(|map| map.into_iter().rev().collect::<Vec<_>>());
    let second = (prop::option::of(plan), symbols, btree_map(text(), text(), 0..3), extra());
    (first, second)
        .prop_map(|((name, minor, recorded, server, lanes, clock, redaction), (plan, symbols, pins, extra))| Header {
            format: FormatVersion { major: 1, minor, requires: Vec::new() },
            name,
            recorded,
            server,
            lanes,
            clock,
            redaction,
            plan,
            symbols,
            pins,
            extra,
        })
        .boxed()
}

/// A tape with anything in it, entries in order.
pub(super) fn tape() -> BoxedStrategy<Tape> {
    let entry = prop_oneof![
        4 => call().prop_map(Entry::Call),
        1 => upgrade().prop_map(Entry::Upgrade),
        1 => mark().prop_map(Entry::Mark),
    ];
    (header(), vec(entry, 0..4), prop::option::of(sealed()))
        .prop_map(|(header, mut entries, sealed)| {
            entries.sort_by_key(Entry::seq);
            Tape { header, entries, sealed }
        })
        .boxed()
}

/// Any document of a journal but its header.
pub(super) fn event() -> BoxedStrategy<Document> {
    let of = || 1..5u64;
    prop_oneof![
        (of(), any::<u64>(), micros(), text(), any::<u64>(), request(), prop::option::of(text()), extra()).prop_map(
            |(of, seq, t, lane, conn, request, audit_id, extra)| Document::Req(ReqDoc {
                of,
                seq,
                t,
                lane,
                conn,
                request,
                audit_id,
                extra
            })
        ),
        (of(), any::<u64>(), micros(), response(), extra())
            .prop_map(|(of, seq, t, response, extra)| Document::Head(HeadDoc { of, seq, t, response, extra })),
        (of(), frame()).prop_map(|(of, frame)| Document::Frame(FrameDoc { of, frame })),
        (of(), any::<u64>(), micros(), end(), vec(tree(), 0..2), extra())
            .prop_map(|(of, seq, t, end, faults, extra)| Document::End(EndDoc { of, seq, t, end, faults, extra })),
        upgrade().prop_map(Document::Upgrade),
        mark().prop_map(Document::Mark),
    ]
    .boxed()
}
