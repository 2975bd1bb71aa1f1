//! Compiles `proto/` with protox, so that no protoc has to be installed.

use std::error::Error;
use std::path::{Path, PathBuf};

use prost::Message;

/// Messages that hold a token; their `Debug` is written by hand in `pb.rs`.
const SECRET: [&str; 12] = [
    ".invitation.v1.ConnectionInvitation",
    ".invitation.v1.Invitation",
    ".invitation.v1.UserInvitation",
    ".invitation.v1.GuestInvitation",
    ".invitation.v1.PreviewInvitationRequest",
    ".invitation.v1.AcceptInvitationRequest",
    ".invitation.v1.DeclineInvitationRequest",
    ".invitation.v1.RecordEngagementRequest",
    ".invitation.v1.SendVerificationCodeRequest",
    ".invitation.v1.VerifyEmailRequest",
    ".invitation.v1.VerifyEmailResponse",
    ".invitation.v1.WebhookEndpoint",
];

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
    std::fs::write(Path::new(&out).join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().btree_map(".").skip_debug(SECRET).build_transport(false).compile_fds(descriptors)?;
    Ok(())
}
