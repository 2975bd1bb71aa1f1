//! Reads: one round trip each, straight to the pool, always within one account.

pub(super) mod events;
pub(super) mod invitations;

use crate::domain::event::Event;
use crate::domain::invitation::Invitation;
use crate::domain::time::Timestamp;

/// Something read, and the moment its state is judged at.
#[derive(Clone, Debug)]
pub struct Read<T> {
    /// What was read.
    pub found: T,
    /// The database's clock, or the moment that the first page of a list was read at.
    pub now: Timestamp,
}

/// Where a list goes on: behind the row with this key, judged at the moment of the first page.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cursor {
    /// The last row's sort key: a moment in microseconds, or a sequence.
    pub key: i64,
    /// The last row's id, where the key alone does not tell rows apart.
    pub id: uuid::Uuid,
    /// When the first page was read, in microseconds.
    pub frozen: i64,
}

impl Cursor {
    /// Goes on behind an invitation.
    pub fn of_invitation(read: &Read<Invitation>) -> Self {
        Self { key: read.found.created_at.micros(), id: read.found.id.0, frozen: read.now.micros() }
    }

    /// Goes on behind an event of an invitation, whose sequence no other has; nothing about events changes with time.
    pub fn of_event(event: &Event) -> Self {
        Self { key: event.sequence, id: event.event.id, frozen: 0 }
    }
}

/// Appends the values of a statement that is put together and numbers them.
struct Params(Vec<sea_orm::Value>);

impl Params {
    fn push(&mut self, value: impl Into<sea_orm::Value>) -> String {
        self.0.push(value.into());
        format!("${}", self.0.len())
    }

    fn list<T: Into<sea_orm::Value>>(&mut self, values: impl IntoIterator<Item = T>) -> String {
        values.into_iter().map(|value| self.push(value)).collect::<Vec<_>>().join(", ")
    }
}

/// Returns the comparison and the direction of a keyset.
fn direction(descending: bool) -> (&'static str, &'static str) {
    if descending { ("<", "DESC") } else { (">", "ASC") }
}
