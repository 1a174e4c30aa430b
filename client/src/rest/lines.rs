//! A streamed body as lines, for logs.
//!
//! Counterpart: what every caller of client-go's `GetLogs(…).Stream` does with a `bufio.Scanner`.

use super::ByteStream;
use crate::error::Error;
use bytes::BytesMut;

/// A line longer than this is handed out in pieces.
const MAX_LINE: usize = 1 << 20;

/// A body as lines, such as a log that is followed.
#[derive(Debug)]
pub struct Lines {
    stream: ByteStream,
    held: BytesMut,
    /// Bytes of `held` that are known to hold no end of a line.
    searched: usize,
    /// Once the body has ended: what broke it off, until that is told.
    end: Option<Option<Error>>,
}

impl Lines {
    pub(super) fn new(stream: ByteStream) -> Self {
        Self { stream, held: BytesMut::new(), searched: 0, end: None }
    }

    /// The next line without its end, `\n` or `\r\n`; bytes that are no UTF-8 are replaced. `None` at the end. Cancelling
    /// loses nothing.
    ///
    /// # Errors
    /// What broke the body off; what came before is handed out first.
    pub async fn next(&mut self) -> Option<Result<String, Error>> {
        loop {
            if let Some(at) = self.held[self.searched..].iter().position(|b| *b == b'\n') {
                let line = self.held.split_to(self.searched + at + 1);
                self.searched = 0;
                return Some(Ok(text_of_line(&line)));
            }
            self.searched = self.held.len();
            if self.searched > 0 && (self.end.is_some() || self.searched >= MAX_LINE) {
                self.searched = 0;
                return Some(Ok(text_of_line(&self.held.split())));
            }
            if let Some(end) = &mut self.end {
                return end.take().map(Err);
            }
            match self.stream.next().await {
                Some(Ok(bytes)) => self.held.extend_from_slice(&bytes),
                Some(Err(error)) => self.end = Some(Some(error)),
                None => self.end = Some(None),
            }
        }
    }
}

fn text_of_line(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)).into_owned()
}
