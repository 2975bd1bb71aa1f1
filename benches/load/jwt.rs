//! An issuer of JWTs, whose public keys are in a file.

use std::path::Path;
use std::process::Command;

use data_encoding::BASE64URL_NOPAD;
use invitation_service::clock::Clock;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::Outcome;
use crate::server::printed;

const ISSUER: &str = "https://issuer.example";
const AUDIENCE: &str = "invitation-service";
/// The time for which tokens are valid, in seconds: longer than any run.
const VALID: i64 = 24 * 3600;
/// A number of tokens of which the server has forgotten the first when it is shown again: it remembers 8,192 at most.
pub(crate) const FORGOTTEN: usize = 10_000;
/// The length of a coordinate of P-256, behind a byte that tells the form of the point.
const COORDINATE: usize = 32;

/// The algorithm of a signature. Its name is the id of the key as well.
#[derive(Clone, Copy)]
enum Algorithm {
    Es256,
    Rs256,
}

/// A key of the issuer.
pub(crate) enum Signer {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
}

impl Algorithm {
    fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

impl Signer {
    /// Creates a key for ES256.
    pub(crate) fn es256() -> Outcome<Self> {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| "no key can be made")?;
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random);
        Ok(Self::Es256(pair.map_err(|error| error.to_string())?))
    }

    /// Creates a key of 2048 bits for RS256, by `openssl`: ring creates none of RSA.
    pub(crate) fn rs256() -> Outcome<Self> {
        let mut openssl = Command::new("openssl");
        openssl.args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]);
        let key = PrivateKeyDer::from_pem_slice(printed(&mut openssl)?.as_bytes())?;
        let pair = RsaKeyPair::from_pkcs8(key.secret_der());
        Ok(Self::Rs256(pair.map_err(|error| error.to_string())?))
    }

    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Es256(_) => Algorithm::Es256,
            Self::Rs256(_) => Algorithm::Rs256,
        }
    }

    /// Signs tokens of one subject, each other than the others.
    pub(crate) fn tokens(&self, count: usize) -> Outcome<Vec<String>> {
        let now = Clock::system().now().micros() / 1_000_000;
        let head = encode(&json!({"alg": self.algorithm().name(), "typ": "JWT", "kid": self.algorithm().name()}));
        let random = SystemRandom::new();
        let token = |number: usize| {
            let claims = json!({
                "iss": ISSUER, "aud": AUDIENCE, "sub": "load", "iat": now, "exp": now + VALID, "jti": number.to_string(),
            });
            let signed = format!("{head}.{}", encode(&claims));
            let signature = self.sign(signed.as_bytes(), &random)?;
            Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
        };
        (0..count).map(token).collect()
    }

    fn sign(&self, signed: &[u8], random: &SystemRandom) -> Outcome<Vec<u8>> {
        let cannot = |_| "a token cannot be signed";
        Ok(match self {
            Self::Es256(pair) => pair.sign(random, signed).map_err(cannot)?.as_ref().to_vec(),
            Self::Rs256(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, random, signed, &mut signature).map_err(cannot)?;
                signature
            }
        })
    }

    /// Returns the public key as a JWK.
    fn jwk(&self) -> Value {
        let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let name = self.algorithm().name();
        match self {
            Self::Es256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(COORDINATE);
                json!({"kty": "EC", "crv": "P-256", "alg": name, "kid": name, "x": encode(x), "y": encode(y)})
            }
            Self::Rs256(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "alg": name, "kid": name, "n": encode(&n), "e": encode(&e)})
            }
        }
    }
}

fn encode(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

/// Returns the set of the public keys of some signers.
pub(crate) fn jwks(signers: &[Signer]) -> String {
    json!({"keys": signers.iter().map(Signer::jwk).collect::<Vec<_>>()}).to_string()
}

/// Returns the file of issuers, with one whose tokens may do everything in an account.
pub(crate) fn issuers_file(jwks: &Path, account: &str) -> String {
    format!(
        "[[issuer]]\nname = \"load\"\nissuer = \"{ISSUER}\"\naudiences = [\"{AUDIENCE}\"]\njwks_file = \"{}\"\n\
         account = \"{account}\"\npermissions = [\"*\"]\n",
        jwks.display()
    )
}
