//! Takes secrets out of recordings before they reach a disk.
//!
//! Two passes. [`Redactor`] works on every request, answer and frame as it passes: by place (`kinds`), by name
//! (`names`), by looks (`detect`) and by the user's rules (`policy`). At the seal a [`Sweeper`] looks for every
//! value that was ever found secret in everything else, in every encoding (`sweep`). [`scan`] checks finished files.
//!
//! A secret becomes a placeholder that depends on a key and on the secret alone (`pseudonym`), so equal secrets stay
//! equal. No type here prints a secret, and no error repeats one.

mod again;
mod body;
mod common;
mod context;
mod detect;
mod dictionary;
mod encodings;
mod headers;
mod kinds;
mod names;
mod patch;
mod path;
mod policy;
mod pseudonym;
pub mod scan;
mod shape;
mod sweep;
mod walk;

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::format::Tree;
use crate::format::model::{Body, Call, Document, End, Frame, Header, Redaction, Request, Response, Upgrade};
use dictionary::{Dictionary, Reach};
use pseudonym::Pseudonyms;
use walk::Walk;

pub use context::Context;
pub(crate) use policy::glob;
pub use policy::{Action, Policy, PolicyError};
pub use pseudonym::{Key, KeyError, is_placeholder};
pub use sweep::Sweeper;

/// Why something counts as a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Class {
    /// A header that carries a credential.
    Header,
    /// A query parameter that carries a credential.
    Query,
    /// A value of a Secret.
    SecretData,
    /// A token of the API: TokenRequest, TokenReview, bootstrap token.
    Token,
    /// A certificate request or an issued client certificate.
    Certificate,
    /// A JSON web token.
    Jwt,
    /// A private key.
    PrivateKey,
    /// A key or token of a known provider.
    CloudKey,
    /// `Bearer …` in a text.
    Bearer,
    /// `Basic …` in a text.
    BasicAuth,
    /// The password in a URL.
    UrlPassword,
    /// A cookie in a text.
    Cookie,
    /// `password=…` and the like in a text.
    Assignment,
    /// A member, variable or flag whose name says that its value is secret.
    NamedValue,
    /// A user, group or uid of one.
    Identity,
    /// A value echoed by an error message.
    Echo,
    /// A match of a user's rule.
    Rule,
    /// A value that is known to be secret from elsewhere.
    Known,
    /// Text that looks random.
    Entropy,
    /// A body that could not be read.
    Unreadable,
}

impl Class {
    /// The name used in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Query => "query",
            Self::SecretData => "secret-data",
            Self::Token => "token",
            Self::Certificate => "certificate",
            Self::Jwt => "jwt",
            Self::PrivateKey => "private-key",
            Self::CloudKey => "cloud-key",
            Self::Bearer => "bearer",
            Self::BasicAuth => "basic-auth",
            Self::UrlPassword => "url-password",
            Self::Cookie => "cookie",
            Self::Assignment => "assignment",
            Self::NamedValue => "named-value",
            Self::Identity => "identity",
            Self::Echo => "echo",
            Self::Rule => "rule",
            Self::Known => "known",
            Self::Entropy => "entropy",
            Self::Unreadable => "unreadable",
        }
    }
}

/// What all walks of a recording share.
struct Core {
    policy: Policy,
    names: Pseudonyms,
    dictionary: Mutex<Dictionary>,
}

impl Core {
    /// The placeholder for a secret that was found, which is remembered for the sweep.
    fn shaped(&self, secret: &[u8], reach: Reach) -> String {
        self.learn(secret, reach);
        self.names.shaped(secret)
    }

    fn flat(&self, secret: &[u8], reach: Reach) -> String {
        self.learn(secret, reach);
        self.names.flat(secret)
    }

    /// A text without the secrets known so far.
    fn known(&self, text: &str) -> Option<String> {
        self.dictionary.lock().replace(text, &self.names)
    }

    fn learn(&self, secret: &[u8], reach: Reach) {
        let secret = pseudonym::canonical(secret);
        if !std::str::from_utf8(secret).is_ok_and(is_placeholder) {
            self.dictionary.lock().learn(secret, reach);
        }
    }
}

/// Takes secrets out of what a recorder sees. Clones share what was learnt; all methods take `&self`, hold a lock only
/// for moments and never wait.
///
/// Redacting twice changes nothing, and so does redacting what holds no secret.
#[derive(Clone)]
pub struct Redactor {
    core: Arc<Core>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let learnt = self.core.dictionary.lock().len();
        write!(f, "Redactor(key {}, {learnt} secrets)", self.core.names.id())
    }
}

impl Redactor {
    /// A redactor for one recording.
    #[must_use]
    pub fn new(policy: Policy, key: &Key) -> Self {
        let core = Core { policy, names: Pseudonyms::new(key), dictionary: Mutex::default() };
        Self { core: Arc::new(core) }
    }

    /// What the tape's header says about the redaction: one pass so far.
    #[must_use]
    pub fn facts(&self) -> Redaction {
        Redaction {
            policy: self.core.policy.sha256(),
            key_id: self.core.names.id().to_owned(),
            passes: 1,
            ..Redaction::default()
        }
    }

    /// Redacts a request: path, query, headers, body.
    pub fn request(&self, lane: &str, request: &mut Request) {
        let context = Context::of(lane, request);
        headers::request(&self.core, &context, request);
        if let Some(body) = &mut request.body {
            body::redact(&self.core, &context, body, body::Of::Request);
        }
    }

    /// Redacts an answer, given the context of its request.
    pub fn response(&self, context: &Context, response: &mut Response) {
        headers::response(&self.core, context, &mut response.headers);
        if let Some(body) = &mut response.body {
            body::redact(&self.core, context, body, body::Of::Response);
        }
    }

    /// Redacts one frame of a streamed answer, given the context of its request.
    pub fn frame(&self, context: &Context, frame: &mut Frame) {
        body::redact(&self.core, context, &mut frame.content, body::Of::Frame);
    }

    /// Redacts a whole interaction.
    pub fn call(&self, call: &mut Call) {
        let context = Context::of(&call.lane, &call.request);
        self.request(&call.lane, &mut call.request);
        if let Some(response) = &mut call.response {
            self.response(&context, response);
        }
        call.frames.iter_mut().for_each(|frame| self.frame(&context, frame));
        if let End::Upstream { message } = &mut call.end {
            self.message(message);
        }
    }

    /// Redacts an upgraded connection: its handshake, and its messages where they were recorded.
    pub fn upgrade(&self, upgrade: &mut Upgrade) {
        let context = Context::of(&upgrade.lane, &upgrade.request);
        self.request(&upgrade.lane, &mut upgrade.request);
        if let Some(response) = &mut upgrade.response {
            self.response(&context, response);
        }
        for message in &mut upgrade.messages {
            body::redact(&self.core, &context, &mut message.content, body::Of::Frame);
        }
        if let End::Upstream { message } = &mut upgrade.end {
            self.message(message);
        }
    }

    /// Redacts a body by itself. Bodies that stand for others ([`Body::Ref`], [`Body::Same`]) are left alone: redact
    /// before they are stored aside.
    pub fn body(&self, context: &Context, body: &mut Body) {
        body::redact(&self.core, context, body, body::Of::Response);
    }

    /// Redacts a tree.
    pub fn tree(&self, context: &Context, tree: &mut Tree) {
        Walk::new(&self.core, context).document(tree);
    }

    /// Redacts running text: a mark, a message of an error, a line of a log.
    pub fn message(&self, text: &mut String) {
        if let Some(clean) = Walk::new(&self.core, &Context::default()).message(text) {
            *text = clean;
        }
    }

    /// The pseudonym of a client's credential, for the lane in the tape's header. The credential counts as a secret
    /// from then on.
    #[must_use]
    pub fn credential(&self, credential: &str) -> String {
        self.core.flat(credential.as_bytes(), Reach::Anywhere)
    }

    /// Makes a value a secret that was not seen on the wire, such as the recorder's own credential.
    pub fn learn(&self, secret: &[u8]) {
        self.core.learn(secret, Reach::Anywhere);
        if let Ok(text) = std::str::from_utf8(secret) {
            walk::learn_within(&self.core, text);
        }
    }

    /// How many different secrets were seen.
    #[must_use]
    pub fn secrets(&self) -> usize {
        self.core.dictionary.lock().len()
    }

    /// The second pass over everything recorded so far. Made once the recording has ended; what was learnt stays here
    /// until the last clone goes.
    #[must_use]
    pub fn seal(&self) -> Sweeper {
        Sweeper::new(&self.core.dictionary.lock(), self.core.names.clone())
    }

    /// Notes in a header that the second pass was made, where [`Sweeper::tape`] did not do so.
    pub fn sealed(&self, header: &mut Header) {
        header.redaction = Redaction { passes: 2, ..self.facts() };
    }

    /// Redacts a journal's document that stands by itself. Heads and frames need the context of their request.
    pub fn document(&self, context: &Context, document: &mut Document) {
        match document {
            Document::Req(doc) => self.request(&doc.lane, &mut doc.request),
            Document::Head(doc) => self.response(context, &mut doc.response),
            Document::Frame(doc) => self.frame(context, &mut doc.frame),
            Document::End(doc) => {
                if let End::Upstream { message } = &mut doc.end {
                    self.message(message);
                }
            }
            Document::Call(call) => self.call(call),
            Document::Upgrade(upgrade) => self.upgrade(upgrade),
            Document::Mark(mark) => self.message(&mut mark.text),
            Document::Header(header) => header.lanes.values_mut().for_each(|lane| self.message(&mut lane.user_agent)),
            Document::Sealed(_) => {}
        }
    }
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Redactor>();
    shared::<Sweeper>();
};

#[cfg(test)]
mod tests;
