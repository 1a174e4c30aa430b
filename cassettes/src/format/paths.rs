//! The files of one tape, from the name of any of them.

use std::path::{Path, PathBuf};

/// Endings of a tape's files after its stem (`x.tape`).
const ENDINGS: [&str; 4] = [".yaml", ".part", ".crashed", ".failed"];

/// `x.tape`: what all file names of a tape begin with.
fn stem(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let stem = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    path.with_file_name(stem)
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = stem(path).into_os_string();
    name.push(ending);
    PathBuf::from(name)
}

/// `x.tape.yaml`: the canonical form.
#[must_use]
pub fn canonical(path: &Path) -> PathBuf {
    with(path, ".yaml")
}

/// `x.tape.part`: the journal while it is written.
#[must_use]
pub fn part(path: &Path) -> PathBuf {
    with(path, ".part")
}

/// `x.tape.crashed`: a journal whose recorder died, put aside by the next recording.
#[must_use]
pub fn crashed(path: &Path) -> PathBuf {
    with(path, ".crashed")
}

/// `x.tape.failed`: a tape kept because its test failed.
#[must_use]
pub fn failed(path: &Path) -> PathBuf {
    with(path, ".failed")
}

/// `x.tape.d`: the side files.
#[must_use]
pub fn side_dir(path: &Path) -> PathBuf {
    with(path, ".d")
}

/// `_bodies`: side files shared by all tapes of a directory. Used where it is there.
#[must_use]
pub fn shared_dir(path: &Path) -> PathBuf {
    path.with_file_name("_bodies")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_of_a_tape_are_found_from_any() {
        for name in ["d/x.tape.yaml", "d/x.tape.part", "d/x.tape.failed"] {
            assert_eq!(canonical(Path::new(name)), Path::new("d/x.tape.yaml"));
            assert_eq!(part(Path::new(name)), Path::new("d/x.tape.part"));
            assert_eq!(side_dir(Path::new(name)), Path::new("d/x.tape.d"));
            assert_eq!(shared_dir(Path::new(name)), Path::new("d/_bodies"));
        }
    }
}
