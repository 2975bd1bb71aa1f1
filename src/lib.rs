//! Invitations done once and right: a gRPC service with one lifecycle for every kind of invitation.
//!
//! The code map, from the outside in:
//!
//! - [`cli`] and [`config`]: arguments, environment and file to one valid configuration; [`commands`]: everything the binary can do.
//! - [`serve`]: puts everything together and runs it; [`shutdown`] ends it.
//! - [`server`]: what every call passes; [`auth`] finds the caller and its permissions; [`api`]: the tonic services over [`pb`].
//! - [`domain`]: what an invitation is and what each command does to it. Pure.
//! - [`pages`]: the pages behind the links.
//! - `dev`: the pages of `invitation-service dev`.
//! - [`mail`], [`webhook`] and [`nats`]: messages to people, and events to programs.
//! - [`store`]: the SeaORM repository with the executor that loads, decides and saves.
//! - [`tls`]: the certificate of the server.
//! - [`clock`] and [`entropy`]: the only sources of time and randomness. [`telemetry`]: the log. `private_file`: what is written, for
//!   the owner alone. `input_file`: what an operator names, read whole.
//!
//! Without the feature `server` there is [`pb`] alone: the messages and the clients, for services that call this one.

#[cfg(feature = "server")]
#[macro_use]
pub mod telemetry;

#[cfg(feature = "server")]
pub mod api;
#[cfg(feature = "server")]
pub mod auth;
#[cfg(feature = "server")]
pub mod background;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod clock;
#[cfg(feature = "server")]
pub mod commands;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
mod dev;
#[cfg(feature = "server")]
pub mod domain;
#[cfg(feature = "server")]
pub mod entropy;
#[cfg(feature = "server")]
pub mod event_json;
#[cfg(feature = "server")]
mod input_file;
/// The time limit of asynchronous tests is the same as in the integration tests.
#[cfg(test)]
#[path = "../tests/it/support/limit.rs"]
mod limit;
#[cfg(feature = "server")]
pub mod mail;
#[cfg(feature = "server")]
pub mod nats;
#[cfg(feature = "server")]
pub mod openapi;
#[cfg(feature = "server")]
pub mod pages;
pub mod pb;
#[cfg(feature = "server")]
mod private_file;
#[cfg(feature = "server")]
pub mod serve;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod shutdown;
#[cfg(feature = "server")]
pub mod store;
#[cfg(feature = "server")]
pub mod tls;
#[cfg(feature = "server")]
pub mod webhook;
