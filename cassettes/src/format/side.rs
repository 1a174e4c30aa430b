//! Side files: bodies too large to be read in a review, compressed, named by their content and shared.
//!
//! JSON is kept compact, so that pretty, compact and compressed answers of one content are one file.

use super::canonical::{hex, write_atomically};
use super::error::{Place, TapeError};
use super::json;
use super::model::*;
use super::paths;
use super::tree::Tree;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Bodies from this many bytes on go into side files.
pub const LARGE: usize = 32 * 1024;

/// A good compromise of size and time, and zstd's own default.
const LEVEL: i32 = 3;

/// What goes into a side file.
struct Side {
    /// Name of the file.
    name: String,
    /// Not yet compressed.
    content: Vec<u8>,
}

/// Whether a body may go into a side file; small ones are told without rendering them, for watch frames pass here at
/// thousands a second.
pub(super) fn is_large(body: &Body) -> bool {
    !cannot_be_large(body)
}

/// Takes a body out, where it is [`LARGE`]: what stays is a [`Body::Ref`].
fn take_out(body: &mut Body) -> Option<Side> {
    if cannot_be_large(body) {
        return None;
    }
    let bytes = body.bytes()?;
    if bytes.len() < LARGE {
        return None;
    }
    let length = bytes.len() as u64;
    let (is, render, content) = match &*body {
        Body::Json { render: Render::COMPACT, .. } => ("json", Render::COMPACT, bytes),
        Body::Json { tree, render } => ("json", *render, json::render(tree, Render::COMPACT)),
        Body::Yaml(_) => ("yaml", Render::COMPACT, bytes),
        Body::Proto { .. } => ("proto", Render::COMPACT, bytes),
        Body::Text(_) => ("text", Render::COMPACT, bytes),
        Body::Bytes(_) => ("base64", Render::COMPACT, bytes),
        Body::Ref { .. } | Body::Same { .. } => return None,
    };
    let hash = hash(&content);
    let name = file_name(&hash, is);
    *body = Body::Ref { hash, bytes: length, is: is.to_owned(), render, summary: body.summary() };
    Some(Side { name, content })
}

fn cannot_be_large(body: &Body) -> bool {
    /// An upper bound of the rendered size, given up once it is large.
    fn bound(tree: &Tree, depth: usize, left: &mut usize) {
        // Any character may become six bytes (an escape), any item may stand on a line of its own.
        let own = match tree {
            Tree::Text(text) => text.len() * 6 + 2,
            Tree::Map(entries) => {
                entries.iter().map(|(key, _)| key.len() * 6 + 6 + depth * 2).sum::<usize>() + 2 + depth * 2
            }
            Tree::List(items) => items.len() * (3 + depth * 2) + 2 + depth * 2,
            _ => 26,
        };
        *left = left.saturating_sub(own);
        if *left == 0 {
            return;
        }
        tree.entries().iter().for_each(|(_, value)| bound(value, depth + 1, left));
        tree.items().iter().for_each(|item| bound(item, depth + 1, left));
    }
    match body {
        Body::Json { tree, .. } => {
            let mut left = LARGE;
            bound(tree, 1, &mut left);
            left > 0
        }
        Body::Yaml(text) | Body::Text(text) => text.len() < LARGE,
        Body::Proto { bytes, .. } | Body::Bytes(bytes) => bytes.len() < LARGE,
        Body::Ref { .. } | Body::Same { .. } => true,
    }
}

fn hash(content: &[u8]) -> String {
    hex(&Sha256::digest(content)[..8])
}

/// `<hash>.json.zst`; the middle is for people, the hash alone tells the content.
fn file_name(hash: &str, is: &str) -> String {
    let ending = match is {
        "json" => "json",
        "yaml" => "yaml",
        "proto" => "pb",
        "text" => "txt",
        _ => "bin",
    };
    format!("{hash}.{ending}.zst")
}

/// Where the side files of a tape are: its own directory, and the one it shares with its neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideFiles {
    own: PathBuf,
    shared: PathBuf,
    /// New files go into the tape's own directory, whatever its neighbours do.
    private: bool,
}

impl SideFiles {
    /// Of the tape with this path, whichever of its files.
    #[must_use]
    pub fn of(tape: &Path) -> Self {
        Self { own: paths::side_dir(tape), shared: paths::shared_dir(tape), private: false }
    }

    /// Of a tape that is being recorded: what the second pass of a redaction may still take out is not shared yet.
    pub(super) fn private(tape: &Path) -> Self {
        Self { private: true, ..Self::of(tape) }
    }

    /// Where new files go: into `_bodies` where somebody made that directory, else beside the tape.
    fn home(&self) -> &Path {
        if !self.private && self.shared.is_dir() { &self.shared } else { &self.own }
    }

    /// Where a file is.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<PathBuf> {
        [&self.own, &self.shared].into_iter().map(|dir| dir.join(name)).find(|path| path.is_file())
    }

    /// Writes a file, unless it is there: equal names are equal contents.
    fn put(&self, side: &Side) -> Result<(), TapeError> {
        let home = self.home();
        if home.join(&side.name).is_file() {
            return Ok(());
        }
        std::fs::create_dir_all(home).map_err(|error| TapeError::io("make", home, &error))?;
        let path = home.join(&side.name);
        let compressed =
            zstd::bulk::compress(&side.content, LEVEL).map_err(|error| TapeError::io("compress", &path, &error))?;
        write_atomically(&path, &compressed)
    }

    /// Takes a body out into its file, where it is [`LARGE`].
    ///
    /// # Errors
    /// What the operating system said; the body is as it was.
    pub fn store(&self, body: &mut Body) -> Result<(), TapeError> {
        let mut taken = body.clone();
        if let Some(side) = take_out(&mut taken) {
            self.put(&side)?;
            *body = taken;
        }
        Ok(())
    }

    /// The body that a [`Body::Ref`] stands for; any other is given back.
    ///
    /// # Errors
    /// A file that is missing, damaged, or has another content than its name says.
    pub fn load(&self, body: &Body) -> Result<Body, TapeError> {
        let Body::Ref { hash: name, bytes, is, render, summary } = body else { return Ok(body.clone()) };
        let file = file_name(name, is);
        let Some(path) = self.find(&file) else {
            let reason = "missing (side files are committed with their tape)".to_owned();
            return Err(TapeError::SideFile { place: Place::default(), path: self.own.join(file), reason });
        };
        let wrong = |reason: String| TapeError::SideFile { place: Place::default(), path: path.clone(), reason };
        let content = read(&path, *bytes).map_err(|error| wrong(error.to_string()))?;
        if hash(&content) != *name {
            return Err(wrong("its content is not what its name says".to_owned()));
        }
        let text = |content| String::from_utf8(content).map_err(|_| wrong("not UTF-8".to_owned()));
        Ok(match is.as_str() {
            "json" => Body::Json {
                tree: Tree::from_json(&content).map_err(|error| wrong(error.to_string()))?,
                render: *render,
            },
            "yaml" => Body::Yaml(text(content)?),
            "text" => Body::Text(text(content)?),
            "proto" => Body::Proto { bytes: content, summary: summary.clone() },
            "base64" => Body::Bytes(content),
            other => return Err(wrong(format!("no kind of body is called {other:?}"))),
        })
    }

    /// Names of all files in the tape's own directory, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(&self.own) else { return Vec::new() };
        let mut names: Vec<_> = entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Removes the files of the tape's own directory that none of `wanted` is the name of, or that are in the shared one
    /// too: those that a redaction or a new recording left behind. The shared directory is not touched.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn keep_only(&self, wanted: &BTreeSet<String>) -> Result<(), TapeError> {
        let needless = |name: &String| !wanted.contains(name) || self.shared.join(name).is_file();
        for name in self.names().into_iter().filter(needless) {
            let path = self.own.join(name);
            std::fs::remove_file(&path).map_err(|error| TapeError::io("remove", &path, &error))?;
        }
        // Only an empty directory goes.
        let _ = std::fs::remove_dir(&self.own);
        Ok(())
    }
}

/// Reads a compressed file; more than what the tape says is not read.
fn read(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    let mut content = Vec::new();
    zstd::stream::read::Decoder::new(file)?.take(most.saturating_add(1)).read_to_end(&mut content)?;
    Ok(content)
}

/// The name of the file a body is in; none for bodies that are not in one.
#[must_use]
pub(super) fn name_of(body: &Body) -> Option<String> {
    match body {
        Body::Ref { hash, is, .. } => Some(file_name(hash, is)),
        _ => None,
    }
}

impl Document {
    /// Calls a function with every body.
    pub fn for_each_body(&mut self, visit: &mut dyn FnMut(&mut Body)) {
        match self {
            Self::Req(it) => it.request.body.iter_mut().for_each(visit),
            Self::Head(it) => it.response.body.iter_mut().for_each(visit),
            Self::Frame(it) => visit(&mut it.frame.content),
            Self::Call(it) => it.for_each_body(visit),
            Self::Upgrade(it) => it.for_each_body(visit),
            Self::Header(_) | Self::End(_) | Self::Mark(_) | Self::Sealed(_) => {}
        }
    }
}

/// The bodies of an exchange, or of a part of one.
fn bodies<'d>(
    request: Option<&'d Request>,
    response: Option<&'d Response>,
    frames: &'d [Frame],
    messages: &'d [ChannelMessage],
) -> impl Iterator<Item = &'d Body> {
    let request = request.and_then(|request| request.body.as_ref());
    let response = response.and_then(|response| response.body.as_ref());
    let frames = frames.iter().map(|frame| &frame.content);
    request.into_iter().chain(response).chain(frames).chain(messages.iter().map(|message| &message.content))
}

impl Document {
    /// All bodies.
    pub fn bodies(&self) -> impl Iterator<Item = &Body> {
        match self {
            Self::Req(it) => bodies(Some(&it.request), None, &[], &[]),
            Self::Head(it) => bodies(None, Some(&it.response), &[], &[]),
            Self::Frame(it) => bodies(None, None, std::slice::from_ref(&it.frame), &[]),
            Self::Call(it) => bodies(Some(&it.request), it.response.as_ref(), &it.frames, &[]),
            Self::Upgrade(it) => bodies(Some(&it.request), it.response.as_ref(), &[], &it.messages),
            Self::Header(_) | Self::End(_) | Self::Mark(_) | Self::Sealed(_) => bodies(None, None, &[], &[]),
        }
    }
}

impl Entry {
    /// All bodies.
    pub fn bodies(&self) -> impl Iterator<Item = &Body> {
        match self {
            Self::Call(it) => bodies(Some(&it.request), it.response.as_ref(), &it.frames, &[]),
            Self::Upgrade(it) => bodies(Some(&it.request), it.response.as_ref(), &[], &it.messages),
            Self::Mark(_) => bodies(None, None, &[], &[]),
        }
    }

    /// Calls a function with every body.
    pub fn for_each_body(&mut self, visit: &mut dyn FnMut(&mut Body)) {
        match self {
            Self::Call(call) => call.for_each_body(visit),
            Self::Upgrade(upgrade) => upgrade.for_each_body(visit),
            Self::Mark(_) => {}
        }
    }
}

impl Call {
    /// Calls a function with every body: of the request, the response, each frame.
    pub fn for_each_body(&mut self, visit: &mut dyn FnMut(&mut Body)) {
        self.request.body.iter_mut().for_each(&mut *visit);
        self.response.iter_mut().filter_map(|response| response.body.as_mut()).for_each(&mut *visit);
        self.frames.iter_mut().for_each(|frame| visit(&mut frame.content));
    }
}

impl Upgrade {
    /// Calls a function with every body: of the handshake and each message.
    pub fn for_each_body(&mut self, visit: &mut dyn FnMut(&mut Body)) {
        self.request.body.iter_mut().for_each(&mut *visit);
        self.response.iter_mut().filter_map(|response| response.body.as_mut()).for_each(&mut *visit);
        self.messages.iter_mut().for_each(|message| visit(&mut message.content));
    }
}

impl Tape {
    /// Brings all side files into the tape.
    ///
    /// # Errors
    /// The first file that is missing or damaged.
    pub fn inline(&mut self, files: &SideFiles) -> Result<(), TapeError> {
        self.try_each_body(|body| {
            *body = files.load(body)?;
            Ok(())
        })
    }

    /// Takes all large bodies out of the tape.
    ///
    /// # Errors
    /// What the operating system said.
    pub fn take_out(&mut self, files: &SideFiles) -> Result<(), TapeError> {
        self.try_each_body(|body| files.store(body))
    }

    fn try_each_body(&mut self, mut visit: impl FnMut(&mut Body) -> Result<(), TapeError>) -> Result<(), TapeError> {
        let mut outcome = Ok(());
        for entry in &mut self.entries {
            entry.for_each_body(&mut |body| {
                if outcome.is_ok() {
                    outcome = visit(body);
                }
            });
        }
        outcome
    }

    /// Names of the side files that the tape needs.
    #[must_use]
    pub fn side_files(&self) -> BTreeSet<String> {
        self.entries.iter().flat_map(Entry::bodies).filter_map(name_of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn large(pretty: bool) -> Body {
        let items: Vec<_> = (0..2000).map(|n| format!("{{\"name\":\"<{n}>\",\"uid\":\"u\"}}")).collect();
        let text =
            format!("{{\"kind\":\"List\",\"metadata\":{{\"resourceVersion\":\"9\"}},\"items\":[{}]}}", items.join(","));
        let render = if pretty { Render::PRETTY } else { Render::GO };
        Body::Json { tree: Tree::from_json(text.as_bytes()).unwrap(), render }
    }

    #[test]
    fn large_bodies_go_out_and_come_back_and_share_their_file() {
        let dir = tempfile::tempdir().unwrap();
        let files = SideFiles::of(&dir.path().join("x.tape.yaml"));
        for body in [large(true), large(false)] {
            let mut taken = body.clone();
            files.store(&mut taken).unwrap();
            assert!(matches!(taken, Body::Ref { .. }));
            assert_eq!(taken.fact("resourceVersion"), "9");
            assert_eq!(files.load(&taken).unwrap(), body);
        }
        assert_eq!(files.names().len(), 1);
    }

    #[test]
    fn what_is_missing_or_damaged_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let files = SideFiles::of(&dir.path().join("x.tape.yaml"));
        let mut body = large(false);
        files.store(&mut body).unwrap();
        let path = files.find(&name_of(&body).unwrap()).unwrap();
        std::fs::write(&path, zstd::bulk::compress(b"{}", 3).unwrap()).unwrap();
        let error = files.load(&body).unwrap_err().to_string();
        assert!(error.contains("content is not what its name says"), "{error}");
        std::fs::write(&path, b"not zstd").unwrap();
        assert!(files.load(&body).is_err());
        std::fs::remove_file(&path).unwrap();
        let error = files.load(&body).unwrap_err().to_string();
        assert!(error.contains("x.tape.d/") && error.contains("missing"), "{error}");
    }

    #[test]
    fn neighbours_share_the_directory_where_there_is_one() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("_bodies")).unwrap();
        let mut body = large(false);
        SideFiles::of(&dir.path().join("a.tape.yaml")).store(&mut body).unwrap();
        assert!(SideFiles::of(&dir.path().join("b.tape.yaml")).load(&body).is_ok());
        assert!(!dir.path().join("a.tape.d").exists());
    }
}
