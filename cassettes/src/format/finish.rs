//! The end of a recording: from the journal to the sealed tape in its place.

use super::canonical;
use super::cause;
use super::error::TapeError;
use super::fold;
use super::journal;
use super::model::{Sealed, Tape};
use super::paths;
use super::same;
use super::side::SideFiles;
use super::symbols::symbolise;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What a finished recording left.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// The canonical tape.
    pub path: PathBuf,
    /// Its seal.
    pub sealed: Sealed,
}

/// Makes the canonical tape of a journal, seals it, and removes the journal.
///
/// `prepare` may change the tape before it is sealed, as the second pass of a redaction does; all bodies are with it, those
/// of side files too, and side files that it made needless are removed. The tape appears whole, in place of an older one.
///
/// # Errors
/// Errors of the files; the journal then stays as it is.
pub fn make_canonical(part: &Path, path: &Path, prepare: impl FnOnce(&mut Tape)) -> Result<Finished, TapeError> {
    let bytes = std::fs::read(part).map_err(|error| TapeError::io("read", part, &error))?;
    let recovered = journal::recover(&bytes).map_err(|error| error.in_file(part))?;
    drop(bytes);
    let files = SideFiles::of(path);
    let mut tape = fold::gather(recovered.documents);
    tape.inline(&files).map_err(|error| error.in_file(part))?;
    cause::compute(&mut tape);
    prepare(&mut tape);
    same::share(&mut tape);
    tape.take_out(&files)?;
    canonical::seal(&mut tape);
    canonical::save(&tape, path)?;
    files.keep_only(&wanted(&tape, path))?;
    std::fs::remove_file(part).map_err(|error| TapeError::io("remove", part, &error))?;
    Ok(Finished { path: path.to_owned(), sealed: tape.sealed.unwrap_or_default() })
}

/// Writes a tape that has all its bodies in it, atomically: repeated ones are shared, large ones go into side files, and
/// side files that nobody needs any more are removed. With `symbolic` volatile values go under names; with `sealed` the
/// result is sealed.
///
/// # Errors
/// What the operating system said; the tape that was there is as it was.
pub fn put(mut tape: Tape, path: &Path, symbolic: bool, sealed: bool) -> Result<(), TapeError> {
    let files = SideFiles::of(path);
    same::share(&mut tape);
    tape.take_out(&files)?;
    if symbolic {
        symbolise(&mut tape);
    }
    if sealed {
        canonical::seal(&mut tape);
    }
    canonical::save(&tape, path)?;
    files.keep_only(&wanted(&tape, path))
}

/// Moves a sealed tape into the place of another, with no moment at which neither is there.
///
/// # Errors
/// What the operating system said.
pub fn replace(with: &Path, path: &Path) -> Result<(), TapeError> {
    std::fs::rename(with, path).map_err(|error| TapeError::io("replace", path, &error))?;
    let loaded = canonical::load(path)?;
    SideFiles::of(path).keep_only(&wanted(&loaded.tape, path))
}

/// Side files that a tape needs, and those that lie in the same directory for another of its kind: a tape and the one
/// that was kept because its command failed share it.
fn wanted(tape: &Tape, path: &Path) -> BTreeSet<String> {
    let mut wanted = tape.side_files();
    let kin = [paths::canonical(path), paths::failed(path), paths::crashed(path)];
    for other in kin.iter().filter(|other| other.as_path() != path) {
        if let Ok(loaded) = canonical::load(other) {
            wanted.extend(loaded.tape.side_files());
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::super::model::*;
    use super::super::{JournalWriter, Seal, load, paths};
    use super::*;

    #[test]
    fn a_recording_becomes_a_sealed_tape_with_its_large_bodies_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tape.yaml");
        let part = paths::part(&path);
        let mut journal = JournalWriter::create(&part, &Header::default()).unwrap();
        let body = Body::Text("secret ".repeat(6000));
        let request = Request { method: "POST".into(), body: Some(body), ..Request::default() };
        journal.append(&Document::Req(ReqDoc { of: 1, seq: 1, request, ..ReqDoc::default() })).unwrap();
        journal.append(&Document::Sealed(Sealed { stalled_ms: 7, ..Sealed::default() })).unwrap();
        assert!(std::fs::read_to_string(&part).unwrap().len() < 1000);
        let before = SideFiles::of(&path).names();

        let clean = "cleaned ".repeat(6000);
        let finished = make_canonical(&part, &path, |tape| {
            let call = tape.calls_mut().next().unwrap();
            assert!(matches!(&call.request.body, Some(Body::Text(text)) if text.starts_with("secret")));
            call.request.body = Some(Body::Text(clean.clone()));
        });
        assert_eq!((finished.unwrap().sealed.stalled_ms, part.exists()), (7, false));

        let mut loaded = load(&path).unwrap();
        assert_eq!(loaded.seal, Seal::Intact);
        let files = SideFiles::of(&path);
        assert!(files.names().len() == 1 && files.names() != before, "the body with the secret is gone");
        loaded.tape.inline(&files).unwrap();
        let call = loaded.tape.calls().next().unwrap();
        assert_eq!(call.request.body, Some(Body::Text(clean)));
        assert_eq!(call.end, End::RecorderStop);
    }

    #[test]
    fn a_failed_tape_and_a_good_one_keep_their_side_files_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.tape.yaml");
        let failed = paths::failed(&path);
        let tape = |text: &str| {
            let request = Request { body: Some(Body::Text(text.repeat(6000))), ..Request::default() };
            Tape { entries: vec![Entry::Call(Call { id: 1, request, ..Call::default() })], ..Tape::default() }
        };
        put(tape("first "), &path, false, true).unwrap();
        put(tape("second "), &failed, false, true).unwrap();
        let files = SideFiles::of(&path);
        assert_eq!(files.names().len(), 2);
        assert!(load(&path).unwrap().tape.inline(&files).is_ok());
        replace(&failed, &path).unwrap();
        let mut loaded = load(&path).unwrap();
        assert_eq!((files.names().len(), failed.exists(), loaded.seal), (1, false, Seal::Intact));
        loaded.tape.inline(&files).unwrap();
        assert_eq!(loaded.tape.calls().next().unwrap().request, tape("second ").calls().next().unwrap().request);
    }

    #[test]
    fn the_shared_directory_never_sees_what_is_taken_out() {
        let dir = tempfile::tempdir().unwrap();
        let (path, shared) = (dir.path().join("x.tape.yaml"), dir.path().join("_bodies"));
        std::fs::create_dir(&shared).unwrap();
        let part = paths::part(&path);
        let mut journal = JournalWriter::create(&part, &Header::default()).unwrap();
        let body = |text: &str| Some(Body::Text(text.repeat(6000)));
        let mut req = ReqDoc { of: 1, seq: 1, ..ReqDoc::default() };
        req.request.body = body("secret ");
        journal.append(&Document::Req(req)).unwrap();
        assert_eq!(std::fs::read_dir(&shared).unwrap().count(), 0);
        make_canonical(&part, &path, |tape| tape.calls_mut().for_each(|call| call.request.body = body("cleaned ")))
            .unwrap();
        assert_eq!(std::fs::read_dir(&shared).unwrap().count(), 1);
        assert!(!paths::side_dir(&path).exists());
        assert!(load(&path).unwrap().tape.inline(&SideFiles::of(&path)).is_ok());
    }
}
