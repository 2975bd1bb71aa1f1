//! Requests about the acceptance that is known.

use invitation_service::pb;

use super::{About, Known, one};
use crate::support::build::{generals, messages};

pub(super) fn of_acceptances(method: &str, known: &Known) -> (About, Vec<u8>) {
    match method {
        "GetAcceptance" => one(&pb::GetAcceptanceRequest { name: known.acceptance.clone() }),
        "ReleaseAcceptance" => one(&pb::ReleaseAcceptanceRequest {
            name: known.acceptance.clone(),
            mode: pb::ReleaseMode::Undo.into(),
            ..Default::default()
        }),
        "UpdateAcceptance" => {
            let (name, grant_expire_time) = (known.acceptance.clone(), messages::at(86_400));
            let acceptance = Some(pb::Acceptance { name, grant_expire_time, ..Default::default() });
            one(&pb::UpdateAcceptanceRequest { acceptance, ..Default::default() })
        }
        "CheckAcceptance" => {
            let acceptor = Some(generals::subject(&known.id));
            let access = Some(pb::check_acceptance_request::Access::Name(known.general.clone()));
            one(&pb::CheckAcceptanceRequest { access, acceptor, ..Default::default() })
        }
        "ListAcceptances" => {
            let parent = format!("invitations/{}", known.id);
            one(&pb::ListAcceptancesRequest { parent, ..Default::default() })
        }
        _ => panic!("{method} has no request here"),
    }
}
