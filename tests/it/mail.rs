//! Mail: what is written, and how it is sent.

pub(crate) mod authority;
pub(crate) mod build;
pub(crate) mod compose;
pub(crate) mod directory;
pub(crate) mod hostile_names;
pub(crate) mod message;
pub(crate) mod notices;
pub(crate) mod sender;
pub(crate) mod sink;
pub(crate) mod smtp;
pub(crate) mod smtp_tls;
pub(crate) mod suppressions;
pub(crate) mod turns;
pub(crate) mod worker;
