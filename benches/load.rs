//! The load benchmark: drives the release server, a process of its own, on SQLite and on PostgreSQL, with pgbench beside it.
//!
//! `cargo bench --bench load` measures and prints one table; `-- --help` says what can be chosen. Every call's grpc-status
//! is checked, and one that is not OK fails the run. Nothing is gated on a figure: the machine decides how large it is, so
//! compare within one run, with pgbench or with another revision on the same, idle machine.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is the purpose")]

#[path = "load/drive.rs"]
mod drive;
#[path = "load/options.rs"]
mod options;
#[path = "load/pgbench.rs"]
mod pgbench;
#[path = "load/postgres.rs"]
mod postgres;
#[path = "load/report.rs"]
mod report;
#[path = "load/server.rs"]
mod server;
#[path = "load/supervisor.rs"]
mod supervisor;

use std::error::Error;
use std::process::ExitCode;

use drive::{Load, Rpc};
use options::{Database, Options};
use pgbench::{Pgbench, Script};
use postgres::Cluster;
use report::Report;
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

async fn run(options: &Options) -> Outcome {
    let mut report = Report::new();
    if options.databases.contains(&Database::Sqlite) {
        let server = Server::on_sqlite().await?;
        drive_all(options, &server, &mut report, None).await?;
    }
    if options.databases.contains(&Database::Postgres) {
        let cluster = Cluster::start(&options.postgres)?;
        // The same tables, empty, in a database of its own.
        let (served, compared) = (cluster.database("served")?, cluster.database("compared")?);
        server::migrate(&compared)?;
        let pgbench = Pgbench::prepare(&cluster, "compared")?;
        let server = Server::on_postgres(&served).await?;
        drive_all(options, &server, &mut report, Some(&pgbench)).await?;
    }
    println!("{report}");
    Ok(())
}

/// Measures every RPC, each followed by the statement that does the same in pgbench.
async fn drive_all(options: &Options, server: &Server, report: &mut Report, pgbench: Option<&Pgbench<'_>>) -> Outcome {
    let load = Load::prepare(server, options).await?;
    let database = if pgbench.is_some() { "postgresql" } else { "sqlite" };
    for rpc in options.rpcs.iter().copied() {
        for in_flight in options.in_flight.iter().copied() {
            server.forget_log()?;
            let measured = load.measure(rpc, in_flight).await?;
            report.rpc(database, rpc, in_flight, measured);
        }
        let script = match rpc {
            Rpc::Create => Some(Script::Create),
            Rpc::Get => Some(Script::Select),
            Rpc::Accept => Some(Script::Accept),
            Rpc::Preview | Rpc::AcceptHot => None,
        };
        let Some((pgbench, script)) = pgbench.zip(script) else { continue };
        for clients in [1, 32] {
            report.pgbench(script, clients, pgbench.run(script, clients, options.seconds)?);
        }
    }
    Ok(())
}
