//! Records what is known of a connection that an acceptor created, or adds one to an acceptance that had none, in every
//! state. What the request does not have stays as it was.

#[cfg(test)]
mod tests;
use uuid::Uuid;

use super::{Command, CommandRules, ReadSet, Target};
use crate::domain::decide::{AcceptanceChange, Change, Changes, Context, Decided, Maker};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::loaded::Loaded;
use crate::domain::invitation::Invitation;
use crate::domain::invitation::acceptance::Acceptance;
use crate::domain::invitation::event::payload::UpdatedPayload;
use crate::domain::invitation::event::{EventType, Payload};
use crate::domain::invitation::refusal::Refusal;
use crate::domain::kind::connection::{CreatedConnection, NewConnection};
use crate::domain::value::id::AcceptanceId;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::time::Timestamp;

/// Records what is known of a connection that an acceptor created.
#[derive(Clone, Debug)]
pub struct RecordCreatedConnection {
    /// The invitation.
    pub target: Target,
    /// The connection's id.
    pub connection_id: Uuid,
    /// The new name of its data source; `None` keeps the present one.
    pub datasource_name: Option<String>,
    /// Its new status; `None` keeps the present one.
    pub status: Option<String>,
    /// The acceptance that it is added to; `None` if the connection exists.
    pub acceptance: Option<AcceptanceId>,
}

impl CommandRules for RecordCreatedConnection {
    fn read_set(&self) -> ReadSet {
        ReadSet {
            acceptance: self.acceptance,
            created_connection: Some(self.connection_id),
            ..ReadSet::of_named(&self.target)
        }
    }

    fn weight(&self, _reminders: &Schedules) -> usize {
        4
    }

    fn decide(&self, loaded: &Loaded, command: &Command, _context: &Context) -> Result<Decided, Refusal> {
        let invitation = loaded.named(command, &self.target)?;
        if invitation.details.check_created_connection().is_err() {
            let description = "must be an invitation to create a connection, not to repair one";
            let invalid = Invalid::new(FieldRule::NotAllowed, description);
            return Err(Refusal::InvalidField { field: "name", invalid });
        }
        let known = acceptance_to_change(loaded, invitation, self)?;
        let created = self.recorded(known.created_connection.as_ref(), loaded.now);
        if known.created_connection.as_ref() == Some(&created) {
            return Ok(Decided::unchanged(invitation.id));
        }
        let acceptance = known.changed(|acceptance| acceptance.created_connection = Some(created));

        let mut maker = Maker::new(loaded, command);
        let mut invitation = maker.touched(invitation);
        for shown in invitation.acceptances.iter_mut().filter(|shown| shown.id == acceptance.id) {
            shown.clone_from(&acceptance);
        }
        let payload = UpdatedPayload {
            created_connection: Some(self.connection_id),
            acceptance: Some(acceptance.id),
            ..UpdatedPayload::default()
        };
        let events = vec![maker.event(&invitation, EventType::Updated, Payload::Updated(Box::new(payload)))];
        let id = invitation.id;
        let changes = Changes {
            invitations: vec![Change::Update { invitation, unexpired: false }],
            acceptance: Some(AcceptanceChange::Update(acceptance)),
            events,
            ..Changes::default()
        };
        Ok(Decided::changed(id, changes))
    }
}

impl RecordCreatedConnection {
    /// Returns the connection with what is new about it.
    fn recorded(&self, known: Option<&CreatedConnection>, now: Timestamp) -> CreatedConnection {
        let or_known =
            |new: &Option<String>, known: Option<&String>| new.as_ref().or(known).cloned().unwrap_or_default();
        let connection = known.map(|known| &known.connection);
        CreatedConnection {
            connection: NewConnection {
                id: self.connection_id,
                datasource_name: or_known(&self.datasource_name, connection.map(|known| &known.datasource_name)),
                status: or_known(&self.status, connection.map(|known| &known.status)),
            },
            created_at: known.map_or(now, |known| known.created_at),
        }
    }
}

/// Finds the acceptance that has the connection, or that it is added to.
fn acceptance_to_change<'a>(
    loaded: &'a Loaded,
    invitation: &Invitation,
    record: &RecordCreatedConnection,
) -> Result<&'a Acceptance, Refusal> {
    let connection = record.connection_id;
    let holder = loaded.acceptance_with(invitation.id, connection);
    let Some(wanted) = record.acceptance else {
        return holder.ok_or(Refusal::CreatedConnectionNotFound(connection));
    };
    let acceptance =
        loaded.acceptance(invitation.id, wanted).ok_or(Refusal::AcceptanceNotFound(invitation.id, wanted))?;
    if acceptance.is_undone() {
        return Err(Refusal::AcceptanceReleased);
    }
    let elsewhere = holder.is_some_and(|holder| holder.id != wanted);
    let taken = acceptance.created_connection.as_ref().is_some_and(|created| created.connection.id != connection);
    if elsewhere || taken { Err(Refusal::CreatedConnectionExists(connection)) } else { Ok(acceptance) }
}
