//! Tables of tokens: those that are accepted, and everything that has been tried to get one accepted that is not.

mod claims;
mod hostile;
mod persons;
mod samples;

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};

use super::*;
use crate::auth::caller::Credential;
use crate::auth::permission::Permission;
use crate::auth::refused_caller::NoCaller;
use crate::config::{JwtAccess, JwtSource};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::entropy::Entropy;

/// 2026-01-01T00:00:00Z.
const NOW: i64 = 1_767_225_600;
const ISSUER: &str = "https://issuer.example";

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

/// The entry of an issuer that takes everything from claims.
fn issuer() -> JwtIssuer {
    let claim = |name: &str| name.to_owned();
    JwtIssuer {
        name: "main".to_owned(),
        issuer: ISSUER.to_owned(),
        audiences: vec!["invitation-service".to_owned(), "second".to_owned()],
        keys: JwksSource::Url { url: "https://issuer.example/keys".parse().unwrap(), ca_file: None, bearer_file: None },
        leeway: Duration::from_secs(30),
        subject_claim: claim("sub"),
        access: JwtAccess::All {
            account: JwtSource::Claim(claim("account")),
            permissions: JwtSource::Claim(claim("scope")),
            organization_id: None,
        },
    }
}

fn valid() -> Value {
    json!({
        "iss": ISSUER, "aud": "invitation-service", "sub": "billing", "account": "acme",
        "scope": "invitations.read", "iat": NOW, "exp": NOW + 600,
    })
}

/// A key that tokens of the tests are signed by. Tokens of the other algorithms are among the samples.
struct Signer(Ed25519KeyPair);

impl Signer {
    fn new() -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&Entropy::system().bytes::<32>()).unwrap())
    }

    fn jwk(&self, kid: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": encode(self.0.public_key().as_ref()), "kid": kid})
    }

    fn sign(&self, signed: &[u8]) -> Vec<u8> {
        self.0.sign(signed).as_ref().to_vec()
    }

    /// Signs a header and claims that may be no JSON.
    fn raw(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", encode(&signature))
    }

    fn token(&self, kid: &str, claims: &Value) -> String {
        self.raw(&json!({"alg": "EdDSA", "kid": kid}).to_string(), &claims.to_string())
    }
}

/// A key for ES256.
fn ec_jwk(kid: &str) -> Value {
    json!({"kty": "EC", "crv": "P-256", "x": encode(&[1; 32]), "y": encode(&[2; 32]), "kid": kid})
}

fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn verifier(issuers: &[JwtIssuer]) -> (JwtVerifier, Clock) {
    let clock = Clock::manual(at(NOW));
    (JwtVerifier::new(issuers, clock.clone()), clock)
}

impl JwtVerifier {
    /// Returns the caller of a token, or the answer to it.
    fn judge(&self, text: &str) -> Result<Caller, NoCaller> {
        self.authenticate(text).map_err(|refused| refused.answer())
    }
}

/// Puts keys to work for an issuer.
fn use_keys(verifier: &JwtVerifier, issuer: &str, keys: &[Value]) -> bool {
    let cache = verifier.issuers().into_iter().find(|found| found.config.issuer == issuer).unwrap().keys.clone();
    verifier.use_keys(&cache, cache.begin(), set(keys))
}

/// A verifier of one issuer with one key, `ed`.
fn ready(issuer: JwtIssuer) -> (JwtVerifier, Clock, Signer) {
    let (verifier, clock) = verifier(&[issuer]);
    let signer = Signer::new();
    use_keys(&verifier, ISSUER, &[signer.jwk("ed")]);
    (verifier, clock, signer)
}

/// Returns a value with some members replaced; null removes one.
fn with(mut value: Value, changes: Value) -> Value {
    for (name, change) in changes.as_object().unwrap() {
        match change {
            Value::Null => value.as_object_mut().unwrap().remove(name),
            change => value.as_object_mut().unwrap().insert(name.clone(), change.clone()),
        };
    }
    value
}

#[test]
fn token_is_accepted_for_the_caller_that_it_claims() {
    let (verifier, _, signer) = ready(issuer());
    let caller = verifier.judge(&signer.token("ed", &valid())).unwrap();
    let expected = Caller {
        account: AccountId::parse("acme").unwrap(),
        name: "issuers/main/subjects/billing".to_owned(),
        permissions: vec![Permission::InvitationsRead],
        organization_id: None,
        credential: Credential::Jwt,
        expires_at: None,
        grantable_roles: None,
    };
    assert_eq!(caller, expected);
}

#[test]
fn token_is_unavailable_until_the_keys_were_read() {
    let (verifier, _) = verifier(&[issuer()]);
    let (old, new) = (Signer::new(), Signer::new());
    let token = |signer: &Signer, kid| verifier.judge(&signer.token(kid, &valid())).map(|caller| caller.name);
    assert_eq!(token(&old, "old"), Err(NoCaller::Unavailable));
    use_keys(&verifier, ISSUER, &[old.jwk("old")]);
    token(&old, "old").unwrap();
    // A key that is new, or invented: the keys are read again before that is decided.
    let cache = verifier.issuers()[0].keys.clone();
    assert!(!cache.is_wanted());
    assert_eq!(token(&new, "new"), Err(NoCaller::Unavailable));
    assert!(cache.is_wanted());
    assert!(!use_keys(&verifier, ISSUER, &[old.jwk("old")]));
    assert_eq!(token(&new, "new"), Err(NoCaller::Unauthenticated));
    assert!(use_keys(&verifier, ISSUER, &[old.jwk("old"), new.jwk("new")]));
    token(&new, "new").unwrap();
    assert!(verifier.drop_keys(&cache) && !verifier.drop_keys(&cache));
    assert_eq!(token(&old, "old"), Err(NoCaller::Unavailable));
}

#[test]
fn remembered_token_is_refused_once_it_ends_or_its_key_goes() {
    let (verifier, clock, signer) = ready(issuer());
    let token = signer.token("ed", &valid());
    let answer = || verifier.judge(&token).map(|_| ());
    assert_eq!((answer(), answer()), (Ok(()), Ok(())));
    // 600 seconds and the leeway.
    clock.advance(Duration::from_millis(629_999));
    assert_eq!(answer(), Ok(()));
    clock.advance(Duration::from_millis(1));
    assert_eq!((answer(), answer()), (Err(NoCaller::Unauthenticated), Err(NoCaller::Unauthenticated)));

    let (verifier, _, signer) = ready(issuer());
    let token = signer.token("ed", &valid());
    let answer = || verifier.judge(&token).map(|_| ());
    assert_eq!(answer(), Ok(()));
    use_keys(&verifier, ISSUER, &[Signer::new().jwk("ed")]);
    assert_eq!(answer(), Err(NoCaller::Unauthenticated), "the same id, and another key");
    use_keys(&verifier, ISSUER, &[signer.jwk("ed")]);
    assert_eq!(answer(), Ok(()));
    verifier.replace(&[JwtIssuer { audiences: vec!["second".to_owned()], ..issuer() }]);
    assert_eq!(answer(), Err(NoCaller::Unauthenticated), "the keys stay, the audience does not");
    verifier.replace(&[issuer()]);
    assert_eq!(answer(), Ok(()));
    verifier.replace(&[JwtIssuer { keys: JwksSource::File("/keys".into()), ..issuer() }]);
    assert_eq!(answer(), Err(NoCaller::Unavailable), "its keys come from elsewhere");
    verifier.replace(&[]);
    assert_eq!(answer(), Err(NoCaller::Unauthenticated));
}

#[test]
fn issuers_vouch_for_their_own_tokens_alone() {
    let other = JwtIssuer { name: "other".to_owned(), issuer: "https://other.example".to_owned(), ..issuer() };
    let (verifier, _) = verifier(&[issuer(), other.clone()]);
    let (mine, theirs) = (Signer::new(), Signer::new());
    use_keys(&verifier, ISSUER, &[mine.jwk("key")]);
    use_keys(&verifier, &other.issuer, &[theirs.jwk("key")]);
    let of_other = with(valid(), json!({"iss": other.issuer}));
    for (signer, claims, name) in [
        (&mine, valid(), Some("issuers/main/subjects/billing")),
        (&theirs, of_other.clone(), Some("issuers/other/subjects/billing")),
        (&theirs, valid(), None),
        (&mine, of_other, None),
        (&mine, with(valid(), json!({"iss": [ISSUER]})), None),
        (&mine, with(valid(), json!({"iss": null})), None),
        (&mine, with(valid(), json!({"iss": format!("{ISSUER}/")})), None),
    ] {
        let answer = verifier.judge(&signer.token("key", &claims));
        let expected = name.map(str::to_owned).ok_or(NoCaller::Unauthenticated);
        assert_eq!(answer.map(|caller| caller.name), expected, "{claims}");
    }
}
