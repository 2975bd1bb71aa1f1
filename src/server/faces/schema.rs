//! The methods of this process by their paths, as the compiled proto files have them: nothing is written out for one of them.

use std::collections::HashMap;
use std::sync::LazyLock;

use prost_reflect::{MessageDescriptor, MethodDescriptor};
use prost_types::method_options::IdempotencyLevel;

use crate::pb::POOL;

/// A method.
#[derive(Debug)]
pub(crate) struct Method {
    pub(super) input: MessageDescriptor,
    pub(super) output: MessageDescriptor,
    /// Whether its request, or its answer, is a stream.
    pub(super) streams: bool,
    /// Whether both are streams, which a client may write and read in turns.
    pub(super) is_dialogue: bool,
    /// Whether it changes nothing, so that it may be called with GET.
    pub(super) reads: bool,
}

static METHODS: LazyLock<HashMap<String, Method>> = LazyLock::new(|| {
    let methods = POOL.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    methods.map(|method| (path(&method), Method::of(&method))).collect()
});

fn path(method: &MethodDescriptor) -> String {
    format!("/{}/{}", method.parent_service().full_name(), method.name())
}

impl Method {
    fn of(method: &MethodDescriptor) -> Self {
        let options = method.method_descriptor_proto().options.as_ref();
        let (asks, answers) = (method.is_client_streaming(), method.is_server_streaming());
        Self {
            input: method.input(),
            output: method.output(),
            streams: asks || answers,
            is_dialogue: asks && answers,
            reads: options.is_some_and(|options| options.idempotency_level() == IdempotencyLevel::NoSideEffects),
        }
    }
}

/// Returns the method of a path; `None` if there is none.
pub(super) fn method(path: &str) -> Option<&'static Method> {
    METHODS.get(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_those_of_every_service() {
        assert!(METHODS.len() > 60, "only {} methods were found", METHODS.len());
        for (path, streams, is_dialogue, reads) in [
            ("/invitation.v1.EventService/WatchEvents", true, false, false),
            ("/invitation.v1.EventService/ListEvents", false, false, true),
            ("/invitation.v1.RedemptionService/PreviewInvitation", false, false, false),
            ("/invitation.v1.RedemptionService/AcceptInvitation", false, false, false),
            ("/grpc.health.v1.Health/Check", false, false, false),
            ("/grpc.health.v1.Health/Watch", true, false, false),
            ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", true, true, false),
            ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", true, true, false),
        ] {
            let found = method(path).unwrap();
            assert_eq!((found.streams, found.is_dialogue, found.reads), (streams, is_dialogue, reads), "{path}");
        }
        assert!(method("/invitation.v1.EventService/Nothing").is_none());
        assert!(POOL.get_message_by_name("google.rpc.ErrorInfo").is_some(), "errors show their details");
    }
}
