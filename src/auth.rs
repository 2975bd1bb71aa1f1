//! From a credential to a [`Caller`](caller::Caller): who calls, for which account, and what they may do.
//!
//! Each way to prove who one is (now: API keys of a configuration file and of the database, JWTs of configured issuers, and
//! certificates of clients) ends in a `Caller`; nothing behind this module asks how it came about.

pub mod accounts;
pub mod api_key;
pub mod audit;
pub mod authenticator;
pub mod caller;
pub mod client_certificate;
pub(crate) mod jwt;
pub mod key_directory;
pub mod permission;
pub mod refused_caller;
