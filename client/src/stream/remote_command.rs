//! A command under way: its three streams, its terminal, and what became of it.
//!
//! Counterpart: client-go `tools/remotecommand`. Channels: 0 input, 1 output, 2 error output, 3 the final `Status`,
//! 4 sizes of the terminal, 255 (v5) the end of another channel.

use super::channel::{BUFFER, ChannelReader, ChannelWriter, Heartbeat, QUEUE, frame, next_frame, write_frames};
use super::connect::Socket;
use crate::error::{DecodeError, Error, TransportError, TransportKind};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::SplitStream;
use rehearsal_apimachinery::Status;
use rehearsal_apimachinery::status::Outcome;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::task::AbortOnDropHandle;

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// A final status longer than this is none.
const MAX_STATUS: usize = 1 << 20;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode(pub i32);

impl ExitCode {
    /// Whether it is zero.
    #[must_use]
    pub fn is_success(self) -> bool {
        self.0 == 0
    }
}

/// Size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// Tells a command the size of its terminal. Sizes that follow each other faster than they can be sent are skipped.
#[derive(Clone, Debug)]
pub struct Resizer(watch::Sender<Option<TerminalSize>>);

impl Resizer {
    /// The terminal has this size now.
    pub fn resize(&self, size: TerminalSize) {
        self.0.send_replace(Some(size));
    }
}

/// Which streams were asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
}

/// A command under way. Dropping it ends the connection, and with it usually the command.
#[derive(Debug)]
pub struct RemoteCommand {
    stdin: Option<ChannelWriter>,
    stdout: Option<ChannelReader>,
    stderr: Option<ChannelReader>,
    resizer: Resizer,
    half_close: bool,
    end: AbortOnDropHandle<Result<ExitCode, Error>>,
}

/// Two ends of a pipe, if it is wanted.
fn pipe(wanted: bool) -> (Option<DuplexStream>, Option<DuplexStream>) {
    if !wanted {
        return (None, None);
    }
    let (ours, theirs) = tokio::io::duplex(BUFFER);
    (Some(ours), Some(theirs))
}

impl RemoteCommand {
    pub(super) fn start(socket: Socket, protocol: &str, streams: Streams) -> Self {
        let half_close = protocol.starts_with("v5.");
        let (input, stdin) = pipe(streams.stdin);
        let (stdout, output) = pipe(streams.stdout);
        let (stderr, error_output) = pipe(streams.stderr);
        let (resizer, sizes) = watch::channel(None);
        let (frames, queue) = mpsc::channel(QUEUE);
        let (sink, stream) = socket.split();
        let run = async move {
            let outgoing = async { tokio::join!(send_input(input, &frames, half_close), send_sizes(sizes, &frames)) };
            let incoming = Incoming { stdout: output, stderr: error_output, status: Vec::new() };
            // Writing never ends on its own: what the server still has to say counts more than that it cannot be written
            // to, and silence has a limit of its own.
            let write = async {
                tokio::join!(write_frames(sink, queue, Heartbeat::COMMAND), outgoing, std::future::pending::<()>())
            };
            tokio::select! {
                result = incoming.read(stream) => result,
                _ = write => Ok(ExitCode(0)),
            }
        };
        Self {
            stdin: stdin.map(ChannelWriter),
            stdout: stdout.map(ChannelReader),
            stderr: stderr.map(ChannelReader),
            resizer: Resizer(resizer),
            half_close,
            end: AbortOnDropHandle::new(tokio::spawn(run)),
        }
    }

    /// Takes the input, if it was asked for. Shutting it down tells the command that there is no more, where
    /// [`RemoteCommand::supports_half_close`].
    pub fn take_stdin(&mut self) -> Option<ChannelWriter> {
        self.stdin.take()
    }

    /// Takes the output, if it was asked for.
    pub fn take_stdout(&mut self) -> Option<ChannelReader> {
        self.stdout.take()
    }

    /// Takes the error output, if it was asked for.
    pub fn take_stderr(&mut self) -> Option<ChannelReader> {
        self.stderr.take()
    }

    /// What sets the size of the terminal.
    #[must_use]
    pub fn resizer(&self) -> Resizer {
        self.resizer.clone()
    }

    /// Whether the server understands the end of input; servers before 1.30 do not.
    #[must_use]
    pub fn supports_half_close(&self) -> bool {
        self.half_close
    }

    /// Waits for the end. Streams that were not taken are closed: no more input, output discarded.
    ///
    /// # Errors
    /// A status other than an exit code, such as a command that could not be started; a connection that broke.
    pub async fn wait(mut self) -> Result<ExitCode, Error> {
        drop((self.stdin.take(), self.stdout.take(), self.stderr.take()));
        match self.end.await {
            Ok(result) => result,
            Err(error) => Err(broken(TransportError::with_source(TransportKind::Other, error))),
        }
    }

    /// Waits for the end, and gives all that was written to the outputs not taken. They are held in memory.
    ///
    /// # Errors
    /// As [`RemoteCommand::wait`].
    pub async fn output(mut self) -> Result<(ExitCode, Vec<u8>, Vec<u8>), Error> {
        let (stdout, stderr) = (self.stdout.take(), self.stderr.take());
        let read = |from: Option<ChannelReader>| async move {
            let mut bytes = Vec::new();
            if let Some(mut from) = from {
                // A pipe only ends; what broke is told by the end of the command.
                let _ = from.read_to_end(&mut bytes).await;
            }
            bytes
        };
        let (code, stdout, stderr) = tokio::join!(self.wait(), read(stdout), read(stderr));
        Ok((code?, stdout, stderr))
    }
}

fn broken(source: TransportError) -> Error {
    Error::Transport { action: "remote command".into(), source }
}

/// Input as frames until it ends; then, if the protocol can say so, its end.
async fn send_input(input: Option<DuplexStream>, frames: &mpsc::Sender<Message>, half_close: bool) {
    let Some(mut input) = input else { return };
    let mut buffer = vec![0; BUFFER];
    while let Ok(read @ 1..) = input.read(&mut buffer).await {
        if frames.send(frame(STDIN, &buffer[..read])).await.is_err() {
            return;
        }
    }
    if half_close {
        let _ = frames.send(frame(CLOSE, &[STDIN])).await;
    }
}

async fn send_sizes(mut sizes: watch::Receiver<Option<TerminalSize>>, frames: &mpsc::Sender<Message>) {
    while sizes.changed().await.is_ok() {
        let size = *sizes.borrow_and_update();
        let Some(size) = size else { continue };
        let text = format!("{{\"Width\":{},\"Height\":{}}}\n", size.width, size.height);
        if frames.send(frame(RESIZE, text.as_bytes())).await.is_err() {
            return;
        }
    }
}

/// Where frames of the server go; `None` where nobody listens, or no longer.
struct Incoming {
    stdout: Option<DuplexStream>,
    stderr: Option<DuplexStream>,
    status: Vec<u8>,
}

impl Incoming {
    async fn read(mut self, mut stream: SplitStream<Socket>) -> Result<ExitCode, Error> {
        loop {
            match next_frame(&mut stream, Heartbeat::COMMAND).await {
                Ok(Some((channel, bytes))) => self.take(channel, bytes).await,
                Ok(None) => return verdict(&self.status),
                // A status that arrived whole is the verdict, however the connection ended.
                Err(error) => {
                    return match verdict(&self.status) {
                        Err(Error::Decode(_)) => Err(broken(error)),
                        _ if self.status.is_empty() => Err(broken(error)),
                        whole => whole,
                    };
                }
            }
        }
    }

    async fn take(&mut self, channel: u8, bytes: Bytes) {
        match channel {
            STDOUT => pass(&mut self.stdout, &bytes).await,
            STDERR => pass(&mut self.stderr, &bytes).await,
            ERROR if self.status.len() + bytes.len() <= MAX_STATUS => self.status.extend_from_slice(&bytes),
            CLOSE => match bytes.first() {
                Some(&STDOUT) => self.stdout = None,
                Some(&STDERR) => self.stderr = None,
                _ => {}
            },
            _ => {}
        }
    }
}

/// Waits for room in the pipe; a reader who went away is not waited for.
async fn pass(to: &mut Option<DuplexStream>, bytes: &[u8]) {
    if let Some(pipe) = to
        && pipe.write_all(bytes).await.is_err()
    {
        *to = None;
    }
}

/// What the final status says. Without one, an orderly end is success, as in client-go.
fn verdict(status: &[u8]) -> Result<ExitCode, Error> {
    if status.is_empty() {
        return Ok(ExitCode(0));
    }
    let status: Status = serde_json::from_slice(status).map_err(|e| {
        Error::Decode(DecodeError::Malformed { media_type: "application/json".into(), message: e.to_string() })
    })?;
    if status.status == Some(Outcome::Success) {
        return Ok(ExitCode(0));
    }
    let is_exit = status.reason.as_ref().is_some_and(|r| r.as_str() == "NonZeroExitCode");
    let causes = status.details.iter().flat_map(|d| &d.causes);
    let code = causes.filter(|c| c.reason == "ExitCode").find_map(|c| c.message.parse().ok());
    match code {
        Some(code) if is_exit => Ok(ExitCode(code)),
        _ => Err(status.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_status_is_the_verdict() {
        assert_eq!(verdict(b"").unwrap(), ExitCode(0));
        assert_eq!(verdict(br#"{"metadata":{},"status":"Success"}"#).unwrap(), ExitCode(0));
        let exited = br#"{"metadata":{},"status":"Failure","message":"command terminated with non-zero exit code","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"3"}]}}"#;
        assert_eq!(verdict(exited).unwrap(), ExitCode(3));
        let failed = br#"{"status":"Failure","reason":"InternalError","message":"no such file","code":500}"#;
        let error = verdict(failed).unwrap_err();
        assert!(error.is_internal_error() && error.to_string().contains("no such file"));
        assert!(matches!(verdict(b"}").unwrap_err(), Error::Decode(_)));
        let odd = br#"{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"x"}]}}"#;
        assert!(verdict(odd).is_err());
    }
}
