//! The parts of the contract that are the same in every request: a rule each, which fails on a planted deviation.

use prost_types::field_descriptor_proto::Type;
use prost_types::method_options::IdempotencyLevel;
use prost_types::{DescriptorProto, FileDescriptorProto, MethodDescriptorProto, MethodOptions};

use super::raw;

/// The fields that requests have in common, with their numbers and types.
const COMMON: [(&str, i32, Type); 6] = [
    ("etag", 13, Type::String),
    ("request_id", 14, Type::String),
    ("validate_only", 15, Type::Bool),
    ("page_size", 13, Type::Int32),
    ("page_token", 14, Type::String),
    ("order_by", 15, Type::String),
];

/// Returns the deviations of a request from the common fields.
fn common_fields(request: &DescriptorProto) -> Vec<String> {
    let mut broken = Vec::new();
    for field in &request.field {
        let known = COMMON.iter().find(|(name, ..)| *name == field.name());
        let fits = match known {
            Some((_, number, kind)) => field.number() == *number && field.r#type() == *kind,
            None => !(13..=15).contains(&field.number()),
        };
        if !fits {
            broken.push(format!("{}.{} = {}", request.name(), field.name(), field.number()));
        }
    }
    let has = |name: &str| request.field.iter().any(|field| field.name() == name);
    let pages = ["page_size", "page_token", "order_by"].map(has);
    if pages.contains(&true) && pages.contains(&false) {
        broken.push(format!("{} pages in part", request.name()));
    }
    broken
}

/// Returns the deviations of an RPC: reads say so, and writes do not.
fn idempotency(method: &MethodDescriptorProto) -> Vec<String> {
    let level = method.options.as_ref().map_or(IdempotencyLevel::IdempotencyUnknown, MethodOptions::idempotency_level);
    let reads = ["Get", "BatchGet", "List"].iter().any(|verb| method.name().starts_with(verb));
    let fits = reads == (level == IdempotencyLevel::NoSideEffects);
    if fits { Vec::new() } else { vec![format!("{} is {level:?}", method.name())] }
}

/// The RPCs that cannot be asked only what they would do: a try of a code always counts, and a test of an endpoint is a
/// try itself, which leaves nothing that a retry could be answered from.
const ALWAYS_DONE: [&str; 3] = ["SendVerificationCode", "VerifyEmail", "TestWebhookEndpoint"];

/// Returns the deviations of an RPC from the fields that every write has.
fn writes(method: &MethodDescriptorProto, files: &[FileDescriptorProto]) -> Vec<String> {
    let reads = ["Get", "BatchGet", "List", "Preview", "Watch"].iter().any(|verb| method.name().starts_with(verb));
    if reads || ALWAYS_DONE.contains(&method.name()) {
        return Vec::new();
    }
    let name = method.input_type().rsplit('.').next().unwrap_or_default();
    let request = files.iter().flat_map(requests).find(|request| request.name() == name);
    let has = |field: &str| request.is_some_and(|request| request.field.iter().any(|known| known.name() == field));
    let missing = ["request_id", "validate_only"].into_iter().filter(|field| !has(field));
    missing.map(|field| format!("{name} has no {field}")).collect()
}

/// Returns the deviations of a file from the options for generated code.
fn options(file: &FileDescriptorProto) -> Vec<String> {
    let options = file.options.clone().unwrap_or_default();
    let fits = options.go_package() == "invitation/v1;invitationv1"
        && options.java_package() == "invitation.v1"
        && options.java_multiple_files()
        && options.csharp_namespace() == "Invitation.V1";
    if fits { Vec::new() } else { vec![format!("{} has other options", file.name())] }
}

fn requests(file: &FileDescriptorProto) -> impl Iterator<Item = &DescriptorProto> {
    file.message_type.iter().filter(|message| message.name().ends_with("Request"))
}

#[test]
fn every_request_rpc_and_file_keeps_the_uniform_rules() {
    let files = raw::files();
    let broken: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let methods = file.service.iter().flat_map(|service| &service.method);
            let fields = requests(file).flat_map(common_fields);
            let methods = methods.flat_map(|method| [idempotency(method), writes(method, files)].concat());
            fields.chain(methods).chain(options(file)).collect::<Vec<_>>()
        })
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(files.iter().flat_map(requests).count() > 50);
}

#[test]
fn each_uniform_rule_fails_on_a_planted_deviation() {
    let files = raw::files();
    let list = files.iter().flat_map(requests).find(|request| request.name() == "ListInvitationsRequest").unwrap();
    let planted = |plant: fn(&mut DescriptorProto)| {
        let mut request = list.clone();
        plant(&mut request);
        common_fields(&request)
    };
    let field = |request: &mut DescriptorProto, name: &str| {
        request.field.iter().position(|field| field.name() == name).unwrap()
    };
    assert!(planted(|_| ()).is_empty());
    assert_eq!(planted(|request| request.field[0].number = Some(14)).len(), 1);
    let renumbered = {
        let mut request = list.clone();
        let at = field(&mut request, "page_size");
        request.field[at].number = Some(12);
        common_fields(&request)
    };
    assert_eq!(renumbered, ["ListInvitationsRequest.page_size = 12"]);
    let without = {
        let mut request = list.clone();
        let at = field(&mut request, "order_by");
        request.field.remove(at);
        common_fields(&request)
    };
    assert_eq!(without, ["ListInvitationsRequest pages in part"]);

    let methods = || files.iter().flat_map(|file| &file.service).flat_map(|service| service.method.clone());
    let mut read = methods().find(|method| method.name() == "GetInvitation").unwrap();
    read.options = None;
    assert_eq!(idempotency(&read).len(), 1);
    let mut write = methods().find(|method| method.name() == "RevokeInvitation").unwrap();
    write.options.get_or_insert_default().set_idempotency_level(IdempotencyLevel::NoSideEffects);
    assert_eq!(idempotency(&write).len(), 1);
    let mut unsafe_write = methods().find(|method| method.name() == "RevokeInvitation").unwrap();
    unsafe_write.input_type = Some(".invitation.v1.GetInvitationRequest".to_owned());
    assert_eq!(writes(&unsafe_write, files).len(), 2);
    let mut file = files[0].clone();
    file.options.get_or_insert_default().java_multiple_files = None;
    assert_eq!(options(&file).len(), 1);
}
