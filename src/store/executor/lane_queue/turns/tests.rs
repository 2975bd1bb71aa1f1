//! The turns of a lane, by a clock that the tests move.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::State;
use crate::domain::command::{Action, Command, ExpireInvitation};
use crate::domain::delivery::reminder::Schedules;
use crate::domain::group::BatchMode;
use crate::domain::reach::Reach;
use crate::domain::value::grantable_roles::GrantableRoles;
use crate::domain::value::id::{IdSeed, InvitationId};
use crate::domain::value::text::AccountId;
use crate::domain::value::time::Timestamp;
use crate::store::executor::lane_queue::{LaneQueue, Load, MAX_SHARED_ROWS};
use crate::store::executor::submission::Submission;

/// A queue, and the moment that its next step happens at.
struct Scene {
    state: State,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        Self { state: State::default(), now: Instant::now() }
    }

    /// Another lane of the same process.
    fn beside(other: &Self) -> Self {
        Self { state: State::new(Arc::clone(&other.state.all_lanes)), now: other.now }
    }

    /// Has an account ask for submissions of so many rows.
    fn ask(&mut self, account: &str, submissions: usize, rows: usize) {
        let account = AccountId::parse(account).unwrap();
        self.state.all_lanes.note_call(&account, self.now);
        for _ in 0..submissions {
            let (submission, _) = Submission::new(Vec::new(), BatchMode::Independent, None);
            let load = Load { rows, ..Load::default() };
            self.state.put(&account, submission, load, rows > MAX_SHARED_ROWS);
        }
    }

    /// Takes the next group: the number of its submissions, and whether it runs alone.
    fn take(&mut self) -> Option<(usize, bool)> {
        self.state.take(self.now).map(|taken| (taken.submissions.len(), taken.is_alone))
    }

    /// Ends the group after a time.
    fn end_after(&mut self, millis: u64) {
        self.pass(millis);
        self.state.group_ended(self.now);
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    /// Returns the milliseconds until a rest ends.
    fn rest(&self) -> Option<u128> {
        self.state.rest_end(self.now).map(|end| (end - self.now).as_millis())
    }
}

#[test]
fn much_work_shares_its_group_with_none() {
    let mut scene = Scene::new();
    scene.ask("heavy", 1, 501);
    scene.ask("heavy", 2, 1);
    scene.ask("light", 3, 500);
    assert_eq!(scene.take(), Some((1, true)));
    scene.end_after(1);
    assert_eq!(scene.take(), Some((2 + 1, false)), "of each account its share");
}

#[test]
fn much_work_leaves_the_lane_to_others_twice_as_long() {
    let mut scene = Scene::new();
    scene.ask("heavy", 3, 9_000);
    assert_eq!(scene.take(), Some((1, true)));
    scene.ask("light", 1, 5);
    scene.end_after(1_000);
    assert_eq!((scene.take(), scene.rest()), (Some((1, false)), Some(2_000)));
    scene.end_after(10);
    assert_eq!((scene.take(), scene.rest()), (None, Some(1_990)), "the others may come back");
    scene.pass(1_500);
    scene.ask("light", 1, 5);
    assert_eq!(scene.take(), Some((1, false)));
    scene.end_after(490);
    assert_eq!(scene.take(), Some((1, true)));
    scene.end_after(1_000);
    assert_eq!((scene.take(), scene.rest()), (Some((1, true)), None), "nobody else has come since");
}

#[test]
fn much_work_of_another_account_rests_as_well() {
    let mut scene = Scene::new();
    scene.ask("one", 2, 9_000);
    scene.ask("two", 2, 9_000);
    assert_eq!(scene.take(), Some((1, true)));
    scene.end_after(100);
    assert_eq!((scene.take(), scene.rest()), (None, Some(200)));
}

#[test]
fn much_work_runs_in_one_lane_at_a_time() {
    let mut scene = Scene::new();
    let mut other = Scene::beside(&scene);
    scene.ask("heavy", 1, 9_000);
    other.ask("heavy", 1, 9_000);
    assert_eq!((scene.take(), scene.state.runs_alone()), (Some((1, true)), true));
    assert_eq!((other.take(), other.rest()), (None, Some(20)), "it looks again");
    other.ask("light", 1, 1);
    assert_eq!((other.take(), other.state.runs_alone()), (Some((1, false)), false));
    scene.end_after(100);
    other.end_after(100);
    assert_eq!((other.take(), other.rest()), (None, Some(200)));
    other.pass(200);
    assert_eq!(other.take(), Some((1, true)));
}

#[test]
fn own_small_work_has_its_turn_between_much_work() {
    let mut scene = Scene::new();
    scene.ask("heavy", 2, 9_000);
    scene.ask("heavy", 1, 1);
    assert_eq!(scene.take(), Some((1, true)));
    scene.end_after(1_000);
    assert_eq!(scene.take(), Some((1, false)));
    scene.end_after(1);
    assert_eq!(scene.take(), Some((1, true)));
}

#[test]
fn account_rests_for_what_it_takes_more_than_the_others() {
    for (own, others, took, rest) in [
        (400, 100, 100, Some(60)),
        (500, 500, 1_000, None),
        (100, 400, 100, None),
        (400, 0, 100, Some(100)),
        (400, 100, 10, None),
    ] {
        let mut scene = Scene::new();
        scene.ask("many", own, 1);
        scene.ask("few", others, 1);
        assert_eq!(scene.take(), Some((own + others, false)));
        scene.end_after(took);
        scene.ask("many", 1, 1);
        assert_eq!(scene.rest(), rest, "{own} and {others} in {took} ms");
        assert_eq!(scene.take().is_some(), rest.is_none());
        if rest.is_some() {
            scene.ask("few", 2, 1);
            assert_eq!(scene.take(), Some((2, false)), "the others have their turn");
        }
    }
}

#[test]
fn account_without_company_takes_whole_groups_and_never_rests() {
    let mut scene = Scene::new();
    scene.ask("only", 1_200, 4);
    assert_eq!(scene.take(), Some((1_200, false)));
    scene.end_after(1_000);
    scene.ask("only", 1, 1);
    assert_eq!((scene.rest(), scene.take()), (None, Some((1, false))));
}

#[test]
fn nobody_rests_once_the_queue_is_closed() {
    let mut scene = Scene::new();
    scene.ask("heavy", 2, 9_000);
    scene.ask("light", 1, 1);
    assert_eq!(scene.take(), Some((1, true)));
    scene.end_after(1_000);
    scene.state.is_closed = true;
    assert_eq!((scene.take(), scene.take()), (Some((1, false)), Some((1, true))));
}

#[tokio::test(crate = "crate::limit")]
async fn queue_counts_each_command_that_waits() {
    let account = AccountId::parse("acme").unwrap();
    let command = Command {
        reach: Reach::of_account(account.clone()),
        actor: "tester".to_owned(),
        grantable_roles: GrantableRoles::default(),
        request: None,
        seed: IdSeed::new(Timestamp::from_micros(0), [7; 16]),
        action: Action::Expire(ExpireInvitation { id: InvitationId(Uuid::from_u128(1)) }),
    };
    let queue = LaneQueue::new(10, Schedules::NONE, Arc::default());
    let (batch, _answers) = Submission::new(vec![command; 3], BatchMode::Atomic, None);
    assert!(queue.push(&account, vec![batch]).is_ok());
    assert_eq!(queue.waiting(), 3, "one call, and three commands");
    assert_eq!(queue.drain().len(), 1);
    assert_eq!(queue.waiting(), 0);
}
