//! Loading objects from files: YAML and JSON, streams of documents, Lists, directories, Helm `crds/` folders.

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rehearsal_apimachinery::ObjectMeta as _;
use rehearsal_apimachinery::codec::yaml;
use rehearsal_fakeserver::FakeServer;
use serde_json::Value;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

/// From this many objects on a terminal is shown a progress bar.
const WORTH_A_BAR: usize = 200;

/// Loads all objects of the paths, namespaces and CRDs first.
///
/// # Errors
/// Unreadable files with their place, and refused objects by name.
pub async fn objects(server: &FakeServer, paths: &[PathBuf]) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for path in paths {
        all.extend(read(path)?);
    }
    create(server, all).await
}

/// Loads the CustomResourceDefinitions of the paths and ignores everything else in them. Of a Helm chart only `crds/`
/// is read, for its templates are no YAML.
///
/// # Errors
/// Unreadable files with their place, and refused objects by name.
pub async fn crds(server: &FakeServer, paths: &[PathBuf]) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for path in paths {
        let folder = path.join("crds");
        let chart = path.join("Chart.yaml").is_file() && folder.is_dir();
        all.extend(read(if chart { &folder } else { path })?);
    }
    all.retain(|(_, object)| object.get("kind").and_then(Value::as_str) == Some("CustomResourceDefinition"));
    create(server, all).await
}

async fn create(server: &FakeServer, mut all: Vec<(String, Value)>) -> anyhow::Result<()> {
    all.sort_by_key(|(_, object)| rank(object));
    let bar = progress(all.len());
    for (place, object) in all {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or("object").to_owned();
        let name = object.name().to_owned();
        server.apply(object).await.with_context(|| format!("{place}: {kind} {name:?}"))?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

/// What others need comes first.
fn rank(object: &Value) -> u8 {
    match object.get("kind").and_then(Value::as_str) {
        Some("CustomResourceDefinition") => 0,
        Some("Namespace") => 1,
        Some("PriorityClass" | "StorageClass" | "RuntimeClass" | "ServiceAccount") => 2,
        _ => 3,
    }
}

fn progress(count: usize) -> ProgressBar {
    let shown = count >= WORTH_A_BAR && std::io::stderr().is_terminal() && std::env::var_os("CI").is_none();
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(count as u64), target);
    match ProgressStyle::with_template("loading {bar:40} {pos}/{len} objects, {per_sec}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The objects of a file, of all files below a directory, or of standard input (`-`), with the place they stand at.
///
/// # Errors
/// Unreadable files and documents, with file and document number.
pub fn read(path: &Path) -> anyhow::Result<Vec<(String, Value)>> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("read standard input")?;
        return documents("standard input", &text);
    }
    if !path.is_dir() {
        let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
        return documents(&path.display().to_string(), &text);
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("read {}", path.display()))?;
    let mut files: Vec<PathBuf> = entries.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let extension = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
        if file.is_dir() || matches!(extension, "yaml" | "yml" | "json") {
            all.extend(read(&file)?);
        }
    }
    Ok(all)
}

fn documents(place: &str, text: &str) -> anyhow::Result<Vec<(String, Value)>> {
    let mut all = Vec::new();
    for (i, document) in yaml::documents(text).into_iter().enumerate() {
        let place = format!("{place}: document {}", i + 1);
        let (value, _) = yaml::parse(document.as_bytes()).with_context(|| place.clone())?;
        flatten(&place, value, &mut all)?;
    }
    Ok(all)
}

/// Lists stand for their items; empty documents for nothing.
fn flatten(place: &str, value: Value, all: &mut Vec<(String, Value)>) -> anyhow::Result<()> {
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    match value {
        Value::Null => Ok(()),
        Value::Object(mut map) if kind.ends_with("List") && map.get("items").is_some_and(Value::is_array) => {
            let item_kind = kind.strip_suffix("List").unwrap_or_default().to_owned();
            let version = map.get("apiVersion").cloned();
            let Some(Value::Array(items)) = map.remove("items") else { return Ok(()) };
            for mut item in items {
                // Items of a typed list leave out what the list says.
                if let Value::Object(item) = &mut item
                    && !item_kind.is_empty()
                {
                    item.entry("kind").or_insert_with(|| item_kind.clone().into());
                    item.entry("apiVersion").or_insert_with(|| version.clone().unwrap_or_default());
                }
                flatten(place, item, all)?;
            }
            Ok(())
        }
        Value::Object(_) if kind.is_empty() => bail!("{place}: no kind"),
        Value::Object(_) => {
            all.push((place.to_owned(), value));
            Ok(())
        }
        _ => bail!("{place}: not an object"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_streams_become_single_objects() {
        let text = "kind: ConfigMapList\napiVersion: v1\nitems:\n- metadata: {name: a}\n---\n---\nkind: Pod\nmetadata: {name: b}\n";
        let found = documents("x", text).unwrap();
        let names: Vec<_> = found.iter().map(|(_, o)| (o["kind"].as_str().unwrap(), o.name())).collect();
        assert_eq!(names, [("ConfigMap", "a"), ("Pod", "b")]);
    }

    #[test]
    fn a_bad_document_is_named_by_its_place() {
        let error = documents("f.yaml", "kind: A\n---\n- 1\n").unwrap_err();
        assert_eq!(error.to_string(), "f.yaml: document 2: not an object");
    }
}
