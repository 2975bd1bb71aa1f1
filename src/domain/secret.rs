//! Keys and what is made with them: tokens of links, and codes that prove an e-mail address.

pub mod key_check;
pub mod key_ring;
pub mod token;
pub mod verification;
