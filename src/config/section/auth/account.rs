//! The entries of the file of accounts: what the operator allows to each.

use serde::Deserialize;

use super::entry_file::FileEntry;
use crate::config::section::links::redirects;
use crate::config::section::policy::domains;
use crate::domain::policy::{InvitePolicy, RedirectSet};
use crate::domain::value::text::{self, AccountId};

/// The most roles of an entry.
const MAX_ROLES: usize = 100;

/// The rules of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountEntry {
    /// The account; `None` for all that have no entry of their own.
    pub account: Option<AccountId>,
    /// The only roles that its invitations may give; `None` for any.
    pub grantable_roles: Option<Vec<String>>,
    /// The domains whose addresses it may invite, among those that the server's policy permits.
    pub invite: InvitePolicy,
    /// The only addresses that its people may be sent to, among those that the server permits; `None` for all of these.
    pub redirects: Option<RedirectSet>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountFile {
    #[serde(default)]
    account: Vec<RawAccount>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawAccount {
    name: String,
    grantable_roles: Option<Vec<String>>,
    invite_domains_allow: Option<Vec<String>>,
    #[serde(default)]
    invite_domains_deny: Vec<String>,
    redirects: Option<Vec<String>>,
}

impl FileEntry for AccountEntry {
    const FIELD: &'static str = "auth.accounts_file";
    const TABLE: &'static str = "account";
    const UNIQUE: &'static str = "name";

    type File = AccountFile;
    type Raw = RawAccount;
    type Unique = Option<AccountId>;

    fn raw_entries(file: AccountFile) -> Vec<RawAccount> {
        file.account
    }

    fn name(raw: &RawAccount) -> &str {
        &raw.name
    }

    fn parse(raw: RawAccount) -> Result<Self, Vec<String>> {
        let RawAccount { name, grantable_roles, invite_domains_allow, invite_domains_deny, redirects: given } = raw;
        let mut refused = Vec::new();
        let account = match name.as_str() {
            "*" => None,
            name => {
                AccountId::parse(name).map_err(|invalid| refused.push(format!("name {}", invalid.description))).ok()
            }
        };
        if grantable_roles.as_ref().is_some_and(|roles| roles.len() > MAX_ROLES) {
            refused.push(format!("grantable_roles must be at most {MAX_ROLES} roles"));
        }
        for role in grantable_roles.iter().flatten() {
            if let Err(invalid) = text::opaque_id(role) {
                refused.push(format!("grantable_roles: {role:?} {}", invalid.description));
            }
        }
        let mut list = |key: &str, entries: &[String]| {
            let parsed = domains(entries.iter().map(String::as_str));
            parsed.map_err(|reason| refused.push(format!("{key}: {reason}"))).unwrap_or_default()
        };
        let allow = invite_domains_allow.map(|entries| list("invite_domains_allow", &entries));
        let invite = InvitePolicy { allow, deny: list("invite_domains_deny", &invite_domains_deny) };
        let redirects = given.map(|entries| {
            let parsed = redirects(entries.iter().map(String::as_str));
            parsed.map_err(|reason| refused.push(format!("redirects: {reason}"))).unwrap_or_default()
        });
        if refused.is_empty() { Ok(Self { account, grantable_roles, invite, redirects }) } else { Err(refused) }
    }

    fn unique(&self) -> &Option<AccountId> {
        &self.account
    }
}
