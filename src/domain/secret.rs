//! Keys and the secrets derived from them: tokens of links, codes that verify an e-mail address, and receipts.

pub mod key_check;
pub mod key_ring;
pub mod receipt;
pub mod token;
pub mod verification;

/// The beginnings of tokens, API keys and webhook secrets.
const PREFIXES: [&str; 3] = ["inv_", "ivk_", "whsec_"];
/// The fewest characters behind the beginning. A caller's own id may begin alike, and end with a UUID.
const MIN_LENGTH: usize = 40;

/// Returns whether a text has something in it that may be a token, an API key or a webhook secret: a caller has put it into the wrong
/// place, where it would be stored or logged.
pub fn has_secret(text: &str) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_+/".contains(byte);
    let has = |prefix: &&str| {
        let rests = text.match_indices(*prefix).map(|(begin, _)| &text[begin + prefix.len()..]);
        rests.into_iter().any(|rest| rest.bytes().take_while(is_digit).count() >= MIN_LENGTH)
    };
    PREFIXES.iter().any(has)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_and_ids_that_begin_alike_are_none() {
        let digits = "aB3-_".repeat(8);
        for secret in [format!("inv_{digits}"), format!("key=ivk_{digits}"), format!("inv_1/inv_{digits};")] {
            assert!(has_secret(&secret), "{secret}");
        }
        let uuid = "0192f3a4-0000-7000-8000-00000000c0de";
        for id in [format!("inv_{uuid}"), format!("whsec_{}", &digits[1..]), digits.repeat(2), "ivk_".repeat(9)] {
            assert!(!has_secret(&id), "{id}");
        }
    }
}
