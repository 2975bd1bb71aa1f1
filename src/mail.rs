//! Mail: messages to people, sent from the outbox.
//!
//! The [`worker`] claims and settles messages; [`mailer`] delivers them by e-mail: [`compose`] turns a message and its invitation
//! into a [`message::Mail`], [`transport`] sends one, once. Only [`smtp`] knows how mail looks on the wire.

pub mod compose;
pub mod mailer;
pub mod message;
mod pace;
pub mod smtp;
pub mod transport;
pub mod worker;
