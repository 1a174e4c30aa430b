//! Tapes end to end: recorded from a fake server with real clients, through the library and through the binary.

#[path = "../cli/process.rs"]
#[allow(dead_code)]
mod process;

mod crash;
mod faulty;
mod incident;
mod oracle;
mod recorded;
mod recorder_options;
mod recording;
mod recording_command;
mod replay;
mod support;
mod tape_commands;
mod transcripts;
mod upgrades;
mod upstreams;
mod verify;
