//! The file of JWT issuers: what is accepted, and what is refused at which entry.

use super::*;
use crate::auth::permission::Permission;

const KEY: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"}]}"#;
const URL: &str = "jwks_url = \"https://issuer.example/keys?key=hunter2\"";
const PERSONS: &str = "persons = true\naccount = \"acme\"";
const FIXED: &str = "account = \"acme\"\npermissions = [\"events.read\"]";

/// An entry with the parts that are always needed.
fn entry(name: &str, issuer: &str, rest: &[&str]) -> String {
    let rest = rest.join("\n");
    format!("[[issuer]]\nname = {name:?}\nissuer = {issuer:?}\naudiences = [\"invitation-service\"]\n{rest}\n")
}

/// Loads a file of issuers that lies beside `keys.json`, `none.json`, `ca.pem` and `bearer`, whose folder is written `@`.
fn load_issuers(content: &str) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(["issuer.example".to_owned()]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    std::fs::write(at("ca.pem"), authority.self_signed(&key).unwrap().pem()).unwrap();
    std::fs::write(at("keys.json"), KEY).unwrap();
    std::fs::write(at("none.json"), "{\"keys\":[]}").unwrap();
    std::fs::write(at("bearer"), " hunter2\n").unwrap();
    std::fs::write(at("two"), "hunter2\nhunter2\n").unwrap();
    std::fs::write(at("empty"), "\n").unwrap();
    let content = content.replace('@', &folder.path().display().to_string());
    std::fs::write(at("issuers.toml"), content).unwrap();
    let path = at("issuers.toml").display().to_string();
    let listen = ("INVITATION__GRPC__LISTEN", "0.0.0.0:50051");
    load(&[listen, ("INVITATION__AUTH__MODE", "required"), ("INVITATION__AUTH__JWT_ISSUERS_FILE", &path)])
}

#[test]
fn issuers_alone_open_every_address_and_are_shown() {
    let tls = "ca_file = \"@/ca.pem\"\nbearer_file = \"@/bearer\"";
    let subject =
        "[[issuer.subject]]\nsubject = \"system:serviceaccount:shop:*\"\naccount = \"shop\"\npermissions = [\"*\"]";
    let claims = "account_claim = \"/tenant/id\"\npermissions_claim = \"scope\"\norganization_claim = \"org\"";
    let content = [
        entry("cluster", "https://kubernetes.default.svc", &[URL, tls, "leeway = \"5s\"", subject]),
        entry("idp", "https://idp.example", &["jwks_file = \"@/keys.json\"", "subject_claim = \"client_id\"", claims]),
        entry("local", "https://local.example", &["jwks_url = \"http://127.0.0.1:1/keys\"", FIXED]),
    ];
    let config = load_issuers(&content.concat()).unwrap();
    let shown = config.redacted();
    assert!(shown.contains("issuers.toml\"") && shown.contains("# issuer cluster: \"https://kubernetes"), "{shown}");
    assert!(shown.contains("rules for subjects: 1") && !shown.contains("hunter2"), "{shown}");
    let issuers = config.jwt.unwrap().entries;
    assert_eq!(issuers.iter().map(|issuer| issuer.leeway.as_secs()).collect::<Vec<_>>(), [5, 30, 30]);
    assert!(matches!(&issuers[0].keys, JwksSource::Url { ca_file: Some(_), bearer_file: Some(_), .. }));
    let JwtAccess::Subjects(rules) = &issuers[0].access else { panic!("{issuers:?}") };
    assert_eq!((rules[0].account.as_str(), rules[0].permissions.len()), ("shop", Permission::ALL.len()));
    assert!(
        matches!(&issuers[1].access, JwtAccess::All { account: JwtSource::Claim(name), .. } if name == "/tenant/id")
    );
    assert_eq!(issuers[1].subject_claim, "client_id");
    let JwtAccess::All { permissions, organization_id, .. } = &issuers[2].access else { panic!("{issuers:?}") };
    assert_eq!((permissions, organization_id), (&JwtSource::Fixed(vec![Permission::EventsRead]), &None));
}

#[test]
fn bad_issuer_is_refused_with_its_place_and_reason() {
    let issuer = |rest: &[&str]| entry("one", "https://one.example", rest);
    let with_url = |url: &str| issuer(&[&format!("jwks_url = \"{url}\""), FIXED]);
    let subject = |rest: &str| issuer(&[URL, "[[issuer.subject]]", rest]);
    let good = issuer(&[URL, FIXED]);
    let cases = [
        (String::new(), "has no [[issuer]] entry"),
        (good.repeat(33), "has more than 32 [[issuer]] entries"),
        (entry("One", "https://one.example", &[URL, FIXED]), "name must be"),
        (entry("a/b", "https://one.example", &[URL, FIXED]), "name must be"),
        (entry("one", "", &[URL, FIXED]), "issuer must be"),
        (good.replace("\"invitation-service\"", ""), "audiences must be"),
        (good.replace("\"invitation-service\"", "\"\""), "audiences must be"),
        (issuer(&[FIXED]), "jwks_file or jwks_url"),
        (issuer(&[URL, "jwks_file = \"@/keys.json\"", FIXED]), "jwks_file or jwks_url"),
        (issuer(&["jwks_file = \"@/keys.json\"\nca_file = \"@/ca.pem\"", FIXED]), "ca_file and bearer_file go with"),
        (issuer(&["jwks_file = \"@/nowhere\"", FIXED]), "jwks_file: cannot read"),
        (issuer(&["jwks_file = \"@/none.json\"", FIXED]), "none.json has no key"),
        (issuer(&[URL, "ca_file = \"@/nowhere\"", FIXED]), "ca_file: cannot read"),
        (issuer(&[URL, "ca_file = \"@/keys.json\"", FIXED]), "certificates of authorities in PEM"),
        (issuer(&[URL, "bearer_file = \"@/nowhere\"", FIXED]), "bearer_file: cannot read"),
        (issuer(&[URL, "bearer_file = \"@/empty\"", FIXED]), "must have one token"),
        (issuer(&[URL, "bearer_file = \"@/two\"", FIXED]), "must have one token"),
        (with_url("http://issuer.example/keys"), "jwks_url must be"),
        (with_url("http://127.0.0.1.issuer.example/keys"), "jwks_url must be"),
        (with_url("http://10.0.0.1/keys"), "jwks_url must be"),
        (with_url("https://iv:hunter2@issuer.example/keys"), "jwks_url must be"),
        (with_url("file:///etc/keys"), "jwks_url must be"),
        (with_url("keys"), "jwks_url must be"),
        (issuer(&[URL, FIXED, "leeway = \"61s\""]), "leeway must be"),
        (issuer(&[URL, FIXED, "leeway = \"some\""]), "leeway must be"),
        (issuer(&[URL, "permissions = [\"*\"]"]), "account or its claim"),
        (issuer(&[URL, FIXED, "account_claim = \"account\""]), "account or its claim"),
        (issuer(&[URL, "account = \"acme\""]), "permissions or its claim"),
        (issuer(&[URL, FIXED, "permissions_claim = \"scope\""]), "permissions or its claim"),
        (issuer(&[URL, "account = \"acme\"\npermissions = []"]), "at least one"),
        (issuer(&[URL, "account = \"acme\"\npermissions = [\"admin\"]"]), "permission \"admin\""),
        (issuer(&[URL, "account = \"\"\npermissions = [\"*\"]"]), "account must be"),
        (issuer(&[URL, FIXED, "organization_id = \"x\""]), "must be a UUID"),
        (issuer(&[URL, FIXED, "subject_claim = \"\""]), "claim of subject_claim"),
        (issuer(&[URL, FIXED, "algorithms = [\"none\"]"]), "unknown field `algorithms`"),
        (issuer(&[URL, "persons = true"]), "account or its claim"),
        (issuer(&[URL, FIXED, "persons = true"]), "persons have no permissions"),
        (issuer(&[URL, PERSONS, "permissions_claim = \"scope\""]), "persons have no permissions"),
        (issuer(&[URL, PERSONS, "organization_claim = \"org\""]), "persons have no permissions"),
        (issuer(&[URL, PERSONS, "organization_id = \"x\""]), "persons have no permissions"),
        (issuer(&[URL, PERSONS, "[[issuer.subject]]\nsubject = \"a\"", FIXED]), "persons have no permissions"),
        (issuer(&[URL, PERSONS, "email_claim = \"\""]), "claim of email_claim"),
        (issuer(&[URL, FIXED, "email_claim = \"email\""]), "go with persons = true"),
        (issuer(&[URL, FIXED, "persons = false\nemail_verified_claim = \"v\""]), "go with persons = true"),
        (issuer(&[URL, FIXED, "persons = \"yes\""]), "expected a boolean"),
        (subject("subject = \"a*b\"\naccount = \"a\"\npermissions = [\"*\"]"), "subject number 1: subject must be"),
        (subject("subject = \"\"\naccount = \"a\"\npermissions = [\"*\"]"), "subject number 1: subject must be"),
        (subject("subject = \"ä\"\naccount = \"\"\npermissions = [\"*\"]"), "subject number 1: account must be"),
        (
            subject("subject = \"a\"\naccount = \"a\"\npermissions = [\"x\"]"),
            "subject number 1: there is no permission",
        ),
        (subject("subject = \"a\"\naccount = \"a\""), "missing field `permissions`"),
        (issuer(&[URL, FIXED, "[[issuer.subject]]\nsubject = \"a\"", FIXED]), "belong into the [[issuer.subject]]"),
        (
            good.clone() + &good.replace("https://one.", "https://two."),
            "number 2 (\"one\"): another entry has the same name",
        ),
        (good.clone() + &good.replace("\"one\"", "\"two\""), "number 2 (\"two\"): another entry has the same issuer"),
    ];
    for (content, text) in cases {
        let result = load_issuers(&content);
        let error = result.as_ref().err().unwrap_or_else(|| panic!("accepted:\n{content}")).to_string();
        assert!(!error.contains("hunter2"), "{error}");
        assert_refused(result, "auth.jwt_issuers_file", text);
    }
    load_issuers(&good).unwrap();
}

#[test]
fn issuer_of_persons_has_an_account_and_the_claims_of_openid() {
    let named = "email_claim = \"/contact/mail\"\nemail_verified_claim = \"mail_is_true\"";
    let content = [
        entry("login", "https://login.example", &[URL, PERSONS]),
        entry("other", "https://other.example", &[URL, "persons = true\naccount_claim = \"tenant\"", named]),
    ];
    let config = load_issuers(&content.concat()).unwrap();
    assert!(config.redacted().contains(", persons, keys"), "{}", config.redacted());
    let emails = config.jwt.unwrap().entries.into_iter().map(|issuer| match issuer.access {
        JwtAccess::Persons { email, .. } => (email.email, email.verified),
        access => panic!("{access:?}"),
    });
    let expected = [("email", "email_verified"), ("/contact/mail", "mail_is_true")];
    assert_eq!(emails.collect::<Vec<_>>(), expected.map(|(email, verified)| (email.to_owned(), verified.to_owned())));
}

#[test]
fn issuers_without_authentication_are_refused() {
    let path = tempfile::NamedTempFile::new().unwrap();
    let file = ("INVITATION__AUTH__JWT_ISSUERS_FILE", path.path().to_str().unwrap());
    assert_refused(load(&[file]), "auth.jwt_issuers_file", "has no effect");
}
