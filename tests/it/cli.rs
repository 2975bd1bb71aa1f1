//! The built binary as its users meet it: started by a shell, configured by files and variables, spoken to by other
//! people's clients, stopped by notifications, and killed.

mod admin;
mod backup;
mod cloud_events;
mod commands;
mod connection_age;
mod crash;
mod dev;
mod doctor;
mod examples;
mod faces;
#[cfg(target_os = "linux")]
mod faults;
mod first_steps;
mod followers;
mod key_ring;
mod keys;
mod load;
mod log;
mod metrics;
mod mtls;
mod operator;
mod outage;
mod output;
mod pooler;
mod readiness;
mod reload;
mod restart;
mod secrets;
mod server;
mod shutdown;
mod startup;
mod tls;
pub(crate) mod tools;
mod traces;
mod trouble;
mod watch;
