//! The one integration-test binary: everything that needs a database, a server or the sources.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod docs_in_sync;
#[cfg(test)]
mod faces;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod nats;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod rpc;
#[cfg(test)]
mod store;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tidy;
#[cfg(test)]
mod webhook;
