//! Endpoints to rows and back.

use serde_json::Value;

use crate::domain::invitation::event::{EventFormat, EventTypeFilter};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::domain::value::word::Word;
use crate::domain::webhook::{DisabledReason, Endpoint, SealedSecrets};
use crate::store::sql::entity::webhook_endpoint::Model;
use crate::store::sql::error::StoreError;

/// The row of a new endpoint. From which position on it gets events is for the statement to say.
pub(super) fn endpoint_row(account: &AccountId, endpoint: &Endpoint) -> Model {
    let (previous_secret, previous_until) = endpoint.secrets.previous.clone().unzip();
    Model {
        account_id: account.as_str().to_owned(),
        id: endpoint.id,
        uri: endpoint.uri.clone(),
        event_types: event_types_json(endpoint),
        format: format(endpoint),
        disabled_at: endpoint.disabled_at.map(Timestamp::micros),
        disabled_reason: disabled_reason(endpoint),
        secret: endpoint.secrets.present.clone(),
        previous_secret,
        previous_until: previous_until.map(Timestamp::micros),
        failing_since: endpoint.failing_since.map(Timestamp::micros),
        revision: endpoint.revision,
        creator: endpoint.creator.clone(),
        created_at: endpoint.created_at.micros(),
        updated_at: endpoint.updated_at.micros(),
        since_position: 0,
        tested_at: None,
        rests_until: None,
    }
}

/// Returns the code of the reason why the service disabled an endpoint, if it did.
pub(super) fn disabled_reason(endpoint: &Endpoint) -> Option<String> {
    endpoint.disabled_reason.as_ref().map(|reason| reason.text(DisabledReason::code).to_owned())
}

/// Returns the code of the form in which an endpoint gets events.
pub(super) fn format(endpoint: &Endpoint) -> String {
    endpoint.format.text(EventFormat::code).to_owned()
}

/// Returns the names of the types that an endpoint subscribes to.
pub(super) fn event_types_json(endpoint: &Endpoint) -> Value {
    endpoint.event_types.iter().map(|event_type| event_type.text(EventTypeFilter::name)).collect()
}

impl TryFrom<Model> for Endpoint {
    type Error = StoreError;

    fn try_from(row: Model) -> Result<Self, StoreError> {
        let corrupt = |column: &'static str, problem: &'static str| StoreError::Corrupt {
            table: "webhook_endpoint",
            column,
            row: row.id.to_string(),
            problem,
        };
        let reason = row.disabled_reason.as_deref().map(|code| {
            Word::parse(code, DisabledReason::from_code).ok_or_else(|| corrupt("disabled_reason", "is not a code"))
        });
        let disabled_reason = reason.transpose()?;
        let format =
            Word::parse(&row.format, EventFormat::from_code).ok_or_else(|| corrupt("format", "is not a code"))?;
        let corrupt = || corrupt("event_types", "is not a list of types");
        let names = row.event_types.as_array().ok_or_else(corrupt)?.iter();
        let word = |name: &Value| name.as_str().and_then(EventTypeFilter::parse_stored);
        let event_types = names.map(|name| word(name).ok_or_else(corrupt));
        Ok(Self {
            id: row.id,
            event_types: event_types.collect::<Result<_, _>>()?,
            format,
            uri: row.uri,
            disabled_at: row.disabled_at.map(Timestamp::from_micros),
            disabled_reason,
            secrets: SealedSecrets {
                present: row.secret,
                previous: row.previous_secret.zip(row.previous_until.map(Timestamp::from_micros)),
            },
            failing_since: row.failing_since.map(Timestamp::from_micros),
            revision: row.revision,
            creator: row.creator,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
        })
    }
}
