//! Processes and their memory, and the machine everything is measured on.

use super::Outcome;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

/// Resident memory of a process in bytes; `self` is this one.
pub(crate) fn resident(pid: &str) -> Outcome<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(field(&status, "VmRSS:").ok_or("no VmRSS")? * 1024.0)
}

/// The first number behind a key of a file below `/proc`.
fn field(text: &str, key: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(key))?.split_whitespace().next()?.parse().ok()
}

/// A `rehearsal serve` process, killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// Host and port.
    pub(crate) address: String,
}

impl Server {
    /// Starts the binary with `serve` and these flags, and waits for its line on stdout.
    pub(crate) fn start(flags: &[&str]) -> Outcome<Self> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rehearsal"));
        command.arg("serve").args(flags).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
        let url = line.split_whitespace().find_map(|word| word.strip_prefix("url=")).unwrap_or_default();
        let address = url.split_once("://").map_or("", |(_, address)| address).to_owned();
        if address.is_empty() {
            let _ = child.kill();
            return Err("the server did not become ready".into());
        }
        Ok(Self { child, address })
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> Outcome<f64> {
        resident(&self.child.id().to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The machine, without its name.
pub(crate) struct Machine {
    cores: usize,
    memory_gib: f64,
    kernel: String,
    rustc: String,
}

impl Machine {
    pub(crate) fn read() -> Self {
        let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let rustc = Command::new("rustc").arg("--version").output();
        Self {
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_gib: field(&meminfo, "MemTotal:").unwrap_or(0.0) / 1024.0 / 1024.0,
            kernel: kernel.trim().to_owned(),
            rustc: rustc.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned()).unwrap_or_default(),
        }
    }

    pub(crate) fn text(&self) -> String {
        let Self { cores, memory_gib, kernel, rustc } = self;
        format!("{cores} cores, {memory_gib:.0} GiB of memory, Linux {kernel}, {rustc}\n")
    }
}
