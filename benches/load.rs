//! The load benchmark: drives the release server, a process of its own, on SQLite and on PostgreSQL, with pgbench beside it.
//!
//! `make bench` measures every row three times and prints a table of medians; `cargo bench --bench load -- --help` shows what can
//! be chosen. The status of every call is checked, and one that is not the row's fails the run. Nothing is gated on a figure:
//! rates depend on the machine, so compare them within one run, with the empty call and with pgbench. CPU time per call differs
//! less from run to run.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is the purpose")]

#[path = "load/client.rs"]
mod client;
#[path = "load/credential.rs"]
mod credential;
#[path = "load/credentials.rs"]
mod credentials;
#[path = "load/drive.rs"]
mod drive;
#[path = "load/filler.rs"]
mod filler;
#[path = "load/jwt.rs"]
mod jwt;
#[path = "load/known.rs"]
mod known;
#[path = "load/options.rs"]
mod options;
#[path = "load/pgbench.rs"]
mod pgbench;
#[path = "load/postgres.rs"]
mod postgres;
#[path = "load/report.rs"]
mod report;
#[path = "load/row.rs"]
mod row;
#[path = "load/server.rs"]
mod server;
#[path = "load/supervisor.rs"]
mod supervisor;
#[path = "load/usage.rs"]
mod usage;

use std::error::Error;
use std::process::ExitCode;

use credential::Credential;
use credentials::Credentials;
use drive::{Load, Pace};
use options::{Database, Options};
use pgbench::Pgbench;
use postgres::Cluster;
use report::Report;
use row::Row;
use server::Server;

/// That of the server: what the driver takes of the machine is missing elsewhere.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main]
async fn main() -> ExitCode {
    match Options::parse() {
        Ok(Some(options)) => match run(&options).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("load: {error}");
                ExitCode::FAILURE
            }
        },
        Ok(None) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One of the runs.
struct Run<'a> {
    options: &'a Options,
    credentials: &'a Credentials,
    /// The credentials in the order of this run: each begins with another.
    order: Vec<Credential>,
}

async fn run(options: &Options) -> Outcome {
    let mut report = Report::default();
    let credentials = Credentials::create(&options.credentials)?;
    let mut run = Run { options, credentials: &credentials, order: options.credentials.clone() };
    for _ in 0..options.runs {
        if options.databases.contains(&Database::Sqlite) {
            measure_on_sqlite(&run, &mut report).await?;
        }
        if options.databases.contains(&Database::Postgres) {
            measure_on_postgres(&run, &mut report).await?;
        }
        run.order.rotate_left(1);
    }
    println!("{report}");
    Ok(())
}

async fn measure_on_sqlite(run: &Run<'_>, report: &mut Report) -> Outcome {
    let load = Load::prepare(vec![Server::on_sqlite(run.options.filler).await?], run.options, None).await?;
    drive_all(run, load, report, None).await
}

async fn measure_on_postgres(run: &Run<'_>, report: &mut Report) -> Outcome {
    let cluster = Cluster::start(&run.options.postgres)?;
    // The same tables, empty, in a database of its own.
    let (served, compared) = (cluster.database("served")?, cluster.database("compared")?);
    server::migrate(&compared)?;
    let pgbench = Pgbench::prepare(&cluster, "compared")?;
    let mut servers = vec![Server::on_postgres(&served, run.options.filler).await?];
    while servers.len() < run.options.replicas {
        servers.push(Server::on_postgres(&served, 0).await?);
    }
    let load = Load::prepare(servers, run.options, Some(&cluster)).await?;
    drive_all(run, load, report, Some(&pgbench)).await
}

/// Measures every row, each followed by the statement that does the same in pgbench. The empty call comes first: others are
/// compared with it.
async fn drive_all(run: &Run<'_>, mut load: Load, report: &mut Report, pgbench: Option<&Pgbench<'_>>) -> Outcome {
    let options = run.options;
    let database = if pgbench.is_some() { "postgresql" } else { "sqlite" };
    for row in options.rows.iter().copied() {
        let mut fastest: f64 = 0.0;
        for in_flight in options.in_flight.iter().copied() {
            fastest = fastest.max(drive(run, &mut load, (database, row), Pace::InFlight(in_flight), report).await?);
        }
        if options.paced {
            drive(run, &mut load, (database, row), Pace::PerSecond((fastest / 2.0).max(1.0)), report).await?;
        }
        let Some((pgbench, script)) = pgbench.zip(row.script()) else { continue };
        for clients in [1, 32] {
            report.pgbench(script, clients, pgbench.run(script, clients, options.measured())?);
        }
    }
    Ok(())
}

/// Measures one cell with each credential, one right after the other, and returns the rate of the calls without any.
async fn drive(
    run: &Run<'_>,
    load: &mut Load,
    (database, row): (&'static str, Row),
    pace: Pace,
    report: &mut Report,
) -> Outcome<f64> {
    let mut without = 0.0;
    for credential in run.order.iter().copied() {
        // Also with none if there are others: each has a server that has just been started.
        if run.order.len() > 1 {
            load.present(credential, run.credentials).await?;
        }
        let measured = load.measure(row, pace).await?;
        if credential == Credential::None {
            without = measured.per_second;
        }
        report.row((database, row, credential), pace, measured);
    }
    Ok(without)
}
