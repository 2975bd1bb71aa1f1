//! What each kind of invitation has of its own, and what all of them can be asked for.

pub mod connection;
pub mod general;
pub mod guest;
pub mod user;

use std::io;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::value::id::InvitationId;
use connection::{ConnectionDetails, ConnectionPurpose};
use general::{GeneralDetails, Inviter, Usage};
use guest::GuestDetails;
use user::UserDetails;

/// The kind of an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// To connect, or reconnect, a utility account.
    Connection,
    /// To join the account with roles.
    User,
    /// To be an organization's guest.
    Guest,
    /// Anything else: people, groups, shared links, domains.
    General,
}

impl Kind {
    /// Every kind there is.
    pub const ALL: [Self; 4] = [Self::Connection, Self::User, Self::Guest, Self::General];

    /// Returns the collection in the names of the kind's own service.
    pub fn collection(self) -> &'static str {
        match self {
            Self::Connection => "connectionInvitations",
            Self::User => "userInvitations",
            Self::Guest => "guestInvitations",
            Self::General => "invitations",
        }
    }

    /// Returns the name of an invitation in the service of its kind.
    pub fn typed_name(self, id: InvitationId) -> String {
        format!("{}/{}", self.collection(), id.0)
    }

    /// Returns the word for the kind in the database.
    pub fn code(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::User => "user",
            Self::Guest => "guest",
            Self::General => "general",
        }
    }

    /// Reverses [`Kind::code`].
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// Something that people are let into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// The sort of scope, for example `company`.
    #[serde(rename = "type")]
    pub scope_type: String,
    /// The scope's id.
    pub id: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}

impl Scope {
    /// Makes a scope without a name.
    pub fn new(scope_type: &str, id: impl ToString) -> Self {
        Self { scope_type: scope_type.to_owned(), id: id.to_string(), display_name: None }
    }

    /// Returns whether it is the same scope, whatever it is called.
    pub fn is(&self, other: &Self) -> bool {
        (&self.scope_type, &self.id) == (&other.scope_type, &other.id)
    }
}

/// What an invitation has beyond what all have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Details {
    /// Of a connection invitation.
    Connection(ConnectionDetails),
    /// Of a user invitation.
    User(UserDetails),
    /// Of a guest invitation.
    Guest(GuestDetails),
    /// Of a general invitation.
    General(Box<GeneralDetails>),
}

impl Details {
    /// Returns the length of the details as JSON.
    pub fn bytes(&self) -> usize {
        let mut counted = Count(0);
        // What was counted until an error is the length: details that cannot be written are refused by the save.
        drop(match self {
            Self::Connection(details) => serde_json::to_writer(&mut counted, details),
            Self::User(details) => serde_json::to_writer(&mut counted, details),
            Self::Guest(details) => serde_json::to_writer(&mut counted, details),
            Self::General(details) => serde_json::to_writer(&mut counted, details),
        });
        counted.0
    }

    /// Returns the kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Connection(_) => Kind::Connection,
            Self::User(_) => Kind::User,
            Self::Guest(_) => Kind::Guest,
            Self::General(_) => Kind::General,
        }
    }

    /// Returns what the invitation lets people into; a user invitation lets them into the account itself.
    pub fn scope(&self) -> Option<Scope> {
        match self {
            Self::Connection(details) => Some(company_scope(details.company_id)),
            Self::User(_) => None,
            Self::Guest(details) => Some(organization_scope(details.host_organization_id)),
            Self::General(details) => details.scope.clone(),
        }
    }

    /// Returns the groups it lets people into beside its scope.
    pub fn groups(&self) -> &[Scope] {
        match self {
            Self::General(details) => &details.groups,
            Self::Connection(_) | Self::User(_) | Self::Guest(_) => &[],
        }
    }

    /// Returns the existing resource the invitation is about, where there is one.
    pub fn resource_id(&self) -> Option<Uuid> {
        match self {
            Self::Connection(details) => match details.purpose {
                ConnectionPurpose::CreateConnection { .. } => None,
                ConnectionPurpose::EditConnection { connection_id } => Some(connection_id),
            },
            Self::User(_) | Self::Guest(_) | Self::General(_) => None,
        }
    }

    /// Returns the roles an acceptor gets.
    pub fn roles(&self) -> &[String] {
        match self {
            Self::User(details) => &details.roles,
            Self::General(details) => &details.roles,
            Self::Connection(_) | Self::Guest(_) => &[],
        }
    }

    /// Returns the organization that invites, where it is one.
    pub fn host(&self) -> Option<Uuid> {
        match self {
            Self::Guest(details) => Some(details.host_organization_id),
            Self::Connection(_) | Self::User(_) | Self::General(_) => None,
        }
    }

    /// Returns whether one of some organizations invites; none stands for whoever it is.
    pub fn is_hosted_by(&self, hosts: Option<&[Uuid]>) -> bool {
        hosts.is_none_or(|hosts| self.host().is_some_and(|host| hosts.contains(&host)))
    }

    /// Returns the person who invites, where that is known.
    pub fn inviter(&self) -> Option<&Inviter> {
        match self {
            Self::General(details) => details.inviter.as_ref(),
            Self::Connection(_) | Self::User(_) | Self::Guest(_) => None,
        }
    }

    /// Returns the general kind's own part.
    pub fn general(&self) -> Option<&GeneralDetails> {
        match self {
            Self::General(details) => Some(details),
            Self::Connection(_) | Self::User(_) | Self::Guest(_) => None,
        }
    }

    /// Returns how a general invitation is meant to be used.
    pub fn usage(&self) -> Option<Usage> {
        self.general().map(|details| details.usage)
    }
}

/// Returns the scope of a company's invitations.
pub fn company_scope(company_id: Uuid) -> Scope {
    Scope::new("company", company_id)
}

/// Returns the scope of an organization's guest invitations.
pub fn organization_scope(organization_id: Uuid) -> Scope {
    Scope::new("organization", organization_id)
}

/// Counts the bytes that are written to it.
struct Count(usize);

impl io::Write for Count {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
