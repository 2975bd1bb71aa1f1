//! A password of PostgreSQL in the form that the server stores and takes as it is (SCRAM-SHA-256, RFC 5803).
//!
//! The server would store one with 4,096 iterations, which it repeats for each connection: a third of the time that a
//! connection takes, and the tests make thousands. A password of 128 random bits needs none of them.

use data_encoding::BASE64;
use ring::digest::{SHA256, digest};
use ring::hmac::{HMAC_SHA256, Key, Tag, sign};

const SALT: &[u8] = b"sixteen bytes...";

/// Returns the stored form of a password, with one iteration.
pub(super) fn stored(password: &str) -> String {
    let hmac = |key: &[u8], text: &[u8]| -> Tag { sign(&Key::new(HMAC_SHA256, key), text) };
    let salted = hmac(password.as_bytes(), &[SALT, &1_u32.to_be_bytes()].concat());
    let client = digest(&SHA256, hmac(salted.as_ref(), b"Client Key").as_ref());
    let server = hmac(salted.as_ref(), b"Server Key");
    let [salt, client, server] = [SALT, client.as_ref(), server.as_ref()].map(|bytes| BASE64.encode(bytes));
    format!("SCRAM-SHA-256$1:{salt}${client}:{server}")
}
