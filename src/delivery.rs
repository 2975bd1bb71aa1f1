//! What leaves the service: messages to people, sent by a relay from the outbox, and what happened, told to those who follow
//! it.
//!
//! [`relay`] claims and settles; [`post`] is its courier by e-mail: [`compose`] turns a delivery and its invitation into a
//! [`mail::Mail`], [`transport`] sends one, once. Only [`smtp`] knows how mail looks on the wire.

mod cause;
pub mod compose;
pub mod courier;
pub mod event_json;
pub mod mail;
pub mod nats;
mod pace;
pub mod post;
pub mod relay;
pub mod smtp;
pub mod transport;
pub mod webhook;
