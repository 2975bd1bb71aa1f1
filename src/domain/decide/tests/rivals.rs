//! The limits on the open invitations that a command compares or closes.

use uuid::Uuid;

use super::{beside, run_on};
use crate::domain::command::{Action, Command, CreateInvitation, OnConflict};
use crate::domain::decide::Decided;
use crate::domain::fixtures::{
    NOW, accept, account, at, command, creation, email, general, invited, minutes, person, scope,
};
use crate::domain::group::loaded::Loaded;
use crate::domain::group::open::{MAX_RIVALS, MAX_SHARED_RIVALS};
use crate::domain::invitation::Invitation;
use crate::domain::invitation::refusal::Refusal;
use crate::domain::kind::general::Usage;
use crate::domain::kind::{Details, Kind};
use crate::domain::value::id::InvitationId;

const ANN: &str = "ann@example.org";
const BOB: &str = "bob@example.org";

fn single() -> Details {
    Details::General(Box::new(general(Usage::SingleUse)))
}

/// Open invitations with these addresses, one after another.
fn open(count: usize, addresses: &[&str]) -> Vec<Invitation> {
    (1..=count).map(|number| invited(number as u128, single(), addresses)).collect()
}

fn with(invitations: &[Invitation]) -> Loaded {
    let mut loaded = Loaded::empty(NOW);
    for invitation in invitations {
        loaded.put_invitation(invitation.clone());
    }
    loaded
}

fn create(on_conflict: OnConflict, addresses: &[&str]) -> Command {
    let addresses: Vec<_> = addresses.iter().map(|address| at(address)).collect();
    command(1, Action::Create(Box::new(CreateInvitation { on_conflict, ..creation(single(), &addresses) })))
}

/// The ids of invitations that are found for Ann and not read.
fn only_found(loaded: &mut Loaded, ids: &[InvitationId], is_cut: bool) {
    loaded.put_found((&account("acme"), Some(&scope()), &at(ANN)), ids.to_vec(), is_cut);
}

fn refusal(result: Result<Decided, Refusal>) -> Option<Refusal> {
    result.err()
}

#[test]
fn create_compares_a_thousand_open_invitations_and_no_more() {
    use OnConflict::{Allow, Reject, Replace, ReturnExisting};
    let all = open(MAX_RIVALS, &[ANN, BOB]);
    let (loaded, newest) = (with(&all), all.last().unwrap().id);
    // An invitation to both counts once.
    let both = [ANN, BOB];
    let rejected = refusal(run_on(&loaded, &create(Reject, &both)));
    assert_eq!(rejected, Some(Refusal::InvitationExists(newest, Kind::General)));
    assert_eq!(run_on(&loaded, &create(ReturnExisting, &both)).unwrap().affected.invitation, newest);
    let replaced = run_on(&loaded, &create(Replace, &both)).unwrap().changes;
    assert_eq!(beside(&replaced).len(), MAX_RIVALS);
    let more = with(&open(MAX_RIVALS + 1, &[ANN]));
    for on_conflict in [Reject, ReturnExisting, Replace] {
        let found = refusal(run_on(&more, &create(on_conflict, &both)));
        assert_eq!(found, Some(Refusal::TooManyRivals), "{on_conflict:?}");
        assert!(run_on(&more, &create(on_conflict, &[BOB])).is_ok(), "of another person");
    }
    assert!(run_on(&more, &create(Allow, &both)).is_ok(), "it compares nothing");
}

#[test]
fn ended_invitations_do_not_count() {
    let mut all = open(MAX_RIVALS + 1, &[ANN]);
    all[0].facts.revoked_at = Some(minutes(-1));
    assert!(run_on(&with(&all), &create(OnConflict::Replace, &[ANN])).is_ok());
}

#[test]
fn cut_search_is_refused() {
    for on_conflict in [OnConflict::Reject, OnConflict::ReturnExisting, OnConflict::Replace] {
        let mut loaded = with(&open(1, &[ANN]));
        only_found(&mut loaded, &[], true);
        assert_eq!(refusal(run_on(&loaded, &create(on_conflict, &[ANN]))), Some(Refusal::TooManyRivals));
    }
}

#[test]
fn rows_are_read_where_more_than_the_name_is_needed() {
    let found: Vec<_> = open(20, &[ANN]).iter().map(|invitation| invitation.id).collect();
    for (on_conflict, shared, wanted) in [
        (OnConflict::Reject, false, &[][..]),
        (OnConflict::ReturnExisting, false, &found[19..]),
        (OnConflict::Replace, false, &found),
        (OnConflict::Replace, true, &[]),
    ] {
        let mut loaded = Loaded::empty(NOW);
        if shared {
            loaded.limit_rivals(MAX_SHARED_RIVALS);
        }
        only_found(&mut loaded, &found, false);
        let create = create(on_conflict, &[ANN]);
        assert_eq!(create.found_to_read(&loaded).found, wanted, "{on_conflict:?}");
        assert_eq!(create.outgrows_shared_group(&loaded), shared);
    }
    let mut loaded = Loaded::empty(NOW);
    only_found(&mut loaded, &found, false);
    let rejected = refusal(run_on(&loaded, &create(OnConflict::Reject, &[ANN])));
    assert_eq!(rejected, Some(Refusal::InvitationExists(found[19], Kind::General)));
    for on_conflict in [OnConflict::ReturnExisting, OnConflict::Replace] {
        let found = refusal(run_on(&loaded, &create(on_conflict, &[ANN])));
        assert_eq!(found, Some(Refusal::TooManyRivals), "it was not read");
    }
}

#[test]
fn ended_find_is_followed_by_the_next_newest() {
    let all = open(3, &[ANN]);
    let ids: Vec<_> = all.iter().map(|invitation| invitation.id).collect();
    let mut ended = all[2].clone();
    ended.facts.revoked_at = Some(NOW);
    let mut loaded = with(&[ended]);
    only_found(&mut loaded, &ids, false);
    let create = create(OnConflict::ReturnExisting, &[ANN]);
    assert_eq!(create.found_to_read(&loaded).found, ids[1..2]);
    loaded.put_unreadable(ids[1]);
    assert_eq!(create.found_to_read(&loaded).found, ids[..1]);
}

#[test]
fn acceptance_closes_what_was_read_and_is_never_refused() {
    let all = open(4, &[ANN]);
    let accept = command(1, accept(all[0].claims(1), person("ann", Some(email(ANN)), true)));
    let mut loaded = with(&all[..3]);
    only_found(&mut loaded, &[all[3].id], true);
    assert_eq!(accept.found_to_read(&loaded).found, [all[3].id]);
    let closed = run_on(&loaded, &accept).unwrap().changes;
    let ids: Vec<_> = beside(&closed).iter().map(|closed| closed.id).collect();
    assert_eq!(ids, [all[2].id, all[1].id]);
    loaded.limit_rivals(MAX_SHARED_RIVALS);
    assert!(accept.outgrows_shared_group(&loaded), "so it runs alone, and closes what it can");
    assert!(accept.found_to_read(&loaded).found.is_empty());
    let found: Vec<_> = (0..2 * MAX_RIVALS).map(|number| InvitationId(Uuid::from_u128(number as u128))).collect();
    let mut crowd = with(&all[..1]);
    only_found(&mut crowd, &found, true);
    assert_eq!(accept.found_to_read(&crowd).found.len(), MAX_RIVALS - 1, "beside the one that is accepted");
}
