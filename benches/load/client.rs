//! A lean gRPC client: one HTTP/2 connection, requests that are encoded already, answers that are not decoded.
//!
//! tonic's own client would take more of the machine than the server does in the cheapest rows.

use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request};
use tokio::net::TcpStream;

use crate::Outcome;

/// The window of a connection and of each of its calls, in bytes: no answer waits for the client.
const WINDOW: u32 = 16 * 1024 * 1024;
/// The length of gRPC's prefix of a message: a flag and the message's length.
const PREFIX: usize = 5;

/// One connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Client {
    requests: SendRequest<Bytes>,
    authority: String,
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
    /// Connects to an address.
    pub(crate) async fn connect(address: &str) -> Outcome<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let (requests, connection) = builder.handshake(socket).await?;
        tokio::spawn(connection);
        Ok(Self { requests, authority: address.to_owned() })
    }

    /// Calls a method with a message as `framed` returns it.
    pub(crate) async fn call(&self, path: &str, message: Bytes) -> Outcome<Answer> {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}{path}", self.authority))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
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
