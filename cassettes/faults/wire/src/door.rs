//! [`Door`]: the listening socket, which can be closed for a while, and whose backlog can be filled.

use socket2::{Domain, SockRef, Socket, Type};
use std::collections::HashSet;
use std::io::Result;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};

/// Connections that the kernel may keep waiting.
const BACKLOG: i32 = 1024;
/// Connections of our own that fill a backlog of none: Linux keeps one more than it is told to.
const FILLERS: usize = 2;

/// A listening socket with a state.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    state: State,
    /// Addresses of connections that were only there to fill the backlog.
    fillers: HashSet<SocketAddr>,
}

#[derive(Debug)]
enum State {
    Open(TcpListener),
    /// Bound, so that nobody else takes the port, and not listening.
    Closed(Socket),
    /// Nobody is accepted and nobody else fits in.
    Full(TcpListener, Vec<TcpStream>),
    Broken,
}

impl Door {
    /// A door that is open.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn new(listener: TcpListener) -> Result<Self> {
        Ok(Self { address: listener.local_addr()?, state: State::Open(listener), fillers: HashSet::new() })
    }

    /// Waits for a connection; for ever while the door is closed or its backlog full. Cancel-safe.
    ///
    /// # Errors
    /// Those of accepting.
    pub async fn accept(&mut self) -> Result<(TcpStream, SocketAddr)> {
        let State::Open(listener) = &self.state else { return std::future::pending().await };
        loop {
            let (stream, peer) = listener.accept().await?;
            if !self.fillers.remove(&peer) {
                return Ok((stream, peer));
            }
        }
    }

    /// Closes the port: from now on connecting is refused.
    ///
    /// # Errors
    /// When the port cannot be held.
    pub fn close(&mut self) -> Result<()> {
        self.state = State::Broken;
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&self.address.into())?;
        self.state = State::Closed(socket);
        Ok(())
    }

    /// Fills the backlog: from now on connecting hangs.
    ///
    /// # Errors
    /// When the backlog cannot be changed.
    pub async fn fill(&mut self) -> Result<()> {
        if let State::Open(listener) = std::mem::replace(&mut self.state, State::Broken) {
            SockRef::from(&listener).listen(0)?;
            let mut fillers = Vec::new();
            for _ in 0..FILLERS {
                // One too many hangs as everybody's does, and that is how the backlog shows that it is full.
                let patience = std::time::Duration::from_millis(100);
                if let Ok(Ok(stream)) = tokio::time::timeout(patience, TcpStream::connect(self.address)).await {
                    self.fillers.extend(stream.local_addr().ok());
                    fillers.push(stream);
                }
            }
            self.state = State::Full(listener, fillers);
        }
        Ok(())
    }

    /// Opens the port again.
    ///
    /// # Errors
    /// When it cannot be listened on.
    pub fn open(&mut self) -> Result<()> {
        self.state = match std::mem::replace(&mut self.state, State::Broken) {
            State::Closed(socket) => {
                socket.listen(BACKLOG)?;
                State::Open(TcpListener::from_std(socket.into())?)
            }
            State::Full(listener, fillers) => {
                drop(fillers);
                SockRef::from(&listener).listen(BACKLOG)?;
                State::Open(listener)
            }
            other => other,
        };
        Ok(())
    }
}
