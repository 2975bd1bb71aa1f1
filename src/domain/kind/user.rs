//! What is a user invitation's own: who invites, and the roles the person joins with.

use serde::{Deserialize, Serialize};

/// A user invitation's part of an invitation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserDetails {
    /// Who invites: a name for people, or a resource's name.
    pub inviter: String,
    /// The roles the person gets, in the account's own words.
    #[serde(default)]
    pub roles: Vec<String>,
}
