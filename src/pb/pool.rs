//! The compiled files of the services, and what they describe.

use std::sync::LazyLock;

use prost_reflect::DescriptorPool;

/// The compiled files of every service of this process, and of the details of errors.
pub const DESCRIPTOR_SETS: [&[u8]; 5] = [
    super::DESCRIPTORS,
    super::health::DESCRIPTORS,
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
