//! The fields that the messages of every kind have.

use std::collections::BTreeMap;

use prost_types::Struct;

use super::json::json;
use super::labels;
use super::violations::Violations;
use crate::domain::kind::connection::HttpUrl;
use crate::domain::kind::shared::{Inviter, RedirectUri, SharedDetails};
use crate::domain::value::email::Email;
use crate::domain::value::rule::Invalid;
use crate::domain::value::text;
use crate::pb;

/// The shared fields of a message that creates an invitation.
pub(in crate::api) struct Given<'a> {
    path: &'static str,
    inviter: Option<&'a pb::Inviter>,
    scope_display_name: &'a str,
    message: &'a str,
    locale: &'a str,
    redirect_uri: &'a str,
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
        let at = |field: &str| format!("{}{field}", given.path);
        let name = given.scope_display_name;
        let shared = SharedDetails {
            inviter: given.inviter.map(|inviter| to_inviter(violations, &at("inviter"), inviter)),
            scope_display_name: violations.optional(&at("scope_display_name"), name, text::free_text),
            message: violations.optional(&at("message"), given.message, text::message),
            locale: violations.optional(&at("locale"), given.locale, text::locale),
            redirect_uri: violations.optional(&at("redirect_uri"), given.redirect_uri, RedirectUri::parse),
            metadata: json(violations, &at("metadata"), given.metadata),
            replaced: Vec::new(),
        };
        (shared, labels(violations, &at("labels"), given.labels))
    }
}

fn to_inviter(violations: &mut Violations, field: &str, given: &pb::Inviter) -> Inviter {
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
