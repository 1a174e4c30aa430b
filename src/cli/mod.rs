//! The command line: flags as one table, a file a subcommand.

mod run;
mod serve;

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
    /// Run a command with an ephemeral cluster of its own.
    Run(run::RunArgs),
}

/// Runs the program; the exit code is the command's.
#[must_use]
pub fn main(cli: Cli) -> ExitCode {
    let access_log = match &cli.command {
        Command::Serve(args) => args.server.access_log,
        Command::Run(args) => args.server.access_log,
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
