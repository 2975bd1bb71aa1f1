//! The fields that the messages of every kind have.

use std::collections::BTreeMap;

use prost_types::Struct;

use super::field_mask::FieldMask;
use super::json::json;
use super::update::{json_update, map_update};
use super::violations::Violations;
use super::{grant_ttl, labels};
use crate::domain::command::UpdatedFields;
use crate::domain::kind::connection::HttpUrl;
use crate::domain::kind::shared::{Inviter, RedirectUri, SharedDetails};
use crate::domain::value::email::Email;
use crate::domain::value::rule::Invalid;
use crate::domain::value::text;
use crate::pb;

/// The shared fields of a message that creates or updates an invitation.
#[derive(Clone, Copy)]
pub(in crate::api) struct Given<'a> {
    path: &'static str,
    inviter: Option<&'a pb::Inviter>,
    scope_display_name: &'a str,
    message: &'a str,
    locale: &'a str,
    redirect_uri: &'a str,
    grant_ttl: Option<prost_types::Duration>,
    labels: &'a BTreeMap<String, String>,
    metadata: Option<&'a Struct>,
}

/// A message that creates an invitation of some kind.
pub(in crate::api) trait SharedFields {
    /// Returns the shared fields.
    fn given(&self) -> Given<'_>;

    /// Parses the shared fields, and the labels.
    fn shared(&self, violations: &mut Violations) -> (SharedDetails, BTreeMap<String, String>) {
        let given = self.given();
        let metadata = json(violations, &format!("{}metadata", given.path), given.metadata);
        let labels = labels(violations, &format!("{}labels", given.path), given.labels);
        (SharedDetails { metadata, ..given.words(violations) }, labels)
    }

    /// Returns whether a shared field is set.
    fn has_shared(&self, field: &str) -> bool {
        let given = self.given();
        match field {
            "inviter" => given.inviter.is_some(),
            "scope_display_name" => !given.scope_display_name.is_empty(),
            "message" => !given.message.is_empty(),
            "locale" => !given.locale.is_empty(),
            "redirect_uri" => !given.redirect_uri.is_empty(),
            "grant_ttl" => given.grant_ttl.is_some(),
            "labels" => !given.labels.is_empty(),
            "metadata" => given.metadata.is_some(),
            _ => false,
        }
    }

    /// Parses those of the shared fields that a mask names. The others may be anything.
    fn updated_shared(&self, violations: &mut Violations, mask: &FieldMask) -> UpdatedFields {
        let given = self.given();
        let metadata = json_update(violations, mask, (given.path, "metadata"), given.metadata);
        let labels = map_update(violations, mask, (given.path, "labels"), given.labels, text::label_value);
        let words = given.named_in(mask).words(violations);
        let has = |field| mask.has(field).then_some(());
        UpdatedFields {
            // An empty message is no inviter.
            inviter: has("inviter").map(|()| words.inviter.filter(|inviter| *inviter != Inviter::default())),
            scope_display_name: has("scope_display_name").map(|()| words.scope_display_name),
            message: has("message").map(|()| words.message),
            locale: has("locale").map(|()| words.locale),
            redirect_uri: has("redirect_uri").map(|()| words.redirect_uri),
            grant_ttl: has("grant_ttl").map(|()| words.grant_ttl),
            labels,
            metadata,
            ..UpdatedFields::default()
        }
    }
}

impl<'a> Given<'a> {
    /// Returns those of the words that a mask names.
    fn named_in(&self, mask: &FieldMask) -> Given<'a> {
        let text = |field: &str, text: &'a str| if mask.has(field) { text } else { "" };
        Given {
            inviter: self.inviter.filter(|_| mask.has("inviter")),
            scope_display_name: text("scope_display_name", self.scope_display_name),
            message: text("message", self.message),
            locale: text("locale", self.locale),
            redirect_uri: text("redirect_uri", self.redirect_uri),
            grant_ttl: self.grant_ttl.filter(|_| mask.has("grant_ttl")),
            ..*self
        }
    }

    /// Parses the words: with the time of the grant: all but the labels and the metadata.
    fn words(&self, violations: &mut Violations) -> SharedDetails {
        let at = |field: &str| format!("{}{field}", self.path);
        let name = self.scope_display_name;
        let redirect_uri = violations.optional(&at("redirect_uri"), self.redirect_uri, RedirectUri::parse);
        redirect_uri.iter().for_each(|uri| violations.redirects(at("redirect_uri"), uri));
        SharedDetails {
            inviter: self.inviter.map(|inviter| to_inviter(violations, &at("inviter"), inviter)),
            scope_display_name: violations.optional(&at("scope_display_name"), name, text::free_text),
            message: violations.optional(&at("message"), self.message, text::message),
            locale: violations.optional(&at("locale"), self.locale, text::locale),
            redirect_uri,
            grant_ttl: grant_ttl(violations, &at("grant_ttl"), self.grant_ttl),
            metadata: None,
            replaced: Vec::new(),
        }
    }
}

/// Parses an inviter.
pub(in crate::api) fn to_inviter(violations: &mut Violations, field: &str, given: &pb::Inviter) -> Inviter {
    let at = |part: &str| format!("{field}.{part}");
    Inviter {
        user_id: violations.optional(&at("user_id"), &given.user_id, text::opaque_id).unwrap_or_default(),
        email: violations.optional(&at("email"), &given.email, Email::parse),
        display_name: violations.optional(&at("display_name"), &given.display_name, text::free_text),
        avatar_uri: violations.optional(&at("avatar_uri"), &given.avatar_uri, picture),
    }
}

/// Checks the address of a picture, which a recipient's browser loads.
pub(in crate::api) fn picture(value: &str) -> Result<String, Invalid> {
    HttpUrl::parse(value).map(|_| value.to_owned())
}

macro_rules! shared_fields {
    ($($message:ident $path:literal $($scope_display_name:ident)?;)+) => {$(
        impl SharedFields for pb::$message {
            fn given(&self) -> Given<'_> {
                Given {
                    path: $path,
                    inviter: self.inviter.as_ref(),
                    scope_display_name: shared_fields!(@or_empty self $($scope_display_name)?),
                    message: &self.message,
                    locale: &self.locale,
                    redirect_uri: &self.redirect_uri,
                    grant_ttl: self.grant_ttl,
                    labels: &self.labels,
                    metadata: self.metadata.as_ref(),
                }
            }
        }
    )+};
    (@or_empty $self:ident) => { "" };
    (@or_empty $self:ident $field:ident) => { &$self.$field };
}

// The scope of a general invitation has its name in itself.
shared_fields! {
    ConnectionInvitation "connection_invitation." scope_display_name;
    CreateReconnectInvitationRequest "" scope_display_name;
    UserInvitation "user_invitation." scope_display_name;
    GuestInvitation "guest_invitation." scope_display_name;
    Invitation "invitation.";
}
