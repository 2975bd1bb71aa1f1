//! Section `[auth]`, without what is secret in it.

use url::Position;

use super::{Section, section};
use crate::config::value::format_duration;
use crate::config::{AccountEntry, AuthConfig, ClientCertificateEntry, EntryFile, JwksSource, JwtAccess, JwtIssuer};
use crate::domain::policy::{DomainSet, InvitePolicy};

/// Returns the section without the rules of accounts.
pub(super) fn render(
    auth: &AuthConfig,
    file: Option<String>,
    client_certificates: Option<&EntryFile<ClientCertificateEntry>>,
    jwt: Option<&EntryFile<JwtIssuer>>,
) -> Section {
    match auth {
        AuthConfig::None => section("auth").text("mode", "none".to_owned()),
        AuthConfig::Required { api_keys } => {
            let mut out = section("auth").text("mode", "required".to_owned());
            if let Some(file) = file {
                out = out.text("api_keys_file", file);
            }
            for key in api_keys {
                // The account is quoted, since it may hold any visible character.
                out = out.comment(&format!(
                    "key {} acts in {:?} with {}",
                    key.name,
                    key.account,
                    key.permissions.join(", ")
                ));
            }
            if let Some(EntryFile { path, entries }) = client_certificates {
                out = out.text("client_certificates_file", path.display().to_string());
                for entry in entries {
                    let ClientCertificateEntry { name, san, account, permissions, organization_id: _ } = entry;
                    let permissions = permissions.join(", ");
                    out = out.comment(&format!("certificate {name} of {san} acts in {account:?} with {permissions}"));
                }
            }
            jwt.into_iter().fold(out, render_jwt)
        }
    }
}

/// Adds the rules of accounts.
pub(super) fn render_accounts(out: Section, accounts: Option<&EntryFile<AccountEntry>>) -> Section {
    let Some(EntryFile { path, entries }) = accounts else { return out };
    entries.iter().fold(out.text("accounts_file", path.display().to_string()), |out, entry| {
        let AccountEntry { account, grantable_roles, invite: InvitePolicy { allow, deny }, redirects } = entry;
        let account = account.as_ref().map_or("*", |account| account.as_str());
        let roles = grantable_roles.as_ref().map_or("any role".to_owned(), |roles| format!("the roles {roles:?}"));
        let list = |domains: &DomainSet| domains.entries().collect::<Vec<_>>();
        let allow = allow.as_ref().map(|allow| format!(", invites only {:?}", list(allow))).unwrap_or_default();
        let deny = if deny.is_empty() { String::new() } else { format!(", does not invite {:?}", list(deny)) };
        let redirects = redirects.as_ref().map(|own| own.entries().collect::<Vec<_>>());
        let redirects = redirects.map(|own| format!(", sends people only to {own:?}")).unwrap_or_default();
        out.comment(&format!("account {account:?} may give {roles}{allow}{deny}{redirects}"))
    })
}

fn render_jwt(out: Section, jwt: &EntryFile<JwtIssuer>) -> Section {
    let EntryFile { path, entries } = jwt;
    entries.iter().fold(out.text("jwt_issuers_file", path.display().to_string()), |out, issuer| {
        let JwtIssuer { name, issuer, audiences, keys, leeway, subject_claim: _, access } = issuer;
        let keys = match keys {
            JwksSource::File(path) => path.display().to_string(),
            // A query may hold a secret.
            JwksSource::Url { url, .. } => url[..Position::AfterPath].to_owned(),
        };
        let accepted = match access {
            JwtAccess::All { .. } => "all subjects".to_owned(),
            JwtAccess::Subjects(subjects) => format!("rules for subjects: {}", subjects.len()),
            JwtAccess::Persons { .. } => "persons".to_owned(),
        };
        let leeway = format_duration(*leeway);
        out.comment(&format!("issuer {name}: {issuer:?} for {audiences:?}, {accepted}, keys {keys:?}, leeway {leeway}"))
    })
}
