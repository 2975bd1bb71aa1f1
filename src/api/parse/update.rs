//! The requests that update an invitation, which every service has.

use std::collections::{BTreeMap, BTreeSet};

use prost_types::Struct;

use super::expiration::Expires;
use super::field_mask::{FieldMask, Fields};
use super::json::{json, json_entry};
use super::resend::ordinals;
use super::shared::SharedFields;
use super::violations::Violations;
use super::{entries, limited_entries};
use crate::api::general::parse::targets;
use crate::api::requests::Named;
use crate::auth::caller::Caller;
use crate::domain::command::{Action, FixedField, JsonUpdate, MapUpdate, UpdateInvitation, UpdatedFields};
use crate::domain::invitation::recipient::NewRecipient;
use crate::domain::kind::Kind;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::pb;

/// The most recipients that a request removes.
const MAX_REMOVED: usize = 1_000;
/// The fields that every kind has and that can be updated, but for the name of the scope.
const SHARED: [&str; 9] =
    ["expire_time", "archived", "inviter", "message", "locale", "redirect_uri", "grant_ttl", "labels", "metadata"];

/// The message of an invitation, as an update has it.
pub(in crate::api) trait Updated: SharedFields + Expires + Clone + Default {
    /// The kind that the message is of.
    const KIND: Kind;
    /// The most recipients that a request adds.
    const MAX_ADDED: usize;
    /// The maps beside `labels` and `metadata` whose entries have paths.
    const MAPS: &'static [&'static str];

    /// Returns the flag `archived`.
    fn archived(&self) -> Option<bool>;

    /// Returns the fields that the kind has beside those of every kind, each with whether it is set.
    fn own_fields(&self) -> Vec<(&'static str, bool)>;

    /// Parses those of them that the mask names.
    fn parse_own(&self, violations: &mut Violations, mask: &FieldMask, caller: &Caller, fields: &mut UpdatedFields);

    /// Parses the fields that no update changes, as far as they are set.
    fn fixed(&self, violations: &mut Violations) -> Vec<FixedField>;

    /// Checks the address of a recipient who is added. The error names the rule.
    fn check_added(_recipient: &NewRecipient) -> Result<(), Invalid> {
        Ok(())
    }
}

/// A request to update an invitation.
pub(in crate::api) trait Update: Named {
    /// The message that it updates.
    type Resource: Updated;

    /// Returns the message, and the mask.
    fn resource(&self) -> (Option<&Self::Resource>, Option<&prost_types::FieldMask>);

    /// Returns the targets that are added, the names of recipients that are removed, and whether mail is sent.
    fn recipients(&self) -> (&[pb::Target], &[String], bool);

    /// Returns the etag of the request, and that of the resource.
    fn etags(&self) -> [&str; 2];

    /// Parses the request to a service for one kind, or for any.
    fn to_update(&self, violations: &mut Violations, service: Option<Kind>, caller: &Caller) -> Option<Action> {
        let empty = Self::Resource::default();
        let (resource, mask) = self.resource();
        let resource = resource.unwrap_or(&empty);
        let mask = mask_of(violations, resource, mask);
        let mut fields = shared(violations, resource, &mask);
        resource.parse_own(violations, &mask, caller, &mut fields);
        // A mask that names fields says that the others are not looked at.
        let fixed = if mask.is_whole() { resource.fixed(violations) } else { Vec::new() };
        let [etag, own_etag] = self.etags();
        if !etag.is_empty() && !own_etag.is_empty() && etag != own_etag {
            violations.add(
                "etag",
                FieldRule::Conflicts,
                "must be that of the invitation in the request, or one of them unset",
            );
        }
        let target = self.target(service, violations);
        let (added, removed, mails_added) = self.recipients();
        let removed = ordinals(violations, ("remove_recipients", MAX_REMOVED), removed, target.as_ref());
        let added = to_added::<Self::Resource>(violations, added, mails_added);
        let service = Self::Resource::KIND;
        let target = target?;
        let update = UpdateInvitation { target, service, fields, fixed, added, removed, mails_added };
        Some(Action::Update(Box::new(update)))
    }
}

fn mask_of<R: Updated>(violations: &mut Violations, resource: &R, mask: Option<&prost_types::FieldMask>) -> FieldMask {
    let is_set = |field: &str| match field {
        "expire_time" => Expires::given(resource).is_some(),
        "archived" => resource.archived().is_some(),
        field => resource.has_shared(field),
    };
    let shared = SHARED.into_iter().map(|field| (field, is_set(field)));
    let fields: Vec<_> = resource.own_fields().into_iter().chain(shared).collect();
    let maps = [&["labels", "metadata"], R::MAPS].concat();
    let aliases = [("ttl", "expire_time"), ("never", "expire_time")];
    let mask = FieldMask::parse_with(violations, mask, &Fields { fields: &fields, maps: &maps, aliases: &aliases });
    if mask.has("expire_time") && Expires::given(resource).is_none() {
        violations.add(R::PATHS[0], FieldRule::Required, "is required, or ttl in its place");
    }
    mask
}

/// Parses the fields that every kind has.
fn shared<R: Updated>(violations: &mut Violations, resource: &R, mask: &FieldMask) -> UpdatedFields {
    let expiry = mask.has("expire_time").then(|| resource.expiry(violations, R::KIND.lifetime())).flatten();
    let archived = mask.has("archived").then(|| resource.archived().unwrap_or_default());
    UpdatedFields { expiry, archived, ..resource.updated_shared(violations, mask) }
}

/// Parses the recipients that are added.
fn to_added<R: Updated>(violations: &mut Violations, given: &[pb::Target], mails: bool) -> Vec<NewRecipient> {
    let field = "add_targets";
    let is_email = |target: &pb::Target| target.r#type == i32::from(pb::TargetType::Email);
    if R::KIND != Kind::General {
        for (index, _) in given.iter().enumerate().filter(|(_, target)| !is_email(target)) {
            violations.add(format!("{field}[{index}].type"), FieldRule::NotAllowed, "must be TARGET_TYPE_EMAIL");
        }
    }
    if mails && !given.iter().any(is_email) {
        violations.add("send_email", FieldRule::Conflicts, "needs an added target of type EMAIL");
    }
    let added = targets(violations, field, given, R::MAX_ADDED);
    for (index, recipient) in added.iter().enumerate() {
        violations.take(format!("{field}[{index}].value"), R::check_added(recipient));
    }
    added
}

/// Parses the new entries of a map, of which the mask names all or some.
pub(in crate::api) fn map_update(
    violations: &mut Violations,
    mask: &FieldMask,
    (prefix, field): (&str, &str),
    given: &BTreeMap<String, String>,
    value_rule: impl Fn(&str) -> Result<String, Invalid>,
) -> Option<MapUpdate> {
    let path = format!("{prefix}{field}");
    if mask.has(field) {
        return Some(MapUpdate::Whole(limited_entries(violations, &path, given, value_rule)));
    }
    let keys = checked(violations, &path, mask.entries(field)?);
    let named = given.iter().filter(|(key, _)| keys.contains(*key));
    let named = named.map(|(key, value)| (key.clone(), value.clone())).collect();
    let named = entries(violations, &path, &named, value_rule);
    Some(MapUpdate::Entries(keys.into_iter().map(|key| (key.clone(), named.get(&key).cloned())).collect()))
}

/// Parses the new fields of a JSON object, of which the mask names all or some.
pub(in crate::api) fn json_update(
    violations: &mut Violations,
    mask: &FieldMask,
    (prefix, field): (&str, &str),
    given: Option<&Struct>,
) -> Option<JsonUpdate> {
    let path = format!("{prefix}{field}");
    if mask.has(field) {
        return Some(JsonUpdate::Whole(json(violations, &path, given)));
    }
    let keys = mask.entries(field)?;
    let mut entry = |key: &String| given.and_then(|given| json_entry(violations, &path, given.fields.get(key)?));
    Some(JsonUpdate::Entries(keys.iter().map(|key| (key.clone(), entry(key))).collect()))
}

/// Returns the keys of a mask that can be keys of the map.
fn checked(violations: &mut Violations, path: &str, keys: &BTreeSet<String>) -> BTreeSet<String> {
    keys.iter().filter(|key| violations.take(path, text::label_key(key)).is_some()).cloned().collect()
}

macro_rules! update {
    ($($message:ident of $resource:ident in $field:ident;)+) => {$(
        impl Update for pb::$message {
            type Resource = pb::$resource;

            fn resource(&self) -> (Option<&Self::Resource>, Option<&prost_types::FieldMask>) {
                (self.$field.as_ref(), self.update_mask.as_ref())
            }

            fn recipients(&self) -> (&[pb::Target], &[String], bool) {
                (&self.add_targets, &self.remove_recipients, self.send_email.unwrap_or_default())
            }

            fn etags(&self) -> [&str; 2] {
                [&self.etag, self.$field.as_ref().map(|resource| resource.etag.as_str()).unwrap_or_default()]
            }
        }
    )+};
}

update! {
    UpdateConnectionInvitationRequest of ConnectionInvitation in connection_invitation;
    UpdateUserInvitationRequest of UserInvitation in user_invitation;
    UpdateGuestInvitationRequest of GuestInvitation in guest_invitation;
    UpdateInvitationRequest of Invitation in invitation;
}
