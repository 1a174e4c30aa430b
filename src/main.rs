//! The `rehearsal` binary: parses flags, starts logging, runs a command, turns errors into exit codes.

use clap::Parser as _;
use rehearsal::cli::Cli;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    rehearsal::cli::main(cli)
}
