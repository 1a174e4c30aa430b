//! The rules that no compiler holds: which room may know which, and what no source file may contain.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms, with the packages of ours that each must not depend on.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "client",
        &["rehearsal", "rehearsal-fakeserver", "rehearsal-cassettes", "rehearsal-faults", "rehearsal-fault-wire"],
    ),
    (
        "client/apimachinery",
        &[
            "rehearsal",
            "rehearsal-client",
            "rehearsal-fakeserver",
            "rehearsal-cassettes",
            "rehearsal-faults",
            "rehearsal-fault-wire",
        ],
    ),
    (
        "client/derive",
        &[
            "rehearsal",
            "rehearsal-apimachinery",
            "rehearsal-client",
            "rehearsal-fakeserver",
            "rehearsal-cassettes",
            "rehearsal-faults",
            "rehearsal-fault-wire",
        ],
    ),
    ("fakeserver", &["rehearsal", "rehearsal-client", "rehearsal-cassettes"]),
    ("cassettes", &["rehearsal", "rehearsal-client", "rehearsal-fakeserver"]),
    (
        "cassettes/faults",
        &[
            "rehearsal",
            "rehearsal-client",
            "rehearsal-fakeserver",
            "rehearsal-cassettes",
            "rehearsal-apimachinery",
            "rehearsal-fault-wire",
        ],
    ),
    (
        "cassettes/faults/wire",
        &["rehearsal", "rehearsal-client", "rehearsal-fakeserver", "rehearsal-cassettes", "rehearsal-apimachinery"],
    ),
    (".", &[]),
];

/// Folders with sources of ours.
const SOURCES: [&str; 7] = ["src", "client", "fakeserver", "cassettes", "tests", "benches", "fuzz"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Names of all packages a manifest depends on, for whatever purpose.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut within = false;
    for line in manifest.lines().map(str::trim) {
        if let Some(section) = line.strip_prefix('[') {
            let section = section.trim_end_matches(']');
            // `[dependencies.x]` and `[target.'cfg(unix)'.dependencies]` too.
            within = section.ends_with("dependencies") && section != "workspace.dependencies";
            if let Some((_, name)) = section.split_once("dependencies.") {
                found.insert(name.to_owned());
            }
        } else if within && let Some((name, value)) = line.split_once(['=', '.']) {
            found.insert(name.trim().trim_matches('"').to_owned());
            if let Some((_, renamed)) = value.split_once("package = \"") {
                found.insert(renamed.split('"').next().unwrap_or_default().to_owned());
            }
        }
    }
    found
}

#[test]
fn arrows_between_rooms_point_one_way() {
    for (room, forbidden) in FORBIDDEN {
        let manifest = fs::read_to_string(root().join(room).join("Cargo.toml")).unwrap();
        let has = dependencies(&manifest);
        let wrong: Vec<_> = forbidden.iter().filter(|name| has.contains(**name)).collect();
        assert!(wrong.is_empty(), "{room} must not depend on {wrong:?}");
    }
}

#[test]
fn every_member_of_the_workspace_is_a_room_with_rules() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let members = manifest.lines().find_map(|l| l.strip_prefix("members = [")).unwrap();
    for member in members.trim_end_matches(']').split(',').map(|m| m.trim().trim_matches('"')) {
        let known = FORBIDDEN.iter().any(|(room, _)| *room == member);
        assert!(known || member == "benches", "{member} has no rule in this test");
    }
}

#[test]
fn dependencies_are_found_in_all_their_forms() {
    let manifest = "[dependencies]\na.workspace = true\nb = \"1\"\nc = { package = \"d\", version = \"1\" }\n\
                    [dev-dependencies.e]\nversion = \"1\"\n[target.'cfg(unix)'.dependencies]\nf = \"1\"\n[lints]\ng = 1\n";
    let found: Vec<_> = dependencies(manifest).into_iter().collect();
    assert_eq!(found, ["a", "b", "c", "d", "e", "f"]);
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|e| e.unwrap().path()) {
        if path.is_dir() && path.file_name().is_none_or(|name| name != "target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_source_says_what_it_is_and_nothing_is_left_open() {
    // Spelled apart, so that this file does not find itself.
    let banned = [
        ["un", "safe {"],
        ["un", "safe fn"],
        ["un", "safe impl"],
        ["to", "do!("],
        ["unimplem", "ented!("],
        ["#[ig", "nore"],
    ];
    let mut files = Vec::new();
    SOURCES.iter().for_each(|folder| sources(&root().join(folder), &mut files));
    assert!(files.len() > 100, "only {} sources found", files.len());
    let mut wrong = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        if !text.starts_with("//!") && !text.starts_with("#![no_main]\n//!") {
            wrong.push(format!("{}: does not open with //!", path.display()));
        }
        for word in banned.map(|parts| parts.concat()) {
            if text.contains(&word) {
                wrong.push(format!("{}: has {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
