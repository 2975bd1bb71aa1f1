//! Values that are parsed once, at the edge, and are valid from then on.

pub mod email;
pub mod etag;
pub mod given_email;
pub mod grantable_roles;
pub mod id;
pub mod rule;
pub mod scrubbed;
pub mod text;
pub mod time;
pub mod word;
