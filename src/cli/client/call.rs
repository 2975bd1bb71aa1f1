//! Calls of a server: by the name of the method, with JSON in and a message out. What is safe to repeat is tried again.

use std::time::Duration;

use bytes::{Buf as _, BufMut as _};
use prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, MethodDescriptor, ReflectMessage as _};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming, TimeoutExpired};
use uuid::Uuid;

use super::ClientArgs;
use super::failure::{Failure, retry_after};
use super::schema;
use crate::entropy::Entropy;

/// The field by which a server knows a repeated write (AIP-155).
const REQUEST_ID: &str = "request_id";
/// The number of a method's `idempotency_level` that promises that it changes nothing.
const NO_SIDE_EFFECTS: i32 = 1;
/// The pause before the second try, and the longest one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// The tries of a call that a person waits for.
const TRIES: u32 = 4;
/// The tries of a call that is one of many: they outlast the restart of a server.
const PATIENT_TRIES: u32 = 20;
/// The largest answer. A page ends at a mebibyte, and an invitation may be the last on it.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Calls one server.
#[derive(Clone)]
pub(super) struct Client {
    channel: Channel,
    endpoint: String,
    authorization: Option<AsciiMetadataValue>,
    timeout: Duration,
    is_patient: bool,
}

impl Client {
    /// Prepares calls by the flags of a command. It connects with the first call.
    pub(super) fn new(args: &ClientArgs) -> Result<Self, Failure> {
        let endpoint = args.connection.endpoint().map_err(Failure::failed)?;
        let channel = endpoint.connect_timeout(args.timeout).connect_lazy();
        let authorization = args.credential()?;
        let endpoint = args.connection.endpoint.clone();
        Ok(Self { channel, endpoint, authorization, timeout: args.timeout, is_patient: false })
    }

    /// Returns the same client for many calls, which waits for a server that restarts and for limits of rates.
    pub(super) fn patient(&self) -> Self {
        Self { is_patient: true, ..self.clone() }
    }

    /// Calls a method. A write gets a request_id, so that its tries have one effect.
    pub(super) async fn call(&self, name: &str, json: Value) -> Result<DynamicMessage, Failure> {
        let method = schema::method(name)?;
        let mut message = schema::message(method.input(), json)?;
        let is_repeatable = is_read(&method) || identify(&mut message);
        let limit = if self.is_patient { PATIENT_TRIES } else { TRIES };
        let mut pause = FIRST_PAUSE;
        for tries in 1.. {
            let status = match self.try_once(&method, &message).await {
                Ok(answer) => return Ok(answer),
                Err(status) => status,
            };
            match retry_after(&status, self.is_patient) {
                Some(wanted) if is_repeatable && tries < limit => sleep(wanted.max(pause)).await,
                _ => return Err(Failure::of(&status, &self.endpoint)),
            }
            pause = (pause * 2).min(MAX_PAUSE);
        }
        Err(Failure::failed("internal error: no try was made"))
    }

    async fn try_once(&self, method: &MethodDescriptor, message: &DynamicMessage) -> Result<DynamicMessage, Status> {
        let mut request = self.request(message.clone());
        request.set_timeout(self.timeout);
        let (mut grpc, path, codec) = self.prepare(method);
        let called = async {
            grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
            grpc.unary(request, path, codec).await
        };
        // The channel keeps the same limit, and either may be the first to notice.
        match timeout_at(Instant::now() + self.timeout, called).await {
            Ok(Err(status)) if !has_expired(&status) => Err(status),
            Ok(Ok(answered)) => Ok(answered.into_inner()),
            Ok(Err(_)) | Err(_) => {
                Err(Status::deadline_exceeded(format!("no answer from {} within the --timeout", self.endpoint)))
            }
        }
    }

    /// Opens a stream. It has no time limit.
    pub(super) async fn stream(&self, name: &str, json: Value) -> Result<Streaming<DynamicMessage>, Status> {
        let prepared = schema::method(name).and_then(|method| Ok((schema::message(method.input(), json)?, method)));
        let (message, method) = prepared.map_err(|failure| Status::invalid_argument(failure.to_string()))?;
        let (mut grpc, path, codec) = self.prepare(&method);
        grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
        grpc.server_streaming(self.request(message), path, codec).await.map(tonic::Response::into_inner)
    }

    /// Returns the failure that a status of this server is.
    pub(super) fn failure(&self, status: &Status) -> Failure {
        Failure::of(status, &self.endpoint)
    }

    fn request(&self, message: DynamicMessage) -> Request<DynamicMessage> {
        let mut request = Request::new(message);
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        request
    }

    fn prepare(&self, method: &MethodDescriptor) -> (Grpc<Channel>, http::uri::PathAndQuery, DynamicCodec) {
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let path = path.parse().unwrap_or_else(|_| http::uri::PathAndQuery::from_static("/"));
        let grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER);
        (grpc, path, DynamicCodec(method.output()))
    }
}

fn is_read(method: &MethodDescriptor) -> bool {
    let options = method.method_descriptor_proto().options.as_ref();
    options.and_then(|options| options.idempotency_level) == Some(NO_SIDE_EFFECTS)
}

/// Gives a request its id, unless it has one. Returns whether it can have one.
fn identify(message: &mut DynamicMessage) -> bool {
    let Some(field) = message.descriptor().get_field_by_name(REQUEST_ID) else { return false };
    if !message.has_field(&field) {
        let id = Uuid::from_bytes(Entropy::system().bytes());
        message.set_field(&field, prost_reflect::Value::String(id.to_string()));
    }
    true
}

/// Encodes any message, and decodes those of one type.
#[derive(Clone, Debug)]
struct DynamicCodec(MessageDescriptor);

impl Codec for DynamicCodec {
    type Encode = DynamicMessage;
    type Decode = DynamicMessage;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        self.clone()
    }

    fn decoder(&mut self) -> Self {
        self.clone()
    }
}

impl Encoder for DynamicCodec {
    type Item = DynamicMessage;
    type Error = Status;

    fn encode(&mut self, message: DynamicMessage, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&message.encode_to_vec());
        Ok(())
    }
}

impl Decoder for DynamicCodec {
    type Item = DynamicMessage;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
        let bytes = buffer.copy_to_bytes(buffer.remaining());
        let decoded = DynamicMessage::decode(self.0.clone(), bytes);
        decoded.map(Some).map_err(|error| Status::internal(format!("the answer cannot be read: {error}")))
    }
}

/// Returns whether a status is that of the channel's own time limit.
fn has_expired(status: &Status) -> bool {
    let mut causes = std::iter::successors(std::error::Error::source(status), |cause| cause.source());
    causes.any(<dyn std::error::Error>::is::<TimeoutExpired>)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_and_writes_with_a_request_id_alone_are_repeated() {
        let is_repeatable = |name: &str| {
            let method = schema::method(name).unwrap();
            is_read(&method) || identify(&mut DynamicMessage::new(method.input()))
        };
        assert!(is_repeatable("InvitationService.ListInvitations"));
        assert!(is_repeatable("InvitationService.RevokeInvitation"));
        assert!(!is_repeatable("WebhookService.TestWebhookEndpoint"));
    }

    #[test]
    fn given_request_id_stays_and_no_two_are_the_same() {
        let input = || schema::method("InvitationService.RevokeInvitation").unwrap().input();
        let id = |json: Value| {
            let mut message = schema::message(input(), json).unwrap();
            assert!(identify(&mut message));
            serde_json::to_value(message).unwrap()["requestId"].clone()
        };
        assert_eq!(id(json!({"request_id": "mine"})), "mine");
        assert_ne!(id(json!({})), id(json!({})));
    }
}
