//! A connection before STARTTLS, of which nothing is read ahead.
//!
//! Text that a server sends in the clear behind its answer to STARTTLS may come from anybody (RFC 3207, section 6). lettre reads
//! into a
//! buffer that it keeps across the change to TLS, so that text would pass for answers of the server that has proved its
//! name. This type leaves the text for TLS, which refuses it.

use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use lettre::transport::smtp::client::AsyncTokioStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The first byte of a client's side of TLS (RFC 8446, section 5.1), which begins no command of SMTP.
const HANDSHAKE: u8 = 22;

/// A connection that is read byte by byte until TLS begins.
#[derive(Debug)]
pub(crate) struct StarttlsGuard {
    stream: TcpStream,
    clear: bool,
}

impl StarttlsGuard {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, clear: true }
    }
}

impl AsyncTokioStream for StarttlsGuard {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

impl AsyncRead for StarttlsGuard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.clear || buffer.remaining() == 0 {
            return pin!(&mut self.stream).poll_read(cx, buffer);
        }
        let mut byte = [0];
        let mut one = ReadBuf::new(&mut byte);
        ready!(pin!(&mut self.stream).poll_read(cx, &mut one))?;
        buffer.put_slice(one.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for StarttlsGuard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.clear &= bytes.first() != Some(&HANDSHAKE);
        pin!(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.stream).poll_shutdown(cx)
    }
}
