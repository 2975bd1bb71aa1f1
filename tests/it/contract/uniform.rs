//! The parts of the contract that are the same everywhere: rules over the descriptors, each of which finds a planted deviation.

mod comments;
mod generators;
mod requests;
mod resources;

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, MethodDescriptorProto,
};

use super::raw;

/// A rule, and deviations from it, each with the sentence in which the rule names it.
struct Rule {
    name: &'static str,
    /// Returns a sentence for each deviation.
    check: fn(&[FileDescriptorProto]) -> Vec<String>,
    planted: &'static [(Plant, &'static str)],
}

type Plant = fn(&mut [FileDescriptorProto]);

fn rules() -> Vec<&'static Rule> {
    [requests::RULES, resources::RULES, comments::RULES, generators::RULES].into_iter().flatten().collect()
}

#[test]
fn every_rule_of_the_contract_holds() {
    let broken: Vec<_> = rules().iter().flat_map(|rule| (rule.check)(raw::files())).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn each_rule_of_the_contract_finds_a_planted_deviation() {
    for rule in rules() {
        assert!(!rule.planted.is_empty(), "{} has no deviation", rule.name);
        for (plant, wanted) in rule.planted {
            let mut files = raw::files().to_vec();
            plant(&mut files);
            assert_eq!((rule.check)(&files), [*wanted], "{}", rule.name);
        }
    }
}

/// A message with its file and its place in there.
struct Message<'a> {
    file: &'a FileDescriptorProto,
    at: usize,
    descriptor: &'a DescriptorProto,
}

impl Message<'_> {
    fn comment(&self) -> String {
        raw::comment(self.file, &[4, self.at])
    }

    fn comment_of(&self, field: usize) -> String {
        raw::comment(self.file, &[4, self.at, 2, field])
    }
}

fn messages(files: &[FileDescriptorProto]) -> impl Iterator<Item = Message<'_>> {
    files.iter().flat_map(|file| {
        file.message_type.iter().enumerate().map(move |(at, descriptor)| Message { file, at, descriptor })
    })
}

fn message<'a>(files: &'a [FileDescriptorProto], type_name: &str) -> Option<&'a DescriptorProto> {
    let name = short(type_name);
    messages(files).map(|message| message.descriptor).find(|message| message.name() == name)
}

fn methods(files: &[FileDescriptorProto]) -> impl Iterator<Item = &MethodDescriptorProto> {
    files.iter().flat_map(|file| &file.service).flat_map(|service| &service.method)
}

fn field<'a>(message: &'a DescriptorProto, name: &str) -> Option<&'a FieldDescriptorProto> {
    message.field.iter().find(|field| field.name() == name)
}

/// Whether a method reads only.
fn reads(method: &MethodDescriptorProto) -> bool {
    ["Get", "BatchGet", "List", "Preview", "Watch", "Export", "Lookup", "Check", "VerifyReceipt"]
        .iter()
        .any(|verb| method.name().starts_with(verb))
}

/// The name of a type without its package.
fn short(type_name: &str) -> &str {
    type_name.rsplit('.').next().unwrap_or_default()
}

/// A name as fields have it: `webhook_endpoint` of `WebhookEndpoint`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn message_mut<'a>(files: &'a mut [FileDescriptorProto], name: &str) -> &'a mut DescriptorProto {
    files.iter_mut().flat_map(|file| &mut file.message_type).find(|message| message.name() == name).unwrap()
}

fn field_mut<'a>(files: &'a mut [FileDescriptorProto], message: &str, name: &str) -> &'a mut FieldDescriptorProto {
    message_mut(files, message).field.iter_mut().find(|field| field.name() == name).unwrap()
}

fn method_mut<'a>(files: &'a mut [FileDescriptorProto], name: &str) -> &'a mut MethodDescriptorProto {
    let services = files.iter_mut().flat_map(|file| &mut file.service);
    services.flat_map(|service| &mut service.method).find(|method| method.name() == name).unwrap()
}

fn enum_mut<'a>(files: &'a mut [FileDescriptorProto], name: &str) -> &'a mut EnumDescriptorProto {
    files.iter_mut().flat_map(|file| &mut file.enum_type).find(|known| known.name() == name).unwrap()
}

fn without_field(files: &mut [FileDescriptorProto], message: &str, name: &str) {
    message_mut(files, message).field.retain(|field| field.name() != name);
}

/// Replaces a part of the one comment that has it.
fn reword(files: &mut [FileDescriptorProto], from: &str, to: &str) {
    let locations = files.iter_mut().flat_map(|file| &mut file.source_code_info.as_mut().unwrap().location);
    let comments = locations.filter_map(|location| location.leading_comments.as_mut());
    let found: Vec<_> = comments.filter(|comment| comment.contains(from)).collect();
    let [comment] = found.try_into().unwrap_or_else(|found: Vec<_>| panic!("{} comments have {from:?}", found.len()));
    *comment = comment.replace(from, to);
}
