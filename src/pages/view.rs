//! The content of a page: its state, and the values that its template may use.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, Timelike as _};
use http::StatusCode;
use minijinja::Value;
use strum::IntoStaticStr;

use crate::mail::compose::name::{visible_message, visible_name};
use crate::pb;

/// The subject of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum State {
    /// The person can answer.
    Open,
    /// The invitation wants a proven address, which they have to name.
    Email,
    /// They have asked for a code, and enter it.
    Code,
    /// The scope has no seat left.
    Full,
    /// It is accepted elsewhere, and nothing says where.
    Elsewhere,
    /// They have accepted.
    Accepted,
    /// They have declined.
    Declined,
    /// They go on elsewhere to accept.
    Intended,
    /// It has expired.
    Expired,
    /// It was revoked.
    Revoked,
    /// It was declined before.
    Refused,
    /// It was used up before.
    Fulfilled,
    /// There is no such invitation, for whatever reason.
    Invalid,
    /// There is no visit: it is over, or the browser keeps no cookies.
    NoVisit,
    /// A form came from elsewhere, or from another visit.
    Foreign,
    /// There were too many requests.
    Busy,
    /// The services do not answer.
    Unavailable,
    /// The path, the method or the form is none of the pages'.
    Unknown,
    /// A program previews the link.
    Unfurl,
}

impl State {
    pub(super) const ALL: [Self; 19] = [
        Self::Open,
        Self::Email,
        Self::Code,
        Self::Full,
        Self::Elsewhere,
        Self::Accepted,
        Self::Declined,
        Self::Intended,
        Self::Expired,
        Self::Revoked,
        Self::Refused,
        Self::Fulfilled,
        Self::Invalid,
        Self::NoVisit,
        Self::Foreign,
        Self::Busy,
        Self::Unavailable,
        Self::Unknown,
        Self::Unfurl,
    ];

    /// Returns the status of a page without an error in its form.
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::Open
            | Self::Email
            | Self::Code
            | Self::Full
            | Self::Elsewhere
            | Self::Accepted
            | Self::Declined
            | Self::Intended
            | Self::Unfurl => StatusCode::OK,
            Self::Expired | Self::Revoked | Self::Refused | Self::Fulfilled => StatusCode::GONE,
            Self::Invalid | Self::Unknown => StatusCode::NOT_FOUND,
            Self::NoVisit => StatusCode::BAD_REQUEST,
            Self::Foreign => StatusCode::FORBIDDEN,
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns whether the page has a form, so that its template has to place the text that ties it to the visit.
    pub(super) fn has_form(self) -> bool {
        matches!(self, Self::Open | Self::Email | Self::Code)
    }
}

/// The error in a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum FormError {
    /// The address is none.
    EmailInvalid,
    /// The code is wrong, or too old.
    CodeInvalid,
    /// There were too many codes, or tries of them.
    TooMany,
    /// The address cannot accept.
    EmailNotAllowed,
}

/// Everything that a page shows.
#[derive(Clone, Default)]
pub(super) struct View {
    pub(super) error: Option<FormError>,
    /// The minutes to wait, for a page that says so.
    pub(super) wait: u64,
    /// The text that ties a form to its visit.
    pub(super) visit: String,
    /// The address that was proven or that a code was sent to, or the one that the link was mailed to.
    pub(super) email: String,
    /// The address to go on to.
    pub(super) next: String,
    /// Whether the person may say that it was they who accepted.
    pub(super) again: bool,
    /// Whether the answer is given elsewhere.
    pub(super) forwards: bool,
    /// The invitation, if there is one.
    pub(super) preview: Option<pb::InvitationPreview>,
}

impl View {
    /// Returns the values for a template.
    pub(super) fn values(&self, state: State, sender: &str, locale: &str) -> BTreeMap<&'static str, Value> {
        let preview = self.preview.clone().unwrap_or_default();
        let name = |scope: &pb::Scope| visible_name(&scope.display_name);
        let names =
            |names: Vec<String>| Value::from(names.into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>());
        let unfurl = preview.unfurl_config.clone().unwrap_or_default();
        let host = url::Url::parse(&self.next).ok().and_then(|url| url.host_str().map(str::to_owned));
        let state: &'static str = state.into();
        let error: &'static str = self.error.map(Into::into).unwrap_or_default();
        let mut values = BTreeMap::from([
            ("state", Value::from(state)),
            ("error", Value::from(error)),
            ("wait", Value::from(self.wait)),
            ("visit", Value::from(self.visit.as_str())),
            ("email", Value::from(visible_name(&self.email))),
            ("next", Value::from(self.next.as_str())),
            ("next_host", Value::from(host.unwrap_or_default())),
            ("again", Value::from(self.again)),
            ("forwards", Value::from(self.forwards)),
            ("sender", Value::from(visible_name(sender))),
            ("locale", Value::from(locale)),
        ]);
        values.extend([
            ("kind", Value::from(kind(preview.kind()))),
            ("scope", Value::from(preview.scope.as_ref().map(name).unwrap_or_default())),
            ("organization", Value::from(visible_name(&preview.parent_organization_name))),
            ("groups", names(preview.groups.iter().map(name).collect())),
            ("roles", names(preview.roles.iter().map(|role| visible_name(role)).collect())),
            (
                "inviter",
                Value::from(preview.inviter.map(|inviter| visible_name(&inviter.display_name)).unwrap_or_default()),
            ),
            ("message", Value::from(visible_message(&preview.message))),
            ("masked_emails", names(preview.masked_emails.iter().map(|email| visible_name(email)).collect())),
            ("declinable", Value::from(preview.declinable)),
            ("existing_user", Value::from(preview.existing_user.unwrap_or_default())),
            ("expires", preview.expire_time.as_ref().and_then(moment).unwrap_or(Value::from(()))),
        ]);
        values.extend([
            ("unfurl_title", Value::from(visible_message(&unfurl.title))),
            ("unfurl_description", Value::from(visible_message(&unfurl.description))),
            ("unfurl_image", Value::from(unfurl.image_uri)),
            ("unfurl_type", Value::from(visible_name(&unfurl.r#type))),
            ("unfurl_site_name", Value::from(visible_name(&unfurl.site_name))),
        ]);
        values
    }
}

fn kind(kind: pb::InvitationKind) -> String {
    kind.as_str_name().trim_start_matches("INVITATION_KIND_").to_ascii_lowercase()
}

fn moment(at: &prost_types::Timestamp) -> Option<Value> {
    let time = DateTime::from_timestamp(at.seconds, 0)?;
    Some(Value::from_pairs([
        ("year", Value::from(time.year())),
        ("month", Value::from(time.month())),
        ("day", Value::from(time.day())),
        ("time", Value::from(format!("{:02}:{:02}", time.hour(), time.minute()))),
        ("iso", Value::from(time.format("%Y-%m-%dT%H:%MZ").to_string())),
    ]))
}
