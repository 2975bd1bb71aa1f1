//! The codec of all services. It refuses a request with a field that this server does not know before the request is decoded: a
//! newer client may mean something by it, and an older server must never do more than it was asked.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::LazyLock;

use bytes::Buf;
use prost::{Message, Name, decode_length_delimiter};
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

use super::status;
use crate::pb;

/// The depth at which messages are not looked into: prost refuses to decode deeper ones.
const MAX_DEPTH: usize = 100;

/// Encodes and decodes the messages of this service.
pub struct ServiceCodec<E, D>(PhantomData<(E, D)>);

impl<E, D> Default for ServiceCodec<E, D> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<E, D> fmt::Debug for ServiceCodec<E, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServiceCodec")
    }
}

impl<E, D> Codec for ServiceCodec<E, D>
where
    E: Message + Send + 'static,
    D: Message + Default + Name + Send + 'static,
{
    type Encode = E;
    type Decode = D;
    type Encoder = ProstEncoder<E>;
    type Decoder = RequestDecoder<D>;

    fn encoder(&mut self) -> Self::Encoder {
        ProstCodec::<E, D>::raw_encoder(BufferSettings::default())
    }

    fn decoder(&mut self) -> Self::Decoder {
        RequestDecoder(PhantomData)
    }
}

/// Decodes a message, if it is a request only without unknown fields: a client takes answers of a newer server.
pub struct RequestDecoder<D>(PhantomData<D>);

impl<D> fmt::Debug for RequestDecoder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequestDecoder")
    }
}

impl<D: Message + Default + Name> Decoder for RequestDecoder<D> {
    type Item = D;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<D>, Status> {
        let body = source.copy_to_bytes(source.remaining());
        let shape = if D::PACKAGE == pb::PACKAGE { REQUESTS.request(D::NAME) } else { None };
        if let Some(field) = shape.and_then(|shape| REQUESTS.unknown_field(shape, &body, MAX_DEPTH)) {
            return Err(status::unknown_field(&field));
        }
        // The boundary turns it into the status of a malformed message.
        D::decode(body).map(Some).map_err(|error| Status::internal(error.to_string()))
    }
}

static REQUESTS: LazyLock<Shapes> = LazyLock::new(|| {
    let files = FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap_or_default();
    Shapes::of(&files)
});

/// The fields of every message in the protos.
#[derive(Default)]
struct Shapes {
    /// The requests by their names without the package.
    requests: HashMap<String, usize>,
    messages: Vec<HashMap<u32, Field>>,
}

/// A field: its name, and the message in it, by its place among the messages.
struct Field {
    name: String,
    message: Option<usize>,
}

impl Shapes {
    fn of(files: &FileDescriptorSet) -> Self {
        let mut descriptors = Vec::new();
        for file in &files.file {
            collect(&format!(".{}", file.package()), &file.message_type, &mut descriptors);
        }
        let places: HashMap<&str, usize> =
            descriptors.iter().enumerate().map(|(place, (name, _))| (name.as_str(), place)).collect();
        let fields = |descriptor: &DescriptorProto| {
            let field = descriptor.field.iter().map(|field| {
                let message = (field.r#type() == Type::Message).then(|| places.get(field.type_name()).copied());
                let name = field.name().to_owned();
                (field.number().unsigned_abs(), Field { name, message: message.flatten() })
            });
            field.collect()
        };
        let methods = files.file.iter().flat_map(|file| &file.service).flat_map(|service| &service.method);
        let prefix = format!(".{}.", pb::PACKAGE);
        let requests = methods.filter_map(|method| {
            let place = *places.get(method.input_type())?;
            Some((method.input_type().strip_prefix(&prefix)?.to_owned(), place))
        });
        Self {
            requests: requests.collect(),
            messages: descriptors.iter().map(|(_, descriptor)| fields(descriptor)).collect(),
        }
    }

    /// Returns the place of a request; `None` for any other message.
    fn request(&self, name: &str) -> Option<usize> {
        self.requests.get(name).copied()
    }

    /// Returns the path of the first field that the message does not have: the names of the fields around it and its number. A body
    /// that is not well-formed is left to the decoder.
    fn unknown_field(&self, message: usize, mut body: &[u8], depth: usize) -> Option<String> {
        let fields = self.messages.get(message)?;
        while !body.is_empty() {
            let key = decode_length_delimiter(&mut body).ok()?;
            let Some(field) = u32::try_from(key >> 3).ok().and_then(|number| fields.get(&number)) else {
                return Some((key >> 3).to_string());
            };
            match key & 7 {
                0 => drop(decode_length_delimiter(&mut body).ok()?),
                1 => body = body.get(8..)?,
                2 => {
                    let length = decode_length_delimiter(&mut body).ok()?;
                    let (inner, rest) = body.split_at_checked(length)?;
                    body = rest;
                    if let (Some(message), 1..) = (field.message, depth)
                        && let Some(path) = self.unknown_field(message, inner, depth - 1)
                    {
                        return Some(format!("{}.{path}", field.name));
                    }
                }
                5 => body = body.get(4..)?,
                _ => return None,
            }
        }
        None
    }
}

/// Collects messages with their full names, those inside of others too.
fn collect<'a>(prefix: &str, messages: &'a [DescriptorProto], into: &mut Vec<(String, &'a DescriptorProto)>) {
    for message in messages {
        let name = format!("{prefix}.{}", message.name());
        collect(&name, &message.nested_type, into);
        into.push((name, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A create with two nested messages, and a map beside them.
    fn create() -> Vec<u8> {
        let invitation = pb::Invitation {
            labels: [("key".to_owned(), "value".to_owned())].into(),
            scope: Some(pb::Scope { r#type: "team".to_owned(), ..pb::Scope::default() }),
            max_uses: Some(i32::MIN),
            ..pb::Invitation::default()
        };
        pb::CreateInvitationRequest { invitation: Some(invitation), ..Default::default() }.encode_to_vec()
    }

    fn unknown(body: &[u8]) -> Option<String> {
        REQUESTS.unknown_field(REQUESTS.request("CreateInvitationRequest").unwrap(), body, MAX_DEPTH)
    }

    fn nested(number: u8, inner: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(inner.len()).unwrap()], inner].concat()
    }

    #[test]
    fn known_fields_of_every_wire_type_are_known() {
        assert_eq!(unknown(&create()), None);
        assert_eq!(unknown(&[]), None);
    }

    #[test]
    fn unknown_fields_are_found_at_any_place_and_of_any_wire_type() {
        for field in
            [&[0xa0, 0x06, 1][..], &[0xa1, 0x06, 0, 0, 0, 0, 0, 0, 0, 0], &[0xa2, 0x06, 0], &[0xa5, 0x06, 0, 0, 0, 0]]
        {
            assert_eq!(unknown(&[&create(), field].concat()).as_deref(), Some("100"));
            assert_eq!(unknown(&[field, &create()].concat()).as_deref(), Some("100"));
            assert_eq!(unknown(&nested(1, field)).as_deref(), Some("invitation.100"));
        }
        // The largest number that a key can have, and one beyond the range of fields.
        assert_eq!(unknown(&[0xf8, 0xff, 0xff, 0xff, 0x0f, 1]).as_deref(), Some("536870911"));
        assert_eq!(unknown(&[0x00, 1]).as_deref(), Some("0"));
    }

    #[test]
    fn malformed_bodies_are_left_to_the_decoder() {
        for body in [&[0x0a, 5, 1][..], &[0xff; 12], &[0x0b], &[0x0d, 1], &[0x09, 1], &[0x08]] {
            assert_eq!(unknown(body), None, "{body:?}");
            assert!(pb::CreateInvitationRequest::decode(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn answers_are_not_looked_into() {
        assert!(REQUESTS.request("Invitation").is_none());
        assert!(REQUESTS.request("ListInvitationsResponse").is_none());
        assert!(REQUESTS.request("ListInvitationsRequest").is_some());
    }
}
