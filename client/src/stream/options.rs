//! Options of a pod's streaming subresources, as query parameters.
//!
//! Counterparts: `core/v1` `PodExecOptions`, `PodAttachOptions` and `PodPortForwardOptions`.

use super::remote_command::Streams;
use crate::rest::QueryParams;

type Pairs = Vec<(String, String)>;

fn flag(pairs: &mut Pairs, key: &str, set: bool) {
    if set {
        pairs.push((key.into(), "true".into()));
    }
}

fn text(pairs: &mut Pairs, key: &str, value: &str) {
    if !value.is_empty() {
        pairs.push((key.into(), value.into()));
    }
}

/// What a command is given and which of its streams are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodExecOptions {
    /// Program and arguments; no shell is put in between.
    pub command: Vec<String>,
    /// Container; empty means the pod's only or default one.
    pub container: String,
    /// Write to it. Default: no.
    pub stdin: bool,
    /// Read its output. Default: yes.
    pub stdout: bool,
    /// Read its error output. Default: yes; with a terminal both outputs are one.
    pub stderr: bool,
    /// Give it a terminal. Default: no.
    pub tty: bool,
}

impl PodExecOptions {
    /// Reads both outputs of a command.
    pub fn new<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Self {
        let command = command.into_iter().map(Into::into).collect();
        Self { command, container: String::new(), stdin: false, stdout: true, stderr: true, tty: false }
    }

    /// Chooses a container.
    #[must_use]
    pub fn container(mut self, name: impl Into<String>) -> Self {
        self.container = name.into();
        self
    }

    /// Writes to the command too.
    #[must_use]
    pub fn stdin(mut self) -> Self {
        self.stdin = true;
        self
    }

    /// Gives it a terminal, on which both outputs are one.
    #[must_use]
    pub fn tty(mut self) -> Self {
        (self.tty, self.stderr) = (true, false);
        self
    }

    pub(super) fn streams(&self) -> Streams {
        Streams { stdin: self.stdin, stdout: self.stdout, stderr: self.stderr }
    }
}

impl QueryParams for PodExecOptions {
    fn query(&self) -> Pairs {
        let mut pairs = Pairs::new();
        self.command.iter().for_each(|word| pairs.push(("command".into(), word.clone())));
        text(&mut pairs, "container", &self.container);
        flag(&mut pairs, "stderr", self.stderr);
        flag(&mut pairs, "stdin", self.stdin);
        flag(&mut pairs, "stdout", self.stdout);
        flag(&mut pairs, "tty", self.tty);
        pairs
    }
}

/// Which streams of a container's main process are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodAttachOptions {
    /// Container; empty means the pod's only or default one.
    pub container: String,
    /// Write to it; the container must have been made with `stdin`. Default: no.
    pub stdin: bool,
    /// Read its output. Default: yes.
    pub stdout: bool,
    /// Read its error output. Default: yes.
    pub stderr: bool,
    /// Its terminal; the container must have been made with `tty`. Default: no.
    pub tty: bool,
}

impl Default for PodAttachOptions {
    fn default() -> Self {
        Self { container: String::new(), stdin: false, stdout: true, stderr: true, tty: false }
    }
}

impl PodAttachOptions {
    pub(super) fn streams(&self) -> Streams {
        Streams { stdin: self.stdin, stdout: self.stdout, stderr: self.stderr }
    }
}

impl QueryParams for PodAttachOptions {
    fn query(&self) -> Pairs {
        let mut pairs = Pairs::new();
        text(&mut pairs, "container", &self.container);
        flag(&mut pairs, "stderr", self.stderr);
        flag(&mut pairs, "stdin", self.stdin);
        flag(&mut pairs, "stdout", self.stdout);
        flag(&mut pairs, "tty", self.tty);
        pairs
    }
}

/// Which ports of a pod are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodPortForwardOptions {
    /// Ports as the pod has them.
    pub ports: Vec<u16>,
}

impl PodPortForwardOptions {
    /// These ports.
    pub fn new(ports: impl IntoIterator<Item = u16>) -> Self {
        Self { ports: ports.into_iter().collect() }
    }
}

impl QueryParams for PodPortForwardOptions {
    fn query(&self) -> Pairs {
        self.ports.iter().map(|port| ("ports".into(), port.to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(options: &impl QueryParams) -> String {
        options.query().iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("&")
    }

    #[test]
    fn options_say_only_what_is_set() {
        let exec = PodExecOptions::new(["sh", "-c", "ls"]).container("web").stdin();
        assert_eq!(said(&exec), "command=sh&command=-c&command=ls&container=web&stderr=true&stdin=true&stdout=true");
        assert_eq!(said(&PodExecOptions::new(["sh"]).tty()), "command=sh&stdout=true&tty=true");
        assert_eq!(said(&PodAttachOptions::default()), "stderr=true&stdout=true");
        assert_eq!(said(&PodPortForwardOptions::new([80, 443])), "ports=80&ports=443");
    }
}
