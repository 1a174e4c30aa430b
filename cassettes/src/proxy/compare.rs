//! The live server held against a tape: each recorded answer beside the one that came now, after normalisation.

use super::policy::Comparer;
use crate::format::model::{Call, Tape};
use crate::replay::normal::{differences, normalise};
use crate::replay::{Answer, Options, Player};

/// Differences told of one exchange; more are counted by their number only.
const MOST: usize = 10;

/// Compares with the calls that a lenient replay would have answered with.
#[derive(Debug)]
pub struct TapeComparer {
    player: Player,
}

impl TapeComparer {
    /// Compares with this tape.
    #[must_use]
    pub fn new(tape: &Tape) -> Self {
        Self { player: Player::new(tape, Options::default()) }
    }
}

impl Comparer for TapeComparer {
    fn compare(&mut self, live: &Call) -> Vec<String> {
        let what = format!("{} {} (lane {})", live.request.method, live.request.path, live.lane);
        let recorded = match self.player.answer(&live.lane, &live.request, false) {
            Answer::Call { call, .. } => call,
            // Streams say what others do; their heads are compared, their events are the replay's matter.
            Answer::Watch(stream) => stream.call,
            Answer::Echo(_) | Answer::Wait | Answer::Talk(_) => return Vec::new(),
            Answer::Refuse(_) => return vec![format!("{what}: not on the tape")],
        };
        let (Some(then), Some(now)) = (&recorded.response, &live.response) else {
            let ended = |call: &Call| if call.response.is_some() { "an answer" } else { "no answer" };
            let (then, now) = (ended(&recorded), ended(live));
            return if then == now { Vec::new() } else { vec![format!("{what}: {then} on the tape, {now} now")] };
        };
        let mut told = Vec::new();
        if then.status != now.status {
            told.push(format!("{what}: status {} on the tape, {} now", then.status, now.status));
        }
        let then = self.player.response_body(&recorded).and_then(crate::format::model::Body::tree);
        let now = now.body.as_ref().and_then(crate::format::model::Body::tree);
        if let (Some(then), Some(now)) = (then, now) {
            let found = differences(&normalise(&then), &normalise(&now), MOST);
            told.extend(found.iter().map(|difference| format!("{what}: {difference}")));
        }
        told
    }
}
