//! The rows that a new database begins with.

use crate::domain::secret::key_ring::KeyRing;
use crate::entropy::Entropy;

/// Each row follows a sequence in its order, one replica at a time.
const FOLLOWERS: &str = "INSERT INTO follower (name, position, leased_until)
    VALUES ('sequencer', 0, 0), ('webhooks', 0, 0), ('nats', 0, 0), ('expiry', 0, 0), ('prune', 0, 0)";

/// No key has changed so far.
const API_KEY_POSITION: &str = "INSERT INTO api_key_position (id, position) VALUES (1, 0)";

/// Returns the statements that insert the rows. The key for resume tokens is another one in each database.
pub(super) fn rows() -> [String; 3] {
    let key = KeyRing::format_key(1, Entropy::system().bytes());
    let resume_key = format!("INSERT INTO resume_key (id, key) VALUES (1, '{key}')");
    [FOLLOWERS.to_owned(), API_KEY_POSITION.to_owned(), resume_key]
}
