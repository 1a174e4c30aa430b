//! Chance without a generator: every draw is a keyed hash of what is being decided, so no draw can shift another.
//!
//! SipHash-2-4 (Aumasson and Bernstein) is written out because the standard library promises no algorithm for its own
//! hasher, and a seed printed today must mean the same in a year.

/// A SipHash-2-4 state that takes length-prefixed fields, so that `("ab", "c")` and `("a", "bc")` differ.
#[derive(Clone, Debug)]
pub(crate) struct Sip {
    v: [u64; 4],
    tail: u64,
    length: u64,
}

impl Sip {
    pub(crate) fn new(k0: u64, k1: u64) -> Self {
        let v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        Self { v, tail: 0, length: 0 }
    }

    pub(crate) fn field(&mut self, text: &str) -> &mut Self {
        self.number(text.len() as u64);
        self.bytes(text.as_bytes());
        self
    }

    pub(crate) fn number(&mut self, n: u64) -> &mut Self {
        self.bytes(&n.to_le_bytes());
        self
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.tail |= u64::from(*byte) << (8 * (self.length % 8));
            self.length += 1;
            if self.length.is_multiple_of(8) {
                self.word();
            }
        }
    }

    fn word(&mut self) {
        let m = std::mem::take(&mut self.tail);
        self.v[3] ^= m;
        self.round();
        self.round();
        self.v[0] ^= m;
    }

    fn round(&mut self) {
        let [v0, v1, v2, v3] = &mut self.v;
        *v0 = v0.wrapping_add(*v1);
        *v1 = v1.rotate_left(13) ^ *v0;
        *v0 = v0.rotate_left(32);
        *v2 = v2.wrapping_add(*v3);
        *v3 = v3.rotate_left(16) ^ *v2;
        *v0 = v0.wrapping_add(*v3);
        *v3 = v3.rotate_left(21) ^ *v0;
        *v2 = v2.wrapping_add(*v1);
        *v1 = v1.rotate_left(17) ^ *v2;
        *v2 = v2.rotate_left(32);
    }

    pub(crate) fn finish(&self) -> u64 {
        let mut last = self.clone();
        last.tail |= last.length << 56;
        last.word();
        last.v[2] ^= 0xff;
        for _ in 0..4 {
            last.round();
        }
        last.v.iter().fold(0, |all, v| all ^ v)
    }
}

/// The dice of one decision: the same seed and the same identity always throw the same numbers.
#[derive(Clone, Debug)]
pub(crate) struct Dice(Sip);

impl Dice {
    /// `identity` names what is decided: the rule, the scope, the request and its occurrence.
    pub(crate) fn new(seed: u64, rule: &str, scope: u128, request: u128, repeat: u64) -> Self {
        let mut sip = Sip::new(seed, 0x7265_6865_6172_7361);
        sip.field(rule).number(scope as u64).number((scope >> 64) as u64);
        sip.number(request as u64).number((request >> 64) as u64).number(repeat);
        Self(sip)
    }

    /// A number in 0..1 for the named purpose; a purpose more never changes another purpose's number.
    pub(crate) fn unit(&self, purpose: &str) -> f64 {
        // 53 bits fill the mantissa of an f64 exactly.
        (self.bits(purpose) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn bits(&self, purpose: &str) -> u64 {
        self.0.clone().field(purpose).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siphash_gives_the_published_vectors() {
        let vectors = [
            (0, 0x726f_db47_dd0e_0e31_u64),
            (1, 0x74f8_39c5_93dc_67fd),
            (8, 0x93f5_f579_9a93_2462),
            (15, 0xa129_ca61_49be_45e5),
        ];
        for (length, expected) in vectors {
            let mut sip = Sip::new(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
            sip.bytes(&(0..length).collect::<Vec<u8>>());
            assert_eq!(sip.finish(), expected, "{length} bytes");
        }
    }

    #[test]
    fn draws_differ_by_seed_rule_request_and_occurrence_and_repeat_otherwise() {
        let draw = |seed, rule, request, n| Dice::new(seed, rule, 1, request, n).unit("p");
        assert_eq!(draw(1, "a", 1, 1).to_bits(), draw(1, "a", 1, 1).to_bits());
        for other in [draw(2, "a", 1, 1), draw(1, "b", 1, 1), draw(1, "a", 2, 1), draw(1, "a", 1, 2)] {
            assert_ne!(draw(1, "a", 1, 1).to_bits(), other.to_bits());
        }
    }

    #[test]
    fn draws_are_spread_evenly() {
        let hits = (0..10_000).filter(|n| Dice::new(7, "r", 0, 0, *n).unit("p") < 0.25).count();
        assert!((2_300..2_700).contains(&hits), "{hits}");
    }
}
