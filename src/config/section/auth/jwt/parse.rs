//! Parsing of the file of JWT issuers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrecy::SecretString;
use serde::Deserialize;
use url::{Host, Url};
use uuid::Uuid;

use super::super::entry_file::FileEntry;
use super::{JwksSource, JwtAccess, JwtIssuer, JwtSource, JwtSubject, VerifiedEmailClaims};
use crate::auth::jwt::jwks::KeySet;
use crate::auth::permission::Permission;
use crate::config::value;
use crate::domain::value::text::{self, AccountId};

const DEFAULT_LEEWAY: Duration = Duration::from_secs(30);
const MAX_LEEWAY: Duration = Duration::from_secs(60);
/// The most issuers, audiences of one, and rules for subjects of one.
const MAX_ISSUERS: usize = 32;
const MAX_AUDIENCES: usize = 16;
const MAX_SUBJECTS: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssuerFile {
    #[serde(default)]
    issuer: Vec<RawIssuer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawIssuer {
    name: String,
    issuer: String,
    audiences: Vec<String>,
    jwks_file: Option<String>,
    jwks_url: Option<String>,
    ca_file: Option<String>,
    bearer_file: Option<String>,
    leeway: Option<String>,
    subject_claim: Option<String>,
    account: Option<String>,
    account_claim: Option<String>,
    permissions: Option<Vec<String>>,
    permissions_claim: Option<String>,
    organization_id: Option<String>,
    organization_claim: Option<String>,
    #[serde(default)]
    persons: bool,
    email_claim: Option<String>,
    email_verified_claim: Option<String>,
    #[serde(default)]
    subject: Vec<RawSubject>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSubject {
    subject: String,
    account: String,
    permissions: Vec<String>,
    organization_id: Option<String>,
}

impl FileEntry for JwtIssuer {
    const FIELD: &'static str = "auth.jwt_issuers_file";
    const TABLE: &'static str = "issuer";
    const MAX: usize = MAX_ISSUERS;
    const UNIQUE: &'static str = "issuer";

    type File = IssuerFile;
    type Raw = RawIssuer;
    type Unique = String;

    fn raw_entries(file: IssuerFile) -> Vec<RawIssuer> {
        file.issuer
    }

    fn name(raw: &RawIssuer) -> &str {
        &raw.name
    }

    fn parse(raw: RawIssuer) -> Result<Self, Vec<String>> {
        parse_issuer(raw).map_err(|refused| refused.0)
    }

    fn unique(&self) -> &String {
        &self.issuer
    }
}

/// The texts of what is refused in one entry.
#[derive(Default)]
struct RefusedParts(Vec<String>);

impl RefusedParts {
    fn add(&mut self, text: impl Into<String>) {
        self.0.push(text.into());
    }

    /// Returns the value of a part, or collects the reason why there is none.
    fn check<T>(&mut self, part: Result<T, impl Into<String>>) -> Option<T> {
        part.map_err(|text| self.add(text)).ok()
    }
}

fn parse_issuer(raw: RawIssuer) -> Result<JwtIssuer, RefusedParts> {
    let mut refused = RefusedParts::default();
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=32).contains(&raw.name.len()) || !raw.name.bytes().all(is_name) {
        refused.add("name must be 1-32 lower-case letters, digits and hyphens");
    }
    if text::opaque_id(&raw.issuer).is_err() {
        refused.add("issuer must be 1-200 characters, exactly as in the tokens");
    }
    let audiences = &raw.audiences;
    if !(1..=MAX_AUDIENCES).contains(&audiences.len()) || audiences.iter().any(|name| text::opaque_id(name).is_err()) {
        refused.add(format!("audiences must be 1 to {MAX_AUDIENCES} texts of 1-200 characters"));
    }
    let leeway = match raw.leeway.as_deref().map(value::parse_duration) {
        None => Some(DEFAULT_LEEWAY),
        Some(Ok(leeway)) if leeway <= MAX_LEEWAY => Some(leeway),
        Some(_) => refused.check(Err("leeway must be a duration from 0s to 60s")),
    };
    let keys = parse_source(&raw, &mut refused);
    let subject_claim = claim_name("subject_claim", raw.subject_claim.as_deref().unwrap_or("sub"), &mut refused);
    let access = parse_access(&raw, &mut refused);
    match (leeway, keys, subject_claim, access) {
        (Some(leeway), Some(keys), Some(subject_claim), Some(access)) if refused.0.is_empty() => {
            let RawIssuer { name, issuer, audiences, .. } = raw;
            Ok(JwtIssuer { name, issuer, audiences, keys, leeway, subject_claim, access })
        }
        _ => Err(refused),
    }
}

fn parse_source(raw: &RawIssuer, refused: &mut RefusedParts) -> Option<JwksSource> {
    let RawIssuer { jwks_file, jwks_url, ca_file, bearer_file, .. } = raw;
    match (jwks_file, jwks_url) {
        (Some(path), None) if ca_file.is_none() && bearer_file.is_none() => {
            let read = value::read_file(path);
            let keys = read.and_then(|text| KeySet::parse(text.as_bytes()).map_err(|why| format!("{path} {why}")));
            refused.check(keys.map_err(|why| format!("jwks_file: {why}")))?;
            Some(JwksSource::File(path.into()))
        }
        (None, Some(url)) => {
            let url = refused.check(parse_url(url));
            if let Some(path) = ca_file {
                refused.check(read_authorities(Path::new(path)).map_err(|why| format!("ca_file: {why}")))?;
            }
            if let Some(path) = bearer_file {
                refused.check(read_bearer(Path::new(path)).map_err(|why| format!("bearer_file: {why}")))?;
            }
            let path = |path: &Option<String>| path.as_ref().map(PathBuf::from);
            Some(JwksSource::Url { url: url?, ca_file: path(ca_file), bearer_file: path(bearer_file) })
        }
        _ => {
            refused.check(Err("jwks_file or jwks_url must be set, not both; ca_file and bearer_file go with jwks_url"))
        }
    }
}

/// Parses the URL of keys. Whoever can change the answer can sign, so http is for this machine alone.
fn parse_url(text: &str) -> Result<Url, &'static str> {
    let refused = "jwks_url must be an https URL without user and password, or http on a loopback address";
    let url = Url::parse(text).map_err(|_| refused)?;
    let is_loopback = match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    let is_allowed = url.scheme() == "https" && url.has_host() || url.scheme() == "http" && is_loopback;
    let is_bare = url.username().is_empty() && url.password().is_none();
    if is_allowed && is_bare { Ok(url) } else { Err(refused) }
}

/// Reads a PEM file of authorities.
///
/// # Errors
/// It cannot be read, or has no certificate of an authority.
pub(crate) fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let path = path.display().to_string();
    let pem = value::read_file(&path)?;
    let refused = || format!("{path} must have certificates of authorities in PEM, and nothing that is none");
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(|_| refused())?;
    let mut store = RootCertStore::empty();
    let are_usable = !found.is_empty() && found.iter().all(|authority| store.add(authority.clone()).is_ok());
    if are_usable { Ok(found) } else { Err(refused()) }
}

/// Reads a bearer token.
///
/// # Errors
/// It cannot be read, or is no text of a header.
pub(crate) fn read_bearer(path: &Path) -> Result<SecretString, String> {
    let path = path.display().to_string();
    let bearer = value::read_file(&path)?;
    let bearer = bearer.trim();
    if bearer.is_empty() || !bearer.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{path} must have one token of visible ASCII characters"));
    }
    Ok(bearer.into())
}

fn parse_access(raw: &RawIssuer, refused: &mut RefusedParts) -> Option<JwtAccess> {
    let RawIssuer {
        account, account_claim, permissions, permissions_claim, organization_id, organization_claim, ..
    } = raw;
    if raw.persons {
        return parse_persons(raw, refused);
    }
    if raw.email_claim.is_some() || raw.email_verified_claim.is_some() {
        refused.add("email_claim and email_verified_claim go with persons = true");
    }
    if !raw.subject.is_empty() {
        let texts = [account, account_claim, permissions_claim, organization_id, organization_claim];
        if permissions.is_some() || texts.into_iter().any(Option::is_some) {
            refused.add(
                "account, permissions and organization belong into the [[issuer.subject]] entries, as there are some",
            );
        }
        if raw.subject.len() > MAX_SUBJECTS {
            refused.add(format!("there must be at most {MAX_SUBJECTS} [[issuer.subject]] entries"));
        }
        let rules = raw.subject.iter().enumerate().filter_map(|(index, rule)| parse_subject(index + 1, rule, refused));
        return Some(JwtAccess::Subjects(rules.collect()));
    }
    let account = source("account", (account, account_claim), refused, |text, refused| parse_account(text, refused));
    let permissions = source("permissions", (permissions, permissions_claim), refused, |names, refused| {
        parse_permissions(names, refused)
    });
    let organization_id = match (organization_id, organization_claim) {
        (None, None) => Some(None),
        given => source("organization_id", given, refused, |text, refused| parse_organization(text, refused)).map(Some),
    };
    Some(JwtAccess::All { account: account?, permissions: permissions?, organization_id: organization_id? })
}

/// Parses the access of persons, whose one permission is `self`.
fn parse_persons(raw: &RawIssuer, refused: &mut RefusedParts) -> Option<JwtAccess> {
    let RawIssuer {
        account, account_claim, permissions, permissions_claim, organization_id, organization_claim, ..
    } = raw;
    let texts = [permissions_claim, organization_id, organization_claim];
    if permissions.is_some() || texts.into_iter().any(Option::is_some) || !raw.subject.is_empty() {
        refused.add("persons have no permissions, no organization and no [[issuer.subject]] entries: leave these out");
    }
    let mut name = |key: &str, given: &Option<String>, default: &str| {
        claim_name(key, given.as_deref().unwrap_or(default), refused)
    };
    let email = name("email_claim", &raw.email_claim, "email");
    let verified = name("email_verified_claim", &raw.email_verified_claim, "email_verified");
    let account = source("account", (account, account_claim), refused, |text, refused| parse_account(text, refused));
    Some(JwtAccess::Persons { account: account?, email: VerifiedEmailClaims { email: email?, verified: verified? } })
}

fn source<R, T>(
    name: &str,
    given: (&Option<R>, &Option<String>),
    refused: &mut RefusedParts,
    parse: impl Fn(&R, &mut RefusedParts) -> Option<T>,
) -> Option<JwtSource<T>> {
    match given {
        (Some(fixed), None) => parse(fixed, refused).map(JwtSource::Fixed),
        (None, Some(claim)) => claim_name(name, claim, refused).map(JwtSource::Claim),
        _ => refused
            .check(Err(format!("{name} or its claim must be set, not both (or give [[issuer.subject]] entries)"))),
    }
}

fn claim_name(name: &str, claim: &str, refused: &mut RefusedParts) -> Option<String> {
    refused.check(text::opaque_id(claim).map_err(|_| format!("the claim of {name} must have 1-200 characters")))
}

fn parse_subject(number: usize, raw: &RawSubject, refused: &mut RefusedParts) -> Option<JwtSubject> {
    let RawSubject { subject, account, permissions, organization_id } = raw;
    let before = refused.0.len();
    if text::opaque_id(subject).is_err() || subject.strip_suffix('*').unwrap_or(subject).contains('*') {
        refused.add("subject must be 1-200 characters, with \"*\" at the end alone");
    }
    let account = parse_account(account, refused);
    let permissions = parse_permissions(permissions, refused);
    let organization_id = match organization_id {
        None => Some(None),
        Some(text) => parse_organization(text, refused).map(Some),
    };
    refused.0.iter_mut().skip(before).for_each(|text| *text = format!("subject number {number}: {text}"));
    let (account, permissions, organization_id) = (account?, permissions?, organization_id?);
    Some(JwtSubject { subject: subject.clone(), account, permissions, organization_id })
}

fn parse_account(text: &str, refused: &mut RefusedParts) -> Option<AccountId> {
    refused.check(AccountId::parse(text).map_err(|_| "account must be 1-200 characters without control characters"))
}

fn parse_organization(text: &str, refused: &mut RefusedParts) -> Option<Uuid> {
    refused.check(text::uuid(text).map_err(|_| "organization_id must be a UUID"))
}

fn parse_permissions(names: &[String], refused: &mut RefusedParts) -> Option<Vec<Permission>> {
    if names.is_empty() {
        return refused.check(Err("permissions must name at least one permission"));
    }
    let known = |name: &String| Permission::from_name(name).ok_or_else(|| Permission::unknown(name));
    let parsed: Vec<_> = names.iter().map(|name| refused.check(known(name))).collect();
    parsed.into_iter().collect::<Option<Vec<_>>>().map(|permissions| permissions.concat())
}
