//! The prefill of a connection's form, and the connections that acceptors create: parsed and converted.

use crate::api::convert::timestamp;
use crate::api::parse::keep_first;
use crate::api::parse::violations::Violations;
use crate::domain::kind::connection::{
    ConnectionDetails, ConnectionPurpose, Country, CreatedConnection, Datasource, HttpUrl, NewConnection, Prefill,
    StartDate, UtilityType,
};
use crate::domain::value::email::Email;
use crate::domain::value::rule::FieldRule;
use crate::domain::value::text;
use crate::pb;

const MAX_SITES: usize = 100;
const MAX_UTILITY_TYPES: usize = 10;

/// Parses a prefill; `path` is the path of its field.
pub(in crate::api) fn prefill(violations: &mut Violations, path: &str, prefill: &pb::Prefill) -> Prefill {
    use pb::prefill::Datasource as Given;
    let at = |field: &str| format!("{path}.{field}");
    let datasource = prefill.datasource.as_ref().and_then(|given| match given {
        Given::DatasourceId(id) => violations.take(at("datasource_id"), text::uuid(id).map(Datasource::Id)),
        Given::DatasourceUri(url) => violations.take(at("datasource_uri"), HttpUrl::parse(url).map(Datasource::Url)),
    });
    let mut initial_sites = violations.each(&at("initial_site_ids"), &prefill.initial_site_ids, MAX_SITES, text::uuid);
    keep_first(&mut initial_sites);
    let country = violations.optional(&at("country"), &prefill.country, Country::parse);
    let owner = violations.optional(&at("connection_owner_email"), &prefill.connection_owner_email, Email::parse);
    let date = &prefill.data_collection_start_date;
    let start_date = violations.optional(&at("data_collection_start_date"), date, StartDate::parse);
    Prefill {
        datasource,
        initial_sites,
        utility_types: utility_types(violations, &at("utility_types"), prefill),
        country,
        connection_owner_email: owner,
        data_collection_start_date: start_date,
    }
}

fn utility_types(violations: &mut Violations, field: &str, prefill: &pb::Prefill) -> Vec<UtilityType> {
    if prefill.utility_types.len() > MAX_UTILITY_TYPES {
        violations.add(field, FieldRule::TooMany, "must have at most 10 entries");
        return Vec::new();
    }
    let mut parsed = Vec::new();
    for (index, value) in prefill.utility_types.iter().enumerate() {
        match pb::UtilityType::try_from(*value).ok().and_then(utility_type) {
            None => {
                violations.add(format!("{field}[{index}]"), FieldRule::UnknownValue, "must be a known utility type");
            }
            Some(known) => parsed.push(known),
        }
    }
    keep_first(&mut parsed);
    parsed
}

fn utility_type(value: pb::UtilityType) -> Option<UtilityType> {
    use pb::UtilityType as Given;
    match value {
        Given::Unspecified => None,
        Given::Electricity => Some(UtilityType::Electricity),
        Given::NaturalGas => Some(UtilityType::NaturalGas),
        Given::Water => Some(UtilityType::Water),
        Given::Heating => Some(UtilityType::Heating),
        Given::Cooling => Some(UtilityType::Cooling),
        Given::Steam => Some(UtilityType::Steam),
        Given::Waste => Some(UtilityType::Waste),
        Given::Solar => Some(UtilityType::Solar),
        Given::Other => Some(UtilityType::Other),
    }
}

/// Parses a created connection; `path` is the path of its field. `create_time` is the service's own and ignored.
pub(in crate::api) fn created_connection(
    violations: &mut Violations,
    path: &str,
    connection: &pb::CreatedConnection,
) -> Option<NewConnection> {
    let at = |field: &str| format!("{path}.{field}");
    let id = violations.required(&at("id"), &connection.id, text::uuid);
    let name = &connection.datasource_name;
    let datasource_name = violations.optional(&at("datasource_name"), name, text::free_text);
    let status = violations.optional(&at("status"), &connection.status, text::free_text);
    Some(NewConnection {
        id: id?,
        datasource_name: datasource_name.unwrap_or_default(),
        status: status.unwrap_or_default(),
    })
}

/// Converts the prefill of connection details, which only invitations to create a connection can have.
pub(in crate::api) fn prefill_of(details: &ConnectionDetails) -> Option<pb::Prefill> {
    match &details.purpose {
        ConnectionPurpose::CreateConnection { prefill } => prefill.as_ref().map(prefill_from),
        ConnectionPurpose::EditConnection { .. } => None,
    }
}

/// Converts the task of the contributor, and the connection it is about.
pub(in crate::api) fn purpose(details: &ConnectionDetails) -> (pb::ConnectionPurpose, String) {
    match details.purpose {
        ConnectionPurpose::CreateConnection { .. } => (pb::ConnectionPurpose::CreateConnection, String::new()),
        ConnectionPurpose::EditConnection { connection_id } => {
            (pb::ConnectionPurpose::EditConnection, connection_id.to_string())
        }
    }
}

fn prefill_from(prefill: &Prefill) -> pb::Prefill {
    use pb::prefill::Datasource as Converted;
    let datasource = prefill.datasource.as_ref().map(|datasource| match datasource {
        Datasource::Id(id) => Converted::DatasourceId(id.to_string()),
        Datasource::Url(url) => Converted::DatasourceUri(url.as_str().to_owned()),
    });
    let owner = prefill.connection_owner_email.as_ref().map(|email| email.original().to_owned());
    let start_date = prefill.data_collection_start_date.as_ref().map(|date| date.as_str().to_owned());
    pb::Prefill {
        datasource,
        initial_site_ids: prefill.initial_sites.iter().map(ToString::to_string).collect(),
        utility_types: prefill.utility_types.iter().map(|known| utility_type_from(*known).into()).collect(),
        country: prefill.country.as_ref().map(|country| country.as_str().to_owned()).unwrap_or_default(),
        connection_owner_email: owner.unwrap_or_default(),
        data_collection_start_date: start_date.unwrap_or_default(),
    }
}

fn utility_type_from(known: UtilityType) -> pb::UtilityType {
    match known {
        UtilityType::Electricity => pb::UtilityType::Electricity,
        UtilityType::NaturalGas => pb::UtilityType::NaturalGas,
        UtilityType::Water => pb::UtilityType::Water,
        UtilityType::Heating => pb::UtilityType::Heating,
        UtilityType::Cooling => pb::UtilityType::Cooling,
        UtilityType::Steam => pb::UtilityType::Steam,
        UtilityType::Waste => pb::UtilityType::Waste,
        UtilityType::Solar => pb::UtilityType::Solar,
        UtilityType::Other => pb::UtilityType::Other,
    }
}

/// Converts a created connection.
pub(in crate::api) fn created_connection_from(created: &CreatedConnection) -> pb::CreatedConnection {
    pb::CreatedConnection {
        id: created.connection.id.to_string(),
        datasource_name: created.connection.datasource_name.clone(),
        status: created.connection.status.clone(),
        create_time: Some(timestamp(created.created_at)),
    }
}
