//! An HTTP receiver that answers as scripted, on a socket of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// The answer to a request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// With a status and some headers.
    Status(u16, &'static str),
    /// With 200 and a body that never ends.
    Endless,
    /// With nothing at all, until the connection is closed.
    Silence,
    /// With the end of the connection.
    Close,
    /// With 200, when the test says so.
    Held,
}

/// A request that was received.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap()
    }
}

/// The receiver. What is not scripted is answered 200.
#[derive(Clone, Debug)]
pub(crate) struct Sink {
    pub(crate) port: u16,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    replies: Mutex<VecDeque<Reply>>,
    received: Mutex<Vec<Received>>,
    arrived: Notify,
    released: Notify,
}

impl Sink {
    pub(crate) async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State { replies: Mutex::new(replies.into_iter().collect()), ..State::default() });
        let served = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&served)));
            }
        });
        Self { port, state }
    }

    pub(crate) fn uri(&self) -> String {
        format!("http://127.0.0.1:{}/hook?key=private", self.port)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// Waits until so many requests have come.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Received> {
        loop {
            let arrived = self.state.arrived.notified();
            let received = self.received();
            if received.len() >= count {
                return received;
            }
            arrived.await;
        }
    }

    /// Answers one request that is held.
    pub(crate) fn release(&self) {
        self.state.released.notify_one();
    }
}

/// Serves one connection, request after request.
async fn serve(stream: TcpStream, state: Arc<State>) {
    let mut stream = BufReader::new(stream);
    while let Some(received) = read(&mut stream).await {
        let reply = state.replies.lock().unwrap().pop_front().unwrap_or(Reply::Status(200, ""));
        state.received.lock().unwrap().push(received);
        state.arrived.notify_waiters();
        if answer(stream.get_mut(), reply, &state).await.is_none() {
            return;
        }
    }
}

async fn answer(stream: &mut TcpStream, reply: Reply, state: &State) -> Option<()> {
    match reply {
        Reply::Status(status, headers) => {
            let head = format!("HTTP/1.1 {status} Scripted\r\ncontent-length: 2\r\n{headers}\r\nok");
            stream.write_all(head.as_bytes()).await.ok()
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n").await.ok()?;
            while stream.write_all(&[b'x'; 4_096]).await.is_ok() {}
            None
        }
        Reply::Silence => {
            stream.read_exact(&mut [0; 1]).await.ok()?;
            None
        }
        Reply::Close => None,
        Reply::Held => {
            state.released.notified().await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok()
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Received> {
    let mut line = String::new();
    if stream.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let mut headers = HeaderMap::new();
    loop {
        let mut header = String::new();
        stream.read_line(&mut header).await.ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::try_from(value).unwrap());
    }
    let length = headers.get("content-length").map_or(0, |value| value.to_str().unwrap().parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Received { line: line.trim_end().to_owned(), headers, body: String::from_utf8(body).unwrap() })
}
