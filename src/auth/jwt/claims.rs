//! From the claims of a verified token to its caller, or to the reason why there is none.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use super::token::Reason;
use super::verified::Verified;
use crate::auth::caller::{Caller, Credential};
use crate::auth::permission::Permission;
use crate::config::{JwtAccess, JwtIssuer, JwtSource, JwtSubject, VerifiedEmailClaims};
use crate::domain::erasure::{ERASED_ACTOR, is_reserved};
use crate::domain::invitation::acceptance::Subject;
use crate::domain::reach::person::Person;
use crate::domain::value::text::{self, AccountId};
use crate::domain::value::time::Timestamp;

/// The most characters of a subject: with the longest name of an issuer, the name of the caller has the 200 of an id.
const MAX_SUBJECT: usize = 150;
/// The most audiences of a token.
const MAX_AUDIENCES: usize = 64;
/// The last second that a date of RFC 3339 can name.
const LAST_SECOND: f64 = 253_402_300_799.0;

/// Checks the claims of a token that its issuer has signed.
pub(super) fn check(claims: &Value, issuer: &JwtIssuer, now: Timestamp) -> Result<Verified, Reason> {
    if claims.get("iss").and_then(Value::as_str) != Some(&issuer.issuer) {
        return Err("its issuer is another one");
    }
    if !is_for_us(claims, &issuer.audiences) {
        return Err("none of its audiences is configured");
    }
    // Whoever holds such a token has yet to prove that they have its key, which nobody asks them for.
    if claims.get("cnf").is_some() {
        return Err("it is bound to a key of its holder");
    }
    let until = check_times(claims, now, issuer.leeway)?;
    let subject = claim(claims, &issuer.subject_claim).and_then(Value::as_str).filter(|subject| is_subject(subject));
    let subject = subject.ok_or("its subject is not a text of 1 to 150 characters without control characters")?;
    let Access { account, permissions, organization_id, person } = access(claims, subject, &issuer.access)?;
    let (name, credential) = match person {
        None => (format!("issuers/{}/subjects/{subject}", issuer.name), Credential::Jwt),
        Some(person) => (person.name(), Credential::Person(Arc::new(person))),
    };
    let caller = Caller {
        account,
        name,
        permissions,
        organization_id,
        credential,
        // Its issuer gives the service another one.
        expires_at: None,
        grantable_roles: None,
    };
    Ok(Verified { caller, until })
}

fn is_for_us(claims: &Value, audiences: &[String]) -> bool {
    let is_ours = |audience: &str| audiences.iter().any(|ours| ours == audience);
    match claims.get("aud") {
        Some(Value::String(audience)) => is_ours(audience),
        Some(Value::Array(found)) if found.len() <= MAX_AUDIENCES => {
            found.iter().all(Value::is_string) && found.iter().filter_map(Value::as_str).any(is_ours)
        }
        _ => false,
    }
}

/// Checks the times, and returns the first moment at which the token is refused. A time that is not a number is refused, and not
/// taken for one that is missing.
fn check_times(claims: &Value, now: Timestamp, leeway: Duration) -> Result<Timestamp, Reason> {
    let time = |name: &str| claims.get(name).map(|value| moment(value).ok_or(())).transpose();
    let expires_at = time("exp").ok().flatten().ok_or("its exp is missing, or is no time")?;
    let until = expires_at.later(leeway);
    if until <= now {
        return Err("it has expired");
    }
    let latest = now.later(leeway);
    if time("nbf").map_err(|()| "its nbf is no time")?.is_some_and(|begins_at| begins_at > latest) {
        return Err("it is not valid yet");
    }
    let issued_at = time("iat").map_err(|()| "its iat is no time")?;
    if issued_at.is_some_and(|issued_at| issued_at > latest || issued_at > expires_at) {
        return Err("it was issued in the future, or after its end");
    }
    Ok(until)
}

/// Parses a NumericDate: seconds since 1970, perhaps with a fraction.
fn moment(value: &Value) -> Option<Timestamp> {
    let seconds = value.as_f64().filter(|seconds| (0.0..=LAST_SECOND).contains(seconds))?;
    // In range, as was just checked.
    Some(Timestamp::from_micros((seconds * 1e6) as i64))
}

fn is_subject(subject: &str) -> bool {
    (1..=MAX_SUBJECT).contains(&subject.chars().count()) && !subject.chars().any(text::is_control)
}

/// Returns a claim by its name, or by a JSON pointer, which begins with `/`.
fn claim<'a>(claims: &'a Value, name: &str) -> Option<&'a Value> {
    if name.starts_with('/') { claims.pointer(name) } else { claims.get(name) }
}

/// The access of a token.
struct Access {
    account: AccountId,
    permissions: Vec<Permission>,
    organization_id: Option<Uuid>,
    person: Option<Person>,
}

fn access(claims: &Value, subject: &str, access: &JwtAccess) -> Result<Access, Reason> {
    match access {
        JwtAccess::Subjects(subjects) => {
            let found = subjects.iter().find(|rule| rule.matches(subject)).ok_or("its subject is not configured")?;
            let JwtSubject { subject: _, account, permissions, organization_id } = found;
            let (account, permissions) = (account.clone(), permissions.clone());
            Ok(Access { account, permissions, organization_id: *organization_id, person: None })
        }
        JwtAccess::All { account, permissions, organization_id } => {
            let account = account_of(claims, account)?;
            let permissions = match permissions {
                JwtSource::Fixed(permissions) => permissions.clone(),
                JwtSource::Claim(name) => permissions_of(claim(claims, name))?,
            };
            let organization_id = match organization_id {
                None => None,
                Some(JwtSource::Fixed(id)) => Some(*id),
                // Without it the token would be for all organizations.
                Some(JwtSource::Claim(name)) => Some(organization_of(claim(claims, name))?),
            };
            Ok(Access { account, permissions, organization_id, person: None })
        }
        // Whatever the token claims beside them, a person has no permission of a service and acts for no organization.
        JwtAccess::Persons { account, email } => {
            let (account, person) = (account_of(claims, account)?, person_of(claims, subject, email)?);
            Ok(Access { account, permissions: Vec::new(), organization_id: None, person: Some(person) })
        }
    }
}

fn account_of(claims: &Value, account: &JwtSource<AccountId>) -> Result<AccountId, Reason> {
    let name = match account {
        JwtSource::Fixed(account) => return Ok(account.clone()),
        JwtSource::Claim(name) => name,
    };
    let account = claim(claims, name).and_then(Value::as_str).and_then(|account| AccountId::parse(account).ok());
    account.ok_or("its account is not a text of 1 to 200 characters without control characters")
}

/// Returns the person that a subject is. An address that is not said to be verified is not there.
fn person_of(claims: &Value, subject: &str, names: &VerifiedEmailClaims) -> Result<Person, Reason> {
    if is_reserved(subject) || format!("users/{subject}") == ERASED_ACTOR {
        return Err("its subject is like that of a system, or of a person who was erased");
    }
    let is_verified = claim(claims, &names.verified).and_then(Value::as_bool) == Some(true);
    let email = claim(claims, &names.email).and_then(Value::as_str).filter(|_| is_verified);
    Ok(Person { subject: Subject(subject.to_owned()), email: email.and_then(Person::parse_email) })
}

fn organization_of(claim: Option<&Value>) -> Result<Uuid, Reason> {
    let id = claim.and_then(Value::as_str).and_then(|id| text::uuid(id).ok());
    id.ok_or("its organization is not a UUID")
}

/// Parses a list, or a text with spaces. Names of other services are ignored, and so is `*`, which an issuer may mean otherwise.
fn permissions_of(claim: Option<&Value>) -> Result<Vec<Permission>, Reason> {
    let refused = "its permissions are neither a list of texts nor a text";
    let names: Vec<&str> = match claim {
        None => Vec::new(),
        Some(Value::String(names)) => names.split(' ').collect(),
        Some(Value::Array(names)) => names.iter().map(Value::as_str).collect::<Option<_>>().ok_or(refused)?,
        Some(_) => return Err(refused),
    };
    let is_named = |permission: &Permission| names.contains(&permission.name());
    Ok(Permission::ALL.into_iter().filter(is_named).collect())
}
