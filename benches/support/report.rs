//! The table of a benchmark: figure, target, measured, verdict; on the terminal and in docs/BENCHMARKS.md.

use super::Outcome;
use super::process::Machine;
use std::fmt::Write as _;
use std::path::Path;

/// What a figure has to reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// At most this, in the unit.
    AtMost(f64, &'static str),
    /// At least this, in the unit.
    AtLeast(f64, &'static str),
    /// Nothing: shown beside the others.
    Shown(&'static str),
}

impl Target {
    fn text(self) -> String {
        match self {
            Self::AtMost(limit, unit) => format!("≤ {}", number(limit, unit)),
            Self::AtLeast(limit, unit) => format!("≥ {}", number(limit, unit)),
            Self::Shown(_) => String::new(),
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::AtMost(_, unit) | Self::AtLeast(_, unit) | Self::Shown(unit) => unit,
        }
    }

    fn verdict(self, measured: f64) -> &'static str {
        let held = match self {
            Self::AtMost(limit, _) => measured <= limit,
            Self::AtLeast(limit, _) => measured >= limit,
            Self::Shown(_) => return "",
        };
        if held { "held" } else { "MISSED" }
    }
}

/// The figures of one benchmark.
pub(crate) struct Report {
    name: &'static str,
    rows: Vec<[String; 4]>,
}

impl Report {
    /// An empty report of the benchmark of this name.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, rows: Vec::new() }
    }

    /// Adds a figure and prints it at once, for those who wait.
    pub(crate) fn figure(&mut self, what: impl Into<String>, target: Target, measured: f64) {
        let row = [what.into(), target.text(), number(measured, target.unit()), target.verdict(measured).to_owned()];
        println!("{:<72} {:>12} {:>14}  {}", row[0], row[1], row[2], row[3]);
        self.rows.push(row);
    }

    /// Puts the table into docs/BENCHMARKS.md, where `--record` asks for it.
    pub(crate) fn finish(self, record: bool) -> Outcome {
        if !record {
            return Ok(());
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/BENCHMARKS.md");
        let text = std::fs::read_to_string(&path)?;
        let text =
            replaced(&text, self.name, &self.table()).ok_or("docs/BENCHMARKS.md lacks the marks of the table")?;
        let text = replaced(&text, "machine", &Machine::read().text()).ok_or("docs/BENCHMARKS.md lacks the machine")?;
        Ok(std::fs::write(path, text)?)
    }

    fn table(&self) -> String {
        let mut out = String::from("| figure | target | measured | verdict |\n|---|---|---|---|\n");
        for [what, target, measured, verdict] in &self.rows {
            let _ = writeln!(out, "| {what} | {target} | {measured} | {verdict} |");
        }
        out
    }
}

/// The text with another content between `<!-- name -->` and `<!-- /name -->`.
fn replaced(text: &str, name: &str, content: &str) -> Option<String> {
    let (before, rest) = text.split_once(&format!("<!-- {name} -->\n"))?;
    let (_, after) = rest.split_once(&format!("<!-- /{name} -->"))?;
    Some(format!("{before}<!-- {name} -->\n{content}<!-- /{name} -->{after}"))
}

/// A figure with its unit, with as many places as it deserves.
fn number(value: f64, unit: &str) -> String {
    let space = if unit == "×" { "" } else { " " };
    let places = if unit == "×" || value < 10.0 {
        2
    } else if value < 1000.0 {
        1
    } else {
        0
    };
    format!("{value:.places$}{space}{unit}")
}
