//! The end of a recording: from the journal to the sealed tape in its place.

use super::canonical;
use super::cause;
use super::error::TapeError;
use super::fold;
use super::journal;
use super::model::{Sealed, Tape};
use super::same;
use super::side::SideFiles;
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
    files.keep_only(&tape.side_files())?;
    std::fs::remove_file(part).map_err(|error| TapeError::io("remove", part, &error))?;
    Ok(Finished { path: path.to_owned(), sealed: tape.sealed.unwrap_or_default() })
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
