//! When connections end: idle, old, or told to.

use super::*;

/// A connection whose client never ends it, and leaves once it is told to.
struct Served(CancellationToken);

impl Future for Served {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

impl Graceful for Served {
    fn close(self: Pin<&mut Self>) {
        self.0.cancel();
    }
}

fn seat() -> Seat {
    Arc::new(tokio::sync::Semaphore::new(1)).try_acquire_owned().unwrap()
}

async fn seconds_until_closed(admitted: Admitted, calls: &[(u64, u64)]) -> u64 {
    let (connection, told) = (Connection::new(admitted, seat()), CancellationToken::new());
    let activity = Arc::clone(&connection.activity);
    let followed =
        tokio::spawn(connection.follow(Served(told.clone()), None, CancellationToken::new(), CancellationToken::new()));
    let began = Instant::now();
    for (from, until) in calls {
        sleep_until(began + Duration::from_secs(*from)).await;
        let active = Active::begin(&activity, admitted);
        sleep_until(began + Duration::from_secs(*until)).await;
        drop(active);
    }
    told.cancelled().await;
    let closed = began.elapsed().as_secs();
    followed.await.unwrap();
    closed
}

#[tokio::test(start_paused = true, crate = "crate::limit")]
async fn connection_is_closed_once_it_was_idle_for_long() {
    for (admitted, calls, closed) in [
        (Admitted::All, &[][..], 10..=15),
        (Admitted::All, &[(9, 10)], 310..=316),
        (Admitted::All, &[(1, 1_000)], 1_300..=1_306),
        (Admitted::All, &[(1, 2), (200, 201), (400, 401)], 701..=707),
        (Admitted::Probes, &[], 5..=10),
        (Admitted::Probes, &[(1, 2)], 2..=10),
    ] {
        let at = seconds_until_closed(admitted, calls).await;
        assert!(closed.contains(&at), "{admitted:?} {calls:?}: {at}");
    }
}

#[tokio::test(start_paused = true, crate = "crate::limit")]
async fn call_is_finished_after_the_connection_is_to_be_closed() {
    let (connection, close) = (Connection::new(Admitted::All, seat()), CancellationToken::new());
    let active = Active::begin(&connection.activity, Admitted::All);
    let served = Served(CancellationToken::new());
    let followed = tokio::spawn(connection.follow(served, None, close.clone(), CancellationToken::new()));
    close.cancel();
    sleep(Duration::from_secs(60)).await;
    assert!(!followed.is_finished());
    drop(active);
    sleep(Duration::from_secs(6)).await;
    assert!(followed.is_finished());
}

#[tokio::test(start_paused = true, crate = "crate::limit")]
async fn old_connection_waits_for_the_calls_under_way() {
    let minute = Duration::from_secs(60);
    for (call_ends, followed_ends) in [(70, 70..=75), (1_000, 90..=90)] {
        let (connection, told) = (Connection::new(Admitted::All, seat()), CancellationToken::new());
        let (activity, closing) = (Arc::clone(&connection.activity), connection.closing());
        let lifetime = Some(Lifetime { age: minute, grace: Duration::from_secs(30) });
        let (close, cut) = (CancellationToken::new(), CancellationToken::new());
        let began = Instant::now();
        let followed = tokio::spawn(connection.follow(Served(told.clone()), lifetime, close, cut));
        let active = Active::begin(&activity, Admitted::All);
        tokio::spawn(async move {
            sleep(Duration::from_secs(call_ends)).await;
            drop(active);
        });
        told.cancelled().await;
        assert_eq!((began.elapsed().as_secs(), closing.is_cancelled()), (60, true), "its streams learn of it");
        followed.await.unwrap();
        let ended = began.elapsed().as_secs();
        assert!(followed_ends.contains(&ended), "{ended}");
    }
}

#[test]
fn ages_differ_by_a_tenth_at_most() {
    let config = crate::config::Config::load(None, std::iter::empty::<(&str, &str)>(), []).unwrap().grpc;
    let age = |random| Lifetime::of(&config, random).unwrap().age.as_secs();
    assert_eq!([0, u16::MAX / 2, u16::MAX].map(age), [540, 599, 660]);
    let config = GrpcConfig { max_connection_age: None, ..config };
    assert_eq!(Lifetime::of(&config, 0), None);
}
