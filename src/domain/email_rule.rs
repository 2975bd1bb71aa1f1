//! The e-mail rule: who may accept an invitation that is bound to addresses.

use super::acceptance::Acceptor;
use super::email::Email;
use super::invitation::Invitation;
use super::refusal::Refusal;
use super::token::Claims;

/// Finds the recipient that an acceptor is, and the address they accept with.
///
/// An address counts as the acceptor's if the caller vouches for it or if the link was mailed to it. A mailed link proves
/// its own recipient only; brought without an address, it means that recipient's.
pub fn match_acceptor(
    invitation: &Invitation,
    link: &Claims,
    acceptor: &Acceptor,
) -> Result<(Option<u16>, Option<Email>), Refusal> {
    if !invitation.is_bound() {
        return Ok((None, acceptor.email.clone()));
    }
    let mailed_to = invitation.recipient(link.recipient);
    let email = acceptor.email.as_ref().or(mailed_to.map(|recipient| &recipient.email));
    let email = email.ok_or(Refusal::EmailNotAllowed)?;
    let allowed = invitation.recipients.iter().find(|recipient| recipient.email.key() == email.key());
    let recipient = allowed.ok_or(Refusal::EmailNotAllowed)?;
    if !acceptor.email_verified && recipient.ordinal != link.recipient {
        return Err(Refusal::EmailNotVerified);
    }
    if recipient.declined_at.is_some() {
        return Err(Refusal::InvitationDeclined);
    }
    Ok((Some(recipient.ordinal), Some(email.clone())))
}
