//! The e-mail rule: the acceptors that an invitation to addresses or domains admits.

use super::Invitation;
use super::acceptance::Acceptor;
use super::recipient::{Address, Recipient};
use super::refusal::Refusal;
use crate::domain::kind::general::RecipientMatch;
use crate::domain::value::email::Email;

/// The proof that an acceptor has to bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding<'a> {
    /// No proof: every acceptor may accept.
    Open,
    /// The acceptor is one of the recipients.
    Recipients(RecipientMatch),
    /// A verified address in one of these domains.
    Domains(&'a [String]),
}

/// Returns the proof that an acceptor of an invitation has to bring. A phone number and a shared link bind no acceptor.
pub fn binding(invitation: &Invitation) -> Binding<'_> {
    invitation.details.binding(&invitation.recipients)
}

/// Finds the recipient that an acceptor is, and the address they accept with.
///
/// An address counts as the acceptor's if the caller vouches for it or if the link was mailed to it: `link_recipient`
/// is the ordinal of a mailed link, 0 for any other link, or a name. A mailed link proves its own recipient only;
/// without an address it means that recipient's.
pub fn match_acceptor(
    invitation: &Invitation,
    link_recipient: u16,
    acceptor: &Acceptor,
) -> Result<(Option<u16>, Option<Email>), Refusal> {
    let mailed_to = invitation.recipient(link_recipient).and_then(Recipient::email);
    let email = acceptor.email.as_ref().or(mailed_to);
    let proven = email
        .filter(|email| acceptor.email_verified || mailed_to.is_some_and(|mailed_to| mailed_to.key() == email.key()));
    let recipient = match binding(invitation) {
        Binding::Open => recipient_by(invitation, |recipient| {
            is_subject(recipient, acceptor) || proven.is_some_and(|email| has_email(recipient, email))
        }),
        Binding::Domains(domains) => {
            let email = email.ok_or(Refusal::EmailNotAllowed)?;
            if !domains.iter().any(|domain| domain == email.domain()) {
                return Err(Refusal::EmailNotAllowed);
            }
            if proven.is_none() {
                return Err(Refusal::EmailNotVerified);
            }
            None
        }
        Binding::Recipients(rule) => Some(invited(invitation, rule, acceptor, email, proven.is_some())?),
    };
    if recipient.is_some_and(|recipient| recipient.declined_at.is_some()) {
        return Err(Refusal::InvitationDeclined);
    }
    Ok((recipient.map(|recipient| recipient.ordinal), email.cloned()))
}

/// Returns whether an invitation is meant for an acceptor who has been matched, and not open to whoever has its link.
pub fn is_meant_for(
    invitation: &Invitation,
    acceptor: &Acceptor,
    (recipient, email): &(Option<u16>, Option<Email>),
) -> bool {
    let rule = binding(invitation);
    match recipient.and_then(|ordinal| invitation.recipient(ordinal)) {
        None => matches!(rule, Binding::Domains(_)),
        // Any address counts as that of any recipient.
        Some(recipient) if rule == Binding::Recipients(RecipientMatch::Any) => {
            is_subject(recipient, acceptor) || email.as_ref().is_some_and(|email| has_email(recipient, email))
        }
        Some(_) => true,
    }
}

/// Finds the recipient of a bound invitation that an acceptor is: by the caller's own id or by their address,
/// preferring a recipient who has not declined.
fn invited<'a>(
    invitation: &'a Invitation,
    rule: RecipientMatch,
    acceptor: &Acceptor,
    email: Option<&Email>,
    proven: bool,
) -> Result<&'a Recipient, Refusal> {
    let by_id = recipient_by(invitation, |recipient| is_subject(recipient, acceptor));
    if let Some(recipient) = by_id.filter(|recipient| recipient.declined_at.is_none()) {
        return Ok(recipient);
    }
    // A person who has declined by their id is refused as declined, unless an address of theirs is still invited.
    let rule = if by_id.is_some() { RecipientMatch::Exact } else { rule };
    let found = email.and_then(|email| by_email(invitation, rule, email)).ok_or(Refusal::EmailNotAllowed);
    let found = found.and_then(|found| if proven { Ok(found) } else { Err(Refusal::EmailNotVerified) });
    found.or_else(|refusal| by_id.ok_or(refusal))
}

/// Finds the recipient with an address, else one whose address makes it count.
pub(in crate::domain) fn by_email<'a>(
    invitation: &'a Invitation,
    rule: RecipientMatch,
    email: &Email,
) -> Option<&'a Recipient> {
    let loosely = |recipient: &Recipient| match (rule, recipient.email()) {
        (_, None) | (RecipientMatch::Exact, _) => false,
        (RecipientMatch::Domain, Some(invited)) => invited.domain() == email.domain(),
        (RecipientMatch::Any, Some(_)) => true,
    };
    recipient_by(invitation, |recipient| has_email(recipient, email)).or_else(|| recipient_by(invitation, loosely))
}

fn is_subject(recipient: &Recipient, acceptor: &Acceptor) -> bool {
    matches!(&recipient.address, Address::Internal(id) if *id == acceptor.subject.0)
}

fn has_email(recipient: &Recipient, email: &Email) -> bool {
    recipient.email().is_some_and(|invited| invited.key() == email.key())
}

/// Finds the first recipient that fits and has not declined, else the first that fits.
fn recipient_by(invitation: &Invitation, fits: impl Fn(&Recipient) -> bool) -> Option<&Recipient> {
    let fitting = || invitation.recipients.iter().filter(|recipient| fits(recipient));
    fitting().find(|recipient| recipient.declined_at.is_none()).or_else(|| fitting().next())
}
