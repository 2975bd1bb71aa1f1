//! Tokens of PyJWT, an independent implementation: `samples.py` made `samples.json`.

use super::*;

#[test]
fn tokens_of_an_independent_implementation_are_judged_alike() {
    let samples: Value = serde_json::from_str(include_str!("samples.json")).unwrap();
    let keys = KeySet::parse(samples["jwks"].to_string().as_bytes()).unwrap();
    assert_eq!((keys.len(), keys.skipped), (4, 3));
    let organization_id = Some(JwtSource::Claim("organization_id".to_owned()));
    let (account, permissions) = (JwtSource::Claim("account".to_owned()), JwtSource::Claim("scope".to_owned()));
    let (verifier, _) =
        verifier(&[JwtIssuer { access: JwtAccess::All { account, permissions, organization_id }, ..issuer() }]);
    let cache = verifier.issuers()[0].keys.clone();
    verifier.use_keys(&cache, cache.begin(), keys);
    let all = |name: &str| samples[name].as_object().unwrap().clone().into_iter();
    for (name, token) in all("accepted") {
        let caller = verifier.judge(token.as_str().unwrap()).unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(caller.permissions, [Permission::InvitationsRead, Permission::EventsRead], "{name}");
        let organization = caller.organization_id.unwrap().to_string();
        assert_eq!(organization, "01920000-0000-7000-8000-00000000000a");
    }
    for (name, token) in all("refused") {
        // A key that was skipped is unknown, so it is looked for once.
        let _ = verifier.judge(token.as_str().unwrap());
        verifier.use_keys(&cache, cache.begin(), KeySet::parse(samples["jwks"].to_string().as_bytes()).unwrap());
        let refused = verifier.judge(token.as_str().unwrap());
        assert_eq!(refused.unwrap_err(), NoCaller::Unauthenticated, "{name}");
    }
}
