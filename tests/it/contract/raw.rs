//! Calls by path and bytes, and what the compiled descriptors know of RPCs and their fields.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use bytes::{Buf, BufMut, Bytes};
use invitation_service::pb;
use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::method_options::IdempotencyLevel;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Request, Response, Status};
use tonic_types::StatusExt as _;

use crate::support::build::guests;
use crate::support::service::Service;

/// An RPC of this service.
pub(crate) struct Rpc {
    pub(crate) path: String,
    pub(crate) comment: String,
    pub(crate) input: String,
    /// Whether it answers with a stream.
    pub(crate) streams: bool,
    /// True of an RPC that changes nothing (`NO_SIDE_EFFECTS`).
    pub(crate) reads: bool,
}

/// The RPCs that change a resource: fields that a new resource requires are not required of them, but for its name.
const UPDATES: [(&str, &str); 8] = [
    ("/UpdateConnectionInvitation", "connection_invitation"),
    ("/UpdateUserInvitation", "user_invitation"),
    ("/UpdateInvitation", "invitation"),
    ("/UpdateGuestInvitation", "guest_invitation"),
    ("/UpdateWebhookEndpoint", "webhook_endpoint"),
    ("/UpdateOrganizationGrant", "organization_grant"),
    ("/UpdateApiKey", "api_key"),
    ("/UpdateAcceptance", "acceptance"),
];

/// A field that a caller may fill, by its path from the request message down.
#[derive(Clone)]
pub(crate) struct Input {
    /// As violations name it.
    pub(crate) path: String,
    pub(crate) numbers: Vec<u32>,
    pub(crate) kind: Type,
    /// Whether it, and every message around it, is required.
    pub(crate) required: bool,
    /// Whether an enum's value 0 stands for a default.
    pub(crate) has_default: bool,
}

/// Every file of this package.
pub(crate) fn files() -> &'static [FileDescriptorProto] {
    static FILES: LazyLock<Vec<FileDescriptorProto>> = LazyLock::new(|| {
        let set = FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap();
        set.file.into_iter().filter(|file| file.package() == "invitation.v1").collect()
    });
    &FILES
}

/// The comment at a path of a file (`SourceCodeInfo`).
pub(crate) fn comment(file: &FileDescriptorProto, path: &[usize]) -> String {
    let locations = &file.source_code_info.as_ref().unwrap().location;
    let same = |at: &[i32]| at.iter().map(|part| usize::try_from(*part).unwrap()).eq(path.iter().copied());
    let found = locations.iter().find(|location| same(&location.path));
    let text = found.and_then(|location| location.leading_comments.clone()).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Every RPC there is.
pub(crate) fn rpcs() -> &'static [Rpc] {
    static RPCS: LazyLock<Vec<Rpc>> = LazyLock::new(|| {
        let rpcs: Vec<_> = files().iter().flat_map(rpcs_of).collect();
        assert!(rpcs.len() >= 55, "the descriptors have lost RPCs");
        rpcs
    });
    &RPCS
}

/// Every RPC there is, with those first that change nothing: they can share what they are about.
pub(crate) fn reads_first() -> Vec<&'static Rpc> {
    let (reads, writes): (Vec<_>, Vec<_>) = rpcs().iter().partition(|rpc| rpc.reads);
    [reads, writes].concat()
}

fn rpcs_of(file: &FileDescriptorProto) -> Vec<Rpc> {
    let mut rpcs = Vec::new();
    for (at, service) in file.service.iter().enumerate() {
        for (index, method) in service.method.iter().enumerate() {
            rpcs.push(Rpc {
                path: format!("/invitation.v1.{}/{}", service.name(), method.name()),
                comment: comment(file, &[6, at, 2, index]),
                input: method.input_type().to_owned(),
                streams: method.server_streaming(),
                reads: method
                    .options
                    .as_ref()
                    .is_some_and(|options| options.idempotency_level() == IdempotencyLevel::NoSideEffects),
            });
        }
    }
    rpcs
}

/// The cells of a table that a test has checked: each RPC, with each of the cases that the test has for it.
pub(crate) struct Cells {
    of: &'static str,
    checked: BTreeSet<(String, String)>,
}

impl Cells {
    pub(crate) fn new(of: &'static str) -> Self {
        Self { of, checked: BTreeSet::new() }
    }

    /// Notes a cell, which no other may be.
    pub(crate) fn check(&mut self, path: &str, case: &str) {
        let is_new = self.checked.insert((path.to_owned(), case.to_owned()));
        assert!(is_new, "{}: {path} {case} is checked twice", self.of);
    }

    /// Fails if fewer cells were checked than the methods of the descriptors, of which a test may leave some out, have with
    /// so many cases for each. They are counted anew here: a list of RPCs with a hole would count its own hole.
    pub(crate) fn assert_complete(self, covers: impl Fn(&str) -> bool, cases: usize) {
        let services = files().iter().flat_map(|file| &file.service);
        let paths = services.flat_map(|service| {
            let path = |method: &str| format!("/invitation.v1.{}/{method}", service.name());
            service.method.iter().map(move |method| path(method.name()))
        });
        let methods = paths.filter(|path| covers(path)).count();
        let (of, checked) = (self.of, self.checked.len());
        println!("{of}: {checked} cells are checked, of {methods} RPCs with {cases} cases each");
        assert!(methods > 0 && checked >= methods * cases, "{of}: {checked} of {} cells", methods * cases);
    }
}

/// Every field that a caller of an RPC may fill, those of messages in it included.
pub(crate) fn inputs(rpc: &Rpc) -> Vec<Input> {
    let mut inputs = Vec::new();
    descend(&rpc.input, "", &[], true, &mut inputs);
    for (_, resource) in UPDATES.iter().filter(|(method, _)| rpc.path.ends_with(method)) {
        inputs.iter_mut().for_each(|input| input.required = false);
        let (path, kind) = (format!("{resource}.name"), Type::String);
        inputs.push(Input { path, numbers: vec![1, 1], kind, required: true, has_default: false });
    }
    inputs
}

fn descend(message: &str, prefix: &str, numbers: &[u32], required: bool, inputs: &mut Vec<Input>) {
    let (file, at, descriptor) = message_of(message);
    for (index, field) in descriptor.field.iter().enumerate() {
        let comment = comment(file, &[4, at, 2, index]);
        if comment.starts_with("Output only.") {
            continue;
        }
        assert!(
            ["Required.", "Optional.", "Input only."].iter().any(|start| comment.starts_with(start)),
            "{message}.{} does not say whether it is required",
            field.name()
        );
        let input = Input {
            path: format!("{prefix}{}", field.name()),
            numbers: [numbers, &[field.number().unsigned_abs()]].concat(),
            kind: field.r#type(),
            required: required && comment.starts_with("Required."),
            has_default: comment.starts_with("Optional. Default "),
        };
        if let Some(entry) = map_entry(descriptor, field) {
            for part in &entry.field {
                let numbers = [input.numbers.as_slice(), &[part.number().unsigned_abs()]].concat();
                inputs.push(Input { numbers, kind: part.r#type(), required: false, ..input.clone() });
            }
        } else if field.type_name().starts_with(".invitation.v1.") && field.r#type() == Type::Message {
            let (before, repeated) = (inputs.len(), field.label() == Label::Repeated);
            let path = format!("{}.", input.path);
            descend(field.type_name(), &path, &input.numbers, input.required && !repeated, inputs);
            // An absent message is reported by the fields that it needs, if there are any.
            if input.required && !inputs[before..].iter().any(|inner| inner.required) {
                inputs.push(input);
            }
        } else {
            inputs.push(input);
        }
    }
}

fn message_of(name: &str) -> (&'static FileDescriptorProto, usize, &'static DescriptorProto) {
    let name = name.trim_start_matches(".invitation.v1.");
    let found = files().iter().find_map(|file| {
        let at = file.message_type.iter().position(|message| message.name() == name)?;
        Some((file, at, &file.message_type[at]))
    });
    found.unwrap_or_else(|| panic!("no message {name}"))
}

fn map_entry<'a>(message: &'a DescriptorProto, field: &FieldDescriptorProto) -> Option<&'a DescriptorProto> {
    let name = field.type_name().rsplit('.').next()?;
    let nested = message.nested_type.iter().find(|nested| nested.name() == name)?;
    nested.options.as_ref().is_some_and(prost_types::MessageOptions::map_entry).then_some(nested)
}

impl Input {
    /// The bytes that, behind a message's own, put a text there.
    pub(crate) fn text(&self, text: &str) -> Vec<u8> {
        self.wrap(text.as_bytes().to_vec())
    }

    /// The bytes that, behind a message's own, put the number of an enum value there.
    pub(crate) fn number(&self, value: u64) -> Vec<u8> {
        let (last, around) = self.numbers.split_last().unwrap();
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(u64::from(last << 3), &mut bytes);
        prost::encoding::encode_varint(value, &mut bytes);
        around.iter().rev().fold(bytes, |inner, number| delimited(*number, &inner))
    }

    fn wrap(&self, bytes: Vec<u8>) -> Vec<u8> {
        self.numbers.iter().rev().fold(bytes, |inner, number| delimited(*number, &inner))
    }

    /// Whether a violation of this name is about this field, whichever entry of a list it is in.
    pub(crate) fn is_named_by(&self, violation: &str) -> bool {
        let parts = violation.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest));
        parts.collect::<String>() == self.path
    }
}

fn delimited(number: u32, inner: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(u64::from(number << 3 | 2), &mut bytes);
    prost::encoding::encode_varint(inner.len() as u64, &mut bytes);
    bytes.put_slice(inner);
    bytes
}

/// Calls an RPC with the bytes of its request, whatever they are; about the guests of one host if it is about guests.
pub(crate) async fn call(service: &Service, path: &str, mut request: Request<Bytes>) -> Result<Bytes, Status> {
    if path.contains(".GuestInvitationService/") {
        guests::add(&mut request, guests::HOST, guests::HOST);
    }
    call_as_it_is(service, path, request).await
}

/// Calls an RPC with the bytes and the metadata of a request, and no others. A stream that has begun is ended by the
/// client: it has been answered, with nothing so far.
pub(crate) async fn call_as_it_is(service: &Service, path: &str, request: Request<Bytes>) -> Result<Bytes, Status> {
    let mut grpc = Grpc::new(service.channel.clone());
    grpc.ready().await.unwrap();
    if rpcs().iter().any(|rpc| rpc.path == path && rpc.streams) {
        return grpc.server_streaming(request, path.parse().unwrap(), Raw).await.map(|_| Bytes::new());
    }
    let answer = grpc.unary(request, path.parse().unwrap(), Raw).await.map(Response::into_inner);
    answer.inspect_err(|status| check_documented(path, status))
}

/// Fails if the comment of an RPC does not name the reason of a refusal.
fn check_documented(path: &str, status: &Status) {
    let Some(rpc) = rpcs().iter().find(|rpc| rpc.path == path) else { return };
    let details = status.get_error_details();
    let Some(info) = details.error_info() else { return };
    let documented = super::reference::documents(&rpc.comment, &info.reason);
    assert!(documented, "the comment of {path} does not name {}", info.reason);
}

/// All that a client is told of a refusal.
pub(crate) fn told(status: &Status) -> (Code, String, Vec<u8>) {
    (status.code(), status.message().to_owned(), status.details().to_vec())
}

/// Leaves messages as they are.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}
