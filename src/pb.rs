//! The code that build.rs generates from `proto/`, and the `Debug` of the messages that hold a token, a code or a secret.

#![expect(unused_qualifications, clippy::allow_attributes, clippy::large_enum_variant, reason = "generated code")]

#[cfg(feature = "server")]
mod pool;

use std::fmt;

#[cfg(feature = "server")]
pub use pool::{DESCRIPTOR_SETS, POOL};

tonic::include_proto!("invitation.v1");

/// The package of the protos.
pub const PACKAGE: &str = "invitation.v1";

/// The compiled files with their comments, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

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
