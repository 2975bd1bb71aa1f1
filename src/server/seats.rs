//! The connections that there may be at once. Where all seats are taken, one that has made no call yet gives its seat to the next:
//! silent clients keep nobody out, however many they are.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::connection::{Admitted, Connection, Newcomer, Seat};

/// The connections beyond the most, which take probes of health alone.
const PROBES: usize = 16;
/// The file descriptors that are left to the databases, the mail, the webhooks and the admin listener.
const OTHER_DESCRIPTORS: usize = 160;

/// The seats, and the connections without a call so far, the oldest first.
pub(crate) struct Seats {
    most: usize,
    ordinary: Arc<Semaphore>,
    probes: Arc<Semaphore>,
    newcomers: VecDeque<Newcomer>,
}

impl Seats {
    /// Returns seats for a number of connections, or for fewer where the process may have few files.
    pub(crate) fn new(most: usize) -> Self {
        let most = descriptors().map_or(most, |all| most.min(all.saturating_sub(OTHER_DESCRIPTORS + PROBES).max(1)));
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { most, ordinary: semaphore(most), probes: semaphore(PROBES), newcomers: VecDeque::new() }
    }

    /// Returns a connection with a seat; `None` if there is none.
    pub(crate) fn take(&mut self) -> Option<Connection> {
        let free = Arc::clone(&self.ordinary).try_acquire_owned().ok();
        if let Some(seat) = free.or_else(|| self.seat_of_newcomer()) {
            let connection = Connection::new(Admitted::All, seat);
            self.newcomers.push_back(connection.newcomer());
            if self.newcomers.len() > 2 * self.most {
                self.newcomers.retain(Newcomer::is_silent);
            }
            return Some(connection);
        }
        let seat = Arc::clone(&self.probes).try_acquire_owned().ok()?;
        Some(Connection::new(Admitted::Probes, seat))
    }

    /// Closes the oldest connection without a call, and returns its seat.
    fn seat_of_newcomer(&mut self) -> Option<Seat> {
        std::iter::from_fn(|| self.newcomers.pop_front()).find_map(Newcomer::give_up)
    }
}

/// Returns the number of file descriptors that the process may have, where the system says so.
fn descriptors() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_all(seats: &mut Seats, most: usize) -> Vec<Connection> {
        let taken: Vec<_> = std::iter::from_fn(|| seats.take()).take(most).collect();
        taken.iter().for_each(Connection::note_call);
        taken
    }

    #[tokio::test(crate = "crate::limit")]
    async fn seats_beyond_the_most_are_for_probes_and_few() {
        let mut seats = Seats::new(2);
        let mut taken = take_all(&mut seats, 2);
        assert!(taken.iter().all(|connection| connection.admitted() == Admitted::All));
        let probes: Vec<_> = std::iter::from_fn(|| seats.take()).collect();
        assert!(probes.len() == PROBES && probes.iter().all(|probe| probe.admitted() == Admitted::Probes));
        drop(taken.pop());
        assert_eq!(seats.take().unwrap().admitted(), Admitted::All);
    }

    #[tokio::test(crate = "crate::limit")]
    async fn silent_connection_gives_its_seat_to_the_next() {
        let mut seats = Seats::new(2);
        let busy = take_all(&mut seats, 1);
        let mut last = seats.take().unwrap();
        for _ in 0..100 {
            let next = seats.take().unwrap();
            assert_eq!((last.is_given_up(), next.admitted(), busy[0].is_given_up()), (true, Admitted::All, false));
            last = next;
        }
        last.note_call();
        assert_eq!(seats.take().unwrap().admitted(), Admitted::Probes);
        assert!(!last.is_given_up() && seats.newcomers.len() <= 4);
    }
}
