//! Invitations with the rows that are read together with them: recipients, labels, groups, slots, domains.

use serde::Deserialize;
use serde_json::Value;

use super::{ScopeRows, account, at, corrupt, unless_empty};
use crate::domain::delivery::DeliveryState;
use crate::domain::delivery::repeats::Repeats;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::invitation::recipient::{Address, AddressType, Recipient};
use crate::domain::invitation::slot::{Slot, SlotKey};
use crate::domain::invitation::state::Facts;
use crate::domain::invitation::unknown_fields::UnknownFields;
use crate::domain::invitation::{Engagement, Invitation};
use crate::domain::kind::{Details, Kind, Scope};
use crate::domain::value::id::InvitationId;
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::read::unreadable::skip_unreadable;
use crate::store::sql::entity::{
    acceptance, autojoin_domain, engagement, invitation, invitation_group, label, recipient, slot,
};
use crate::store::sql::error::StoreError;

/// An invitation with everything that is read together with it, as one JSON document.
#[derive(Deserialize)]
pub(in crate::store) struct InvitationRows {
    invitation: invitation::Model,
    recipients: Option<Vec<recipient::Model>>,
    /// The number of all recipients, where not all are read.
    recipient_count: Option<usize>,
    labels: Option<Vec<label::Model>>,
    engagement: Option<engagement::Model>,
    deliveries: u32,
    latest_delivery: Option<String>,
    acceptances: Option<Vec<acceptance::Model>>,
    /// The settings of its scope, where they are read and there are any.
    pub(in crate::store) scope: Option<ScopeRows>,
}

impl TryFrom<InvitationRows> for Invitation {
    type Error = StoreError;

    fn try_from(rows: InvitationRows) -> Result<Self, StoreError> {
        let InvitationRows {
            invitation: row,
            recipients,
            recipient_count,
            labels,
            engagement,
            deliveries,
            latest_delivery,
            acceptances,
            scope: _,
        } = rows;
        let corrupt = corrupt("invitation", &row.id);
        let kind = Kind::from_code(&row.kind).ok_or_else(|| corrupt("kind", "is not a kind"))?;
        let details = kind.details_from(&row.details).ok_or_else(|| corrupt("details", "does not fit its kind"))?;
        let recipients = recipients_from(recipients.unwrap_or_default())?;
        let engagement = engagement.map_or(Engagement::default(), |row| Engagement {
            views: row.views,
            clicks: row.clicks,
            unfurls: row.unfurls,
        });
        Ok(Self {
            id: InvitationId(row.id),
            account: AccountId::parse(&row.account_id).map_err(|_| corrupt("account_id", "is not an account"))?,
            unknown: UnknownFields::between(&row.details, &details_to(&details)),
            details,
            facts: Facts {
                max_uses: row
                    .max_uses
                    .map(u32::try_from)
                    .transpose()
                    .map_err(|_| corrupt("max_uses", "is negative"))?,
                use_count: u32::try_from(row.use_count).map_err(|_| corrupt("use_count", "is negative"))?,
                expire_at: at(row.expire_at),
                accepted_at: at(row.accepted_at),
                declined_at: at(row.declined_at),
                revoked_at: at(row.revoked_at),
                accepted_elsewhere_at: at(row.accepted_elsewhere_at),
                emptied_at: at(row.emptied_at),
            },
            revision: row.revision,
            generation: u16::try_from(row.generation).map_err(|_| corrupt("generation", "is out of range"))?,
            key_id: u8::try_from(row.key_id).map_err(|_| corrupt("key_id", "is out of range"))?,
            mails: row.mails,
            further_recipients: recipient_count.unwrap_or_default().saturating_sub(recipients.len()),
            recipients,
            labels: labels.into_iter().flatten().map(|label| (label.key, label.value)).collect(),
            creator: row.creator,
            updater: row.updater,
            archived_at: at(row.archived_at),
            deleted_at: at(row.deleted_at),
            expiry_told_at: at(row.expiry_told_at),
            first_sent_at: at(row.first_sent_at),
            last_sent_at: at(row.last_sent_at),
            repeats: Repeats::deserialize(row.repeats).map_err(|_| corrupt("repeats", "is no list of moments"))?,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            engagement,
            deliveries,
            latest_delivery: latest_delivery.as_deref().and_then(DeliveryState::from_code),
            acceptances: acceptances_from(acceptances.unwrap_or_default())?,
        })
    }
}

/// Reads the newest acceptances. No decision depends on them, so one that cannot be read is left out.
fn acceptances_from(rows: Vec<acceptance::Model>) -> Result<Vec<Acceptance>, StoreError> {
    let readable = rows.into_iter().map(|row| skip_unreadable(Acceptance::try_from(row)));
    Ok(readable.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn details_to(details: &Details) -> Value {
    let json = serde_json::to_value(details);
    // The details contain only strings, numbers and lists, which JSON can always represent.
    json.unwrap_or_default()
}

fn recipients_from(rows: Vec<recipient::Model>) -> Result<Vec<Recipient>, StoreError> {
    let mut recipients = rows.into_iter().map(recipient_from).collect::<Result<Vec<_>, _>>()?;
    recipients.sort_unstable_by_key(|recipient| recipient.ordinal);
    Ok(recipients)
}

/// Reads a recipient.
pub(in crate::store) fn recipient_from(row: recipient::Model) -> Result<Recipient, StoreError> {
    let corrupt = corrupt("recipient", &row.invitation_id);
    let address_type =
        AddressType::from_code(&row.recipient_type).ok_or_else(|| corrupt("recipient_type", "is not a type"))?;
    Ok(Recipient {
        ordinal: u16::try_from(row.ordinal).map_err(|_| corrupt("ordinal", "is out of range"))?,
        address: Address::parse(address_type, &row.original)
            .map_err(|_| corrupt("original", "is not an address of this type"))?,
        display_name: row.display_name,
        avatar_uri: row.avatar_uri,
        existing_user: row.existing_user,
        accepted_at: at(row.accepted_at),
        declined_at: at(row.declined_at),
    })
}

fn details_of(invitation: &Invitation) -> Value {
    let mut details = details_to(&invitation.details);
    invitation.unknown.add_to(&mut details);
    details
}

/// Returns the row of an invitation.
pub(in crate::store) fn invitation_row(invitation: &Invitation) -> invitation::Model {
    // An invitation without a scope is in none of the lists by scope: no scope has an empty type.
    let scope = invitation.details.scope(&invitation.account).unwrap_or_else(|| Scope::new("", ""));
    let facts = &invitation.facts;
    let caller_data = invitation.details.general().map(|details| &details.caller_data);
    let inviter = invitation.details.shared().inviter.as_ref();
    let first_email = invitation.recipients.iter().find_map(Recipient::email);
    invitation::Model {
        account_id: account(invitation),
        id: invitation.id.0,
        kind: invitation.details.kind().code().to_owned(),
        scope_type: scope.scope_type,
        scope_id: scope.id,
        resource_id: invitation.details.resource_id(),
        creator: invitation.creator.clone(),
        max_uses: facts.max_uses.map(u32::cast_signed),
        use_count: facts.use_count.cast_signed(),
        expire_at: facts.expire_at.map(Timestamp::micros),
        accepted_at: facts.accepted_at.map(Timestamp::micros),
        declined_at: facts.declined_at.map(Timestamp::micros),
        revoked_at: facts.revoked_at.map(Timestamp::micros),
        revision: invitation.revision,
        generation: i32::from(invitation.generation),
        key_id: i32::from(invitation.key_id),
        mails: invitation.mails,
        details: details_of(invitation),
        created_at: invitation.created_at.micros(),
        updated_at: invitation.updated_at.micros(),
        accepted_elsewhere_at: facts.accepted_elsewhere_at.map(Timestamp::micros),
        emptied_at: facts.emptied_at.map(Timestamp::micros),
        archived_at: invitation.archived_at.map(Timestamp::micros),
        deleted_at: invitation.deleted_at.map(Timestamp::micros),
        first_sent_at: invitation.first_sent_at.map(Timestamp::micros),
        last_sent_at: invitation.last_sent_at.map(Timestamp::micros),
        updater: invitation.updater.clone(),
        inviter_user_id: unless_empty(inviter.map(|inviter| inviter.user_id.clone())),
        widget_configuration_id: unless_empty(
            caller_data.and_then(|caller_data| caller_data.widget_configuration_id.clone()),
        ),
        sort_email: first_email.map(|email| email.key().to_owned()).unwrap_or_default(),
        expiry_told_at: invitation.expiry_told_at.map(Timestamp::micros),
        // It consists of numbers, which JSON can always represent.
        repeats: serde_json::to_value(&invitation.repeats).unwrap_or_default(),
    }
}

/// Returns the rows of an invitation's labels.
pub(in crate::store) fn label_rows(invitation: &Invitation) -> impl Iterator<Item = label::Model> {
    invitation.labels.iter().map(|(key, value)| label::Model {
        account_id: account(invitation),
        invitation_id: invitation.id.0,
        key: key.clone(),
        value: value.clone(),
        created_at: invitation.created_at.micros(),
    })
}

/// Returns the row of one of an invitation's recipients.
pub(in crate::store) fn recipient_row(invitation: &Invitation, recipient: &Recipient) -> recipient::Model {
    recipient::Model {
        account_id: account(invitation),
        invitation_id: invitation.id.0,
        ordinal: i32::from(recipient.ordinal),
        recipient_type: recipient.address.address_type().code().to_owned(),
        value: recipient.address.key().to_owned(),
        original: recipient.address.original().to_owned(),
        accepted_at: recipient.accepted_at.map(Timestamp::micros),
        declined_at: recipient.declined_at.map(Timestamp::micros),
        display_name: unless_empty(recipient.display_name.clone()),
        avatar_uri: unless_empty(recipient.avatar_uri.clone()),
        existing_user: recipient.existing_user,
        created_at: invitation.created_at.micros(),
        // No search finds an address that was erased.
        open_until: invitation.open_until().filter(|_| !recipient.is_erased()).map(Timestamp::micros),
    }
}

/// Returns the rows of the groups that an invitation is found by beside its scope.
pub(in crate::store) fn group_rows(invitation: &Invitation) -> impl Iterator<Item = invitation_group::Model> {
    let scope = invitation.details.scope(&invitation.account);
    let groups = invitation.details.groups();
    let distinct = groups.iter().enumerate().filter(move |(index, group)| {
        let known = scope.as_ref().is_some_and(|scope| scope.is(group));
        !known && !groups[..*index].iter().any(|before| before.is(group))
    });
    distinct.map(|(_, group)| invitation_group::Model {
        account_id: account(invitation),
        scope_type: group.scope_type.clone(),
        scope_id: group.id.clone(),
        created_at: invitation.created_at.micros(),
        invitation_id: invitation.id.0,
    })
}

/// Returns the row of a domain of an auto-join.
pub(in crate::store) fn domain_row(invitation: &Invitation, domain: &str) -> autojoin_domain::Model {
    autojoin_domain::Model {
        account_id: account(invitation),
        domain: domain.to_owned(),
        created_at: invitation.created_at.micros(),
        invitation_id: invitation.id.0,
    }
}

/// Returns the row of a slot.
pub(in crate::store) fn slot_row(account: &AccountId, key: &SlotKey, slot: Slot) -> slot::Model {
    slot::Model {
        account_id: account.as_str().to_owned(),
        key: key.0.clone(),
        invitation_id: slot.invitation.0,
        version: slot.version,
    }
}

/// Reads the holder of a slot.
pub(in crate::store) fn slot_from(row: slot::Model) -> Result<(AccountId, SlotKey, Slot), StoreError> {
    let corrupt = corrupt("slot", &row.invitation_id);
    let account = AccountId::parse(&row.account_id).map_err(|_| corrupt("account_id", "is not an account"))?;
    let slot = Slot { invitation: InvitationId(row.invitation_id), version: row.version };
    Ok((account, SlotKey(row.key), slot))
}
