//! Keys and the secrets derived from them: tokens of links, and codes that verify an e-mail address.

pub mod key_check;
pub mod key_ring;
pub mod token;
pub mod verification;
