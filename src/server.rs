//! The stations of every call before and after its service: the listener, the protocols, the boundary with its credential, permission and
//! deadline, the calls in flight, statuses and health.

pub(crate) mod admission;
pub(crate) mod answer;
pub mod boundary;
pub(crate) mod call_log;
pub mod codec;
pub(crate) mod connection;
pub(crate) mod deadline;
pub(crate) mod faces;
pub mod health;
pub(crate) mod in_flight;
pub(crate) mod listener;
pub mod open_services;
pub mod request_body;
pub(crate) mod room;
pub(crate) mod seats;
pub(crate) mod status;
pub(crate) mod violation;
