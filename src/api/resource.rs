//! The messages that show an invitation: the one of its own kind's service, and the general one; and its resource names
//! (AIP-122), `{collection}/{uuid}`.

use std::fmt::Display;
use std::str::FromStr;

use tonic::{Response, Status};
use uuid::Uuid;

use super::execute::{Api, Call};
use super::general::convert_invitation::invitation;
use super::general::redeemable::redeemable;
use super::parse::violations::Violations;
use super::requests::Named;
use crate::domain::command::{CreateOutcome, Target};
use crate::domain::group::Executed;
use crate::domain::invitation::Invitation;
use crate::domain::kind::Kind;
use crate::domain::secret::token::{Claims, Token};
use crate::domain::value::id::{AcceptanceId, InvitationId};
use crate::domain::value::rule::Invalid;
use crate::domain::value::text;
use crate::domain::value::time::Timestamp;
use crate::pb;
use crate::server::status;

/// A message that shows an invitation.
pub(crate) trait Resource: Sized {
    /// The kind whose service shows it; `None` for the general service.
    const KIND: Option<Kind>;

    /// Converts an invitation; `None` if it is of another kind.
    fn of(invitation: &Invitation, now: Timestamp, identity: Identity) -> Option<Self>;
}

/// The fields that lead to an invitation. Those that are not to be shown, or do not exist, are empty.
#[derive(Default)]
pub(crate) struct Identity {
    /// The name that fits any kind.
    pub(crate) name: String,
    /// The name in the service of its kind.
    pub(crate) typed_name: String,
    pub(crate) uid: String,
    pub(crate) etag: String,
    pub(crate) invitation_token: String,
    pub(crate) invitation_uri: String,
    pub(crate) token_visibility: pb::TokenVisibility,
    pub(crate) create_outcome: pb::CreateOutcome,
    pub(crate) replaced_invitations: Vec<String>,
    pub(crate) differing_fields: Vec<String>,
    pub(crate) suppressed_emails: Vec<String>,
    /// The acceptance that a dry run would create, whose name leads to nothing.
    pub(crate) hidden_acceptance: Option<AcceptanceId>,
}

impl Identity {
    /// Returns the names of an invitation, without its etag, its link and the reason why there is none.
    pub(super) fn of(invitation: &Invitation) -> Self {
        Self {
            name: invitation_name(invitation.id),
            typed_name: invitation.details.kind().typed_name(invitation.id),
            uid: invitation.id.0.to_string(),
            ..Self::default()
        }
    }
}

/// The fields that a kind adds to the messages that show invitations of every kind.
pub(crate) trait KindFields {
    /// Adds the kind's own fields to the general message.
    fn add_to_invitation(&self, invitation: &Invitation, message: &mut pb::Invitation);

    /// Adds the kind's own fields to the preview.
    fn add_to_preview(&self, preview: &mut pb::InvitationPreview);
}

/// The general message includes the acceptances that were loaded.
impl Resource for pb::Invitation {
    const KIND: Option<Kind> = None;

    fn of(found: &Invitation, now: Timestamp, identity: Identity) -> Option<Self> {
        Some(invitation(found, &found.acceptances, now, identity))
    }
}

impl Api {
    /// Shows an invitation.
    pub(crate) fn resource<R: Resource>(&self, call: &Call, found: &Invitation, now: Timestamp) -> Result<R, Status> {
        R::of(found, now, self.identity(call, found)).ok_or_else(status::not_found)
    }

    /// Answers a command.
    pub(crate) fn answer<R: Resource>(&self, call: &Call, executed: &Executed) -> Result<Response<R>, Status> {
        self.executed(call, executed).map(Response::new)
    }

    /// Shows an invitation as a command left it, or would have.
    pub(crate) fn executed<R: Resource>(&self, call: &Call, executed: &Executed) -> Result<R, Status> {
        let identity = self.executed_identity(call, executed);
        R::of(&executed.invitation, executed.now, identity).ok_or_else(status::not_found)
    }

    fn identity(&self, call: &Call, found: &Invitation) -> Identity {
        self.with_link(found, call.sees_tokens_of(found.details.host()))
    }

    fn with_link(&self, found: &Invitation, may_see: bool) -> Identity {
        let (token_visibility, (invitation_token, invitation_uri)) =
            self.link(found.details.kind(), &found.claims(0), may_see);
        Identity { etag: found.etag(), invitation_token, invitation_uri, token_visibility, ..Identity::of(found) }
    }

    /// Returns the token and the link with these claims, or the reason why they are empty.
    pub(crate) fn link(&self, kind: Kind, claims: &Claims, may_see: bool) -> (pb::TokenVisibility, (String, String)) {
        let token = Some(claims).filter(|_| may_see).and_then(|claims| Token::sign(claims, &self.ring));
        let visibility = match (&token, may_see) {
            (Some(_), _) => pb::TokenVisibility::Shown,
            (None, true) => pb::TokenVisibility::KeyRetired,
            (None, false) => pb::TokenVisibility::PermissionMissing,
        };
        let link = |token: &Token| (token.reveal().to_owned(), self.links.link(kind, token));
        (visibility, token.as_ref().map(link).unwrap_or_default())
    }

    /// A dry run leaves nothing that its etag or its link would lead to; nor do the names, if it would create the invitation.
    fn executed_identity(&self, call: &Call, executed: &Executed) -> Identity {
        let without_link = |identity| Identity { token_visibility: pb::TokenVisibility::ValidateOnly, ..identity };
        let identity = match (executed.dry_run, executed.created) {
            (false, _) => {
                let host = executed.invitation.details.host();
                self.with_link(&executed.invitation, call.sees_tokens_of(host) || executed.made_link)
            }
            (true, false) => without_link(Identity::of(&executed.invitation)),
            (true, true) => without_link(Identity::default()),
        };
        let (create_outcome, replaced, differing_fields) = match executed.outcome.clone() {
            None => (pb::CreateOutcome::Unspecified, Vec::new(), Vec::new()),
            Some(CreateOutcome::Created) => (pb::CreateOutcome::Created, Vec::new(), Vec::new()),
            Some(CreateOutcome::Replaced(replaced)) => (pb::CreateOutcome::Replaced, replaced, Vec::new()),
            Some(CreateOutcome::Existing(fields)) => (pb::CreateOutcome::Existing, Vec::new(), fields),
        };
        let name = |replaced: Option<InvitationId>| replaced.map(invitation_name).unwrap_or_default();
        let replaced_invitations = replaced.into_iter().map(name).collect();
        let hidden_acceptance = executed.new_acceptance.filter(|_| executed.dry_run);
        let recipients = executed.suppressed.iter().filter_map(|ordinal| executed.invitation.recipient(*ordinal));
        let suppressed_emails = recipients.filter_map(|recipient| Some(recipient.email()?.original().to_owned()));
        let suppressed_emails = suppressed_emails.collect();
        Identity {
            create_outcome,
            replaced_invitations,
            differing_fields,
            suppressed_emails,
            hidden_acceptance,
            ..identity
        }
    }

    /// Shows an invitation with the acceptance that a command left, or would have.
    pub(crate) fn accepted(&self, call: &Call, executed: &Executed) -> (Option<pb::Acceptance>, pb::Invitation) {
        let identity = self.executed_identity(call, executed);
        let shown = invitation(&executed.invitation, executed.acceptance.as_slice(), executed.now, identity);
        (shown.acceptances.first().cloned(), redeemable(call, &executed.invitation, executed.now, shown))
    }

    /// Shows an invitation as the answer of a recipient left it, or would have.
    pub(crate) fn answered(&self, call: &Call, executed: &Executed) -> Result<pb::Invitation, Status> {
        Ok(redeemable(call, &executed.invitation, executed.now, self.executed(call, executed)?))
    }

    /// Gets the invitation that a message names, with its newest acceptances if they are shown.
    pub(crate) async fn get<R: Resource, T: Named>(
        &self,
        call: &Call,
        message: &T,
        mut violations: Violations,
        newest_acceptances: bool,
    ) -> Result<Response<R>, Status> {
        let target = message.target(R::KIND, &mut violations);
        let reach = self.reach(call).await?;
        let Target { id, kind, hides_deleted, etag: _ } = violations.finish(target)?;
        let read = self.find_to_show(&reach, id, kind, newest_acceptances).await?;
        // An invitation that was deleted for its own service still exists for the general one.
        if hides_deleted && read.found.deleted_at.is_some() {
            return Err(status::not_found());
        }
        self.resource(call, &read.found, read.now).map(Response::new)
    }
}

/// The collection whose names fit an invitation of any kind.
const ANY_KIND: &str = "invitations";

/// The name of an invitation, parsed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InvitationName {
    collection: Collection,
    id: InvitationId,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Collection {
    Any,
    Of(Kind),
}

/// The name that fits any kind of invitation.
pub(crate) fn invitation_name(id: InvitationId) -> String {
    format!("{ANY_KIND}/{}", id.0)
}

/// The name of an acceptance.
pub(crate) fn acceptance_name(invitation: InvitationId, id: AcceptanceId) -> String {
    format!("{}/acceptances/{}", invitation_name(invitation), id.0)
}

/// The name of a message about an invitation.
pub(crate) fn delivery_name(invitation: InvitationId, id: Uuid) -> String {
    format!("{}/deliveries/{id}", invitation_name(invitation))
}

/// The name of a recipient of an invitation.
pub(crate) fn recipient_name(invitation: InvitationId, ordinal: u16) -> String {
    format!("{}/recipients/{ordinal}", invitation_name(invitation))
}

/// The name of a suppression.
pub(crate) fn suppression_name(id: Uuid) -> String {
    format!("suppressions/{id}")
}

/// Parses `suppressions/{uuid}`.
pub(crate) fn parse_suppression(name: &str) -> Result<Uuid, Invalid> {
    const INVALID: Invalid = Invalid::format("must be suppressions/{uuid}");
    text::uuid(name.strip_prefix("suppressions/").ok_or(INVALID)?).map_err(|_| INVALID)
}

/// The parent that stands for all invitations of an account (AIP-159).
const ALL_INVITATIONS: &str = "invitations/-";

/// The parent of a list: one invitation, or all of the account.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parent {
    One(InvitationName),
    All,
}

impl Parent {
    /// Parses the name of an invitation of any kind, or `invitations/-`.
    pub(crate) fn parse(name: &str) -> Result<Self, Invalid> {
        if name == ALL_INVITATIONS { Ok(Self::All) } else { InvitationName::parse(name).map(Self::One) }
    }

    /// Returns whether the list is that of the whole account.
    pub(crate) fn is_all(self) -> bool {
        matches!(self, Self::All)
    }
}

impl InvitationName {
    /// Parses the name of an invitation, which is required, for the service of a kind, or for the general one. The violation shows
    /// a name of that service.
    pub(crate) fn required(
        violations: &mut Violations,
        field: &str,
        name: &str,
        service: Option<Kind>,
    ) -> Option<Self> {
        match (Self::parse(name), service) {
            (Err(Invalid { rule, .. }), Some(kind)) if !name.is_empty() => {
                let example = kind.collection();
                violations.add(field, rule, &format!("must be the name of an invitation, such as {example}/{{uuid}}"));
                None
            }
            (parsed, _) => violations.required(field, name, |_| parsed),
        }
    }

    /// Parses the name of an invitation of any kind.
    pub(crate) fn parse(name: &str) -> Result<Self, Invalid> {
        const INVALID: Invalid = Invalid::format("must be the name of an invitation, such as invitations/{uuid}");
        let (collection, id) = name.split_once('/').ok_or(INVALID)?;
        let collection = match Kind::ALL.into_iter().find(|kind| kind.collection() == collection) {
            // The names of general invitations fit any.
            Some(Kind::General) => Collection::Any,
            Some(kind) => Collection::Of(kind),
            None => return Err(INVALID),
        };
        Ok(Self { collection, id: InvitationId(text::uuid(id).map_err(|_| INVALID)?) })
    }

    /// Returns the id in the name, whatever the collection.
    pub(crate) fn id(self) -> InvitationId {
        self.id
    }

    /// Returns the id, and the kind of the name; `None` for a name of any kind.
    pub(crate) fn id_and_kind(self) -> (InvitationId, Option<Kind>) {
        match self.collection {
            Collection::Any => (self.id, None),
            Collection::Of(kind) => (self.id, Some(kind)),
        }
    }

    /// Returns the target of a call to the service for one kind, or for any. The name of another kind is not found
    /// there.
    pub(crate) fn target(self, service: Option<Kind>, violations: &mut Violations) -> Option<Target> {
        let (id, kind) = self.id_and_kind();
        if service.is_some() && kind.is_some() && kind != service {
            violations.refuse(status::not_found());
            return None;
        }
        Some(Target { id, kind: kind.or(service), hides_deleted: service.is_some(), etag: None })
    }
}

/// Parses `invitations/{uuid}/acceptances/{uuid}`.
pub(crate) fn parse_acceptance(name: &str) -> Result<(InvitationId, AcceptanceId), Invalid> {
    let parsed = parse_child(name, "acceptances", |id| text::uuid(id).ok());
    let (invitation, id) = parsed.ok_or(Invalid::format("must be invitations/{uuid}/acceptances/{uuid}"))?;
    Ok((invitation, AcceptanceId(id)))
}

/// Parses `invitations/{uuid}/deliveries/{uuid}`.
pub(crate) fn parse_delivery(name: &str) -> Result<(InvitationId, Uuid), Invalid> {
    let parsed = parse_child(name, "deliveries", |id| text::uuid(id).ok());
    parsed.ok_or(Invalid::format("must be invitations/{uuid}/deliveries/{uuid}"))
}

/// Parses `invitations/{uuid}/recipients/{ordinal}`.
pub(crate) fn parse_recipient(name: &str) -> Result<(InvitationId, u16), Invalid> {
    let parsed = parse_child(name, "recipients", ordinal);
    parsed.ok_or(Invalid::format("must be invitations/{uuid}/recipients/{ordinal}"))
}

/// Parses `invitations/{uuid}/events/{sequence}`.
pub(crate) fn parse_event(name: &str) -> Result<(InvitationId, i64), Invalid> {
    let parsed = parse_child(name, "events", ordinal);
    parsed.ok_or(Invalid::format("must be invitations/{uuid}/events/{sequence}"))
}

/// Splits `invitations/{uuid}/{collection}/{id}` into the invitation and the parsed id within the collection.
fn parse_child<T>(name: &str, collection: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<(InvitationId, T)> {
    let (invitation, rest) = name.strip_prefix(ANY_KIND)?.strip_prefix('/')?.split_once('/')?;
    let id = rest.strip_prefix(collection)?.strip_prefix('/')?;
    Some((InvitationId(text::uuid(invitation).ok()?), parse(id)?))
}

/// Parses a number from 1 on. A name has one form, so there is no sign, and no zero in front.
fn ordinal<T: FromStr + Display + Default + PartialOrd>(text: &str) -> Option<T> {
    let parsed: T = text.parse().ok()?;
    (parsed > T::default() && parsed.to_string() == text).then_some(parsed)
}
