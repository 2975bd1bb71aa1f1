//! The refusals by which a mail server says that an address will never take mail: those of the recipient's own address, for good.
//!
//! A refusal for a policy, a full mailbox, a bad sender or a greylist says nothing about the address, so it suppresses nobody. Neither
//! does a refusal without an enhanced status code (RFC 3463): servers answer 550 to what they take for spam, too.

/// The permanent codes of a recipient's address: no such mailbox, no such system, no address at all, moved without a new address, and a
/// domain that takes no mail (RFC 7505). Left out of `5.1.x` are the codes of the sender's address and those that say nothing for good.
const BAD_ADDRESS: [&str; 5] = ["5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10"];

/// Returns whether an enhanced status code says that the recipient's address will never take mail.
pub fn is_bad_address(code: &str) -> bool {
    BAD_ADDRESS.contains(&code)
}

/// Returns whether a provider's report of a bounce is about an address that will never take mail. Providers report what came back for
/// good, so a report without a code counts; one with a code counts if the code says so.
pub fn is_hard(detail: Option<&str>) -> bool {
    let detail = detail.unwrap_or_default();
    let words =
        || detail.split(|letter: char| !letter.is_ascii_digit() && letter != '.').map(|word| word.trim_matches('.'));
    match words().find(|word| is_enhanced(word)) {
        Some(code) => is_bad_address(code),
        // A plain code of three digits, where it comes first: 4xx will be tried again.
        None => !words().find(|word| !word.is_empty()).is_some_and(|first| first.len() == 3 && first.starts_with('4')),
    }
}

/// Returns whether a word is an enhanced status code: a class, a subject and a detail.
pub fn is_enhanced(word: &str) -> bool {
    let parts: Vec<_> = word.split('.').collect();
    let is_number = |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    parts.len() == 3 && ["2", "4", "5"].contains(&parts[0]) && parts.iter().all(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_wrong_with_the_address_for_good_is_hard() {
        for (detail, is_hard_bounce) in [
            ("", true),
            ("550 no such user", true),
            ("550 5.1.1 <[removed]>: Recipient address rejected", true),
            ("smtp; 550-5.1.1 The email account that you tried to reach does not exist", true),
            ("5.1.10 null MX", true),
            ("554 5.1.2 bad destination system (host 192.0.2.17)", true),
            ("host 192.0.2.17 said no such user", true),
            ("550 5.7.1 blocked by policy", false),
            ("550 5.1.8 bad sender", false),
            ("550 5.1.0 rejected", false),
            ("552 5.2.2 mailbox full", false),
            ("450 4.2.0 greylisted, see http://example.org", false),
            ("451 try again later", false),
            ("4.1.1 not now", false),
        ] {
            assert_eq!(is_hard(Some(detail)), is_hard_bounce, "{detail}");
        }
        assert!(is_hard(None));
    }
}
