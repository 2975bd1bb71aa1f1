//! Parses the domains whose addresses join a scope.

use std::collections::BTreeSet;

use crate::api::general::parse::scope;
use crate::api::parse::filter;
use crate::api::parse::json::json;
use crate::api::parse::violations::Violations;
use crate::domain::command::SyncAutojoin;
use crate::domain::kind::Scope;
use crate::domain::value::email::ascii_domain;
use crate::domain::value::rule::Invalid;
use crate::domain::value::text;
use crate::pb;

const MAX_DOMAINS: usize = 1_000;

/// Parses a required reference to a scope.
pub(super) fn required_scope(violations: &mut Violations, given: Option<&pb::ScopeRef>) -> Option<Scope> {
    let empty = pb::ScopeRef::default();
    filter::scope(violations, "scope", Some(given.unwrap_or(&empty)))
}

/// Parses a SyncAutojoinRequest. Different spellings of one domain count once.
pub(super) fn to_sync(violations: &mut Violations, request: &pb::SyncAutojoinRequest) -> Option<SyncAutojoin> {
    let empty = pb::Scope::default();
    let scope = scope(violations, "scope", request.scope.as_ref().unwrap_or(&empty));
    let domains = violations.each_at("domains", &request.domains, MAX_DOMAINS, |violations, field, value| {
        let domain = violations.take(field.as_str(), domain(value))?;
        violations.lets_join(field, &domain);
        Some(domain)
    });
    let widget = &request.widget_configuration_id;
    let widget_configuration_id = violations.optional("widget_configuration_id", widget, text::opaque_id);
    let metadata = json(violations, "metadata", request.metadata.as_ref());
    let domains: BTreeSet<_> = domains.into_iter().collect();
    let etag = violations.optional("etag", &request.etag, text::opaque_id);
    let domains = domains.into_iter().collect();
    Some(SyncAutojoin { scope: scope?, domains, widget_configuration_id, metadata, etag })
}

fn domain(value: &str) -> Result<String, Invalid> {
    const INVALID: Invalid = Invalid::format("must be a domain name such as example.org");
    if value.chars().any(text::is_control) {
        return Err(INVALID);
    }
    ascii_domain(value.trim()).map_err(|_| INVALID)
}
