//! Tokens of attackers, who know the public keys and everything else that is no secret.

use hmac::{Hmac, KeyInit, Mac};

use super::*;

/// Asserts that a token is refused, also after the keys were read again.
#[track_caller]
fn refuse(verifier: &JwtVerifier, keys: &[Value], token: &str, what: &str) {
    let _ = verifier.judge(token);
    use_keys(verifier, ISSUER, keys);
    assert_eq!(verifier.judge(token).unwrap_err(), NoCaller::Unauthenticated, "{what}");
}

#[test]
fn algorithm_is_that_of_the_key_and_never_none_or_shared() {
    let (verifier, _) = verifier(&[issuer()]);
    let ed = Signer::new();
    let keys = [ed.jwk("ed"), ec_jwk("ec")];
    use_keys(&verifier, ISSUER, &keys);
    let claims = valid().to_string();
    let header = |header: Value, signer: &Signer| {
        let token = signer.raw(&header.to_string(), &claims);
        refuse(&verifier, &keys, &token, &header.to_string());
    };
    for algorithm in
        ["none", "None", "NONE", "", "HS256", "HS512", "RS256", "ES256", "ES256K", "ES512", "PS256", "eddsa"]
    {
        header(json!({"alg": algorithm, "kid": "ed"}), &ed);
    }
    for algorithm in ["none", "HS256", "RS256", "EdDSA", "ES384"] {
        header(json!({"alg": algorithm, "kid": "ec"}), &ed);
    }
    header(json!({"alg": ["EdDSA"], "kid": "ed"}), &ed);
    header(json!({"kid": "ed"}), &ed);
    header(json!({"alg": "EdDSA", "kid": "ec"}), &ed);
    header(json!({"alg": "ES256", "kid": "ed"}), &ed);
    // The public keys as shared secrets, in the forms in which libraries have taken them.
    let raw = |key: &Value| BASE64URL_NOPAD.decode(key["x"].as_str().unwrap().as_bytes()).unwrap();
    let secrets = [raw(&keys[0]), keys[0]["x"].to_string().into_bytes(), keys[0].to_string().into_bytes(), Vec::new()];
    for secret in secrets {
        for algorithm in ["HS256", "EdDSA"] {
            let header = json!({"alg": algorithm, "kid": "ed"}).to_string();
            let signed = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
            let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
            mac.update(signed.as_bytes());
            let token = format!("{signed}.{}", encode(&mac.finalize().into_bytes()));
            refuse(&verifier, &keys, &token, &format!("{algorithm} with a public key"));
        }
    }
    let unsigned = ed.raw(r#"{"alg":"EdDSA","kid":"ed"}"#, &claims);
    refuse(&verifier, &keys, &unsigned[..=unsigned.rfind('.').unwrap()], "no signature");
    verifier.judge(&ed.token("ed", &valid())).unwrap();
}

#[test]
fn header_brings_no_key_and_asks_for_nothing_special() {
    let (verifier, _, signer) = ready(issuer());
    let mallory = Signer::new();
    let keys = [signer.jwk("ed")];
    for (name, value) in [
        ("jku", json!("https://mallory.example/keys")),
        ("jwk", mallory.jwk("ed")),
        ("x5u", json!("https://mallory.example/chain")),
        ("x5c", json!(["MIIB"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A256GCM")),
        ("cty", json!("JWT")),
        ("typ", json!("dpop+jwt")),
        ("typ", json!("logout+jwt")),
        ("typ", json!(1)),
        ("kid", json!(1)),
        ("kid", json!("k".repeat(257))),
    ] {
        let header = with(json!({"alg": "EdDSA", "kid": "ed"}), json!({ name: value })).to_string();
        refuse(&verifier, &keys, &mallory.raw(&header, &valid().to_string()), &header);
        refuse(&verifier, &keys, &signer.raw(&header, &valid().to_string()), &header);
    }
    for kid in ["", "../../dev/null", "' OR 1=1 --", "ed\0", "ED", "ed ", "http://mallory.example", "%s%n"] {
        refuse(&verifier, &keys, &mallory.token(kid, &valid()), kid);
        refuse(&verifier, &keys, &signer.token(kid, &valid()), kid);
    }
    for kind in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        let header = json!({"alg": "EdDSA", "kid": "ed", "typ": kind, "x5t": "a hint"}).to_string();
        verifier.judge(&signer.raw(&header, &valid().to_string())).unwrap();
    }
}

#[test]
fn token_without_a_key_id_is_for_the_only_key() {
    let (verifier, _, signer) = ready(issuer());
    let token = signer.raw(r#"{"alg":"EdDSA"}"#, &valid().to_string());
    verifier.judge(&token).unwrap();
    use_keys(&verifier, ISSUER, &[signer.jwk("ed"), Signer::new().jwk("other")]);
    assert_eq!(verifier.judge(&token).unwrap_err(), NoCaller::Unauthenticated);
}

#[test]
fn token_has_one_form_and_nothing_twice() {
    let (verifier, _, signer) = ready(issuer());
    let keys = [signer.jwk("ed")];
    let token = signer.token("ed", &valid());
    let (header, rest) = token.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    let other = encode(with(valid(), json!({"account": "other"})).to_string().as_bytes());
    for refused in [
        String::new(),
        "..".to_owned(),
        "a.b.c".to_owned(),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!(".{claims}.{signature}"),
        format!("{header}..{signature}"),
        format!("{token}.{signature}"),
        format!("{header}.{claims}.{claims}.{signature}"),
        format!("{token}."),
        format!(".{token}"),
        format!(" {token}"),
        format!("{token} "),
        format!("{token}\n"),
        format!("{token}="),
        format!("{header}=.{claims}.{signature}"),
        format!("{header}.{claims}==.{signature}"),
        format!("{header}.{claims}.{}", signature.replace(['-', '_'], "+") + "+"),
        format!("{header}.{other}.{signature}"),
        format!("{header}.{claims}.{}", encode(&[0; 64])),
        format!("{header}.{claims}.{}", encode(&[])),
        token.to_uppercase(),
        format!("{header}.{}.{signature}", "A".repeat(9_000)),
    ] {
        refuse(&verifier, &keys, &refused, &refused);
    }
    // The last character of 64 bytes has two spare bits, the last of a claim may have.
    let last = signature.chars().last().unwrap();
    let spare =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars().filter(|other| *other != last);
    for other in spare {
        let changed = format!("{header}.{claims}.{}{other}", &signature[..signature.len() - 1]);
        refuse(&verifier, &keys, &changed, &changed);
    }
    let (good_header, good) = (r#"{"alg":"EdDSA","kid":"ed"}"#, valid().to_string());
    let twice = |name: &str, value: &str| format!("{{\"{name}\":{value},{}", &good[1..]);
    for (header, claims) in [
        (r#"{"alg":"none","alg":"EdDSA","kid":"ed"}"#, good.clone()),
        (r#"{"alg":"EdDSA","kid":"other","kid":"ed"}"#, good.clone()),
        (good_header, twice("account", r#""other""#)),
        (good_header, twice("exp", "9999999999")),
        (good_header, twice("aud", r#""second""#)),
        (good_header, twice("\\u0061ccount", r#""other""#)),
        (good_header, format!("[{good}]")),
        (good_header, format!("{good}{good}")),
        (good_header, "null".to_owned()),
        (good_header, String::new()),
        ("[]", good.clone()),
        ("", good.clone()),
    ] {
        refuse(&verifier, &keys, &signer.raw(header, &claims), &format!("{header} {claims}"));
    }
    let long = with(valid(), json!({"more": "x".repeat(8_000)}));
    refuse(&verifier, &keys, &signer.token("ed", &long), "longer than 8 KiB");
    verifier.judge(&signer.token("ed", &with(valid(), json!({"more": "x".repeat(5_000)})))).unwrap();
    verifier.judge(&token).unwrap();
}

#[test]
fn key_set_is_bounded_and_unambiguous() {
    let ed = Signer::new();
    let parse = |keys: &[Value]| KeySet::parse(json!({ "keys": keys }).to_string().as_bytes());
    let refused = |keys: &[Value], text: &str| {
        let error = parse(keys).unwrap_err();
        assert!(error.contains(text), "{error}");
    };
    let (one, two) = (ed.jwk("one"), ec_jwk("two"));
    let many = |count: usize| (0..count).map(|number| ed.jwk(&number.to_string())).collect::<Vec<_>>();
    assert_eq!(parse(&many(64)).unwrap().len(), 64);
    refused(&many(65), "more than 64");
    refused(&[], "has no key");
    refused(&[one.clone(), ec_jwk("one")], "same \"kid\"");
    refused(&[with(one.clone(), json!({"kid": null})), with(two.clone(), json!({"kid": null}))], "same \"kid\"");
    refused(&[with(one.clone(), json!({"d": "AA"})), two.clone()], "private key");
    for text in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        KeySet::parse(text.as_bytes()).unwrap_err();
    }
    assert!(KeySet::parse(&vec![b' '; jwks::MAX_BYTES + 1]).unwrap_err().contains("256 KiB"));
    // Keys of others, which a set may have beside those of use.
    for other in [
        json!({"kty": "oct", "k": "AA", "kid": "x"}),
        json!({"kty": "oct", "k": "AA", "alg": "HS256", "kid": "one"}),
        with(ec_jwk("x"), json!({"crv": "P-384"})),
        with(ec_jwk("x"), json!({"crv": "secp256k1"})),
        with(ec_jwk("x"), json!({"x": "AA"})),
        with(ec_jwk("x"), json!({"alg": "RS256"})),
        with(ed.jwk("x"), json!({"alg": "HS256"})),
        with(ed.jwk("x"), json!({"alg": 1})),
        with(ed.jwk("x"), json!({"kty": "RSA"})),
        with(ed.jwk("x"), json!({"crv": "X25519"})),
        with(ed.jwk("x"), json!({"x": "AA=="})),
        with(ed.jwk("x"), json!({"use": "enc"})),
        with(ed.jwk("x"), json!({"use": 1})),
        with(ed.jwk("x"), json!({"key_ops": ["sign"]})),
        with(ed.jwk("x"), json!({"key_ops": "verify"})),
        with(ed.jwk("x"), json!({"kid": 1})),
        json!({"kty": "RSA", "n": encode(&[255; 255]), "e": "AQAB", "kid": "x"}),
        json!({"kty": "RSA", "n": encode(&[[0; 300], [255; 300]].concat()[100..]), "e": "", "kid": "x"}),
        json!({"kty": "RSA", "n": encode(&[255; 1_025]), "e": "AQAB", "kid": "x"}),
        json!({"kty": "RSA", "n": "", "e": "AQAB", "kid": "x"}),
        json!({}),
        json!("key"),
    ] {
        let keys = parse(&[one.clone(), other.clone()]).unwrap();
        assert_eq!((keys.len(), keys.skipped), (1, 1), "{other}");
    }
    let used = with(two, json!({"use": "sig", "key_ops": ["verify"], "alg": "ES256"}));
    let signed = json!({"kty": "RSA", "n": encode(&[&[0][..], &[255; 256]].concat()), "e": "AQAB", "kid": "x"});
    assert_eq!(parse(&[one, used, signed]).unwrap().skipped, 0);
}
