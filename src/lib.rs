//! Invitations done once and right: a gRPC service with one lifecycle for every kind of invitation.
//!
//! The code map, from the outside in:
//!
//! - [`cli`] and [`config`]: arguments, environment and file to one valid configuration; [`commands`]: everything the binary can do.
//! - [`serve`]: puts everything together and runs it; [`shutdown`] ends it.
//! - [`server`]: what every call passes; [`auth`] finds the caller and its permissions; [`api`]: the tonic services over [`pb`].
//! - [`domain`]: what an invitation is and what each command does to it. Pure.
//! - [`pages`]: the pages behind the links.
//! - [`mail`], [`webhook`] and [`nats`]: messages to people, and events to programs.
//! - [`store`]: the SeaORM repository with the executor that loads, decides and saves.
//! - [`tls`]: the certificate of the server.
//! - [`clock`] and [`entropy`]: the only sources of time and randomness. [`telemetry`]: the log. `private_file`: what is written, for
//!   the owner alone. `input_file`: what an operator names, read whole.

#[macro_use]
pub mod telemetry;

pub mod api;
pub mod auth;
pub mod background;
pub mod cli;
pub mod clock;
pub mod commands;
pub mod config;
pub mod domain;
pub mod entropy;
pub mod event_json;
mod input_file;
/// The time limit of asynchronous tests is the same as in the integration tests.
#[cfg(test)]
#[path = "../tests/it/support/limit.rs"]
mod limit;
pub mod mail;
pub mod nats;
pub mod pages;
pub mod pb;
mod private_file;
pub mod serve;
pub mod server;
pub mod shutdown;
pub mod store;
pub mod tls;
pub mod webhook;
