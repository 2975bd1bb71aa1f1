//! The recipients that an update adds and removes.

use crate::domain::invitation::Invitation;
use crate::domain::invitation::email_rule::Binding;
use crate::domain::invitation::recipient::{Address, NewRecipient, Recipient, RecipientState};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::value::rule::{FieldRule, Invalid};

/// The most recipients that an invitation has in its life. They are read and written with it, those who were removed too, since
/// no ordinal is used again.
const MAX_ORDINAL: u16 = 2_000;

/// The recipients that have changed, by ordinal.
#[derive(Debug, Default)]
pub(super) struct ChangedRecipients {
    /// Those who are new.
    pub(super) added: Vec<u16>,
    /// Those who are removed.
    pub(super) removed: Vec<u16>,
    /// Those of whom another name, picture or account is known.
    described: Vec<u16>,
}

impl ChangedRecipients {
    pub(super) fn is_empty(&self) -> bool {
        let Self { added, removed, described } = self;
        [added, removed, described].into_iter().all(Vec::is_empty)
    }
}

/// Removes recipients from an invitation, then adds others.
pub(super) fn change(
    invitation: &mut Invitation,
    added: &[NewRecipient],
    removed: &[u16],
) -> Result<ChangedRecipients, Refusal> {
    let mut changed = ChangedRecipients::default();
    let was_bound = matches!(invitation.details.binding(&invitation.recipients), Binding::Recipients(_));
    remove(invitation, removed, &mut changed)?;
    for new in added {
        add(invitation, new, &mut changed)?;
    }
    check_number(invitation, &changed)?;
    if was_bound && !changed.removed.is_empty() && !invitation.present_recipients().any(can_accept) {
        let description = "must leave a recipient who can still accept: to close the invitation, revoke it";
        let invalid = Invalid::new(FieldRule::NotAllowed, description);
        return Err(Refusal::InvalidField { field: "remove_recipients", invalid });
    }
    Ok(changed)
}

fn remove(invitation: &mut Invitation, removed: &[u16], changed: &mut ChangedRecipients) -> Result<(), Refusal> {
    // A wrong field is reported before a wrong state.
    for (index, ordinal) in removed.iter().enumerate() {
        if invitation.recipient(*ordinal).is_none() {
            let invalid = Invalid::new(FieldRule::UnknownValue, "must be a recipient of the invitation");
            return Err(Refusal::InvalidEntry { field: "remove_recipients", index, invalid });
        }
    }
    let id = invitation.id;
    for recipient in invitation.recipients.iter_mut().filter(|recipient| removed.contains(&recipient.ordinal)) {
        match recipient.state() {
            RecipientState::Open => {
                changed.removed.push(recipient.ordinal);
                recipient.remove();
            }
            RecipientState::Removed => {}
            RecipientState::Accepted | RecipientState::Declined => {
                return Err(Refusal::RecipientAnswered(id, recipient.ordinal));
            }
        }
    }
    Ok(())
}

/// Adds a recipient. An address that the invitation has is that of the same recipient, who keeps link and answer; what is said
/// about the person replaces what was known.
fn add(invitation: &mut Invitation, new: &NewRecipient, changed: &mut ChangedRecipients) -> Result<(), Refusal> {
    let present = invitation.recipients.iter_mut().find(|known| known.address.is(&new.address));
    if let Some(known) = present {
        if known.describe(new) && !changed.added.contains(&known.ordinal) {
            changed.described.push(known.ordinal);
        }
        return Ok(());
    }
    let last = invitation.recipients.last().map_or(0, |last| last.ordinal);
    if last >= MAX_ORDINAL {
        return Err(Refusal::RecipientsUsedUp);
    }
    invitation.recipients.push(Recipient::new(last + 1, new.clone()));
    changed.added.push(last + 1);
    Ok(())
}

fn check_number(invitation: &Invitation, changed: &ChangedRecipients) -> Result<(), Refusal> {
    let (limits, number) = (invitation.details.recipient_limits(), invitation.present_recipients().count());
    let field = match changed {
        ChangedRecipients { added, .. } if !added.is_empty() && number > limits.most => "add_targets",
        ChangedRecipients { removed, .. } if !removed.is_empty() && number < limits.least => "remove_recipients",
        _ => return Ok(()),
    };
    let invalid = Invalid::new(FieldRule::NotAllowed, limits.rule);
    Err(Refusal::InvalidField { field, invalid })
}

/// Returns whether somebody can still accept as a recipient to whom the invitation is bound.
fn can_accept(recipient: &Recipient) -> bool {
    recipient.declined_at.is_none() && matches!(recipient.address, Address::Email(_) | Address::Internal(_))
}
