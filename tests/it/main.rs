//! The one integration-test binary: everything that needs a database, a server or the sources.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod docs_in_sync;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod rpc;
#[cfg(test)]
mod store;
#[cfg(test)]
mod tidy;
