//! The codec of all services. It refuses a request with a field that this server does not know before the request is decoded: a
//! newer client may mean something by it, and an older server must never do more than it was asked.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::LazyLock;

use bytes::{Buf, Bytes};
use prost::{Message, Name, decode_length_delimiter};
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FileDescriptorSet};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder};
use tonic_prost::{ProstCodec, ProstEncoder};

use super::status;
use super::violation::Violation;
use crate::domain::value::rule::FieldRule;
use crate::pb;

/// The most entries of one repeated field, and the most messages in one request. A message of a few bytes can decode to thousands:
/// without a bound, a body of a mebibyte would take a gibibyte of memory.
const MAX_ENTRIES: u16 = 5_000;
const MAX_MESSAGES: usize = 40_000;

/// The most messages inside of one another: 30 levels of a JSON object take three each, and the decoder refuses a hundred.
const MAX_DEPTH: usize = 95;
/// The most bytes of a path that is told.
const MAX_PATH: usize = 200;

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
        // The boundary turns it into the status of a malformed message.
        decode_request(source.copy_to_bytes(source.remaining())).map(Some)
    }
}

/// Decodes a message, and refuses a request with a field that it does not have.
pub(crate) fn decode_request<D: Message + Default + Name>(body: Bytes) -> Result<D, Status> {
    let shape = if D::PACKAGE == pb::PACKAGE { REQUESTS.request(D::NAME) } else { None };
    if let Some(shape) = shape {
        let mut messages = 0;
        REQUESTS.check(shape, &body, MAX_DEPTH, &mut messages).map_err(Problem::into_status)?;
    }
    D::decode(body).map_err(|error| Status::internal(error.to_string()))
}

/// The reason for which a request is refused before it is decoded, and the path of the field.
#[derive(Debug, PartialEq, Eq)]
struct Problem {
    kind: ProblemKind,
    path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProblemKind {
    /// The message does not have the field.
    Unknown,
    /// The field has too many entries.
    TooMany,
    /// The field holds too many messages inside of one another.
    TooDeep,
}

impl Problem {
    fn into_status(self) -> Status {
        match self.kind {
            ProblemKind::Unknown => status::unknown_field(&self.path),
            ProblemKind::TooDeep => {
                let end = self.path.floor_char_boundary(MAX_PATH);
                let path = self.path.get(..end).unwrap_or_default();
                let description = "must be nested at most 30 levels deep";
                status::invalid_fields(vec![Violation::new(path, FieldRule::TooMany, description)])
            }
            ProblemKind::TooMany => {
                let description = "must have at most 5,000 entries";
                status::invalid_fields(vec![Violation::new(self.path, FieldRule::TooMany, description)])
            }
        }
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

/// A field: its name, whether it has entries, and the message in it, by its place among the messages.
struct Field {
    name: String,
    repeated: bool,
    message: Option<usize>,
}

impl Field {
    /// Returns the path of the field, and of one of its entries if it has entries.
    fn path(&self, index: u16) -> String {
        if self.repeated { format!("{}[{index}]", self.name) } else { self.name.clone() }
    }
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
                let (name, repeated) = (field.name().to_owned(), field.label() == Label::Repeated);
                (field.number().unsigned_abs(), Field { name, repeated, message: message.flatten() })
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

    /// Finds the first field that the message does not have, or that has too many entries. The path has the names of the fields
    /// around it, with the index of an entry, and the number of an unknown one. A body that is not well-formed is left to the decoder.
    fn check(&self, message: usize, body: &[u8], depth: usize, messages: &mut usize) -> Result<(), Problem> {
        let Some(fields) = self.messages.get(message) else { return Ok(()) };
        let mut rest = body;
        // No message has a field beyond 63 yet; the others are bounded by the number of messages.
        let mut entries = [0_u16; 64];
        while !rest.is_empty() {
            let Ok(key) = decode_length_delimiter(&mut rest) else { return Ok(()) };
            let number = key >> 3;
            let Some(field) = u32::try_from(number).ok().and_then(|number| fields.get(&number)) else {
                return Err(Problem { kind: ProblemKind::Unknown, path: number.to_string() });
            };
            let Some(inner) = value_of(key & 7, &mut rest) else { return Ok(()) };
            if let Some(entries) = entries.get_mut(number) {
                *entries += 1;
            }
            if entries.get(number).is_some_and(|entries| *entries > MAX_ENTRIES) || *messages > MAX_MESSAGES {
                return Err(Problem { kind: ProblemKind::TooMany, path: field.name.clone() });
            }
            if let (Some(message), Some(inner)) = (field.message, inner) {
                if depth == 0 {
                    return Err(Problem { kind: ProblemKind::TooDeep, path: field.name.clone() });
                }
                *messages += 1;
                let index = entries.get(number).map_or(0, |entries| entries - 1);
                let inner = self.check(message, inner, depth - 1, messages);
                let inside = |Problem { kind, path }| Problem { kind, path: format!("{}.{path}", field.path(index)) };
                inner.map_err(inside)?;
            }
        }
        Ok(())
    }
}

/// Takes the value of a field off the body, and returns the bytes of one with a length. `None` if the body is not well-formed.
pub(super) fn value_of<'a>(wire_type: usize, body: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = match wire_type {
        0 => {
            decode_length_delimiter(&mut *body).ok()?;
            return Some(None);
        }
        1 => 8,
        2 => decode_length_delimiter(&mut *body).ok()?,
        5 => 4,
        _ => return None,
    };
    let (inner, rest) = body.split_at_checked(length)?;
    *body = rest;
    Some((wire_type == 2).then_some(inner))
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

    fn problem(request: &str, body: &[u8]) -> Option<Problem> {
        REQUESTS.check(REQUESTS.request(request).unwrap(), body, MAX_DEPTH, &mut 0).err()
    }

    fn unknown(body: &[u8]) -> Option<String> {
        problem("CreateInvitationRequest", body).map(|Problem { kind, path }| {
            assert_eq!(kind, ProblemKind::Unknown, "{path}");
            path
        })
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
        // A map has entries too: `labels` is field 25.
        let labels = nested(1, &[0xca, 0x01, 2, 0x50, 1]);
        assert_eq!(unknown(&labels).as_deref(), Some("invitation.labels[0].10"));
        // The largest number that a key can have, and one beyond the range of fields.
        assert_eq!(unknown(&[0xf8, 0xff, 0xff, 0xff, 0x0f, 1]).as_deref(), Some("536870911"));
        assert_eq!(unknown(&[0x00, 1]).as_deref(), Some("0"));
    }

    #[test]
    fn path_of_an_unknown_field_has_the_index_of_its_entry() {
        let entry = |inner: &[u8]| nested(1, &nested(1, inner));
        let body = [nested(1, &create()), entry(&[]), entry(&[0xa0, 0x06, 1])].concat();
        let found = problem("BatchCreateInvitationsRequest", &body).unwrap();
        assert_eq!((found.kind, found.path.as_str()), (ProblemKind::Unknown, "requests[2].invitation.100"));
    }

    #[test]
    fn malformed_bodies_are_left_to_the_decoder() {
        for body in [&[0x0a, 5, 1][..], &[0xff; 12], &[0x0b], &[0x0d, 1], &[0x09, 1], &[0x08]] {
            assert_eq!(unknown(body), None, "{body:?}");
            assert!(pb::CreateInvitationRequest::decode(body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn repeated_messages_are_bounded_before_they_are_decoded() {
        let batch = |entries: usize| [0x0a, 0].repeat(entries);
        assert_eq!(problem("BatchCreateInvitationsRequest", &batch(5_000)), None);
        let too_many = Problem { kind: ProblemKind::TooMany, path: "requests".to_owned() };
        assert_eq!(problem("BatchCreateInvitationsRequest", &batch(5_001)), Some(too_many));
        // Many messages in many fields: targets in each of 40 entries.
        let field = pb::Invitation { targets: vec![pb::Target::default()], ..Default::default() }.encode_to_vec();
        let targets = field.repeat(4_999);
        let length = |bytes: &[u8]| {
            let mut length = Vec::new();
            prost::encode_length_delimiter(bytes.len(), &mut length).unwrap();
            [length, bytes.to_vec()].concat()
        };
        let entry = [vec![0x0a], length(&targets)].concat();
        let entry = [vec![0x0a], length(&entry)].concat();
        assert_eq!(problem("BatchCreateInvitationsRequest", &entry), None);
        let found = problem("BatchCreateInvitationsRequest", &entry.repeat(40));
        assert_eq!(found.map(|problem| problem.kind), Some(ProblemKind::TooMany));
    }

    #[test]
    fn answers_are_not_looked_into() {
        assert!(REQUESTS.request("Invitation").is_none());
        assert!(REQUESTS.request("ListInvitationsResponse").is_none());
        assert!(REQUESTS.request("ListInvitationsRequest").is_some());
    }
}
