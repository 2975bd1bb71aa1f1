//! `token-key`: makes one member of the key ring that signs invitation tokens.
//!
//! Adding it to the ring, and in which place, is the operator's decision.

use data_encoding::BASE64;

use super::TokenKeyArgs;
use crate::entropy::Entropy;

/// Creates a signing key and returns it as `id:base64`, the form of `token.keys`.
pub fn run(args: &TokenKeyArgs, entropy: &Entropy) -> String {
    let TokenKeyArgs { id } = args;
    format!("{id}:{}", BASE64.encode(&entropy.bytes::<32>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_id_and_32_fresh_bytes() {
        let make = || run(&TokenKeyArgs { id: 255 }, &Entropy::system());
        let key = make();
        let (id, bytes) = key.split_once(':').unwrap();
        assert_eq!(id, "255");
        assert_eq!(BASE64.decode(bytes.as_bytes()).unwrap().len(), 32);
        assert_ne!(make(), key);
    }
}
