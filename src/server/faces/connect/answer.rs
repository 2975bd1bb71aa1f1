//! The answer to a call by Connect, made of that of gRPC.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde::Serialize;
use tonic::body::Body;
use tonic::{Code, Status};
use uuid::Uuid;

use super::error::{Error, http_status};
use super::{Codec, ConnectCall, GRPC_ENCODING, GZIP, STREAM_ENCODING, gzip};
use crate::entropy::Entropy;
use crate::server::answer::{Keeping, Whole};
use crate::server::faces::envelope::{Converted, END, envelope, only};
use crate::server::faces::json as json_of;
use crate::server::room::SMALL;
use crate::server::status;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

impl ConnectCall {
    /// Returns the answer of gRPC as that of Connect.
    pub(in crate::server::faces) async fn answer(&self, answered: Response<Body>) -> Response<Body> {
        let (mut parts, body) = answered.into_parts();
        // A status that is among the headers is the whole answer.
        let refused = Status::from_header_map(&parts.headers);
        let is_compressed = parts.headers.remove(GRPC_ENCODING).is_some_and(|encoding| encoding == GZIP);
        parts.headers = others(std::mem::take(&mut parts.headers));
        match refused {
            Some(refused) if self.streams && self.method.is_some() => {
                parts.headers.insert(CONTENT_TYPE, self.content_type());
                let last = end_of_stream(Some(&refused), &HeaderMap::new());
                Response::from_parts(parts, Keeping::body(Whole::body(last), body))
            }
            Some(refused) => self.refuse(&refused, parts, body),
            None if self.streams => self.stream(parts, body, is_compressed),
            None => self.unary(parts, body).await,
        }
    }

    fn content_type(&self) -> HeaderValue {
        HeaderValue::from_static(match (self.codec, self.streams) {
            (Codec::Json, false) => "application/json",
            (Codec::Proto, false) => "application/proto",
            (Codec::Json, true) => "application/connect+json",
            (Codec::Proto, true) => "application/connect+proto",
        })
    }

    /// Returns the answer to a refused call of one message. `held` is what the answer of gRPC holds until it is taken.
    fn refuse(&self, refused: &Status, mut parts: Parts, held: Body) -> Response<Body> {
        // A client takes 404 for a method that there is not.
        let is_unknown = self.method.is_none() && refused.code() == Code::Unimplemented;
        parts.status = if is_unknown { StatusCode::NOT_FOUND } else { http_status(refused.code()) };
        if refused.code() == Code::Unauthenticated {
            parts.headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if refused.code() == Code::Unimplemented {
            parts.headers.insert(http::header::ACCEPT_ENCODING, HeaderValue::from_static(GZIP));
        }
        parts.headers.insert(CONTENT_TYPE, JSON);
        self.whole(parts, Error::of(refused).text().into(), held)
    }

    fn whole(&self, mut parts: Parts, data: Bytes, held: Body) -> Response<Body> {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(data.len()));
        if self.is_get {
            parts.headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        Response::from_parts(parts, Keeping::body(Whole::body(data), held))
    }

    /// Returns the answer of one message, which is complete already.
    async fn unary(&self, mut parts: Parts, mut body: Body) -> Response<Body> {
        let (mut read, mut trailers) = (BytesMut::new(), HeaderMap::new());
        while let Some(frame) = body.frame().await {
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) => read.extend_from_slice(&data),
                Ok(Err(frame)) => trailers.extend(frame.into_trailers().unwrap_or_default()),
                Err(broken) => return self.refuse(&broken, parts, body),
            }
        }
        if let Some(refused) = Status::from_header_map(&trailers).filter(|status| status.code() != Code::Ok) {
            return self.refuse(&refused, parts, body);
        }
        let Some((data, is_compressed)) = only(&read.freeze()).and_then(|(flags, message)| self.data(flags, message))
        else {
            return self.refuse(&not_converted(), parts, body);
        };
        for (name, value) in &others(trailers) {
            if let Ok(name) = HeaderName::try_from(format!("trailer-{name}")) {
                parts.headers.append(name, value.clone());
            }
        }
        if is_compressed {
            parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(GZIP));
        }
        parts.headers.insert(CONTENT_TYPE, self.content_type());
        self.whole(parts, data, body)
    }

    /// Returns the body of an answer of one message, and whether it is compressed.
    fn data(&self, flags: u8, message: Bytes) -> Option<(Bytes, bool)> {
        if self.codec == Codec::Proto {
            return Some((message, flags != 0));
        }
        let json = self.json(&message)?;
        // A small one takes longer to compress than to send.
        let compressed = if self.takes_gzip && json.len() > SMALL { gzip::compress(&json) } else { None };
        Some(compressed.map_or_else(|| (json.into(), false), |compressed| (compressed.into(), true)))
    }

    fn json(&self, message: &[u8]) -> Option<Vec<u8>> {
        json_of::of_answer(&self.method?.output, message)
    }

    /// Returns the answer of a stream, whose messages are converted as they come.
    fn stream(&self, mut parts: Parts, body: Body, is_compressed: bool) -> Response<Body> {
        parts.headers.insert(CONTENT_TYPE, self.content_type());
        if is_compressed {
            parts.headers.insert(STREAM_ENCODING, HeaderValue::from_static(GZIP));
        }
        let output = self.method.map(|method| method.output.clone()).filter(|_| self.codec == Codec::Json);
        let convert = move |flags: u8, message: Bytes| match &output {
            Some(output) => {
                let json = json_of::of_answer(output, &message);
                json.map(|json| envelope(0, &json)).ok_or_else(not_converted)
            }
            None => Ok(envelope(flags, &message)),
        };
        let end = |trailers: Option<HeaderMap>| {
            let trailers = trailers.unwrap_or_default();
            let status = Status::from_header_map(&trailers).unwrap_or_else(status::unavailable);
            let refused = (status.code() != Code::Ok).then_some(&status);
            Some(end_of_stream(refused, &others(trailers)))
        };
        Response::from_parts(parts, Converted::body(body, usize::MAX, convert, end))
    }
}

/// INTERNAL for an answer that is no message of its method: a defect of this program.
fn not_converted() -> Status {
    let error_id = Uuid::from_bytes(Entropy::system().bytes()).simple().to_string();
    log_event!(error, CALL_FAILED, %error_id, error = "no message", "an answer could not be converted");
    status::internal(error_id)
}

/// Returns the headers that are none of gRPC's own.
fn others(headers: HeaderMap) -> HeaderMap {
    let own = |name: &HeaderName| name.as_str().starts_with("grpc-") || *name == CONTENT_TYPE;
    let mut others = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers.iter().filter(|(name, _)| !own(name)) {
        others.append(name.clone(), value.clone());
    }
    others
}

/// The last message of a stream: how it ended, and the metadata behind it.
#[derive(Default, Serialize)]
struct End {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, Vec<String>>,
}

fn end_of_stream(refused: Option<&Status>, trailers: &HeaderMap) -> Bytes {
    let mut last = End { error: refused.map(Error::of), ..End::default() };
    for (name, value) in trailers.iter().filter_map(|(name, value)| Some((name, value.to_str().ok()?))) {
        last.metadata.entry(name.to_string()).or_default().push(value.to_owned());
    }
    envelope(END, &serde_json::to_vec(&last).unwrap_or_default())
}
