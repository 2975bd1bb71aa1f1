//! Section `[policy]`: who may be invited, and who may join without an invitation.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::error::{Checked, Problems};
use crate::domain::policy::{DomainSet, InvitePolicy, MAX_ENTRIES, Policy};

#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct RawPolicy {
    invite_domains_allow: String,
    invite_domains_deny: String,
    autojoin_public_domains: String,
}

impl RawPolicy {
    pub(in crate::config) fn validate(self, problems: &mut Problems) -> Checked<Policy> {
        let RawPolicy { invite_domains_allow, invite_domains_deny, autojoin_public_domains } = self;
        let mut list = |key: &str, text: &str| problems.check(&format!("policy.{key}"), domains(entries(text)));
        let allow = list("invite_domains_allow", &invite_domains_allow);
        let deny = list("invite_domains_deny", &invite_domains_deny);
        let autojoin_public = list("autojoin_public_domains", &autojoin_public_domains);
        let allow = Some(allow?).filter(|allow| !allow.is_empty());
        let invite = Arc::new(InvitePolicy { allow, deny: deny? });
        Ok(Policy { invite, autojoin_public: Arc::new(autojoin_public?) })
    }
}

/// Returns the entries of a list that commas or lines part.
pub(super) fn entries(text: &str) -> impl Iterator<Item = &str> {
    text.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty())
}

/// Parses a list of domains. The error names the first entry that is none.
pub(in crate::config) fn domains<'a>(entries: impl Iterator<Item = &'a str>) -> Result<DomainSet, String> {
    let mut set = DomainSet::default();
    for entry in entries {
        set.add(entry).map_err(|invalid| format!("{entry:?} {}", invalid.description))?;
    }
    if set.len() > MAX_ENTRIES { Err(format!("must have at most {MAX_ENTRIES} domains")) } else { Ok(set) }
}
