//! Section `[policy]` of the effective configuration.

use super::section;
use crate::domain::policy::{DomainSet, InvitePolicy, Policy};

pub(super) fn render(policy: &Policy) -> String {
    let Policy { invite, autojoin_public } = policy;
    let InvitePolicy { allow, deny } = invite.as_ref();
    let list = |domains: &DomainSet| domains.entries().collect::<Vec<_>>().join(", ");
    section("policy")
        .text("invite_domains_allow", allow.as_ref().map(list).unwrap_or_default())
        .text("invite_domains_deny", list(deny))
        .text("autojoin_public_domains", list(autojoin_public))
        .0
}
