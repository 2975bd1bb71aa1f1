//! Collects the violations of a request, so that all of them are reported at once.

use tonic::Status;

use crate::domain::kind::shared::RedirectUri;
use crate::domain::policy::{AccountPolicy, Policy, RedirectSet};
use crate::domain::value::email::Email;
use crate::domain::value::rule::{FieldRule, Invalid};
use crate::domain::value::text;
use crate::server::status::invalid_fields;
use crate::server::violation::Violation;

/// The violations of one request, the status that refuses it if it has none, and the one that refuses it in any case.
#[derive(Default)]
pub(crate) struct Violations {
    fields: Vec<Violation>,
    domains: Vec<NamedDomain>,
    redirects: Vec<(String, RedirectUri)>,
    refusal: Option<Status>,
    denial: Option<Status>,
}

/// A domain that the request names, for the policy on domains.
struct NamedDomain {
    field: String,
    domain: String,
    /// Whether its people are to join by themselves, and not only one of them to be invited.
    joins: bool,
}

impl Violations {
    /// Notes an address that the request invites. Whoever adds an address to an invitation calls it.
    pub(crate) fn invites(&mut self, field: impl Into<String>, email: &Email) {
        let (field, domain) = (field.into(), email.domain().to_owned());
        self.domains.push(NamedDomain { field, domain, joins: false });
    }

    /// Notes a domain whose people are to join by themselves.
    pub(crate) fn lets_join(&mut self, field: impl Into<String>, domain: &str) {
        let (field, domain) = (field.into(), domain.to_owned());
        self.domains.push(NamedDomain { field, domain, joins: true });
    }

    /// Notes an address that people are sent to by the request.
    pub(crate) fn redirects(&mut self, field: impl Into<String>, redirect: &RedirectUri) {
        self.redirects.push((field.into(), redirect.clone()));
    }

    /// Adds a violation for each noted domain and redirect that the policies of the server and of the account do not permit.
    pub(crate) fn check_policy(&mut self, (server, redirects): (&Policy, &RedirectSet), account: &AccountPolicy) {
        for (field, redirect) in std::mem::take(&mut self.redirects) {
            let is_own = account.redirects.as_ref().is_none_or(|own| own.permits(&redirect));
            if !redirects.permits(&redirect) || !is_own {
                let description = "must be below an address that people may be sent to: have it added to links.redirects, or leave it out";
                self.add(field, FieldRule::RedirectNotAllowed, description);
            }
        }
        for NamedDomain { field, domain, joins } in std::mem::take(&mut self.domains) {
            let description = if !server.invite.permits(&domain) || !account.invite.permits(&domain) {
                "must have a domain that may be invited: have it allowed in the server's policy, or leave it out"
            } else if joins && !server.lets_join(&domain) {
                "must not be a public suffix or of a public mail provider, where anybody could join: have it allowed"
            } else {
                continue;
            };
            self.add(field, FieldRule::DomainNotAllowed, description);
        }
    }

    /// Adds a violation.
    pub(crate) fn add(&mut self, field: impl Into<String>, rule: FieldRule, description: &str) {
        self.fields.push(Violation::new(field, rule, description));
    }

    /// Returns the parsed value, or adds the violation.
    pub(crate) fn take<T>(&mut self, field: impl Into<String>, parsed: Result<T, Invalid>) -> Option<T> {
        parsed.map_err(|Invalid { rule, description }| self.add(field, rule, description)).ok()
    }

    /// Parses a string; an empty one is `None`.
    pub(crate) fn optional<T>(
        &mut self,
        field: &str,
        value: &str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        if value.is_empty() { None } else { self.take(field, parse(value)) }
    }

    /// Parses a string that must not be empty.
    pub(crate) fn required<T>(
        &mut self,
        field: &str,
        value: &str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Option<T> {
        if value.is_empty() {
            self.add(field, FieldRule::Required, "is required");
            return None;
        }
        self.take(field, parse(value))
    }

    /// Parses a text that the caller gives beside a command; one without words is `None`.
    pub(crate) fn remark(&mut self, field: &str, value: &str) -> Option<String> {
        self.take(field, text::remark(value)).filter(|remark| !remark.is_empty())
    }

    /// Parses each of several strings and refuses more than `max` of them.
    pub(crate) fn each<T>(
        &mut self,
        field: &str,
        values: &[String],
        max: usize,
        parse: impl Fn(&str) -> Result<T, Invalid>,
    ) -> Vec<T> {
        self.each_at(field, values, max, |violations, field, value| violations.take(field, parse(value)))
    }

    /// Parses each of several strings at its own path and refuses more than `max` of them.
    pub(crate) fn each_at<T>(
        &mut self,
        field: &str,
        values: &[String],
        max: usize,
        parse: impl Fn(&mut Self, String, &str) -> Option<T>,
    ) -> Vec<T> {
        if values.len() > max {
            self.add(field, FieldRule::TooMany, &format!("must have at most {max} entries"));
            return Vec::new();
        }
        let parsed = values.iter().enumerate();
        parsed.filter_map(|(index, value)| parse(self, format!("{field}[{index}]"), value)).collect()
    }

    /// Refuses the request with a status, unless a field is invalid.
    pub(crate) fn refuse(&mut self, status: Status) {
        self.refusal.get_or_insert(status);
    }

    /// Refuses the request with a status, whether its fields are valid or not: the caller may not say what it says.
    pub(crate) fn deny(&mut self, status: Status) {
        self.denial.get_or_insert(status);
    }

    /// Returns the parsed value, unless there are violations.
    pub(crate) fn finish<T>(self, parsed: Option<T>) -> Result<T, Status> {
        if let Some(denial) = self.denial {
            return Err(denial);
        }
        match (parsed, self.refusal) {
            (Some(parsed), None) if self.fields.is_empty() => Ok(parsed),
            (_, Some(refusal)) if self.fields.is_empty() => Err(refusal),
            _ => Err(invalid_fields(self.fields)),
        }
    }
}
