//! The policy on who may be invited: the domains of addresses, and those of which nobody in particular is a member.

mod public_domain;
mod redirect;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::value::email::ascii_domain;
use super::value::rule::Invalid;
pub use public_domain::{MAIL_PROVIDERS, is_public};
pub use redirect::RedirectSet;

/// The most entries of a list of domains, or of redirects.
pub const MAX_ENTRIES: usize = 10_000;

/// A set of domains: `example.org` stands for itself alone, `*.example.org` for every domain below it and not for itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainSet {
    exact: BTreeSet<String>,
    below: BTreeSet<String>,
}

impl DomainSet {
    /// Adds an entry, whose domain may be written in any case and in Unicode.
    pub fn add(&mut self, entry: &str) -> Result<(), Invalid> {
        const INVALID: Invalid = Invalid::format("must be a domain such as example.org, or *.example.org");
        match entry.strip_prefix("*.") {
            None => self.exact.insert(ascii_domain(entry).map_err(|_| INVALID)?),
            Some(parent) => {
                // The domain may have a single label, as in `*.example`.
                let below = ascii_domain(&format!("x.{parent}")).map_err(|_| INVALID)?;
                self.below.insert(below["x.".len()..].to_owned())
            }
        };
        Ok(())
    }

    /// Returns whether it has a domain, which is in ASCII.
    pub fn contains(&self, domain: &str) -> bool {
        let mut parents = domain.match_indices('.').map(|(at, _)| &domain[at + 1..]);
        self.exact.contains(domain) || (!self.below.is_empty() && parents.any(|parent| self.below.contains(parent)))
    }

    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.exact.len() + self.below.len()
    }

    /// Returns whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the entries in their one spelling, sorted.
    pub fn entries(&self) -> impl Iterator<Item = String> {
        self.exact.iter().cloned().chain(self.below.iter().map(|parent| format!("*.{parent}")))
    }
}

/// The domains whose addresses may be invited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvitePolicy {
    /// The only domains; `None` for any.
    pub allow: Option<DomainSet>,
    /// The domains that may not be invited, whether or not they are allowed.
    pub deny: DomainSet,
}

impl InvitePolicy {
    /// Returns whether addresses in a domain may be invited.
    pub fn permits(&self, domain: &str) -> bool {
        !self.deny.contains(domain) && self.allow.as_ref().is_none_or(|allow| allow.contains(domain))
    }
}

/// The part of the server's policy that an account may use.
#[derive(Clone, Debug, Default)]
pub struct AccountPolicy {
    /// The domains whose addresses it may invite.
    pub invite: Arc<InvitePolicy>,
    /// The only addresses that its people may be sent to; `None` for all that the server permits.
    pub redirects: Option<Arc<RedirectSet>>,
}

/// The policy of the server, which counts for all accounts.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// The domains whose addresses may be invited.
    pub invite: Arc<InvitePolicy>,
    /// The public domains whose people may join a scope by themselves nevertheless.
    pub autojoin_public: Arc<DomainSet>,
}

impl Policy {
    /// Returns whether the people of a domain may join by themselves, as far as it is not public.
    pub fn lets_join(&self, domain: &str) -> bool {
        !is_public(domain) || self.autojoin_public.contains(domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(entries: &[&str]) -> DomainSet {
        let mut set = DomainSet::default();
        entries.iter().for_each(|entry| set.add(entry).unwrap());
        set
    }

    #[test]
    fn domain_stands_for_itself_and_star_for_those_below() {
        let known = set(&["example.org", "*.corp.example", "*.Edu", "bÜcher.example"]);
        for (domain, is_in) in [
            ("example.org", true),
            ("mail.example.org", false),
            ("anexample.org", false),
            ("corp.example", false),
            ("a.corp.example", true),
            ("b.a.corp.example", true),
            ("xcorp.example", false),
            ("mit.edu", true),
            ("edu.org", false),
            ("xn--bcher-kva.example", true),
            ("org", false),
        ] {
            assert_eq!(known.contains(domain), is_in, "{domain}");
        }
        let entries: Vec<_> = known.entries().collect();
        assert_eq!(entries, ["example.org", "xn--bcher-kva.example", "*.corp.example", "*.edu"]);
        assert_eq!(known.len(), 4);
    }

    #[test]
    fn entry_that_is_no_domain_is_refused() {
        for entry in
            ["", "*", "*.", "example", "a b.org", "*.*.org", "x@example.org", "*example.org", "1.2.3.4", "-a.org"]
        {
            assert!(DomainSet::default().add(entry).is_err(), "{entry:?}");
        }
    }

    #[test]
    fn denied_domain_is_not_invited_although_it_is_allowed() {
        let policy =
            InvitePolicy { allow: Some(set(&["example.org", "*.example.org"])), deny: set(&["x.example.org"]) };
        let permitted = |domain| policy.permits(domain);
        assert_eq!(
            ["example.org", "a.example.org", "x.example.org", "other.org"].map(permitted),
            [true, true, false, false]
        );
        let open = InvitePolicy { allow: None, ..policy };
        assert_eq!(["other.org", "x.example.org"].map(|domain| open.permits(domain)), [true, false]);
        let closed = InvitePolicy { allow: Some(DomainSet::default()), deny: DomainSet::default() };
        assert!(!closed.permits("example.org"), "an empty list allows nobody");
    }

    #[test]
    fn public_domain_joins_only_as_an_exception() {
        let policy = Policy { autojoin_public: Arc::new(set(&["gmx.de"])), ..Policy::default() };
        let joins = |domain| policy.lets_join(domain);
        assert_eq!(["example.org", "gmx.de", "gmail.com", "co.uk"].map(joins), [true, true, false, false]);
    }
}
