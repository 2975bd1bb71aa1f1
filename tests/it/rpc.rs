//! The RPCs as clients see them: a real client and server over a real connection, on both databases.

mod make;
mod redeem;
