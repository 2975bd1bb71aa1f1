//! The options on the command line.

use std::str::FromStr;
use std::time::Duration;

use crate::Outcome;
use crate::credential::Credential;
use crate::drive::CONNECTIONS;
use crate::row::Row;

const HELP: &str = "\
Measures every row on SQLite and PostgreSQL, with pgbench beside it.

cargo bench --bench load -- [OPTIONS]
  --seconds N          how long each cell is measured, a whole number [2]
  --runs N             how often everything is measured; the table has the medians [1]
  --database NAMES     of sqlite,postgres [both]
  --row NAMES          of empty,create,create-user,create-guest,create-general,batch-100,get,preview,forged,
                       accept,accept-hot,accept-one-scope,accept-many-scopes,list,list-target,open [all]
  --credential NAMES   what calls carry, of key,stored-key,jwt-es256,jwt-rs256,new-jwt-es256,new-jwt-rs256,tls,mtls, in a
                       table of their own beside those that carry none [none]
  --in-flight NUMBERS  calls in flight [1,32,256]
  --no-half            leaves out the cells at half of a row's fastest rate
  --pending N          messages that wait to be sent meanwhile, in whole thousands [0]
  --filler N           invitations that are in the database besides [0]
  --replicas N         servers on the one PostgreSQL: 1, 2 or 4; CPU time is theirs together [1]
  --set 'NAME = VALUE' one more line for postgresql.conf; may be repeated";

/// The cells that are measured, and their length.
pub(crate) struct Options {
    seconds: u64,
    pub(crate) runs: usize,
    pub(crate) databases: Vec<Database>,
    pub(crate) rows: Vec<Row>,
    /// The credentials that are measured. `None` comes first: the others are compared with it.
    pub(crate) credentials: Vec<Credential>,
    pub(crate) in_flight: Vec<usize>,
    pub(crate) paced: bool,
    pub(crate) postgres: Vec<String>,
    pub(crate) pending: usize,
    pub(crate) filler: usize,
    pub(crate) replicas: usize,
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
            seconds: 2,
            runs: 1,
            databases: vec![Database::Sqlite, Database::Postgres],
            rows: Row::ALL.to_vec(),
            credentials: vec![Credential::None],
            in_flight: vec![1, 32, 256],
            paced: true,
            postgres: Vec::new(),
            pending: 0,
            filler: 0,
            replicas: 1,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                // The argument that cargo adds.
                "--bench" => {}
                "--seconds" => options.seconds = value()?.parse::<u64>()?.max(1),
                "--database" => options.databases = list(&value()?)?,
                "--row" => options.rows = list(&value()?)?,
                "--credential" => options.credentials.extend(list::<Credential>(&value()?)?),
                "--runs" => options.runs = value()?.parse()?,
                "--no-half" => options.paced = false,
                "--filler" => options.filler = value()?.parse()?,
                "--replicas" => options.replicas = value()?.parse()?,
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
        if options.replicas == 0 || !CONNECTIONS.is_multiple_of(options.replicas) {
            return Err(format!("--replicas must divide the {CONNECTIONS} connections of the driver").into());
        }
        options.credentials.sort_unstable();
        options.credentials.dedup();
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
