//! Signals to process groups: what `rehearsal run` and `rehearsal score` start must not outlive them.

use tokio::process::Command;

/// Sends a signal to a process group. There is no safe call for it in the standard library, so `kill` does it.
pub(crate) async fn signal_group(word: &str, group: u32) {
    let _ = Command::new("kill")
        .args([&format!("-{word}"), "--", &format!("-{group}")])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .status()
        .await;
}

/// What a command left running in its group goes with it.
pub(crate) async fn end_group(group: Option<u32>) {
    if let Some(group) = group {
        signal_group("KILL", group).await;
    }
}
