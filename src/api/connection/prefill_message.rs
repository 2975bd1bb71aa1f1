//! The prefill of a connection's form, and the connections that were made of it.

use crate::api::convert::timestamp;
use crate::domain::kind::connection::{
    ConnectionDetails, ConnectionPurpose, CreatedConnection, Datasource, Prefill, UtilityType,
};
use crate::pb;

/// Converts the prefill of connection details, which only the invitations to make a connection can have.
pub(in crate::api) fn prefill_of(details: &ConnectionDetails) -> Option<pb::Prefill> {
    match &details.purpose {
        ConnectionPurpose::CreateConnection { prefill } => prefill.as_ref().map(prefill_from),
        ConnectionPurpose::EditConnection { .. } => None,
    }
}

/// Converts what the contributor is asked to do, and the connection it is about.
pub(in crate::api) fn purpose(details: &ConnectionDetails) -> (pb::ConnectionInvitationType, String) {
    match details.purpose {
        ConnectionPurpose::CreateConnection { .. } => (pb::ConnectionInvitationType::CreateConnection, String::new()),
        ConnectionPurpose::EditConnection { connection_id } => {
            (pb::ConnectionInvitationType::EditConnection, connection_id.to_string())
        }
    }
}

fn prefill_from(prefill: &Prefill) -> pb::Prefill {
    use pb::prefill::Datasource as Given;
    let datasource = prefill.datasource.as_ref().map(|datasource| match datasource {
        Datasource::Id(id) => Given::DatasourceId(id.to_string()),
        Datasource::Url(url) => Given::Url(url.as_str().to_owned()),
    });
    let owner = prefill.connection_owner_email.as_ref().map(|email| email.original().to_owned());
    let start_date = prefill.data_collection_start_date.as_ref().map(|date| date.as_str().to_owned());
    pb::Prefill {
        datasource,
        initial_sites: prefill.initial_sites.iter().map(ToString::to_string).collect(),
        utility_types: prefill.utility_types.iter().map(|known| utility_type(*known).into()).collect(),
        country: prefill.country.as_ref().map(|country| country.as_str().to_owned()).unwrap_or_default(),
        connection_owner_email: owner.unwrap_or_default(),
        data_collection_start_date: start_date.unwrap_or_default(),
    }
}

fn utility_type(known: UtilityType) -> pb::UtilityType {
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
pub(in crate::api) fn created_connection(created: &CreatedConnection) -> pb::CreatedConnection {
    pb::CreatedConnection {
        id: created.connection.id.to_string(),
        datasource_name: created.connection.datasource_name.clone(),
        status: created.connection.status.clone(),
        create_time: Some(timestamp(created.created_at)),
    }
}
