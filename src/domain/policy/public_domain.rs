//! Domains of which nobody in particular is a member: those of public mail providers, whose addresses anybody gets, and public
//! suffixes, below which anybody registers. `docs/policy.md` says where the two lists come from and how they are renewed.

use std::collections::HashSet;
use std::sync::LazyLock;

/// The domains of public mail providers, one a line, behind comments that have the source and the date.
pub const MAIL_PROVIDERS: &str = include_str!("mail_providers.txt");

static KNOWN_PROVIDERS: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| MAIL_PROVIDERS.lines().filter(|line| !line.starts_with('#')).collect());

/// Returns whether a domain, which is in ASCII, is that of a public mail provider or a public suffix.
pub fn is_public(domain: &str) -> bool {
    KNOWN_PROVIDERS.contains(domain) || is_public_suffix(domain)
}

fn is_public_suffix(domain: &str) -> bool {
    let suffix = psl::Psl::suffix(&psl::List, domain.as_bytes());
    suffix.is_some_and(|suffix| suffix.as_bytes() == domain.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_and_suffixes_are_public_and_companies_are_not() {
        for domain in [
            "gmail.com",
            "googlemail.com",
            "outlook.de",
            "yahoo.co.jp",
            "gmx.net",
            "web.de",
            "tuta.com",
            "mailbox.org",
            "hey.com",
            "mailinator.com",
            "com",
            "co.uk",
            "github.io",
            "xn--p1ai",
            "x.kawasaki.jp",
        ] {
            assert!(is_public(domain), "{domain}");
        }
        for domain in [
            "example.org",
            "example.com",
            "acme.co.uk",
            "microsoft.com",
            "siemens.com",
            "harvard.edu",
            "me.github.io",
            "city.kawasaki.jp",
            "corp.internal",
        ] {
            assert!(!is_public(domain), "{domain}");
        }
    }

    #[test]
    fn list_of_providers_is_sorted_and_says_where_it_is_from() {
        let (head, rows): (Vec<_>, Vec<_>) = MAIL_PROVIDERS.lines().partition(|line| line.starts_with('#'));
        for word in ["Source:", "Date:", "Renew:", "Licence:"] {
            assert!(head.iter().any(|line| line.contains(word)), "{word}");
        }
        assert!(rows.is_sorted_by(|one, other| one < other), "sorted, each once");
        let is_ascii_domain = |row: &&str| super::super::ascii_domain(row).is_ok_and(|ascii| ascii == *row);
        assert_eq!(rows.iter().find(|row| !is_ascii_domain(row)), None);
        assert!(rows.len() > 1_000);
    }
}
