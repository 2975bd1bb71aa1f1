//! `grpc.reflection` in both versions, over the compiled proto files: older clients know only the first.
//!
//! A question without an answer gets an `error_response`, and the stream goes on, as the protocol has it: clients ask the next
//! question on the same stream. Answers are made as they are taken, so a stream holds one at most.

use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::StreamExt as _;
use prost::{DecodeError, Message};
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto};
use tokio_stream::Stream;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_reflection::pb;

/// Answers questions about the proto files of this service, and those that its clients meet.
#[derive(Clone)]
pub(crate) struct Reflection(Arc<Index>);

/// The proto files, found by their names and by what they define.
#[derive(Default)]
struct Index {
    services: BTreeSet<String>,
    /// The files as they were compiled: decoding would lose the options that this process does not know.
    files: Vec<Vec<u8>>,
    names: HashMap<String, usize>,
    symbols: HashMap<String, usize>,
    messages: BTreeSet<String>,
}

/// A `FileDescriptorSet` whose files are not decoded.
#[derive(Clone, PartialEq, Message)]
struct RawFiles {
    #[prost(bytes = "vec", repeated, tag = "1")]
    file: Vec<Vec<u8>>,
}

/// A question of either version.
enum Question {
    File(String),
    Symbol(String),
    Extension,
    Extensions(String),
    Services,
    Unknown,
}

/// The answer to a question of either version.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    File(Vec<u8>),
    /// The message has no extensions.
    NoExtensions(String),
    Services(Vec<String>),
    Error(Code, &'static str),
}

impl Reflection {
    /// Reads sets of compiled files. Of files with one name the first counts.
    pub(crate) fn new(sets: &[&[u8]]) -> Result<Self, DecodeError> {
        let mut index = Index::default();
        for set in sets {
            for file in RawFiles::decode(*set)?.file {
                index.add(file)?;
            }
        }
        Ok(Self(Arc::new(index)))
    }
}

impl Index {
    fn add(&mut self, raw: Vec<u8>) -> Result<(), DecodeError> {
        let file = FileDescriptorProto::decode(raw.as_slice())?;
        if self.names.contains_key(file.name()) {
            return Ok(());
        }
        let package = file.package();
        self.names.insert(file.name().to_owned(), self.files.len());
        self.files.push(raw);
        for service in &file.service {
            let name = self.define(package, service.name());
            service.method.iter().for_each(|method| drop(self.define(&name, method.name())));
            self.services.insert(name);
        }
        file.message_type.iter().for_each(|message| self.add_message(package, message));
        file.enum_type.iter().for_each(|found| self.add_enum(package, found));
        Ok(())
    }

    fn add_message(&mut self, scope: &str, message: &DescriptorProto) {
        let name = self.define(scope, message.name());
        message.field.iter().for_each(|field| drop(self.define(&name, field.name())));
        message.oneof_decl.iter().for_each(|oneof| drop(self.define(&name, oneof.name())));
        message.nested_type.iter().for_each(|nested| self.add_message(&name, nested));
        message.enum_type.iter().for_each(|found| self.add_enum(&name, found));
        self.messages.insert(name);
    }

    /// The values of an enum are named beside it, not in it. Some clients ask for the other name.
    fn add_enum(&mut self, scope: &str, found: &EnumDescriptorProto) {
        let name = self.define(scope, found.name());
        for value in &found.value {
            self.define(scope, value.name());
            self.define(&name, value.name());
        }
    }

    /// Notes that the file which was added last defines a symbol, and returns its full name.
    fn define(&mut self, scope: &str, name: &str) -> String {
        let name = if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") };
        self.symbols.insert(name.clone(), self.files.len() - 1);
        name
    }

    fn answer(&self, question: Question) -> Answer {
        let file = |found: Option<&usize>| found.and_then(|number| self.files.get(*number)).cloned().map(Answer::File);
        let not_found = |message| Answer::Error(Code::NotFound, message);
        match question {
            Question::File(name) => file(self.names.get(&name)).unwrap_or(not_found("there is no such file")),
            Question::Symbol(name) => file(self.symbols.get(&name)).unwrap_or(not_found("there is no such symbol")),
            Question::Extension => not_found("there are no extensions"),
            Question::Extensions(name) if self.messages.contains(&name) => Answer::NoExtensions(name),
            Question::Extensions(_) => not_found("there is no such message"),
            Question::Services => Answer::Services(self.services.iter().cloned().collect()),
            Question::Unknown => {
                Answer::Error(Code::InvalidArgument, "the request asks for nothing that is known here")
            }
        }
    }
}

/// Serves one version of the protocol. Their messages are the same, and have types of their own all the same.
macro_rules! serve {
    ($version:ident) => {
        #[tonic::async_trait]
        impl pb::$version::server_reflection_server::ServerReflection for Reflection {
            type ServerReflectionInfoStream =
                Pin<Box<dyn Stream<Item = Result<pb::$version::ServerReflectionResponse, Status>> + Send>>;

            async fn server_reflection_info(
                &self,
                request: Request<Streaming<pb::$version::ServerReflectionRequest>>,
            ) -> Result<Response<Self::ServerReflectionInfoStream>, Status> {
                use pb::$version::server_reflection_request::MessageRequest as Asked;
                use pb::$version::server_reflection_response::MessageResponse as Told;
                use pb::$version::{
                    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
                    ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
                };
                let index = Arc::clone(&self.0);
                let answer = move |request: ServerReflectionRequest| {
                    let question = match request.message_request.clone() {
                        Some(Asked::FileByFilename(name)) => Question::File(name),
                        Some(Asked::FileContainingSymbol(name)) => Question::Symbol(name),
                        Some(Asked::FileContainingExtension(_)) => Question::Extension,
                        Some(Asked::AllExtensionNumbersOfType(name)) => Question::Extensions(name),
                        Some(Asked::ListServices(_)) => Question::Services,
                        None => Question::Unknown,
                    };
                    let told = match index.answer(question) {
                        Answer::File(file) => {
                            let file_descriptor_proto = vec![file];
                            Told::FileDescriptorResponse(FileDescriptorResponse { file_descriptor_proto })
                        }
                        Answer::NoExtensions(base_type_name) => {
                            let none = ExtensionNumberResponse { base_type_name, extension_number: Vec::new() };
                            Told::AllExtensionNumbersResponse(none)
                        }
                        Answer::Services(names) => {
                            let service = names.into_iter().map(|name| ServiceResponse { name }).collect();
                            Told::ListServicesResponse(ListServiceResponse { service })
                        }
                        Answer::Error(code, message) => {
                            let (error_code, error_message) = (code.into(), message.to_owned());
                            Told::ErrorResponse(ErrorResponse { error_code, error_message })
                        }
                    };
                    ServerReflectionResponse {
                        valid_host: request.host.clone(),
                        original_request: Some(request),
                        message_response: Some(told),
                    }
                };
                let answers = request.into_inner().map(move |request| request.map(&answer));
                Ok(Response::new(answers.boxed()))
            }
        }
    };
}

serve!(v1);
serve!(v1alpha);

#[cfg(test)]
mod tests {
    use prost_types::{FileDescriptorProto, FileDescriptorSet};

    use super::*;

    fn reflection() -> Reflection {
        Reflection::new(&[crate::pb::DESCRIPTORS, crate::pb::health::DESCRIPTORS]).unwrap()
    }

    #[test]
    fn every_symbol_leads_to_its_file_as_it_was_compiled() {
        let Reflection(index) = reflection();
        let set = FileDescriptorSet::decode(crate::pb::DESCRIPTORS).unwrap();
        let file = |name: &str| set.file.iter().find(|file| file.name() == name).unwrap().clone();
        // The bytes also have the options that this type does not know.
        let answer = |question| match index.answer(question) {
            Answer::File(bytes) => FileDescriptorProto::decode(bytes.as_slice()).unwrap(),
            other => panic!("{other:?}"),
        };
        for (symbol, name) in [
            ("invitation.v1.InvitationService", "invitation/v1/invitation_service.proto"),
            ("invitation.v1.InvitationService.GetInvitation", "invitation/v1/invitation_service.proto"),
            ("invitation.v1.Invitation", "invitation/v1/invitation.proto"),
            ("invitation.v1.Invitation.name", "invitation/v1/invitation.proto"),
            ("invitation.v1.Invitation.expiration", "invitation/v1/invitation.proto"),
            ("invitation.v1.Invitation.LabelsEntry", "invitation/v1/invitation.proto"),
            ("invitation.v1.InvitationState", "invitation/v1/invitation.proto"),
            ("invitation.v1.INVITATION_STATE_ACTIVE", "invitation/v1/invitation.proto"),
            ("invitation.v1.InvitationState.INVITATION_STATE_ACTIVE", "invitation/v1/invitation.proto"),
            ("google.protobuf.Timestamp", "google/protobuf/timestamp.proto"),
        ] {
            assert_eq!(answer(Question::Symbol(symbol.to_owned())), file(name), "{symbol}");
            assert_eq!(answer(Question::File(name.to_owned())), file(name), "{name}");
        }
    }

    #[test]
    fn question_without_an_answer_has_its_code() {
        let Reflection(index) = reflection();
        let name = || "invitation.v1.Nothing".to_owned();
        for (question, code) in [
            (Question::File(name()), Code::NotFound),
            (Question::Symbol(name()), Code::NotFound),
            (Question::Symbol(String::new()), Code::NotFound),
            (Question::Extension, Code::NotFound),
            (Question::Extensions(name()), Code::NotFound),
            (Question::Unknown, Code::InvalidArgument),
        ] {
            let Answer::Error(told, _) = index.answer(question) else { panic!("{code:?}") };
            assert_eq!(told, code);
        }
        let message = "invitation.v1.Invitation".to_owned();
        assert_eq!(index.answer(Question::Extensions(message.clone())), Answer::NoExtensions(message));
        let Answer::Services(services) = index.answer(Question::Services) else { panic!("no services") };
        assert!(services.is_sorted() && services.contains(&"grpc.health.v1.Health".to_owned()), "{services:?}");
        let ours = services.iter().filter(|name| name.starts_with("invitation.v1."));
        let set = FileDescriptorSet::decode(crate::pb::DESCRIPTORS).unwrap();
        assert_eq!(ours.count(), set.file.iter().map(|file| file.service.len()).sum::<usize>());
    }
}
