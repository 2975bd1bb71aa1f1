//! The requests of `ScopeService`.

use invitation_service::pb;

use super::{About, Known, many, new};

pub(super) fn sync_autojoin(known: &Known) -> pb::SyncAutojoinRequest {
    let domains = vec!["example.org".to_owned()];
    pb::SyncAutojoinRequest { scope: Some(known.scope()), domains, ..Default::default() }
}

fn scope_ref(known: &Known) -> pb::ScopeRef {
    let pb::Scope { r#type, id, .. } = known.scope();
    pb::ScopeRef { r#type, id }
}

pub(super) fn occupy_seats(known: &Known, subject: &str) -> pb::OccupySeatsRequest {
    let (scope, subjects) = (Some(scope_ref(known)), vec![subject.to_owned()]);
    pb::OccupySeatsRequest { scope, subjects, ..Default::default() }
}

pub(super) fn of_scopes(method: &str, known: &Known) -> (About, Vec<u8>) {
    let scope = Some(scope_ref(known));
    match method {
        "GetAutojoin" => many(&pb::GetAutojoinRequest { scope }),
        "SyncAutojoin" => new(&sync_autojoin(known)),
        "GetScopeSettings" => many(&pb::GetScopeSettingsRequest { scope }),
        "UpdateScopeSettings" => {
            let scope_settings = Some(pb::ScopeSettings { scope, seats: Some(37), ..Default::default() });
            new(&pb::UpdateScopeSettingsRequest { scope_settings, ..Default::default() })
        }
        "OccupySeats" => new(&occupy_seats(known, "new")),
        "VacateSeats" => {
            let subjects = vec![known.id.clone()];
            new(&pb::VacateSeatsRequest { scope, subjects, ..Default::default() })
        }
        "ListSeats" => many(&pb::ListSeatsRequest { scope, ..Default::default() }),
        _ => panic!("{method} has no request here"),
    }
}
