//! The fault lab: random histories of commands, faults and restarts, compared with a model of the service in memory.
//!
//! The domain decides, and the store must do exactly what its `Save` says: what was answered OK is there and stays, what was
//! refused left no trace, and a call that failed did all of its work or nothing. A failure prints the seed, with which the
//! same history runs again: `LAB_SEED=7`. `LAB_SEEDS` and `LAB_STEPS` say how many histories
//! there are, and how long each is.

mod calls;
mod commands;
mod explain;
mod faults;
mod lists;
mod model;
mod random;
mod rows;
mod seats;
mod turns;
mod webhooks;
mod world;

use std::env;
use std::time::Instant;

use crate::support::database::TestDatabase;
use world::World;

const SEEDS: u64 = 2;
const STEPS: u64 = 500;

fn setting(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

/// The seeds of the histories, and their length.
fn settings() -> (std::ops::RangeInclusive<u64>, u64) {
    let seeds = match setting("LAB_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=setting("LAB_SEEDS").unwrap_or(SEEDS),
    };
    (seeds, setting("LAB_STEPS").unwrap_or(STEPS))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn histories_agree_with_the_model_on_sqlite() {
    let ((seeds, steps), begun) = (settings(), Instant::now());
    for seed in seeds.clone() {
        run(TestDatabase::sqlite(), seed, steps).await;
    }
    speed("SQLite", seeds.count() as u64 * steps, begun);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2, crate = "crate::support::limit")]
async fn histories_agree_with_the_model_on_postgres() {
    let ((seeds, steps), begun) = (settings(), Instant::now());
    for seed in seeds.clone() {
        let Some(database) = TestDatabase::postgres().await else { return };
        run(database, seed, steps).await;
    }
    speed("PostgreSQL", seeds.count() as u64 * steps, begun);
}

async fn run(database: TestDatabase, seed: u64, steps: u64) {
    let mut world = World::new(database, seed).await;
    for _ in 0..steps {
        world.step().await;
    }
    world.finish().await;
}

/// Seen with `--nocapture`.
fn speed(database: &str, steps: u64, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    println!("{database}: {steps} steps in {seconds:.1} s, {:.0} a second", steps as f64 / seconds);
}
