//! `rehearsal tape redact`: takes secrets out of a tape that is there already, and proves it by a scan of the result.

use anyhow::Context as _;
use clap::Args;
use rehearsal_cassettes::format::{self, Loaded, Seal, SideFiles};
use rehearsal_cassettes::redact::scan::{ScanReport, Scanner};
use rehearsal_cassettes::redact::{Key, Policy, Redactor};
use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Flags of `tape redact`.
#[derive(Clone, Debug, Args)]
pub struct RedactArgs {
    /// The tape, or journal, with secrets in it. Its side files are redacted too.
    #[arg(value_name = "TAPE")]
    pub tape: PathBuf,
    /// Where the redacted tape goes; its side files lie beside it. May be the tape itself.
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub rules: RuleArgs,
    /// Do not report text that merely looks random.
    #[arg(long)]
    pub no_entropy: bool,
    /// The report on what is left as JSON.
    #[arg(long, conflicts_with = "sarif")]
    pub json: bool,
    /// The report on what is left as SARIF 2.1.0.
    #[arg(long)]
    pub sarif: bool,
}

/// Rules and key of a redaction.
#[derive(Clone, Debug, Default, Args)]
pub struct RuleArgs {
    /// Rules of redaction of your own, beside the built-in ones.
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
    /// Redact the names of a Secret's keys too.
    #[arg(long)]
    pub redact_keys: bool,
    /// Take last-applied-configuration annotations out whole.
    #[arg(long)]
    pub drop_last_applied: bool,
    /// Key of pseudonyms, which makes them agree across tapes: a file, or `env:NAME` (default: random, and forgotten).
    #[arg(long, value_name = "FILE")]
    pub key: Option<String>,
}

impl RuleArgs {
    fn policy(&self) -> anyhow::Result<Policy> {
        let mut policy = match &self.rules {
            Some(path) => Policy::from_file(path).with_context(|| path.display().to_string())?,
            None => Policy::default(),
        };
        policy.redact_keys |= self.redact_keys;
        policy.drop_last_applied |= self.drop_last_applied;
        Ok(policy)
    }

    /// The redactor that these make.
    pub(super) fn redactor(&self) -> anyhow::Result<Redactor> {
        let key = match self.key.as_deref().map(|key| (key, key.strip_prefix("env:"))) {
            Some((_, Some(name))) => Key::from_env(name)?,
            Some((path, None)) => Key::from_file(Path::new(path))?,
            None => Key::random()?,
        };
        Ok(Redactor::new(self.policy()?, &key))
    }
}

/// Redacts: exit code 0 for a tape without secrets, 1 for one that still has some by the scanner's judgement, 2 for files
/// that could not be looked at.
pub(super) fn redact(args: &RedactArgs) -> anyhow::Result<ExitCode> {
    let redactor = args.rules.redactor()?;
    let scanner = || Ok::<_, anyhow::Error>(Scanner::with_policy(args.rules.policy()?)?.entropy(!args.no_entropy));
    let before = scanner()?.paths(std::slice::from_ref(&args.tape));
    let Loaded { mut tape, journal, lost_bytes, seal } = format::load(&args.tape)?;
    if lost_bytes > 0 {
        eprintln!("{}: {lost_bytes} bytes hold no whole document and are left out", args.tape.display());
    }
    let symbolic = !tape.header.symbols.is_empty();
    let sealed = seal == Seal::Intact || journal && tape.sealed.is_some();
    format::literal(&mut tape);
    tape.unshare();
    tape.inline(&SideFiles::of(&args.tape))?;
    let changed = redactor.tape(&mut tape);
    format::put(tape, &args.output, symbolic, sealed)?;
    let left = scanner()?.paths(std::slice::from_ref(&args.output));
    eprintln!("rehearsal: {}", summary(&before, &left, changed, &args.output));
    let text = if args.json {
        serde_json::to_string_pretty(&left.to_json())? + "\n"
    } else if args.sarif {
        serde_json::to_string_pretty(&left.to_sarif())? + "\n"
    } else {
        format!("{left}\n")
    };
    super::tape::quiet_pipe(io::stdout().lock().write_all(text.as_bytes()))?;
    Ok(ExitCode::from(left.exit_code()))
}

/// What was taken out, by class.
fn summary(before: &ScanReport, left: &ScanReport, changed: bool, output: &Path) -> String {
    let count = |report: &ScanReport| {
        let mut classes: BTreeMap<&'static str, usize> = BTreeMap::new();
        report.findings.iter().for_each(|finding| *classes.entry(finding.class).or_default() += 1);
        classes
    };
    let left = count(left);
    let gone: Vec<String> = count(before)
        .into_iter()
        .filter_map(|(class, n)| match n.saturating_sub(left.get(class).copied().unwrap_or(0)) {
            0 => None,
            gone => Some(format!("{gone} {class}")),
        })
        .collect();
    let output = output.display();
    match (gone.is_empty(), changed) {
        (false, _) => format!("{output}: taken out: {}", gone.join(", ")),
        (true, true) => format!("{output}: changed by the rules; the scanner had found nothing"),
        (true, false) => format!("{output}: nothing to take out"),
    }
}
