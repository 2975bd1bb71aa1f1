//! The options on the command line.

use std::str::FromStr;
use std::time::Duration;

use crate::Outcome;
use crate::drive::Rpc;

const HELP: &str = "\
Measures every RPC on SQLite and PostgreSQL, with pgbench beside it.

cargo bench --bench load -- [OPTIONS]
  --seconds N          how long each cell is measured, a whole number [3]
  --quick              one second each
  --database NAMES     of sqlite,postgres [both]
  --rpc NAMES          of create,get,preview,accept,accept-hot [all]
  --in-flight NUMBERS  calls in flight [1,32,256]
  --pending N          messages that wait to be sent meanwhile, in whole thousands [0]
  --set 'NAME = VALUE' one more line for postgresql.conf; may be repeated";

/// The cells that are measured, and their length.
pub(crate) struct Options {
    pub(crate) seconds: u64,
    pub(crate) databases: Vec<Database>,
    pub(crate) rpcs: Vec<Rpc>,
    pub(crate) in_flight: Vec<usize>,
    pub(crate) postgres: Vec<String>,
    pub(crate) pending: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

impl Options {
    /// Reads the arguments; none when only help was wanted.
    pub(crate) fn parse() -> Outcome<Option<Self>> {
        let mut options = Self {
            seconds: 3,
            databases: vec![Database::Sqlite, Database::Postgres],
            rpcs: Rpc::ALL.to_vec(),
            in_flight: vec![1, 32, 256],
            postgres: Vec::new(),
            pending: 0,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} read_set a value"));
            match argument.as_str() {
                // The argument that cargo adds.
                "--bench" => {}
                "--quick" => options.seconds = 1,
                "--seconds" => options.seconds = value()?.parse::<u64>()?.max(1),
                "--database" => options.databases = list(&value()?)?,
                "--rpc" => options.rpcs = list(&value()?)?,
                "--in-flight" => options.in_flight = list(&value()?)?,
                "--pending" => options.pending = value()?.parse()?,
                "--set" => options.postgres.push(value()?),
                "--help" | "-h" => {
                    println!("{HELP}");
                    return Ok(None);
                }
                _ => return Err(format!("unknown argument {argument}\n\n{HELP}").into()),
            }
        }
        if options.in_flight.contains(&0) {
            return Err("--in-flight must be at least 1".into());
        }
        Ok(Some(options))
    }

    /// The time for which a cell is measured.
    pub(crate) fn measured(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The time that a cell runs before it is measured.
    pub(crate) fn warm_up(&self) -> Duration {
        self.measured() / 4
    }
}

fn list<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Outcome<Vec<T>> {
    text.split(',').map(|part| part.parse().map_err(|error| format!("{part}: {error}").into())).collect()
}

impl FromStr for Database {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "sqlite" => Ok(Self::Sqlite),
            "postgres" => Ok(Self::Postgres),
            _ => Err("is none of sqlite, postgres"),
        }
    }
}
