//! The entries of the file of accounts: what the operator allows to each.

use serde::Deserialize;

use super::entry_file::FileEntry;
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
        let RawAccount { name, grantable_roles } = raw;
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
        if refused.is_empty() { Ok(Self { account, grantable_roles }) } else { Err(refused) }
    }

    fn unique(&self) -> &Option<AccountId> {
        &self.account
    }
}
