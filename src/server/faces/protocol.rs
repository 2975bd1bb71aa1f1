//! The protocol of a call, which the boundary asks at the places where gRPC and Connect differ. Everything else about a call is the
//! same for both.

use bytes::Bytes;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;

use super::connect::ConnectCall;

/// The protocol of a call.
pub(crate) enum Protocol {
    /// gRPC, or gRPC-Web, which is made gRPC before.
    Grpc,
    /// Connect, whose messages are converted where gRPC's are read and answered.
    Connect(Box<ConnectCall>),
}

impl Protocol {
    /// Returns the reason why a call breaks the rules of its protocol, if it does. Callers without a credential are refused before.
    pub(crate) fn problem(&self) -> Option<Status> {
        match self {
            Self::Grpc => None,
            Self::Connect(call) => call.problem(),
        }
    }

    /// Returns the body of a request, which was read whole, as that of gRPC. A message has at most a number of bytes.
    pub(crate) fn message(&self, body: Bytes, most: usize) -> Result<Bytes, Status> {
        match self {
            Self::Grpc => Ok(body),
            Self::Connect(call) => call.message(body, most),
        }
    }

    /// Returns the bytes for which an answer of a size takes room until the client has taken it.
    pub(crate) fn answer_size(&self, bytes: usize) -> usize {
        match self {
            Self::Grpc => bytes,
            Self::Connect(call) => call.answer_size(bytes),
        }
    }

    /// Returns a request of the open services as one of gRPC.
    pub(crate) async fn open(&self, request: Request<Body>) -> Result<Request<Body>, Status> {
        match self {
            Self::Grpc => Ok(request),
            Self::Connect(call) => Box::pin(call.open(request)).await,
        }
    }

    /// Returns the answer of gRPC as that of the protocol. What the answer holds until it is taken stays with it.
    pub(crate) async fn answer(&self, answered: Response<Body>) -> Response<Body> {
        match self {
            Self::Grpc => answered,
            Self::Connect(call) => Box::pin(call.answer(answered)).await,
        }
    }
}
