//! The fields that the messages of every kind have, with the same names, numbers and types.

use crate::domain::kind::Scope;
use crate::domain::kind::shared::Inviter;
use crate::pb;

/// Builds the message of an invitation from its shared fields and the given fields of its kind.
macro_rules! shown {
    (
        $message:ident, expiring in $module:ident, of $invitation:ident at $now:ident with $identity:ident;
        $($field:ident $(: $value:expr)?),+ $(,)? $(; ..$rest:expr)?
    ) => {{
        let (shared, facts) = ($invitation.details.shared(), &$invitation.facts);
        let expiration = facts.expire_at.map($crate::api::convert::timestamp);
        crate::pb::$message {
            uid: $identity.uid,
            state: $crate::api::convert::state($invitation.state_at($now)),
            expiration: expiration.map(crate::pb::$module::Expiration::ExpireTime),
            inviter: shared.inviter.as_ref().map($crate::api::convert::shared::inviter),
            message: shared.message.clone().unwrap_or_default(),
            locale: shared.locale.clone().unwrap_or_default(),
            redirect_uri: shared.redirect_uri.as_ref().map(|uri| uri.as_str().to_owned()).unwrap_or_default(),
            grant_ttl: shared.grant_ttl.map($crate::api::convert::duration),
            labels: $invitation.labels.clone(),
            metadata: shared.metadata.as_deref().and_then($crate::api::convert::json::json_text),
            mailed: $invitation.mails,
            invitation_token: $identity.invitation_token,
            invitation_uri: $identity.invitation_uri,
            token_visibility: $identity.token_visibility.into(),
            accept_time: facts.accepted_at.map($crate::api::convert::timestamp),
            decline_time: facts.declined_at.map($crate::api::convert::timestamp),
            revoke_time: facts.revoked_at.map($crate::api::convert::timestamp),
            archive_time: $invitation.archived_at.map($crate::api::convert::timestamp),
            delete_time: $invitation.deleted_at.map($crate::api::convert::timestamp),
            creator: $invitation.creator.clone(),
            updater: $invitation.updater.clone(),
            create_time: Some($crate::api::convert::timestamp($invitation.created_at)),
            update_time: Some($crate::api::convert::timestamp($invitation.updated_at)),
            etag: $identity.etag,
            create_outcome: $identity.create_outcome.into(),
            replaced_invitations: $identity.replaced_invitations,
            differing_fields: $identity.differing_fields,
            last_delivery_state: $invitation
                .latest_delivery
                .map($crate::api::deliveries::convert::state)
                .unwrap_or_default()
                .into(),
            suppressed_emails: $identity.suppressed_emails,
            $($field $(: $value)?,)+
            $(..$rest)?
        }
    }};
}
pub(in crate::api) use shown;

/// Converts the inviter.
pub(in crate::api) fn inviter(inviter: &Inviter) -> pb::Inviter {
    let email = inviter.email.as_ref().map(|email| email.original().to_owned());
    pb::Inviter { user_id: inviter.user_id.clone(), email: email.unwrap_or_default(), ..shown_inviter(inviter) }
}

/// Converts the part of the inviter that recipients see: neither an id nor an address.
pub(in crate::api) fn shown_inviter(inviter: &Inviter) -> pb::Inviter {
    pb::Inviter {
        display_name: inviter.display_name.clone().unwrap_or_default(),
        avatar_uri: inviter.avatar_uri.clone().unwrap_or_default(),
        ..pb::Inviter::default()
    }
}

/// Converts a scope or a group.
pub(crate) fn scope(scope: &Scope) -> pb::Scope {
    let Scope { scope_type, id, display_name } = scope.clone();
    pb::Scope { r#type: scope_type, id, display_name: display_name.unwrap_or_default() }
}
