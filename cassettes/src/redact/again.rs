//! Redaction of a tape that is whole already: recorded elsewhere, imported, or recorded under older rules. Both passes
//! at once, since everything there is to know is there. Capturing traffic as it passes is the recorder's.

use super::Redactor;
use super::dictionary::Reach;
use super::walk::pseudonymous;
use crate::format::Tree;
use crate::format::model::{Entry, Redaction, Tape};

/// Member of a header's `redaction` that names the keys of earlier redactions.
const EARLIER: &str = "earlierKeys";

impl Redactor {
    /// Redacts a whole tape: symbols put back, repeated bodies repeated, side files opened. Gives whether anything but
    /// the header's word on redaction has changed.
    ///
    /// Doing it again under the same rules changes nothing, whatever the key: a tape in which nothing was found keeps
    /// the key's id that its placeholders were made with.
    pub fn tape(&self, tape: &mut Tape) -> bool {
        let before = tape.clone();
        for lane in tape.header.lanes.values_mut() {
            self.message(&mut lane.user_agent);
            if let Some(name) = pseudonymous(&self.core, &lane.auth, Reach::Words) {
                lane.auth = name;
            }
        }
        for entry in &mut tape.entries {
            match entry {
                Entry::Call(call) => self.call(call),
                Entry::Upgrade(upgrade) => self.upgrade(upgrade),
                Entry::Mark(mark) => self.message(&mut mark.text),
            }
        }
        let swept = self.seal().tape(tape, &mut |_| None);
        tape.header.redaction = before.header.redaction.clone();
        let changed = *tape != before;
        self.state(&mut tape.header.redaction, changed, if swept { 2 } else { 1 });
        changed
    }

    /// Brings what a header says up to date.
    fn state(&self, redaction: &mut Redaction, changed: bool, passes: u32) {
        let facts = self.facts();
        if changed && !redaction.key_id.is_empty() && redaction.key_id != facts.key_id {
            let old = Tree::from(redaction.key_id.as_str());
            match redaction.extra.iter_mut().find(|(name, _)| name == EARLIER) {
                Some((_, Tree::List(keys))) => keys.push(old),
                _ => redaction.extra.push((EARLIER.to_owned(), Tree::List(vec![old]))),
            }
        }
        if changed || redaction.key_id.is_empty() {
            redaction.key_id = facts.key_id;
        }
        (redaction.policy, redaction.passes) = (facts.policy, passes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::model::{Body, Call, Lane, Mark, Request, Response};
    use crate::redact::{Key, Policy};

    const TOKEN: &str = "c2VjcmV0LXZhbHVlLW9mLWEtdG9rZW4tMTIzNDU2Nzg5MA";

    fn tape() -> Tape {
        let secret = format!(r#"{{"kind":"Secret","metadata":{{"name":"s"}},"stringData":{{"password":"{TOKEN}"}}}}"#);
        let call = Call {
            id: 1,
            lane: "sut".into(),
            request: Request {
                method: "POST".into(),
                path: "/api/v1/namespaces/d/secrets".into(),
                headers: vec![("authorization".into(), "Bearer abcdefghij0123456789".into())],
                body: Some(Body::from_json(secret.as_bytes())),
                ..Request::default()
            },
            response: Some(Response { status: 201, ..Response::default() }),
            ..Call::default()
        };
        // Written down before its secret was known.
        let mark = Mark { seq: 0, text: format!("used {TOKEN} to log in"), ..Mark::default() };
        let mut tape = Tape { entries: vec![Entry::Mark(mark), Entry::Call(call)], ..Tape::default() };
        tape.header.lanes.insert("sut".into(), Lane { auth: "alice@example.com".into(), ..Lane::default() });
        tape
    }

    #[test]
    fn what_is_secret_goes_from_everywhere_and_a_second_time_changes_nothing() {
        let mut tape = tape();
        assert!(Redactor::new(Policy::default(), &Key::random().unwrap()).tape(&mut tape));
        let text = crate::format::to_text(&tape);
        for secret in [TOKEN, "abcdefghij0123456789", "alice@example.com"] {
            assert!(!text.contains(secret), "{secret} is left in {text}");
        }
        assert_eq!(tape.header.redaction.passes, 2);
        assert!(!Redactor::new(Policy::default(), &Key::random().unwrap()).tape(&mut tape));
        assert_eq!(crate::format::to_text(&tape), text);
    }

    #[test]
    fn a_large_value_that_repeats_itself_is_swept_like_any_other() {
        let mut tape = tape();
        let value = "canary-value ".repeat(2000);
        let Some(Entry::Call(call)) = tape.entries.last_mut() else { panic!() };
        let secret = format!(r#"{{"kind":"Secret","metadata":{{"name":"s"}},"stringData":{{"big":"{value}"}}}}"#);
        call.request.body = Some(Body::from_json(secret.as_bytes()));
        let echo = Mark { seq: 9, text: format!("got {value}"), ..Mark::default() };
        tape.entries.push(Entry::Mark(echo));
        Redactor::new(Policy::default(), &Key::random().unwrap()).tape(&mut tape);
        assert!(!crate::format::to_text(&tape).contains("canary-value canary-value"));
    }

    #[test]
    fn newer_rules_are_noted_and_so_is_the_key_of_older_placeholders() {
        let mut tape = tape();
        Redactor::new(Policy::default(), &Key::from_secret(b"0123456789abcdef").unwrap()).tape(&mut tape);
        let old = tape.header.redaction.clone();
        let rules = "rules: [{match: {regex: 'to log in'}, action: constant, value: gone}]";
        let policy = Policy::from_yaml(rules).unwrap();
        assert!(Redactor::new(policy, &Key::from_secret(b"fedcba9876543210").unwrap()).tape(&mut tape));
        assert!(crate::format::to_text(&tape).contains("gone"));
        let new = &tape.header.redaction;
        assert!(new.policy != old.policy && new.key_id != old.key_id);
        assert_eq!(new.extra, [(EARLIER.to_owned(), Tree::List(vec![old.key_id.as_str().into()]))]);
    }
}
