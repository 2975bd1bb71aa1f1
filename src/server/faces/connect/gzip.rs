//! Compression by gzip of messages that the codec of gRPC does not see: those in JSON.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tonic::Status;

use crate::server::status;

/// Returns a message that was compressed, if it is no larger than a number of bytes.
pub(super) fn decompress(compressed: &[u8], most: usize) -> Result<Vec<u8>, Status> {
    let mut message = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let read = GzDecoder::new(compressed).take(limit).read_to_end(&mut message);
    read.map_err(|_| status::malformed("the request is not compressed by gzip: leave the header of its encoding out"))?;
    if message.len() > most { Err(status::message_too_large(most)) } else { Ok(message) }
}

/// Returns a compressed message; `None` if that fails.
pub(super) fn compress(message: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(message).ok()?;
    encoder.finish().ok()
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn message_comes_back_if_it_is_not_too_large() {
        let compressed = compress(&[7; 1_000]).unwrap();
        assert!(compressed.len() < 100);
        assert_eq!(decompress(&compressed, 1_000).unwrap(), [7; 1_000]);
        assert_eq!(decompress(&compressed, 999).unwrap_err().code(), Code::ResourceExhausted);
        for broken in [&compressed[..20], b"{}", b""] {
            assert_eq!(decompress(broken, 1_000).unwrap_err().code(), Code::InvalidArgument);
        }
    }
}
