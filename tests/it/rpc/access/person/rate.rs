//! The rate of each person: what one of them uses up is theirs alone.

use std::time::Duration;

use invitation_service::pb;
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::{ANN, BOB, Stage};
use crate::support::database::TestDatabase;
use crate::support::expect::refused;
use crate::support::jwt;
use crate::support::on_both;

on_both!(migrated: person_uses_up_no_more_than_their_own_rate,);

/// The calls of a person at once, by default.
const BURST: usize = 50;

async fn call(stage: &Stage, token: &str) -> Result<(), Status> {
    stage.service.access().get_caller(jwt::with(token, pb::GetCallerRequest {})).await.map(drop)
}

async fn person_uses_up_no_more_than_their_own_rate(database: TestDatabase) {
    let stage = Stage::new(&database).await;
    let ann = stage.ann();
    for _ in 0..BURST - 1 {
        call(&stage, &ann).await.unwrap();
    }
    // A call that is refused counts as well, and another token of theirs makes nobody else of them.
    let denied = stage.service.access().get_quota(jwt::with(&ann, pb::GetQuotaRequest::default())).await;
    refused(denied, Code::PermissionDenied, "PERMISSION_DENIED");
    let again = stage.token("ann", json!({"email": ANN, "nonce": 1}));
    for token in [&ann, &again] {
        let status = refused(call(&stage, token).await, Code::ResourceExhausted, "RATE_LIMITED");
        let details = status.get_error_details();
        assert_eq!(details.error_info().unwrap().metadata["limit"], "calls_per_person");
        assert_eq!(details.quota_failure().unwrap().violations[0].subject, "calls_per_person");
        assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_millis(100)));
    }
    call(&stage, &stage.person("bob", BOB)).await.unwrap();
    call(&stage, &stage.token("ann", json!({"account": "umbrella"}))).await.expect("of another account");
    for _ in 0..2 * BURST {
        call(&stage, &stage.key).await.expect("services have no such rate");
    }
    stage.service.clock.advance(Duration::from_secs(1));
    for _ in 0..10 {
        call(&stage, &ann).await.unwrap();
    }
    refused(call(&stage, &ann).await, Code::ResourceExhausted, "RATE_LIMITED");
    stage.service.stop().await;
}
