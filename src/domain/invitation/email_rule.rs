//! The e-mail rule: the acceptors that an invitation to addresses or domains admits.

use super::Invitation;
use super::acceptance::Acceptor;
use super::recipient::{Address, Recipient};
use super::refusal::Refusal;
use crate::domain::kind::general::RecipientMatch;
use crate::domain::value::email::Email;
use crate::domain::value::given_email::GivenEmail;

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
) -> Result<(Option<u16>, Option<GivenEmail>), Refusal> {
    let mailed_to = invitation.recipient(link_recipient).and_then(Recipient::email);
    let given = acceptor.email.clone().or_else(|| mailed_to.cloned().map(GivenEmail::from));
    let email = given.as_ref().and_then(GivenEmail::comparable);
    let by_link = || email.zip(mailed_to).is_some_and(|(email, mailed_to)| mailed_to.key() == email.key());
    let is_proven = given.is_some() && (acceptor.email_verified || by_link());
    let proven = email.filter(|_| is_proven);
    let recipient = match binding(invitation) {
        Binding::Open => recipient_by(invitation, |recipient| {
            is_subject(recipient, acceptor) || proven.is_some_and(|email| has_email(recipient, email))
        }),
        Binding::Domains(domains) => {
            let email = email.ok_or(Refusal::EmailNotAllowed)?;
            if !domains.iter().any(|domain| domain == email.domain()) {
                return Err(Refusal::EmailNotAllowed);
            }
            if !is_proven {
                return Err(Refusal::EmailNotVerified);
            }
            None
        }
        Binding::Recipients(rule) => Some(invited(invitation, rule, acceptor, given.as_ref(), is_proven)?),
    };
    if recipient.is_some_and(|recipient| recipient.declined_at.is_some()) {
        return Err(Refusal::InvitationDeclined);
    }
    Ok((recipient.map(|recipient| recipient.ordinal), given))
}

/// Returns whether an invitation is meant for an acceptor who has been matched, and not open to whoever has its link.
pub fn is_meant_for(
    invitation: &Invitation,
    acceptor: &Acceptor,
    (recipient, email): &(Option<u16>, Option<GivenEmail>),
) -> bool {
    let rule = binding(invitation);
    match recipient.and_then(|ordinal| invitation.recipient(ordinal)) {
        None => matches!(rule, Binding::Domains(_)),
        // Any address counts as that of any recipient.
        Some(recipient) if rule == Binding::Recipients(RecipientMatch::Any) => {
            let email = email.as_ref().and_then(GivenEmail::comparable);
            is_subject(recipient, acceptor) || email.is_some_and(|email| has_email(recipient, email))
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
    given: Option<&GivenEmail>,
    is_proven: bool,
) -> Result<&'a Recipient, Refusal> {
    let by_id = recipient_by(invitation, |recipient| is_subject(recipient, acceptor));
    if let Some(recipient) = by_id.filter(|recipient| recipient.declined_at.is_none()) {
        return Ok(recipient);
    }
    // A person who has declined by their id is refused as declined, unless an address of theirs is still invited.
    let rule = if by_id.is_some() { RecipientMatch::Exact } else { rule };
    let found = given.and_then(|given| by_email(invitation, rule, given.comparable())).ok_or(Refusal::EmailNotAllowed);
    let found = found.and_then(|found| if is_proven { Ok(found) } else { Err(Refusal::EmailNotVerified) });
    found.or_else(|refusal| by_id.ok_or(refusal))
}

/// Finds the recipient with an address, else one whose address makes it count. An address that cannot be compared is `None`, and
/// counts only where any does.
pub(in crate::domain) fn by_email<'a>(
    invitation: &'a Invitation,
    rule: RecipientMatch,
    email: Option<&Email>,
) -> Option<&'a Recipient> {
    let loosely = |recipient: &Recipient| match (rule, recipient.email()) {
        (_, None) | (RecipientMatch::Exact, _) => false,
        (RecipientMatch::Domain, Some(invited)) => email.is_some_and(|email| invited.domain() == email.domain()),
        (RecipientMatch::Any, Some(_)) => true,
    };
    let exactly = |recipient: &Recipient| email.is_some_and(|email| has_email(recipient, email));
    recipient_by(invitation, exactly).or_else(|| recipient_by(invitation, loosely))
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
