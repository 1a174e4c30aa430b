//! The command line: flags as one table, a file a subcommand.

mod at;
mod bench;
mod convert;
mod faulting;
mod faults;
mod record;
mod redact;
mod reduce;
mod replay;
mod review;
mod run;
mod scope;
mod score;
mod serve;
mod tape;
mod verify;

use clap::{ArgAction, Parser, Subcommand};
use std::process::ExitCode;

/// A stand-in for a Kubernetes API server.
#[derive(Debug, Parser)]
#[command(name = "rehearsal", version, about, propagate_version = true)]
pub struct Cli {
    /// More log output on stderr (repeat for more).
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the fake API server and wait.
    Serve(serve::ServeArgs),
    /// Record what a command, or anybody, does with a cluster.
    Record(record::RecordArgs),
    /// Serve a tape, to a command or to anybody.
    Replay(replay::ReplayArgs),
    /// Run a command with an ephemeral cluster of its own.
    Run(run::RunArgs),
    /// Measure how a client behaves when things go wrong.
    Score(score::ScoreArgs),
    /// Fault plans: what there is, whether a plan is sound, what it would do.
    Faults(faults::FaultsArgs),
    /// Look at tapes and tidy them up.
    Tape(tape::TapeArgs),
    /// Send a tape's requests to a server and compare the answers.
    Verify(verify::VerifyArgs),
    /// Measure a client's limiter against any API server.
    Bench(bench::BenchArgs),
}

/// Runs the program; the exit code is the command's.
#[must_use]
pub fn main(cli: Cli) -> ExitCode {
    let access_log = match &cli.command {
        Command::Serve(args) => args.server.access_log,
        Command::Run(args) => args.server.access_log,
        _ => false,
    };
    crate::logging::start(cli.verbose, access_log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("rehearsal: start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve::serve(args).await,
            Command::Run(args) => run::run(args).await,
            Command::Score(args) => score::score(args).await,
            Command::Faults(args) => faults::faults(&args),
            Command::Record(args) => record::record(args).await,
            Command::Replay(args) => replay::replay(args).await,
            Command::Tape(args) => tape::tape(args).await,
            Command::Verify(args) => Ok(verify::verify(&args).await),
            Command::Bench(args) => bench::bench(args).await,
        }
    });
    // Blocking threads must not hold up the exit.
    runtime.shutdown_background();
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("rehearsal: {error:#}");
            ExitCode::FAILURE
        }
    }
}
