//! The token: the key to one invitation, derived whenever it is needed and stored nowhere.
//!
//! `inv_` and the base64url of 39 bytes, which leaves no spare bit: format (1), key id (1), invitation (16), generation
//! (2), recipient ordinal (2), MAC (17: HMAC-SHA256, truncated). A token without a valid MAC is refused without a
//! query; whether a well-formed one is still valid (account, generation) is decided on the loaded invitation.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use hmac::Mac;
use uuid::Uuid;

use super::key_ring::KeyRing;
use crate::domain::value::id::InvitationId;

const PREFIX: &str = "inv_";
const FORMAT: u8 = 1;
const CLAIMS: usize = 22;
const MAC: usize = 17;

/// The claims of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claims {
    /// The key that signed it.
    pub key_id: u8,
    /// The invitation it opens.
    pub invitation: InvitationId,
    /// The number of rotations of the invitation's link when the token was created.
    pub generation: u16,
    /// 0 for the plain link, else the recipient it was mailed to.
    pub recipient: u16,
}

/// A token as text. Never printed by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// Creates the token of these claims. Returns `None` if the ring no longer has their key.
    pub fn sign(claims: &Claims, ring: &KeyRing) -> Option<Self> {
        let body = claims.encode();
        let mac = ring.token_mac(claims.key_id, &body)?.finalize().into_bytes();
        Some(Self(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&[&body, &mac[..MAC]].concat()))))
    }

    /// Returns the token's text, for a response or a link.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token([redacted])")
    }
}

impl Claims {
    /// Parses a token that was created with a key of this ring. Takes the same time whichever byte of the MAC is wrong.
    pub fn verify(token: &str, ring: &KeyRing) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(token.strip_prefix(PREFIX)?.as_bytes()).ok()?;
        let bytes: [u8; CLAIMS + MAC] = bytes.try_into().ok()?;
        let (body, mac) = bytes.split_at(CLAIMS);
        let claims = Self::decode(body)?;
        ring.token_mac(claims.key_id, body)?.verify_truncated_left(mac).ok().map(|()| claims)
    }

    fn encode(&self) -> [u8; CLAIMS] {
        let mut body = [0; CLAIMS];
        body[0] = FORMAT;
        body[1] = self.key_id;
        body[2..18].copy_from_slice(self.invitation.0.as_bytes());
        body[18..20].copy_from_slice(&self.generation.to_be_bytes());
        body[20..22].copy_from_slice(&self.recipient.to_be_bytes());
        body
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let (&[format, key_id], rest) = body.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (generation, rest) = rest.split_first_chunk()?;
        let (recipient, _) = rest.split_first_chunk()?;
        (format == FORMAT).then(|| Self {
            key_id,
            invitation: InvitationId(Uuid::from_bytes(*id)),
            generation: u16::from_be_bytes(*generation),
            recipient: u16::from_be_bytes(*recipient),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(id: u8) -> KeyRing {
        KeyRing::parse(&KeyRing::format_key(id, [id; 32])).unwrap()
    }

    fn claims() -> Claims {
        Claims {
            key_id: 1,
            invitation: InvitationId(Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0001)),
            generation: 3,
            recipient: 7,
        }
    }

    #[test]
    fn token_says_what_was_signed() {
        let token = Token::sign(&claims(), &ring(1)).unwrap();
        assert_eq!(token.reveal().len(), PREFIX.len() + 52);
        assert_eq!(Claims::verify(token.reveal(), &ring(1)), Some(claims()));
        assert_eq!(format!("{token:?}"), "Token([redacted])");
    }

    #[test]
    fn every_other_character_in_every_place_is_refused() {
        let token = Token::sign(&claims(), &ring(1)).unwrap();
        for index in 0..token.reveal().len() {
            for byte in (0..=127_u8).filter(|byte| *byte != token.reveal().as_bytes()[index]) {
                let mut forged = token.reveal().as_bytes().to_vec();
                forged[index] = byte;
                assert_eq!(Claims::verify(std::str::from_utf8(&forged).unwrap(), &ring(1)), None, "{byte} at {index}");
            }
        }
    }

    #[test]
    fn other_lengths_names_and_keys_are_refused() {
        let token = Token::sign(&claims(), &ring(1)).unwrap();
        let text = token.reveal();
        for forged in [
            "",
            "inv_",
            "invitations/x",
            &text[..text.len() - 1],
            &format!("{text}A"),
            &format!("{text}="),
            &format!(" {text}"),
        ] {
            assert_eq!(Claims::verify(forged, &ring(1)), None);
        }
        assert_eq!(Claims::verify(text, &ring(2)), None);
        assert_eq!(Token::sign(&claims(), &ring(2)), None);
        let other = KeyRing::parse(&KeyRing::format_key(1, [9; 32])).unwrap();
        assert_eq!(Claims::verify(text, &other), None, "the same id, another key");
    }
}
