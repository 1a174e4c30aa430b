//! The controller of the recorded incident, with its bug or (`--fixed`) without. The README beside it tells the story.
//!
//! Exit code 42 when an app has two claims, which is the bug; 0 when nothing has happened for a while.

mod controller;

use controller::{Outcome, Settings, run};
use rehearsal::client::{Config, Qps};
use std::process::ExitCode;
use std::time::Duration;

/// What a judge looks for.
const BUG: u8 = 42;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let fixed = std::env::args().any(|argument| argument == "--fixed");
    // Whoever works against a test server need not be considerate.
    let config = Config { qps: Qps(-1.0), ..Config::infer()? };
    let settings = Settings { fixed, quiet: Duration::from_millis(300) };
    Ok(match run(&config, settings).await? {
        Outcome::Calm(made) => {
            println!("{made} claims made, one an app");
            ExitCode::SUCCESS
        }
        Outcome::TwoClaims(app) => {
            println!("{app} has two claims");
            ExitCode::from(BUG)
        }
    })
}
