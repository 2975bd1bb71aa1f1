//! The answers of persons: to what is addressed to them, by name and by link, and to nothing else.

use super::*;
use crate::support::on_both;

on_both!(
    migrated:
    person_answers_what_is_addressed_to_them_by_name,
    links_are_answered_by_the_rules_for_everybody,
    request_id_of_one_person_means_nothing_to_another,
    retry_of_a_person_who_settles_answers_the_same,
);

fn failure(result: &pb::AcceptInvitationsResult) -> Option<Vec<u8>> {
    match &result.result {
        Some(pb::accept_invitations_result::Result::Error(error)) => Some(error.encode_to_vec()),
        _ => None,
    }
}

fn refusal(result: &pb::DeclineInvitationsResult) -> Option<Vec<u8>> {
    match &result.result {
        Some(pb::decline_invitations_result::Result::Error(error)) => Some(error.encode_to_vec()),
        _ => None,
    }
}

async fn person_answers_what_is_addressed_to_them_by_name(database: TestDatabase) {
    let stage = Stage::new(&database).await;
    let both = stage.general(&[generals::email(ANN), generals::email("ann@work.example")]).await.name;
    let (by_subject, user) = (stage.general(&[generals::internal("ann")]).await.name, stage.user(ANN).await);
    let (guest, connection) = (stage.guest(ANN).await.name, stage.connection(&[BOB, ANN]).await.name);
    let own = [&both, &by_subject, &user, &guest, &connection].map(String::as_str);
    let (bobs, link) = (stage.user(BOB).await, stage.general(&[]).await.name);
    // The other account has one to the same person.
    let other = stage.signer.token(NOW, "backend", json!({"account": "other", "scope": "invitations.write"}));
    let request = jwt::with(&other, messages::general(generals::into_team(&[generals::email(ANN)])));
    let foreign = stage.service.invitations().create_invitation(request).await.unwrap().into_inner().name;
    let missing = "invitations/01920000-0000-7000-8000-00000000ffff";
    let others = [bobs.as_str(), link.as_str(), foreign.as_str(), missing];

    let (ann, unverified) = (stage.person("ann", "ANN@EXAMPLE.ORG"), stage.token("ann", json!({"email": ANN})));
    let other_spellings = ["ann+x@example.org", "аnn@example.org", "ann@example.com", "ſann@example.org"];
    let strangers = other_spellings.map(|email| stage.person("eve", email));
    for token in strangers.iter().chain([&stage.token("eve", json!({"email": ANN}))]) {
        let failures: Vec<_> = stage.accept(token, &own).await.iter().map(|result| failure(result).unwrap()).collect();
        let declined: Vec<_> = stage.decline(token, &own).await.iter().map(|result| refusal(result).unwrap()).collect();
        let missing = failure(&stage.accept(token, &[missing]).await[0]).unwrap();
        assert!(failures.iter().chain(&declined).all(|failure| *failure == missing));
    }
    for token in [&ann, &unverified] {
        let failures = stage.accept(token, &others).await;
        let failures: BTreeSet<_> = failures.iter().map(|result| failure(result).unwrap()).collect();
        let declined = stage.decline(token, &others).await;
        let declined: BTreeSet<_> = declined.iter().map(|result| refusal(result).unwrap()).collect();
        assert_eq!((failures.len(), &failures), (1, &declined), "the same bytes");
        let error = pb::BatchError::decode(failures.first().unwrap().as_slice()).unwrap();
        assert_eq!(error.reason, "INVITATION_NOT_FOUND");
    }
    let results = stage.accept(&unverified, &own).await;
    let accepted: Vec<bool> = results.iter().map(|result| failure(result).is_none()).collect();
    assert_eq!(accepted, [false, true, false, false, false], "their subject alone");
    for result in &stage.accept(&ann, &own).await[..] {
        assert_eq!(failure(result), None, "{result:?}");
    }
    let events = pb::ListEventsRequest { parent: both.clone(), ..Default::default() };
    let events = stage.service.events().list_events(stage.by_service(events)).await.unwrap().into_inner().events;
    let accepted = events.iter().find(|event| event.r#type == "invitation.accepted").unwrap();
    assert_eq!(accepted.actor, "users/ann");
    let get = pb::GetInvitationRequest { name: both.clone() };
    let seen = stage.service.invitations().get_invitation(stage.by_service(get)).await.unwrap().into_inner();
    assert_eq!((seen.updater.as_str(), seen.creator.as_str()), ("users/ann", "issuers/main/subjects/backend"));

    // With another address they keep what they have accepted, and reach nothing that was open to the old one.
    let later = stage.user("ann@old.example").await;
    let (old, moved) = (stage.person("ann", "ann@old.example"), stage.person("ann", "ann@new.example"));
    assert!(stage.open_names(&old).await.contains(&later) && !stage.open_names(&moved).await.contains(&later));
    assert!(failure(&stage.accept(&moved, &[&later]).await[0]).is_some());
    let again = stage.accept(&moved, &own).await;
    assert!(again.iter().all(|result| failure(result).is_none() && result.already_accepted));
    assert!(refusal(&stage.decline(&old, &[&later]).await[0]).is_none());
    assert!(!stage.open_names(&old).await.contains(&later));
    stage.service.stop().await;
}

async fn links_are_answered_by_the_rules_for_everybody(database: TestDatabase) {
    let stage = Stage::new(&database).await;
    let (ann, bob) = (stage.ann(), stage.person("bob", BOB));
    let accept = async |person: &str, token: &str| {
        let request = pb::AcceptInvitationRequest { token: token.to_owned(), ..Default::default() };
        stage.service.redemptions().accept_invitation(jwt::with(person, request)).await.map(tonic::Response::into_inner)
    };
    let decline = async |person: &str, token: &str| {
        let request = jwt::with(person, messages::decline(token));
        stage.service.redemptions().decline_invitation(request).await.map(tonic::Response::into_inner)
    };
    let declinable = async |person: &str, token: &str| {
        let request = jwt::with(person, messages::preview(token));
        stage.service.redemptions().preview_invitation(request).await.unwrap().into_inner().declinable
    };
    // A link for many: each is themselves, and sees their own acceptance alone.
    let multi_use = pb::Invitation { invitation_type: pb::InvitationType::MultiUse.into(), ..generals::into_team(&[]) };
    let link = stage.made(multi_use).await.invitation_token;
    for (person, subject) in [(&ann, "ann"), (&bob, "bob"), (&ann, "ann")] {
        let accepted = accept(person, &link).await.unwrap();
        assert_eq!(accepted.acceptance.unwrap().subject, subject);
        let shown: Vec<_> = accepted.invitation.unwrap().acceptances.into_iter().map(|shown| shown.subject).collect();
        assert_eq!(shown, [subject]);
    }
    assert!(accept(&ann, &link).await.unwrap().already_accepted);

    // Links of invitations that are bound, whoever has them.
    let invitation = stage.connection(&[ANN, BOB]).await;
    let general = format!("invitations/{}", invitation.uid);
    let (anns, bobs) = (stage.mailed(&general, ANN).await, stage.mailed(&general, BOB).await);
    let nobody = stage.person("eve", "eve@example.org");
    for token in [&anns, &bobs, &invitation.invitation_token] {
        refused(accept(&nobody, token).await, Code::PermissionDenied, "EMAIL_NOT_ALLOWED");
        refused(decline(&nobody, token).await, Code::PermissionDenied, "EMAIL_NOT_ALLOWED");
        assert!(!declinable(&nobody, token).await && declinable(&ann, token).await);
    }
    let unverified = stage.token("ann", json!({"email": ANN}));
    let plain = &invitation.invitation_token;
    refused(accept(&unverified, plain).await, Code::PermissionDenied, "EMAIL_NOT_ALLOWED");
    refused(decline(&unverified, plain).await, Code::PermissionDenied, "EMAIL_NOT_ALLOWED");
    // With the link of another recipient they decline for themselves.
    decline(&ann, &bobs).await.unwrap();
    refused(accept(&ann, &anns).await, Code::FailedPrecondition, "INVITATION_DECLINED");
    assert_eq!(accept(&bob, &anns).await.unwrap().acceptance.unwrap().email, BOB);
    let guest = stage.guest(ANN).await;
    refused(accept(&bob, &guest.invitation_token).await, Code::PermissionDenied, "EMAIL_NOT_ALLOWED");
    let accepted = accept(&ann, &guest.invitation_token).await.unwrap().acceptance.unwrap();
    assert_eq!((accepted.accepted_by(), accepted.guest_organization_id.as_str()), (pb::AcceptedBy::Guest, ""));
    refused(accept(&ann, "inv_nonsense").await, Code::NotFound, "INVITATION_NOT_FOUND");
    stage.service.stop().await;
}

async fn request_id_of_one_person_means_nothing_to_another(database: TestDatabase) {
    let stage = Stage::new(&database).await;
    let multi_use = pb::Invitation { invitation_type: pb::InvitationType::MultiUse.into(), ..generals::into_team(&[]) };
    let link = stage.made(multi_use).await.invitation_token;
    let invited = stage.connection(&[ANN, BOB]).await.name;
    let by_link = pb::AcceptInvitationRequest { token: link, request_id: "r".to_owned(), ..Default::default() };
    let by_name = pb::AcceptInvitationsRequest {
        entries: generals::entries(&[&invited]),
        request_id: "r".to_owned(),
        ..Default::default()
    };
    let service = messages::accept(&by_link.token, "ann");
    let service = pb::AcceptInvitationRequest { request_id: "r".to_owned(), ..service };
    let mut names = BTreeSet::new();
    // A service uses the id for something else, which is no matter of theirs.
    let first = stage.service.redemptions().accept_invitation(stage.by_service(service)).await.unwrap().into_inner();
    assert!(!first.already_accepted);
    for (subject, email) in [("bob", BOB), ("eve", "eve@example.org"), ("bob", BOB)] {
        let request = jwt::with(&stage.person(subject, email), by_link.clone());
        let accepted = stage.service.redemptions().accept_invitation(request).await.unwrap().into_inner();
        assert!(!accepted.already_accepted, "a replay has the first answer");
        let acceptance = accepted.acceptance.unwrap();
        assert_eq!((acceptance.subject.as_str(), acceptance.email.as_str()), (subject, email));
        names.insert(acceptance.name);
    }
    assert_eq!(names.len(), 2);
    for (subject, email) in [("ann", ANN), ("bob", BOB), ("ann", ANN)] {
        let request = jwt::with(&stage.person(subject, email), by_name.clone());
        let results = stage.service.invitations().accept_invitations(request).await.unwrap().into_inner().results;
        let Some(pb::accept_invitations_result::Result::Acceptance(acceptance)) = &results[0].result else {
            panic!("{results:?}")
        };
        assert_eq!((acceptance.subject.as_str(), acceptance.email.as_str()), (subject, email));
        assert!(!results[0].already_accepted);
    }
    let other = stage.user(ANN).await;
    let other = pb::AcceptInvitationsRequest { entries: generals::entries(&[&other]), ..by_name };
    let reused = stage.service.invitations().accept_invitations(jwt::with(&stage.ann(), other)).await;
    refused(reused, Code::FailedPrecondition, "REQUEST_ID_REUSED");
    stage.service.stop().await;
}

async fn retry_of_a_person_who_settles_answers_the_same(database: TestDatabase) {
    let stage = Stage::new(&database).await;
    let (name, ann) = (stage.general(&[generals::email(ANN)]).await.name, stage.ann());
    let settle = async || {
        let outcome = pb::SettleOutcome::Accepted.into();
        let request = pb::SettleInvitationsRequest { outcome, request_id: "r".to_owned(), ..Default::default() };
        stage.service.invitations().settle_invitations(jwt::with(&ann, request)).await.unwrap().into_inner().results
    };
    let first = settle().await;
    assert_eq!(first.iter().map(|result| &result.name).collect::<Vec<_>>(), [&name]);
    assert_eq!(settle().await, first);
    stage.service.stop().await;
}
