//! The changes of an update, as its event tells them: the fields, and the old and new values of those that hold neither an address
//! nor free text.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::fields::JsonUpdate;
use super::recipients::ChangedRecipients;
use crate::domain::invitation::event::payload::{FieldChange, UpdatedPayload};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::kind::shared::{Inviter, RedirectUri};
use crate::domain::kind::{Kind, Scope};
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text::MAX_ENTRIES;
use crate::domain::value::time::{Timestamp, Ttl};

/// The fields, among those of an event of an update, that give roles to more people, for longer, or other ones.
pub(in crate::domain) const GIVING_FIELDS: [&str; 5] = ["expire_time", "grant_ttl", "max_uses", "roles", RECIPIENTS];
/// The fields that an acceptor is offered, or that say who may accept: they cannot change once it has ended.
const OFFER: [&str; 6] = ["expire_time", "grant_ttl", "max_uses", "roles", "groups", "prefill"];
/// The recipients, as a field of an event.
const RECIPIENTS: &str = "recipients";

/// The changes of an update.
pub(super) struct Told {
    kind: Kind,
    payload: UpdatedPayload,
}

impl Told {
    /// Returns no changes of an invitation of a kind.
    pub(super) fn of(kind: Kind) -> Self {
        Self { kind, payload: UpdatedPayload::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.payload.fields.is_empty()
    }

    /// Returns whether what an acceptor is offered, or for how long and how often, has changed.
    pub(super) fn changes_the_offer(&self) -> bool {
        self.payload.fields.iter().any(|field| OFFER.contains(&field.as_str()))
    }

    /// Returns the content of the event; `None` if nothing has changed.
    pub(super) fn payload(self, mailed_count: usize) -> Option<UpdatedPayload> {
        (!self.is_empty()).then_some(UpdatedPayload { mailed_count, ..self.payload })
    }

    /// Returns the refusal of a field of the resource.
    pub(super) fn invalid(&self, field: &'static str, rule: FieldRule, description: &'static str) -> Refusal {
        self.refused(field, Invalid::new(rule, description))
    }

    fn refused(&self, field: &'static str, invalid: Invalid) -> Refusal {
        Refusal::InvalidFieldOf { kind: self.kind, field, invalid }
    }

    /// Refuses a map with too many entries.
    pub(super) fn check_entries(&self, field: &'static str, entries: usize) -> Result<(), Refusal> {
        if entries <= MAX_ENTRIES {
            return Ok(());
        }
        Err(self.invalid(field, FieldRule::TooMany, "must have at most 64 entries"))
    }

    fn field(&mut self, field: &str) {
        self.payload.fields.push(field.to_owned());
    }

    fn change(&mut self, field: &str, old: Value, new: Value) {
        self.field(field);
        self.payload.changes.push(FieldChange { field: field.to_owned(), old, new });
    }

    fn words(&mut self, field: &str, old: Option<&str>, new: Option<&str>) {
        let value = |text: Option<&str>| text.filter(|text| holds_no_address(text)).map_or(Value::Null, Value::from);
        let change = FieldChange { field: field.to_owned(), old: value(old), new: value(new) };
        self.payload.words.push(change);
    }

    pub(super) fn expiry(&mut self, old: Option<Timestamp>, new: Option<Timestamp>) {
        if old == new {
            return;
        }
        let text = |at: Option<Timestamp>| at.map_or(Value::Null, |at| Value::from(at.to_string()));
        self.change("expire_time", text(old), text(new));
        self.payload.expire_at = new;
    }

    pub(super) fn number(&mut self, field: &str, old: Option<u32>, new: Option<u32>) {
        if old != new {
            self.change(field, json!(old), json!(new));
        }
    }

    /// Tells of a time as the JSON of a duration, such as `604800s`.
    pub(super) fn grant_ttl(&mut self, present: &mut Option<Ttl>, new: Option<Option<Ttl>>) {
        if let Some(new) = new.filter(|new| new != present) {
            let text = |ttl: &Option<Ttl>| ttl.map_or(Value::Null, |ttl| Value::from(ttl.to_string()));
            self.change("grant_ttl", text(present), text(&new));
            *present = new;
        }
    }

    pub(super) fn id(&mut self, field: &str, present: &mut Option<Uuid>, new: Option<Option<Uuid>>) {
        if let Some(new) = new.filter(|new| new != present) {
            self.change(field, json!(present), json!(new));
            *present = new;
        }
    }

    pub(super) fn roles(&mut self, present: &mut Vec<String>, new: Option<&Vec<String>>) {
        if let Some(new) = new.filter(|new| *new != present) {
            self.change("roles", json!(present), json!(new));
            present.clone_from(new);
        }
    }

    pub(super) fn groups(&mut self, present: &mut Vec<Scope>, new: &[Scope]) {
        if present != new {
            let ids = |groups: &[Scope]| -> Vec<Value> {
                groups.iter().map(|group| json!({"type": group.scope_type, "id": group.id})).collect()
            };
            self.change("groups", json!(ids(present)), json!(ids(new)));
            *present = new.to_vec();
        }
    }

    /// Tells of each label by itself.
    pub(super) fn labels(&mut self, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) {
        if old == new {
            return;
        }
        self.field("labels");
        let added = new.keys().filter(|key| !old.contains_key(*key));
        for key in old.keys().chain(added) {
            let (old, new) = (old.get(key).map(String::as_str), new.get(key).map(String::as_str));
            if old != new && holds_no_address(key) {
                self.words(&format!("labels.{}", segment(key)), old, new);
            }
        }
    }

    pub(super) fn text(&mut self, field: &str, present: &mut Option<String>, new: Option<&Option<String>>) {
        if let Some(new) = new.filter(|new| *new != present) {
            self.field(field);
            self.words(field, present.as_deref(), new.as_deref());
            present.clone_from(new);
        }
    }

    pub(super) fn redirect(&mut self, present: &mut Option<RedirectUri>, new: Option<&Option<RedirectUri>>) {
        if let Some(new) = new.filter(|new| *new != present) {
            let text = |uri: &Option<RedirectUri>| uri.as_ref().map(|uri| uri.as_str().to_owned());
            self.field("redirect_uri");
            self.words("redirect_uri", text(present).as_deref(), text(new).as_deref());
            present.clone_from(new);
        }
    }

    /// Tells of the inviter by their id: the other parts are a name, a picture and an address.
    pub(super) fn inviter(&mut self, present: &mut Option<Inviter>, new: Option<&Option<Inviter>>) {
        if let Some(new) = new.filter(|new| *new != present) {
            let id = |inviter: &Option<Inviter>| inviter.as_ref().map(|inviter| inviter.user_id.clone());
            let [old, changed] = [id(present), id(new)].map(|id| id.filter(|id| !id.is_empty()));
            self.field("inviter");
            if old != changed {
                self.words("inviter.user_id", old.as_deref(), changed.as_deref());
            }
            present.clone_from(new);
        }
    }

    /// Sets a field of which no value is told.
    pub(super) fn silent<T: Clone + PartialEq>(&mut self, field: &str, present: &mut T, new: Option<&T>) {
        if let Some(new) = new.filter(|new| *new != present) {
            self.field(field);
            present.clone_from(new);
        }
    }

    /// Sets a JSON object, of which no value is told.
    pub(super) fn json(
        &mut self,
        field: &'static str,
        present: &mut Option<String>,
        update: Option<&JsonUpdate>,
    ) -> Result<(), Refusal> {
        let Some(update) = update else { return Ok(()) };
        let new = update.on(present.as_ref()).map_err(|invalid| self.refused(field, invalid))?;
        self.silent(field, present, Some(&new));
        Ok(())
    }

    /// Tells of recipients by their ordinals.
    pub(super) fn recipients(&mut self, changed: &ChangedRecipients) {
        if !changed.is_empty() {
            self.field(RECIPIENTS);
            self.payload.added.clone_from(&changed.added);
            self.payload.removed.clone_from(&changed.removed);
        }
    }
}

/// Returns whether a text can be shown in an event, which never holds an address.
fn holds_no_address(text: &str) -> bool {
    let plain = percent_encoding::percent_decode_str(text).decode_utf8_lossy();
    !text.contains('@') && !plain.contains('@')
}

/// Returns a key as the segment of a path (AIP-161).
fn segment(key: &str) -> String {
    let is_plain = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if is_plain { key.to_owned() } else { format!("`{key}`") }
}
