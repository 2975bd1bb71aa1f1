//! The request of a call with GET, which is in the query of its address.

use std::borrow::Cow;

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use percent_encoding::percent_decode;
use tonic::Status;

use super::Codec;
use crate::server::status;

/// A request in a query.
pub(super) struct Query {
    pub(super) codec: Codec,
    /// The name of the compression, if there is one.
    pub(super) compression: Option<String>,
    /// The message, or the reason why there is none.
    pub(super) message: Result<Bytes, Status>,
}

impl Query {
    /// Parses a query; `None` if it names no form of messages that is known here.
    pub(super) fn parse(query: &str) -> Option<Self> {
        let value = |name: &str| {
            let pair = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(known, _)| *known == name);
            pair.map(|(_, value)| decoded(value))
        };
        let codec = match value("encoding")?.as_slice() {
            b"json" => Codec::Json,
            b"proto" => Codec::Proto,
            _ => return None,
        };
        let compression = value("compression").map(|name| String::from_utf8_lossy(&name).into_owned());
        let message = match (value("connect"), value("message")) {
            (Some(version), _) if version != b"v1" => Err("the version of the protocol in `connect` is not v1"),
            (_, None) => Err("the query has no `message`"),
            (_, Some(message)) => match value("base64").as_deref() {
                None | Some(b"0") => Ok(Bytes::from(message)),
                Some(b"1") => base64(&message).ok_or("the `message` of the query is not base64url"),
                Some(_) => Err("`base64` in the query is neither 0 nor 1"),
            },
        };
        Some(Self { codec, compression, message: message.map_err(status::malformed) })
    }
}

fn decoded(value: &str) -> Vec<u8> {
    let spaced = if value.contains('+') { Cow::Owned(value.replace('+', " ")) } else { Cow::Borrowed(value) };
    percent_decode(spaced.as_bytes()).collect()
}

/// Decodes base64 for URLs, whose padding may be left out.
fn base64(text: &[u8]) -> Option<Bytes> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    BASE64URL_NOPAD.decode(text.get(..text.len().saturating_sub(padding))?).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_is_read_in_the_form_that_the_query_names() {
        for (query, codec, message) in [
            ("encoding=json&message=%7B%7D", Codec::Json, &b"{}"[..]),
            ("message=%7b%22a%22%3a+1%7D&encoding=json&connect=v1", Codec::Json, b"{\"a\": 1}"),
            ("encoding=proto&message=%ff%00", Codec::Proto, &[0xff, 0]),
            ("encoding=proto&message=&base64=1", Codec::Proto, b""),
            ("encoding=proto&message=_wA&base64=1", Codec::Proto, &[0xff, 0]),
            ("encoding=proto&message=_wA=&base64=1", Codec::Proto, &[0xff, 0]),
            ("encoding=proto&message=_wA%3D&base64=1&other=x", Codec::Proto, &[0xff, 0]),
        ] {
            let parsed = Query::parse(query).unwrap();
            assert_eq!((parsed.codec, parsed.message.unwrap().as_ref()), (codec, message), "{query}");
        }
        let compressed = Query::parse("encoding=proto&message=&base64=0&compression=gzip").unwrap();
        assert_eq!(compressed.compression.as_deref(), Some("gzip"));
    }

    #[test]
    fn query_that_is_none_of_the_protocol_is_refused() {
        for query in ["", "message=%7B%7D", "encoding=xml&message=", "encoding"] {
            assert!(Query::parse(query).is_none(), "{query}");
        }
        for query in ["", "&message=a&base64=1", "&message=%7B%7D&connect=v2", "&message=%7B%7D&base64=yes"] {
            let query = format!("encoding=json{query}");
            assert_eq!(
                Query::parse(&query).unwrap().message.unwrap_err().code(),
                tonic::Code::InvalidArgument,
                "{query}"
            );
        }
    }
}
