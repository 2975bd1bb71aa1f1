//! The RPCs as clients see them: a real client and server over a real connection, on both databases.

mod keys;
mod make;
mod raw;
mod request;

mod access;
mod deadline;
mod descriptor;
mod input;
mod limits;
mod redeem;
