//! Generated sources are current: each generator here makes its files anew and compares them with the committed ones.
//!
//! `REHEARSAL_REGENERATE=1 cargo test --test codegen` writes them instead. This test is built with the files it checks:
//! where a new `k8s-openapi` lacks a type that they name, take its lines out by hand first. `gostructs/` beside this file
//! is a generator in Go with instructions of its own.

mod api;
mod clientset;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Sources by file name.
type Files = BTreeMap<String, String>;

/// Compares a folder with what it should hold, or writes it when asked to.
fn settle(folder: &Path, wanted: &Files) {
    if std::env::var_os("REHEARSAL_REGENERATE").is_some() {
        write(folder, wanted);
    }
    let mut stale = Vec::new();
    for (name, text) in wanted {
        if fs::read_to_string(folder.join(name)).ok().as_ref() != Some(text) {
            stale.push(format!("{name} is not what the generator writes"));
        }
    }
    for name in files_in(folder) {
        if !wanted.contains_key(&name) {
            stale.push(format!("{name} is not written by the generator"));
        }
    }
    let hint = "REHEARSAL_REGENERATE=1 cargo test --test codegen";
    assert!(stale.is_empty(), "{} is stale; run `{hint}`:\n{}", folder.display(), stale.join("\n"));
}

fn write(folder: &Path, wanted: &Files) {
    for name in files_in(folder).iter().filter(|name| !wanted.contains_key(*name)) {
        fs::remove_file(folder.join(name)).unwrap();
    }
    for (name, text) in wanted {
        fs::write(folder.join(name), text).unwrap();
    }
}

fn files_in(folder: &Path) -> Vec<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_clientset_is_what_its_generator_writes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("client/src/clientset/generated");
    settle(&folder, &clientset::files(&api::Api::load()));
}
