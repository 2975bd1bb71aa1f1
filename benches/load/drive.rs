//! Drives one row, with a number of calls in flight or a number of calls in each second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Outcome;
use crate::client::Client;
use crate::credential::Credential;
use crate::credentials::{Credentials, Presented};
use crate::known::Known;
use crate::options::Options;
use crate::postgres::Cluster;
use crate::row::Row;
use crate::server::Server;
use crate::usage::{Meter, Process};

/// The number of connections that the calls share.
pub(crate) const CONNECTIONS: usize = 4;
/// The most calls in flight of those that are made by the clock.
const PACED: usize = 256;

/// The moment at which a call is made.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Pace {
    /// As soon as an answer is there: so many calls are in flight.
    InFlight(usize),
    /// By the clock, whether or not answers are there.
    PerSecond(f64),
}

/// The figures of one cell.
#[derive(Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// CPU time of one call, of all servers together.
    pub(crate) server: Duration,
    pub(crate) postgres: Option<Duration>,
    pub(crate) driver: Duration,
    /// The most memory of a server, in KiB.
    pub(crate) memory: u64,
}

/// Servers of one database with invitations, and connections to them.
pub(crate) struct Load {
    servers: Vec<Server>,
    postgres: Option<Process>,
    clients: Vec<Client>,
    known: Arc<Known>,
    turn: Arc<AtomicUsize>,
    /// The API key of the database, once there is one.
    stored_key: Option<String>,
    warm_up: Duration,
    measured: Duration,
}

impl Load {
    /// Connects, and creates the invitations that are read and accepted.
    pub(crate) async fn prepare(servers: Vec<Server>, options: &Options, cluster: Option<&Cluster>) -> Outcome<Self> {
        let clients = connect(&servers, Presented::default()).await?;
        let known = Arc::new(Known::create(&clients, options.pending, &options.rows).await?);
        let postgres = cluster.map(|cluster| Process::with_children(cluster.process()));
        let (warm_up, measured) = (options.warm_up(), options.measured());
        let (turn, stored_key) = (Arc::default(), None);
        Ok(Self { servers, postgres, clients, known, turn, stored_key, warm_up, measured })
    }

    /// Starts the servers again, as ones that accept a credential, and connects with it.
    pub(crate) async fn present(&mut self, credential: Credential, credentials: &Credentials) -> Outcome {
        self.clients.clear();
        for server in &mut self.servers {
            server.stop()?;
        }
        if credential == Credential::StoredKey && self.stored_key.is_none() {
            self.stored_key = self.servers.first().map(Server::create_key).transpose()?;
        }
        let presented = credentials.present(credential, self.stored_key.as_deref())?;
        for server in &mut self.servers {
            server.serve(&credentials.settings(credential), &presented).await?;
        }
        self.clients = connect(&self.servers, presented).await?;
        Ok(())
    }

    /// Makes calls and measures those that are answered after the warm-up.
    pub(crate) async fn measure(&self, row: Row, pace: Pace) -> Outcome<Measured> {
        let servers: Vec<_> = self.servers.iter().map(|server| Process::alone(server.process())).collect();
        for (server, process) in self.servers.iter().zip(&servers) {
            server.forget_log()?;
            process.forget_peak()?;
        }
        let begin = Instant::now() + self.warm_up;
        let end = begin + self.measured;
        let mut tasks = self.spawn(row, pace, begin, end);
        tokio::time::sleep_until(begin.into()).await;
        let driver = Process::alone(std::process::id());
        let processes = [driver].into_iter().chain(servers.iter().copied()).chain(self.postgres);
        let meter = Meter::start(processes.collect())?;
        tokio::time::sleep_until(end.into()).await;
        let spent = meter.stop()?;
        let mut latencies = Vec::new();
        while let Some(done) = tasks.join_next().await {
            latencies.extend(done?.map_err(|error| format!("{} {pace:?}: {error}", row.name()))?);
        }
        latencies.sort_unstable();
        let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().ok_or("no call was answered");
        let calls = u32::try_from(latencies.len())?.max(1);
        Ok(Measured {
            per_second: f64::from(calls) / self.measured.as_secs_f64(),
            p50: at(50)?,
            p99: at(99)?,
            server: spent[1..=servers.len()].iter().sum::<Duration>() / calls,
            driver: spent[0] / calls,
            postgres: spent.get(servers.len() + 1).map(|spent| *spent / calls),
            memory: servers
                .iter()
                .map(|server| server.peak_memory())
                .collect::<Outcome<Vec<_>>>()?
                .into_iter()
                .max()
                .unwrap_or_default(),
        })
    }

    fn spawn(&self, row: Row, pace: Pace, begin: Instant, end: Instant) -> JoinSet<Outcome<Vec<Duration>>> {
        let mut tasks = JoinSet::new();
        let (number, interval) = match pace {
            Pace::InFlight(number) => (number, None),
            Pace::PerSecond(rate) => (PACED, Some(Duration::from_secs_f64(1.0 / rate))),
        };
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let first = Instant::now();
        for task in 0..number {
            let client = self.clients[task as usize % CONNECTIONS].clone();
            let (known, turns) = (Arc::clone(&self.known), Arc::clone(&self.turn));
            let mut next = interval.map(|interval| (first + interval * task, interval * number));
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                loop {
                    let mut started = Instant::now();
                    if let Some((at, interval)) = &mut next {
                        if started < *at {
                            tokio::time::sleep_until((*at).into()).await;
                            // The timer is up to a millisecond late, which is not the server's.
                            started = Instant::now();
                        } else {
                            // The answer before was late: the call that should have been made meanwhile has waited.
                            started = *at;
                        }
                        *at += *interval;
                    }
                    if Instant::now() >= end {
                        return Ok(latencies);
                    }
                    let turn = turns.fetch_add(1, Ordering::Relaxed);
                    row.check(&client.call(row.path(), row.message(turn, &known)).await?)?;
                    let answered = Instant::now();
                    if (begin..end).contains(&answered) {
                        latencies.push(answered - started);
                    }
                }
            });
        }
        tasks
    }
}

async fn connect(servers: &[Server], presented: Presented) -> Outcome<Vec<Client>> {
    Client::connect(servers.iter().cycle().take(CONNECTIONS).map(Server::address), presented).await
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InFlight(number) => write!(f, "{number}"),
            Self::PerSecond(_) => f.write_str("half"),
        }
    }
}
