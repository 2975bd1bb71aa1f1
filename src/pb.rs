//! The code that build.rs generates from `proto/`, and the `Debug` of the messages that hold a token, a code or a secret.

#![expect(unused_qualifications, clippy::allow_attributes, clippy::large_enum_variant, reason = "generated code")]

use std::fmt;
use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

tonic::include_proto!("invitation.v1");

/// The package of the protos.
pub const PACKAGE: &str = "invitation.v1";

/// The compiled files with their comments, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The compiled files of every service of this process, and of the details of errors.
pub const DESCRIPTOR_SETS: [&[u8]; 5] = [
    DESCRIPTORS,
    health::DESCRIPTORS,
    tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
    tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    // So that clients can show the details of errors.
    tonic_types::pb::FILE_DESCRIPTOR_SET,
];

/// The messages and the services of these files, for the JSON mapping of protobuf. The files are part of the program, so the absence
/// of one is a defect that a test of its messages shows.
pub static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let mut pool = DescriptorPool::new();
    for set in DESCRIPTOR_SETS {
        drop(pool.decode_file_descriptor_set(set));
    }
    pool
});

/// `grpc.health.v1`, as its protocol defines it.
pub mod health {
    tonic::include_proto!("grpc.health.v1");

    /// The compiled file with its comments, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/health.bin"));
}

/// Prints a message by its type alone: what is in it can open an invitation.
macro_rules! redact {
    ($($message:ident),+) => {$(
        impl fmt::Debug for $message {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($message), "([redacted])"))
            }
        }
    )+};
}

// The messages with a field that is `debug_redact` in the proto files.
include!(concat!(env!("OUT_DIR"), "/redacted.rs"));
