//! What each kind of invitation has of its own, and what the kinds' search columns are made from.

use uuid::Uuid;

use super::connection::{ConnectionDetails, ConnectionPurpose};

/// The kind of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// To connect, or reconnect, a utility account.
    Connection,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 1] = [Self::Connection];

    /// Returns the collection in the names of the kind's own service.
    pub fn collection(self) -> &'static str {
        match self {
            Self::Connection => "connectionInvitations",
        }
    }

    /// Returns the word for the kind in the database.
    pub fn code(self) -> &'static str {
        match self {
            Self::Connection => "connection",
        }
    }

    /// Reverses [`Kind::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// What an invitation lets people into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The sort of scope, for example `company`.
    pub scope_type: String,
    /// The scope's id.
    pub id: String,
}

/// What an invitation has beyond what all have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Details {
    /// Of a connection invitation.
    Connection(ConnectionDetails),
}

impl Details {
    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Connection(_) => Kind::Connection,
        }
    }

    /// Returns what the invitation lets people into.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Connection(details) => company_scope(details.company_id),
        }
    }

    /// Returns the existing resource the invitation is about, where there is one.
    pub fn resource_id(&self) -> Option<Uuid> {
        match self {
            Self::Connection(details) => match details.purpose {
                ConnectionPurpose::CreateConnection { .. } => None,
                ConnectionPurpose::EditConnection { connection_id } => Some(connection_id),
            },
        }
    }
}

/// Returns the scope of a company's invitations.
pub fn company_scope(company_id: Uuid) -> Scope {
    Scope { scope_type: "company".to_owned(), id: company_id.to_string() }
}
