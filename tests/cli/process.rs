//! The binary as another program meets it: a child process, its lines, its exit code, and one plain HTTP request.
//!
//! Nothing here sleeps: tests wait for a line or for the end of the output, and give up after [`PATIENCE`].

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// How long a line may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `rehearsal`, killed when dropped.
pub(crate) struct Rehearsal {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Rehearsal {
    /// Starts the binary with all its streams in our hands. Under `CI` nothing would be recorded, so it is not told.
    pub(crate) fn start<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Self {
        Self::start_with(args, &[])
    }

    /// The same with variables in its environment.
    pub(crate) fn start_with<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>, env: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rehearsal"))
            .args(args)
            .envs(env.iter().copied())
            .env_remove("CI")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = lines(child.stderr.take().unwrap());
        Self { stdin: child.stdin.take(), child, stdout, stderr }
    }

    /// The next line of standard output.
    pub(crate) fn line(&self) -> String {
        match self.stdout.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("no line within {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the output ended: {}", rest(&self.stderr).join("\n")),
        }
    }

    /// The `url` and the `kubeconfig` of the ready line.
    pub(crate) fn ready(&self) -> (String, String) {
        let line = self.line();
        let rest = line.strip_prefix("ready url=").unwrap_or_else(|| panic!("no ready line: {line}"));
        let (url, kubeconfig) = rest.split_once(" kubeconfig=").unwrap_or_else(|| panic!("no kubeconfig: {line}"));
        (url.to_owned(), kubeconfig.to_owned())
    }

    /// Sends a signal by its name, e.g. `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "kill -{name}");
    }

    /// Closes standard input, waits until nobody holds the output any more, neither the program nor anything it
    /// started, and returns the status with the remaining lines of both outputs.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<String>, Vec<String>) {
        drop(self.stdin.take());
        let (out, err) = (rest(&self.stdout), rest(&self.stderr));
        (self.child.wait().unwrap(), out, err)
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads lines on a thread of their own, so that waiting for one can end.
fn lines(from: impl std::io::Read + Send + 'static) -> Receiver<String> {
    let (tell, told) = channel();
    thread::spawn(move || BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
    told
}

fn rest(lines: &Receiver<String>) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => all.push(line),
            Err(RecvTimeoutError::Disconnected) => return all,
            Err(RecvTimeoutError::Timeout) => panic!("still running after {PATIENCE:?}; so far: {all:?}"),
        }
    }
}

/// GET of an `http://HOST:PORT` URL and a path: the whole answer with its head.
pub(crate) fn get(url: &str, path: &str) -> String {
    let mut answer = String::new();
    request(url, path).read_to_string(&mut answer).unwrap();
    answer
}

/// A GET whose answer has begun and is not read any further.
pub(crate) fn open(url: &str, path: &str) -> TcpStream {
    let mut connection = request(url, path);
    let mut head = [0; 12];
    connection.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200", "{}", String::from_utf8_lossy(&head));
    connection
}

fn request(url: &str, path: &str) -> TcpStream {
    let address = url.strip_prefix("http://").expect("a plain URL");
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    connection
}
