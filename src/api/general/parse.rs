//! Parses the requests that create general invitations.

mod update;

use std::collections::BTreeMap;

use crate::api::parse::expiration::Expires;
use crate::api::parse::filter::address_type;
use crate::api::parse::json::json;
use crate::api::parse::on_conflict::on_conflict;
use crate::api::parse::shared::{SharedFields, picture};
use crate::api::parse::violations::Violations;
use crate::api::parse::{check_not_archived, limited_entries, max_uses, roles};
use crate::domain::command::{CreateInvitation, Expiry, ExpiryTime, OnConflict};
use crate::domain::invitation::recipient::{Address, AddressType, NewRecipient};
use crate::domain::kind::general::{CallerData, GeneralDetails, RecipientMatch, UnfurlConfig, Usage};
use crate::domain::kind::shared::SharedDetails;
use crate::domain::kind::{Details, Kind, Scope};
use crate::domain::value::rule::FieldRule;
use crate::domain::value::text;
use crate::domain::value::time::Ttl;
use crate::pb;

const MAX_TARGETS: usize = 100;
const MAX_GROUPS: usize = 50;

/// Parses a CreateInvitationRequest; `default_ttl` is its time to live if it sets none.
pub(in crate::api) fn to_create(
    violations: &mut Violations,
    request: &pb::CreateInvitationRequest,
    default_ttl: Ttl,
) -> Option<CreateInvitation> {
    let empty = pb::Invitation::default();
    if request.invitation.is_none() {
        violations.add("invitation", FieldRule::Required, "is required");
    }
    let given = request.invitation.as_ref().unwrap_or(&empty);
    let at = |field: &str| format!("invitation.{field}");
    let usage = usage(violations, &at("invitation_type"), given.invitation_type);
    violations.optional(&at("etag"), &given.etag, text::opaque_id);
    check_not_archived(violations, &at("archived"), given.archived);
    let recipients = targets(violations, &at("targets"), &given.targets, MAX_TARGETS);
    let on_conflict = on_conflict(violations, request.on_conflict, OnConflict::Allow);
    let (shared, labels) = given.shared(violations);
    let details = details(violations, &at, given, usage, on_conflict, shared);
    if on_conflict != OnConflict::Allow {
        let named = recipients.iter().any(|recipient| recipient.address.names_a_person());
        if !named || details.scope.is_none() {
            violations.add("on_conflict", FieldRule::Conflicts, "needs a scope and a target that names a person");
        }
    }
    let max_uses = uses(violations, &at("max_uses"), given.max_uses, usage);
    let mailable = recipients.iter().any(|recipient| recipient.address.email().is_some());
    if request.send_email == Some(true) && !mailable {
        violations.add("send_email", FieldRule::Conflicts, "needs a target of type EMAIL");
    }
    let default = Expiry { time: ExpiryTime::After(default_ttl), field: "invitation.ttl" };
    let expiry = given.expiry(violations, Kind::General.lifetime()).unwrap_or(default);
    Some(CreateInvitation {
        details: Details::General(Box::new(details)),
        max_uses,
        expiry: Some(expiry),
        recipients,
        mails: mailable && request.send_email.unwrap_or(true),
        labels,
        on_conflict,
    })
}

fn usage(violations: &mut Violations, field: &str, given: i32) -> Usage {
    match pb::InvitationType::try_from(given) {
        Ok(pb::InvitationType::Unspecified | pb::InvitationType::SingleUse) => Usage::SingleUse,
        Ok(pb::InvitationType::MultiUse) => Usage::MultiUse,
        Ok(pb::InvitationType::Autojoin) => {
            violations.add(field, FieldRule::NotAllowed, "must not be AUTOJOIN: SyncAutojoin makes auto-joins");
            Usage::Autojoin
        }
        Err(_) => {
            violations.add(field, FieldRule::UnknownValue, "must be a known value");
            Usage::SingleUse
        }
    }
}

fn uses(violations: &mut Violations, field: &str, given: Option<i32>, usage: Usage) -> Option<u32> {
    let given = max_uses(violations, field, given);
    match (usage, given) {
        (Usage::SingleUse, Some(2..)) => {
            violations.add(
                field,
                FieldRule::Conflicts,
                "must be 1 or unset for SINGLE_USE, the default: more uses need invitation_type MULTI_USE",
            );
            None
        }
        (Usage::SingleUse, _) => Some(1),
        (Usage::MultiUse | Usage::Autojoin, given) => given,
    }
}

/// Parses targets; those with the same address count once.
pub(in crate::api) fn targets(
    violations: &mut Violations,
    field: &str,
    given: &[pb::Target],
    most: usize,
) -> Vec<NewRecipient> {
    if given.len() > most {
        let description = if most == 1 { "must have at most one entry".to_owned() } else { too_many(most) };
        violations.add(field, FieldRule::TooMany, &description);
        return Vec::new();
    }
    let mut recipients: Vec<NewRecipient> = Vec::new();
    for (index, target) in given.iter().enumerate() {
        let at = |part: &str| format!("{field}[{index}].{part}");
        let address = address(violations, &at, target);
        let display_name = violations.optional(&at("display_name"), &target.display_name, text::free_text);
        let avatar_uri = violations.optional(&at("avatar_uri"), &target.avatar_uri, picture);
        let Some(address) = address else { continue };
        address.email().into_iter().for_each(|email| violations.invites(at("value"), email));
        // Two spellings of one address are one target.
        if !recipients.iter().any(|known| known.address.is(&address)) {
            recipients.push(NewRecipient { address, display_name, avatar_uri, existing_user: target.existing_user });
        }
    }
    recipients
}

fn too_many(most: usize) -> String {
    format!("must have at most {most} entries")
}

/// Parses a target's address.
fn address(violations: &mut Violations, at: &impl Fn(&str) -> String, target: &pb::Target) -> Option<Address> {
    let Some(given_type) = violations.take(at("type"), address_type(target.r#type)) else {
        violations.optional(&at("value"), &target.value, text::free_text);
        return None;
    };
    if given_type == AddressType::Share {
        return violations.take(at("value"), Address::parse(given_type, &target.value));
    }
    violations.required(&at("value"), &target.value, |value| Address::parse(given_type, value))
}

fn recipient_match(violations: &mut Violations, field: &str, given: i32) -> RecipientMatch {
    match pb::RecipientMatch::try_from(given) {
        Ok(pb::RecipientMatch::Unspecified | pb::RecipientMatch::Exact) => RecipientMatch::Exact,
        Ok(pb::RecipientMatch::Domain) => RecipientMatch::Domain,
        Ok(pb::RecipientMatch::Any) => RecipientMatch::Any,
        Err(_) => {
            violations.add(field, FieldRule::UnknownValue, "must be a known value");
            RecipientMatch::Exact
        }
    }
}

fn details(
    violations: &mut Violations,
    at: &impl Fn(&str) -> String,
    given: &pb::Invitation,
    usage: Usage,
    on_conflict: OnConflict,
    shared: SharedDetails,
) -> GeneralDetails {
    let groups = groups(violations, &at("groups"), &given.groups);
    let explicit = given.scope.as_ref().and_then(|given| scope(violations, &at("scope"), given));
    let recipient_match = recipient_match(violations, &at("recipient_match"), given.recipient_match);
    GeneralDetails {
        usage,
        explicit_scope: given.scope.is_some(),
        scope: explicit.or_else(|| groups.first().cloned()),
        groups,
        roles: roles(violations, &at("roles"), &given.roles),
        exclusive: on_conflict != OnConflict::Allow,
        recipient_match,
        domains: Vec::new(),
        caller_data: caller_data(violations, at, given),
        shared,
    }
}

/// Parses a scope.
pub(in crate::api) fn scope(violations: &mut Violations, field: &str, given: &pb::Scope) -> Option<Scope> {
    let scope_type = violations.required(&format!("{field}.type"), &given.r#type, text::opaque_id);
    let id = violations.required(&format!("{field}.id"), &given.id, text::opaque_id);
    let name = &given.display_name;
    let display_name = violations.optional(&format!("{field}.display_name"), name, text::free_text);
    Some(Scope { scope_type: scope_type?, id: id?, display_name })
}

fn groups(violations: &mut Violations, field: &str, given: &[pb::Scope]) -> Vec<Scope> {
    if given.len() > MAX_GROUPS {
        violations.add(field, FieldRule::TooMany, "must have at most 50 entries");
        return Vec::new();
    }
    let mut groups: Vec<Scope> = Vec::new();
    for (index, given) in given.iter().enumerate() {
        let Some(group) = scope(violations, &format!("{field}[{index}]"), given) else { continue };
        if !groups.iter().any(|known| known.is(&group)) {
            groups.push(group);
        }
    }
    groups
}

fn caller_data(violations: &mut Violations, at: &impl Fn(&str) -> String, given: &pb::Invitation) -> CallerData {
    let mut id = |field: &str, value: &str| violations.optional(&at(field), value, text::opaque_id);
    let widget_configuration_id = id("widget_configuration_id", &given.widget_configuration_id);
    let (deployment_id, project_id) = (id("deployment_id", &given.deployment_id), id("project_id", &given.project_id));
    CallerData {
        source: violations.optional(&at("source"), &given.source, text::free_text),
        subtype: violations.optional(&at("subtype"), &given.subtype, text::free_text),
        widget_configuration_id,
        deployment_id,
        project_id,
        attributes: json(violations, &at("attributes"), given.attributes.as_ref()),
        configuration_attributes: json(
            violations,
            &at("configuration_attributes"),
            given.configuration_attributes.as_ref(),
        ),
        template_variables: template_variables(violations, &at("template_variables"), &given.template_variables),
        unfurl_config: given.unfurl_config.as_ref().map(|given| unfurl_config(violations, &at("unfurl_config"), given)),
        pass_through: violations.optional(&at("pass_through"), &given.pass_through, text::pass_through),
    }
}

fn template_variables(
    violations: &mut Violations,
    field: &str,
    given: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    limited_entries(violations, field, given, text::variable)
}

fn unfurl_config(violations: &mut Violations, field: &str, given: &pb::UnfurlConfig) -> UnfurlConfig {
    let image_uri = violations.optional(&format!("{field}.image_uri"), &given.image_uri, picture).unwrap_or_default();
    let mut text = |part: &str, value: &str| {
        violations.optional(&format!("{field}.{part}"), value, text::free_text).unwrap_or_default()
    };
    UnfurlConfig {
        title: text("title", &given.title),
        description: text("description", &given.description),
        image_uri,
        sort: text("type", &given.r#type),
        site_name: text("site_name", &given.site_name),
    }
}
