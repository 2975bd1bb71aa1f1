//! Compiles `proto/` with protox, so that no protoc has to be installed.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message;
use protox::prost_reflect::{DescriptorPool, FieldDescriptor, MessageDescriptor};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir("proto/invitation/v1")? {
        files.push(entry?.path());
    }
    files.retain(|path| path.extension().is_some_and(|extension| extension == "proto"));
    files.sort();
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true);
    let descriptors = compiler.open_files(files)?.file_descriptor_set();

    let out = std::env::var("OUT_DIR")?;
    // As bytes, since the types of the set are older than the option that marks what is secret.
    std::fs::write(Path::new(&out).join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    let secret = secret_messages(&compiler.descriptor_pool());
    let names: Vec<_> = secret.iter().map(MessageDescriptor::name).collect();
    std::fs::write(Path::new(&out).join("redacted.rs"), format!("redact!({});\n", names.join(", ")))?;
    let paths = secret.iter().map(|message| format!(".{}", message.full_name()));
    let mut messages = prost_build::Config::new();
    messages.enable_type_names();
    // Without the feature there are the messages and the clients alone.
    let serves = std::env::var_os("CARGO_FEATURE_SERVER").is_some();
    let codec = if serves { "crate::server::codec::ServiceCodec" } else { "tonic_prost::ProstCodec" };
    tonic_prost_build::configure()
        .btree_map(".")
        .skip_debug(paths.collect::<Vec<_>>())
        .build_server(serves)
        .build_transport(false)
        .codec_path(codec)
        .compile_fds_with_config(descriptors, messages)?;
    compile_health(&out, serves)
}

/// Compiles `grpc.health.v1` by itself, with a codec that ignores unknown fields as any health service does.
fn compile_health(out: &str, serves: bool) -> Result<(), Box<dyn Error>> {
    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true);
    let descriptors = compiler.open_files(["proto/grpc/health/v1/health.proto"])?.file_descriptor_set();
    std::fs::write(Path::new(out).join("health.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .btree_map(".")
        .build_server(serves)
        .build_transport(false)
        .compile_fds(descriptors)?;
    Ok(())
}

/// Returns the messages with a field that is `debug_redact`: a token, a link, a code or a secret.
fn secret_messages(pool: &DescriptorPool) -> Vec<MessageDescriptor> {
    let is_secret = |field: FieldDescriptor| {
        let redacted = field.options().get_field_by_name("debug_redact").and_then(|value| value.as_bool());
        redacted.unwrap_or_default()
    };
    let is_ours = |message: &MessageDescriptor| message.package_name() == "invitation.v1";
    pool.all_messages().filter(is_ours).filter(|message| message.fields().any(is_secret)).collect()
}
