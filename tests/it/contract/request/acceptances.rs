//! Requests about the acceptance that is known.

use invitation_service::pb;

use super::{About, Known, one};

pub(super) fn of_acceptances(method: &str, known: &Known) -> (About, Vec<u8>) {
    match method {
        "GetAcceptance" => one(&pb::GetAcceptanceRequest { name: known.acceptance.clone() }),
        "ReleaseAcceptance" => one(&pb::ReleaseAcceptanceRequest {
            name: known.acceptance.clone(),
            mode: pb::ReleaseMode::Undo.into(),
            ..Default::default()
        }),
        "ListAcceptances" => {
            let parent = format!("invitations/{}", known.id);
            one(&pb::ListAcceptancesRequest { parent, ..Default::default() })
        }
        _ => panic!("{method} has no request here"),
    }
}
