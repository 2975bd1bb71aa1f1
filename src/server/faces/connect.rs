//! The Connect protocol (<https://connectrpc.com/docs/protocol>): a call of it is made one of gRPC, and its answer one of Connect, in JSON
//! or in the binary form of protobuf. Credentials, deadlines, limits, the log and the metrics are the boundary's.

mod answer;
mod error;
mod gzip;
mod query;

use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method as HttpMethod, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;

use super::envelope::{Converted, Prefixed, envelope, only};
use super::json;
use super::schema::Method;
use crate::server::request_body::{COMPRESSED, PREFIX, UNKNOWN_LENGTH};
use crate::server::room::SMALL;
use crate::server::status;
use query::Query;

const VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");
const TIMEOUT: HeaderName = HeaderName::from_static("connect-timeout-ms");
const STREAM_ENCODING: HeaderName = HeaderName::from_static("connect-content-encoding");
const STREAM_ACCEPT: HeaderName = HeaderName::from_static("connect-accept-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT: HeaderName = HeaderName::from_static("grpc-accept-encoding");

const GZIP: &str = "gzip";
const IDENTITY: &str = "identity";

/// The largest `grpc-timeout` in milliseconds, which has eight digits.
const MAX_MILLIS: u64 = 99_999_999;

/// The times that a message usually grows at most in JSON.
const JSON_GROWTH: usize = 3;

/// The time that a client has for its message to an open service.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);

/// The form of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    Json,
    Proto,
}

/// The compression of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compression {
    Identity,
    Gzip,
    Unknown,
}

/// A call by Connect.
pub(crate) struct ConnectCall {
    /// The method; `None` if there is none of the path, which the boundary refuses.
    method: Option<&'static Method>,
    codec: Codec,
    /// Whether it is written as a stream, which is what the content type says.
    streams: bool,
    is_get: bool,
    sent: Compression,
    takes_gzip: bool,
    problem: Option<Status>,
}

impl ConnectCall {
    /// Returns a call with POST, and its request as one of gRPC, whose body is still to be converted.
    pub(super) fn of_post(
        method: Option<&'static Method>,
        (codec, streams): (Codec, bool),
        request: Request<Body>,
    ) -> (Self, Request<Body>) {
        let (mut parts, body) = request.into_parts();
        let encoding = parts.headers.get(if streams { STREAM_ENCODING } else { CONTENT_ENCODING });
        let encoding = encoding.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let problem = version(&parts.headers).err();
        let call = Self::new(method, (codec, streams), encoding.as_deref(), problem, &mut parts);
        let body = if streams { body } else { call.prefixed(body) };
        (call, Request::from_parts(parts, body))
    }

    /// Returns a call with GET, and its request as one of gRPC; `None` if the query names no form of messages that is known here.
    pub(super) fn of_get(method: &'static Method, request: Request<Body>) -> Option<(Self, Request<Body>)> {
        let (mut parts, _) = request.into_parts();
        let Query { codec, compression, message } = Query::parse(parts.uri.query().unwrap_or_default())?;
        let (message, problem) = match message {
            Ok(message) => (message, version(&parts.headers).err()),
            Err(problem) => (Bytes::new(), Some(problem)),
        };
        let call = Self::new(Some(method), (codec, false), compression.as_deref(), problem, &mut parts);
        let body = call.prefixed(Body::new(Full::new(message)));
        Some((Self { is_get: true, ..call }, Request::from_parts(parts, body)))
    }

    fn new(
        method: Option<&'static Method>,
        (codec, streams): (Codec, bool),
        encoding: Option<&str>,
        problem: Option<Status>,
        parts: &mut Parts,
    ) -> Self {
        let takes_gzip = takes_gzip(&parts.headers, if streams { STREAM_ACCEPT } else { ACCEPT_ENCODING });
        let timeout = grpc_timeout(&parts.headers);
        let sent = match encoding {
            None | Some("" | IDENTITY) => Compression::Identity,
            Some(GZIP) => Compression::Gzip,
            Some(_) => Compression::Unknown,
        };
        parts.method = HttpMethod::POST;
        let headers = &mut parts.headers;
        for name in [CONTENT_LENGTH, CONTENT_ENCODING, ACCEPT_ENCODING, GRPC_TIMEOUT, GRPC_ENCODING, GRPC_ACCEPT] {
            headers.remove(name);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        // Messages in JSON are compressed here, the others by the codec.
        if codec == Codec::Proto {
            if sent == Compression::Gzip {
                headers.insert(GRPC_ENCODING, HeaderValue::from_static(GZIP));
            }
            if takes_gzip {
                headers.insert(GRPC_ACCEPT, HeaderValue::from_static(GZIP));
            }
        }
        let (timeout, wrong_timeout) = match timeout {
            Ok(timeout) => (timeout, None),
            Err(problem) => (None, Some(problem)),
        };
        if let Some(timeout) = timeout {
            headers.insert(GRPC_TIMEOUT, timeout);
        }
        let unknown = (sent == Compression::Unknown).then(status::unimplemented);
        let problem = problem.or(wrong_timeout).or(unknown);
        Self { method, codec, streams, is_get: false, sent, takes_gzip, problem }
    }

    /// Returns the body of one message behind the prefix of gRPC.
    fn prefixed(&self, body: Body) -> Body {
        Prefixed::body(body, self.sent == Compression::Gzip)
    }

    /// Returns the reason why the call breaks the rules of the protocol.
    pub(super) fn problem(&self) -> Option<Status> {
        self.problem.clone()
    }

    /// Returns the bytes for which an answer of a size takes room: in JSON it has its names, and its bytes in base64.
    pub(super) fn answer_size(&self, bytes: usize) -> usize {
        if self.codec == Codec::Json { bytes.saturating_mul(JSON_GROWTH) } else { bytes }
    }

    /// Returns the body of a request as that of gRPC.
    pub(super) fn message(&self, body: Bytes, most: usize) -> Result<Bytes, Status> {
        let Some(method) = self.method else { return Ok(envelope(0, &[])) };
        let flags = body.first().copied().unwrap_or_default();
        let message = if self.streams {
            let sent = only(&body).ok_or_else(|| {
                status::malformed(
                    "the request of a stream is one message behind a prefix of five bytes, and nothing else",
                )
            });
            sent?.1
        } else {
            body.get(PREFIX..).map(|_| body.slice(PREFIX..)).unwrap_or_default()
        };
        match self.codec {
            Codec::Proto if self.streams || flags & UNKNOWN_LENGTH == 0 => Ok(body),
            Codec::Proto => Ok(envelope(flags & !UNKNOWN_LENGTH, &message)),
            Codec::Json => self.of_json(method, flags & !UNKNOWN_LENGTH, &message, most),
        }
    }

    fn of_json(&self, method: &Method, flags: u8, message: &[u8], most: usize) -> Result<Bytes, Status> {
        match (flags, self.sent) {
            (0, _) => json::to_grpc(&method.input, message),
            (COMPRESSED, Compression::Gzip) => json::to_grpc(&method.input, &gzip::decompress(message, most)?),
            _ => Err(status::malformed("the flags of the request's message are none of those that a request has")),
        }
    }

    /// Returns a request of the open services, none of which is large, as one of gRPC.
    pub(super) async fn open(&self, request: Request<Body>) -> Result<Request<Body>, Status> {
        if let Some(problem) = self.problem() {
            return Err(problem);
        }
        let Some(method) = self.method else { return Ok(request) };
        let (parts, body) = request.into_parts();
        if method.is_dialogue {
            let body = if self.codec == Codec::Json { self.dialogue(method, body) } else { body };
            return Ok(Request::from_parts(parts, body));
        }
        let read = timeout(OPEN_PATIENCE, Limited::new(body, SMALL + PREFIX).collect()).await;
        let read = read.map_err(|_| status::deadline_exceeded())?.map_err(|_| status::message_too_large(SMALL))?;
        let message = self.message(read.to_bytes(), SMALL)?;
        Ok(Request::from_parts(parts, Body::new(Full::new(message))))
    }

    /// Returns the body of a stream each of whose messages is converted as it comes.
    fn dialogue(&self, method: &'static Method, body: Body) -> Body {
        let of_stream = Self { problem: None, ..*self };
        let convert = move |flags, message: Bytes| of_stream.of_json(method, flags, &message, SMALL);
        Converted::body(body, SMALL, convert, |_| None)
    }
}

/// Refuses a version of the protocol other than 1. Without one, the client is simple.
fn version(headers: &HeaderMap) -> Result<(), Status> {
    match headers.get(VERSION) {
        Some(version) if version != "1" => Err(status::malformed("connect-protocol-version is not 1")),
        _ => Ok(()),
    }
}

/// Returns the timeout of a call as gRPC writes it.
fn grpc_timeout(headers: &HeaderMap) -> Result<Option<HeaderValue>, Status> {
    let Some(millis) = headers.get(TIMEOUT) else { return Ok(None) };
    let digits = millis
        .to_str()
        .ok()
        .filter(|text| (1..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()));
    let millis: Option<u64> = digits.and_then(|digits| digits.parse().ok());
    let wrong = || status::malformed("connect-timeout-ms is not a number of milliseconds of at most ten digits");
    let timeout = match millis.ok_or_else(wrong)? {
        millis if millis <= MAX_MILLIS => format!("{millis}m"),
        millis => format!("{}S", millis / 1_000),
    };
    HeaderValue::try_from(timeout).map(Some).map_err(|_| wrong())
}

/// Returns whether a client takes answers that are compressed by gzip.
fn takes_gzip(headers: &HeaderMap, name: HeaderName) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|entry| {
        let (name, weight) = entry.split_once(';').unwrap_or((entry, ""));
        name.trim() == GZIP && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

#[cfg(test)]
mod tests {
    use http::header::HOST;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn timeout_is_that_of_grpc() {
        for (sent, timeout) in
            [("0", "0m"), ("1", "1m"), ("99999999", "99999999m"), ("100000000", "100000S"), ("9999999999", "9999999S")]
        {
            let timeout_of = grpc_timeout(&headers(&[("connect-timeout-ms", sent)])).unwrap().unwrap();
            assert_eq!(timeout_of, timeout, "{sent}");
        }
        assert_eq!(grpc_timeout(&HeaderMap::new()).unwrap(), None);
        for wrong in ["", "-1", "1.5", "1s", "12345678901", " 1"] {
            assert!(grpc_timeout(&headers(&[("connect-timeout-ms", wrong)])).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn gzip_is_taken_where_the_client_lists_it() {
        for (accept, takes) in [
            ("gzip", true),
            ("br, gzip;q=0.5, *", true),
            ("deflate,gzip", true),
            ("gzip;q=0", false),
            ("x-gzip, br", false),
            ("", false),
        ] {
            assert_eq!(takes_gzip(&headers(&[("accept-encoding", accept)]), ACCEPT_ENCODING), takes, "{accept}");
        }
    }

    #[test]
    fn headers_of_the_protocol_become_those_of_grpc() {
        let request = Request::post("/a.B/C").version(http::Version::HTTP_11);
        let mut request = request.body(Body::new(Full::new(Bytes::from_static(b"ab")))).unwrap();
        *request.headers_mut() = headers(&[
            ("content-type", "application/proto"),
            ("content-encoding", "gzip"),
            ("accept-encoding", "gzip"),
            ("connect-timeout-ms", "250"),
            ("grpc-timeout", "1H"),
            ("grpc-encoding", "zstd"),
            ("x-request-id", "one"),
            ("host", "localhost"),
        ]);
        let (call, made) = ConnectCall::of_post(None, (Codec::Proto, false), request);
        let shown = |name: &str| made.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!((shown("content-type"), shown("grpc-timeout")), (Some("application/grpc"), Some("250m")));
        assert_eq!((shown("grpc-encoding"), shown("grpc-accept-encoding")), (Some(GZIP), Some(GZIP)));
        assert_eq!((shown("x-request-id"), shown("content-encoding")), (Some("one"), None));
        assert!(made.headers().contains_key(HOST) && call.problem().is_none() && call.takes_gzip);
    }
}
