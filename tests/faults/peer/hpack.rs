//! HPACK (RFC 7541) as far as an observer needs it: writes fields as literals, reads whatever a server sends.

use std::collections::VecDeque;

/// A header: name and value.
pub(crate) type Field = (String, String);

/// The longest entry that a dynamic table of the usual size has room for, in octets.
const ROOM: usize = 4096;

/// Entries 1 to 14 of the static table.
const WHOLE: [(&str, &str); 14] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
];

/// Entries 15 to 61, most of which have no value; `accept-encoding` (16) has one.
const NAMES: &str = "accept-charset accept-encoding accept-language accept-ranges accept access-control-allow-origin age \
     allow authorization cache-control content-disposition content-encoding content-language content-length \
     content-location content-range content-type cookie date etag expect expires from host if-match if-modified-since \
     if-none-match if-range if-unmodified-since last-modified link location max-forwards proxy-authenticate \
     proxy-authorization range referer refresh retry-after server set-cookie strict-transport-security \
     transfer-encoding user-agent vary via www-authenticate";

/// Which characters have codes of how many bits. The code is canonical: of one length, in the order of the characters.
const CODES: [(u32, &str); 11] = [
    (5, "012aceiost"),
    (6, " %-./3456789=A_bdfghlmnpru"),
    (7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, "&*,;XZ"),
    (10, "!\"()?"),
    (11, "'+|"),
    (12, "#>"),
    (13, "\0$@[]~"),
    (14, "^}"),
    (15, "<`{"),
    (19, "\\"),
];

/// A literal without indexing and without Huffman coding.
pub(crate) fn literal(block: &mut Vec<u8>, name: &str, value: &str) {
    block.push(0);
    for text in [name, value] {
        match u8::try_from(text.len()) {
            Ok(length) if length < 127 => block.push(length),
            _ => {
                let mut rest = text.len() - 127;
                block.push(127);
                while rest >= 128 {
                    block.push((rest % 128) as u8 | 128);
                    rest /= 128;
                }
                block.push(rest as u8);
            }
        }
        block.extend(text.as_bytes());
    }
}

/// The reader of one connection's header blocks, which must all pass through it, in their order.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// The newest first. Nothing is evicted: a server does not refer to what is.
    dynamic: VecDeque<Field>,
}

impl Decoder {
    pub(crate) fn decode(&mut self, mut block: &[u8]) -> Vec<Field> {
        let mut fields = Vec::new();
        while let Some(first) = block.first().copied() {
            if first & 0x80 != 0 {
                let index = integer(&mut block, 7);
                fields.push(self.entry(index));
            } else if first & 0xe0 == 0x20 {
                integer(&mut block, 5);
            } else {
                let indexed = first & 0xc0 == 0x40;
                let index = integer(&mut block, if indexed { 6 } else { 4 });
                let name = if index == 0 { string(&mut block) } else { self.entry(index).0 };
                let field = (name, string(&mut block));
                if indexed {
                    self.insert(field.clone());
                }
                fields.push(field);
            }
        }
        fields
    }

    fn insert(&mut self, field: Field) {
        if field.0.len() + field.1.len() + 32 > ROOM {
            self.dynamic.clear();
        } else {
            self.dynamic.push_front(field);
        }
    }

    fn entry(&self, index: usize) -> Field {
        if let Some((name, value)) = WHOLE.get(index - 1) {
            return ((*name).to_owned(), (*value).to_owned());
        }
        if let Some(name) = NAMES.split_whitespace().nth(index - 1 - WHOLE.len()) {
            let value = if name == "accept-encoding" { "gzip, deflate" } else { "" };
            return (name.to_owned(), value.to_owned());
        }
        self.dynamic.get(index - 62).cloned().unwrap_or_else(|| panic!("there is no entry {index}"))
    }
}

/// An integer whose first octet has `bits` of it.
fn integer(block: &mut &[u8], bits: u32) -> usize {
    let most = (1 << bits) - 1;
    let first = usize::from(take(block)) & most;
    if first < most {
        return first;
    }
    let (mut value, mut shift) = (most, 0);
    loop {
        let next = usize::from(take(block));
        value += (next & 127) << shift;
        shift += 7;
        if next < 128 {
            return value;
        }
    }
}

fn take(block: &mut &[u8]) -> u8 {
    let (first, rest) = block.split_first().expect("a header block ends too early");
    *block = rest;
    *first
}

fn string(block: &mut &[u8]) -> String {
    let coded = block.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer(block, 7);
    let (text, rest) = block.split_at(length);
    *block = rest;
    if coded { spelled_out(text) } else { String::from_utf8_lossy(text).into_owned() }
}

/// Undoes the Huffman code.
fn spelled_out(coded: &[u8]) -> String {
    let mut text = String::new();
    let mut bits = coded.iter().flat_map(|byte| (0..8).rev().map(move |bit| u32::from(byte >> bit & 1)));
    'next: loop {
        // The smallest code of the length, and how many bits of it there are.
        let (mut least, mut code, mut length) = (0, 0, 0);
        for (wanted, characters) in CODES {
            least <<= wanted - length;
            while length < wanted {
                // What is left over is padding.
                let Some(bit) = bits.next() else { return text };
                code = code << 1 | bit;
                length += 1;
            }
            if let Some(character) = characters.chars().nth((code - least) as usize) {
                text.push(character);
                continue 'next;
            }
            least += characters.chars().count() as u32;
        }
        panic!("a code of more than 19 bits: no character of a header has one");
    }
}

#[test]
fn fields_are_read_in_every_form() {
    // Examples of RFC 7541, C.6.1: a response with Huffman coding, and C.6.2, which refers to it.
    let first = [
        0x48, 0x82, 0x64, 0x02, 0x58, 0x85, 0xae, 0xc3, 0x77, 0x1a, 0x4b, 0x61, 0x96, 0xd0, 0x7a, 0xbe, 0x94, 0x10,
        0x54, 0xd4, 0x44, 0xa8, 0x20, 0x05, 0x95, 0x04, 0x0b, 0x81, 0x66, 0xe0, 0x82, 0xa6, 0x2d, 0x1b, 0xff, 0x6e,
        0x91, 0x9d, 0x29, 0xad, 0x17, 0x18, 0x63, 0xc7, 0x8f, 0x0b, 0x97, 0xc8, 0xe9, 0xae, 0x82, 0xae, 0x43, 0xd3,
    ];
    let of = |fields: &[(&str, &str)]| -> Vec<Field> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let rest = [
        ("cache-control", "private"),
        ("date", "Mon, 21 Oct 2013 20:13:21 GMT"),
        ("location", "https://www.example.com"),
    ];
    let mut decoder = Decoder::default();
    assert_eq!(decoder.decode(&first), of(&[&[(":status", "302")][..], &rest].concat()));
    let second = [0x48, 0x83, 0x64, 0x0e, 0xff, 0xc1, 0xc0, 0xbf];
    assert_eq!(decoder.decode(&second), of(&[&[(":status", "307")][..], &rest].concat()));
    let long = "x".repeat(100_000);
    let mut block = Vec::new();
    literal(&mut block, "x-long", &long);
    assert_eq!(decoder.decode(&block), of(&[("x-long", &long)]));
}
