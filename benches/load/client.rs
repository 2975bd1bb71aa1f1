//! A lean gRPC client: one HTTP/2 connection, plain or over TLS, requests that are encoded already, answers that are not decoded.
//!
//! tonic's own client would take more of the machine than the server does in the cheapest rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Outcome;
use crate::credentials::Presented;

/// The window of a connection and of each of its calls, in bytes: no answer waits for the client.
const WINDOW: u32 = 16 * 1024 * 1024;
/// The length of gRPC's prefix of a message: a flag and the message's length.
const PREFIX: usize = 5;

/// One connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Client {
    requests: SendRequest<Bytes>,
    /// The beginning of each call's URI.
    origin: String,
    presented: Arc<Presented>,
    /// The number of calls of all connections, which take the headers in turn.
    calls: Arc<AtomicUsize>,
}

/// The answer to one call.
pub(crate) struct Answer {
    /// The status code of gRPC.
    pub(crate) code: u32,
    /// The message, without its prefix; empty if there is none.
    pub(crate) message: Bytes,
    /// The sentence of a status that is not OK, percent-encoded.
    pub(crate) sentence: String,
}

impl Client {
    /// Connects to each address in turn, with what is presented.
    pub(crate) async fn connect(addresses: impl Iterator<Item = &str>, presented: Presented) -> Outcome<Vec<Self>> {
        let (presented, calls) = (Arc::new(presented), Arc::default());
        let mut clients = Vec::new();
        for address in addresses {
            let socket = TcpStream::connect(address).await?;
            socket.set_nodelay(true)?;
            let (requests, scheme) = match &presented.tls {
                None => (begin(socket).await?, "http"),
                Some(tls) => {
                    let connector = TlsConnector::from(Arc::clone(tls));
                    (begin(connector.connect("localhost".try_into()?, socket).await?).await?, "https")
                }
            };
            let origin = format!("{scheme}://{address}");
            clients.push(Self { requests, origin, presented: Arc::clone(&presented), calls: Arc::clone(&calls) });
        }
        Ok(clients)
    }

    /// Calls a method with a message as `framed` returns it.
    pub(crate) async fn call(&self, path: &str, message: Bytes) -> Outcome<Answer> {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("{}{path}", self.origin))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        let headers = &self.presented.headers;
        if !headers.is_empty() {
            let (name, value) = &headers[self.calls.fetch_add(1, Ordering::Relaxed) % headers.len()];
            request = request.header(name, value);
        }
        let request = request.body(())?;
        let mut requests = self.requests.clone().ready().await?;
        let (answer, mut body) = requests.send_request(request, false)?;
        body.send_data(message, true)?;
        let (head, mut body) = answer.await?.into_parts();
        let mut message = BytesMut::new();
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            body.flow_control().release_capacity(chunk.len())?;
            message.extend_from_slice(&chunk);
        }
        // A call without a message has its status in the head.
        let trailers = body.trailers().await?.unwrap_or(head.headers);
        let code = header(&trailers, "grpc-status").parse()?;
        let message = if message.len() > PREFIX { message.freeze().slice(PREFIX..) } else { Bytes::new() };
        Ok(Answer { code, message, sentence: header(&trailers, "grpc-message").to_owned() })
    }
}

/// Begins HTTP/2 on a connection.
async fn begin(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Outcome<SendRequest<Bytes>> {
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let (requests, connection) = builder.handshake(io).await?;
    tokio::spawn(connection);
    Ok(requests)
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Returns a message with gRPC's prefix.
pub(crate) fn framed(message: &impl prost::Message) -> Bytes {
    let length = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(PREFIX + length);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    bytes.put_slice(&message.encode_to_vec());
    bytes.freeze()
}
