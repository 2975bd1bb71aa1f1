//! The content of notices to inviters. It is read when a notice is sent, so that one mail reports all that an hour brought, and
//! nothing is counted before.

use std::collections::BTreeMap;
use std::time::Duration;

use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::domain::delivery::notice::{NAMED_PEOPLE, NoticeContent, span_before};
use crate::domain::delivery::{DeliveryState, Purpose};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::invitation::recipient::Recipient;
use crate::domain::value::given_email::GivenEmail;
use crate::domain::value::id::least_id;
use crate::domain::value::time::Timestamp;
use crate::store::Store;
use crate::store::sql::entity::{acceptance, outbox, recipient};
use crate::store::sql::error::StoreError;
use crate::store::sql::row::recipient_from;
use crate::store::sql::rows_param::in_index;

/// The most by which the id of an acceptance may be older than the acceptance: a process makes the id, and the database says when.
const SKEW: Duration = Duration::from_secs(24 * 3_600);

impl Store {
    /// Reads what a notice of a purpose reports at its moment.
    pub async fn notice_content(
        &self,
        invitation: &Invitation,
        (purpose, moment): (Purpose, Timestamp),
    ) -> Result<NoticeContent, StoreError> {
        match purpose {
            Purpose::AcceptanceNotice => self.accepted(invitation, moment).await,
            Purpose::DeclineNotice => self.declined(invitation, moment).await,
            Purpose::FailureNotice => self.unreached(invitation).await,
            Purpose::ExpiryNotice => Ok(NoticeContent::of(invitation.facts.use_count.into(), [])),
            Purpose::Invitation | Purpose::Reminder | Purpose::VerificationCode => Ok(NoticeContent::default()),
        }
    }

    /// Reads the people who accepted before a moment, without the inviter.
    async fn accepted(&self, invitation: &Invitation, moment: Timestamp) -> Result<NoticeContent, StoreError> {
        use acceptance::Column;
        let (from, to) = span_before(moment);
        let mut select = acceptance::Entity::find()
            .filter(Column::AccountId.eq(invitation.account.as_str()))
            .filter(Column::InvitationId.eq(invitation.id.0))
            // Ids sort by age: a link that thousands have accepted is not read from its beginning.
            .filter(Column::Id.gte(least_id(from.earlier(SKEW))))
            // One that was undone never happened for the inviter either.
            .filter(Column::UndoneId.eq(Uuid::nil()))
            .filter(Column::AcceptedAt.gt(from.micros()))
            .filter(Column::AcceptedAt.lte(to.micros()));
        if let Some(inviter) = &invitation.details.shared().inviter {
            select = select.filter(Column::Subject.ne(inviter.user_id.as_str()));
            if let Some(email) = &inviter.email {
                let is_other = Column::EmailKey.is_null().or(Column::EmailKey.ne(email.key()));
                select = select.filter(is_other.or(Column::Recipient.is_null()));
            }
        }
        let count = select.clone().count(&self.database.read).await?;
        let first = select.order_by_asc(Column::Id).limit(NAMED_PEOPLE as u64).all(&self.database.read).await?;
        let first: Vec<Acceptance> = first.into_iter().map(Acceptance::try_from).collect::<Result<_, _>>()?;
        let connection = first.first().filter(|_| count == 1).and_then(|only| only.created_connection.as_ref());
        let connection = connection.map(|made| made.connection.datasource_name.clone());
        let address = |email: GivenEmail| email.original().to_owned();
        let people = first.into_iter().map(|person| (person.display_name, person.email.map(address)));
        Ok(NoticeContent { connection, ..NoticeContent::of(count, people) })
    }

    /// Reads the recipients who declined before a moment.
    async fn declined(&self, invitation: &Invitation, moment: Timestamp) -> Result<NoticeContent, StoreError> {
        let (from, to) = span_before(moment);
        let is_in = |at: Option<Timestamp>| at.is_some_and(|at| from < at && at <= to);
        let mut declined = self.recipients(invitation).await?;
        declined.retain(|recipient| is_in(recipient.declined_at));
        declined.sort_by_key(|recipient| recipient.declined_at);
        // By its plain link, an invitation that is addressed to nobody is declined as a whole.
        let count = declined.len().max(usize::from(is_in(invitation.facts.declined_at)));
        Ok(NoticeContent::of(u64::try_from(count).unwrap_or_default(), declined.into_iter().map(named)))
    }

    /// Reads the recipients whose latest message with the link did not arrive, and who have not answered all the same.
    async fn unreached(&self, invitation: &Invitation) -> Result<NoticeContent, StoreError> {
        use outbox::Column;
        let [invites, reminds] = [Purpose::Invitation, Purpose::Reminder].map(Purpose::code);
        let messages = outbox::Entity::find()
            .filter(in_index(self.database.backend(), "invitation", Column::AccountId, invitation.account.as_str()))
            .filter(Column::InvitationId.eq(invitation.id.0))
            // A reminder brings the link only once it is tried.
            .filter(Column::Purpose.eq(invites).or(Column::Purpose.eq(reminds).and(Column::Attempts.gt(0))))
            .filter(Column::State.ne(DeliveryState::Cancelled.code()))
            .select_only()
            .columns([Column::Recipient, Column::State])
            .order_by_asc(Column::CreatedAt)
            .order_by_asc(Column::Id);
        let messages: Vec<(i32, String)> = messages.into_tuple().all(&self.database.read).await?;
        let latest: BTreeMap<i32, String> = messages.into_iter().collect();
        let failed =
            [DeliveryState::Failed, DeliveryState::Bounced, DeliveryState::Suppressed].map(DeliveryState::code);
        let is_unreached = |recipient: &Recipient| {
            let latest = latest.get(&recipient.ordinal.into());
            recipient.is_open() && latest.is_some_and(|state| failed.contains(&state.as_str()))
        };
        let mut unreached = self.recipients(invitation).await?;
        unreached.retain(is_unreached);
        Ok(NoticeContent::of(u64::try_from(unreached.len()).unwrap_or_default(), unreached.into_iter().map(named)))
    }

    /// Reads all recipients, by ordinal: the invitation of a message comes with those of the message alone.
    async fn recipients(&self, invitation: &Invitation) -> Result<Vec<Recipient>, StoreError> {
        use recipient::Column;
        let select = recipient::Entity::find()
            .filter(Column::AccountId.eq(invitation.account.as_str()))
            .filter(Column::InvitationId.eq(invitation.id.0))
            .order_by_asc(Column::Ordinal);
        select.all(&self.database.read).await?.into_iter().map(recipient_from).collect()
    }
}

/// Returns the name and the address of a recipient, as far as they are known.
fn named(recipient: Recipient) -> (Option<String>, Option<String>) {
    let address = recipient.address.names_a_person().then(|| recipient.address.original().to_owned());
    (recipient.display_name, address)
}
