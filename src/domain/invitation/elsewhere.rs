//! Accepting an invitation fulfils the person's other open invitations to the same scope.

use super::Invitation;
use super::recipient::{Address, Recipient};
use crate::domain::command::{AcceptInvitation, OpenSearch};
use crate::domain::kind::general::Usage;
use crate::domain::value::given_email::GivenEmail;
use crate::domain::value::time::Timestamp;

/// Returns the search for the invitations that this acceptance fulfils as well. Returns `None` unless the invitation is
/// a general one for one person with a scope of its own. The person is known by a verified address or by the caller's
/// own id.
pub(in crate::domain) fn elsewhere(
    invitation: &Invitation,
    accept: &AcceptInvitation,
    now: Timestamp,
) -> Option<OpenSearch> {
    let general = invitation.details.general()?;
    if general.usage != Usage::SingleUse || !general.explicit_scope {
        return None;
    }
    let mailed_to = invitation.recipient(accept.access.recipient()).and_then(Recipient::email);
    let acceptor = accept.proven_acceptor(invitation, now);
    let vouched = acceptor.email.as_ref().filter(|_| acceptor.email_verified);
    let email = vouched.map_or(mailed_to, GivenEmail::comparable).cloned().map(Address::Email);
    let addresses = [Address::Internal(acceptor.subject.0.clone())].into_iter().chain(email).collect();
    Some(OpenSearch { scope: general.scope.clone(), addresses })
}
