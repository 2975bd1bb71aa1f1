//! The tables, in Markdown: medians of the runs.

use std::fmt;
use std::time::Duration;

use crate::credential::Credential;
use crate::drive::{Measured, Pace};
use crate::pgbench::{Compared, Script};
use crate::row::Row;

/// The figures, each of which is shown on standard error as it comes. Those of one cell are kept together.
#[derive(Default)]
pub(crate) struct Report {
    cells: Vec<Cell>,
    pgbench: Vec<(Script, usize, Vec<Compared>)>,
}

/// The database, what is called, and what the call carries.
type Place = (&'static str, Row, Credential);

struct Cell {
    place: Place,
    pace: String,
    runs: Vec<Measured>,
}

impl Report {
    pub(crate) fn row(&mut self, place: Place, pace: Pace, measured: Measured) {
        let pace = format!("{pace:?}");
        let (database, row, credential) = place;
        eprintln!("{database} {} {} {pace}: {:.0} calls/s", row.name(), credential.name(), measured.per_second);
        match self.cells.iter_mut().find(|cell| (cell.place, &cell.pace) == (place, &pace)) {
            Some(cell) => cell.runs.push(measured),
            None => self.cells.push(Cell { place, pace, runs: vec![measured] }),
        }
    }

    pub(crate) fn pgbench(&mut self, script: Script, clients: usize, compared: Compared) {
        eprintln!("pgbench {} {clients}: {:.0} statements/s", script.name(), compared.per_second);
        match self.pgbench.iter_mut().find(|known| (known.0, known.1) == (script, clients)) {
            Some((_, _, runs)) => runs.push(compared),
            None => self.pgbench.push((script, clients, vec![compared])),
        }
    }

    fn find(&self, place: Place, pace: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| (cell.place, cell.pace.as_str()) == (place, pace))
    }

    /// Returns how often faster a cell is than the empty call with as many in flight, and on the same database.
    fn of_the_empty_call(&self, cell: &Cell) -> Option<f64> {
        let (database, _, credential) = cell.place;
        let empty = self.find((database, Row::Empty, credential), &cell.pace)?;
        Some(cell.per_second() / empty.per_second())
    }

    /// Returns how often faster a cell on PostgreSQL is than pgbench: one call alone than one client, several than as many as
    /// make pgbench fast.
    fn of_pgbench(&self, cell: &Cell) -> Option<f64> {
        let (database, row, _) = cell.place;
        let clients = if cell.pace == "1" { 1 } else { 32 };
        let wanted = (row.yardstick()?, clients);
        let (_, _, runs) = self.pgbench.iter().find(|known| (known.0, known.1) == wanted)?;
        let compared = database == "postgresql" && cell.pace != "half";
        compared.then(|| cell.per_second() / median(runs, |run| run.per_second))
    }

    /// Writes each cell without a credential, followed by those of the same calls with one.
    fn write_credentials(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{CREDENTIALS_HEAD}")?;
        for none in self.without_credential() {
            let (database, row, _) = none.place;
            let cells =
                Credential::ALL.iter().filter_map(|credential| self.find((database, row, *credential), &none.pace));
            for cell in cells {
                let postgres = cell.postgres();
                writeln!(
                    f,
                    "| {database} | {} | {} | {} | {:.0} | {:.2} | {:.0} | {postgres} | {:.0} | {:.2} | {:+.0} |",
                    row.name(),
                    none.pace,
                    cell.place.2.name(),
                    cell.per_second(),
                    cell.median(|run| micros(run.p50) / 1_000.0),
                    cell.server(),
                    cell.median(|run| micros(run.driver)),
                    cell.beside(none, |run, none| run.per_second / none.per_second),
                    cell.beside(none, |run, none| micros(run.server) - micros(none.server)),
                )?;
            }
        }
        Ok(())
    }

    fn without_credential(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| cell.place.2 == Credential::None)
    }
}

impl Cell {
    fn median(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        median(&self.runs, of)
    }

    /// Returns the median of a comparison with another cell, run by run: they are measured one right after the other.
    fn beside(&self, other: &Self, compare: impl Fn(&Measured, &Measured) -> f64) -> f64 {
        let pairs: Vec<_> = self.runs.iter().zip(&other.runs).collect();
        median(&pairs, |(run, other)| compare(run, other))
    }

    fn per_second(&self) -> f64 {
        self.median(|run| run.per_second)
    }

    /// Returns the CPU time of a call in the server, in microseconds.
    fn server(&self) -> f64 {
        self.median(|run| micros(run.server))
    }

    /// Returns that of PostgreSQL, if there is one.
    fn postgres(&self) -> String {
        let postgres = self.median(|run| run.postgres.map_or(f64::NAN, micros));
        if postgres.is_nan() { String::new() } else { format!("{postgres:.0}") }
    }
}

fn micros(spent: Duration) -> f64 {
    spent.as_secs_f64() * 1_000_000.0
}

fn median<T>(runs: &[T], of: impl Fn(&T) -> f64) -> f64 {
    let mut values: Vec<_> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

const HEAD: &str = "\
| database | row | in flight | calls/s | p50 ms | p99 ms | server us | PostgreSQL us | driver us | MiB | x empty | x pgbench |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

const CREDENTIALS_HEAD: &str = "\
| database | row | in flight | credential | calls/s | p50 ms | server us | PostgreSQL us | driver us | x none | server us more |
|---|---|--:|---|--:|--:|--:|--:|--:|--:|--:|";

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        let ratio = |ratio: Option<f64>| ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        for cell in self.without_credential() {
            let Cell { place: (database, row, _), pace, .. } = cell;
            let postgres = cell.postgres();
            writeln!(
                f,
                "| {database} | {} | {pace} | {:.0} | {:.2} | {:.2} | {:.0} | {postgres} | {:.0} | {:.0} | {} | {} |",
                row.name(),
                cell.per_second(),
                cell.median(|run| micros(run.p50) / 1_000.0),
                cell.median(|run| micros(run.p99) / 1_000.0),
                cell.server(),
                cell.median(|run| micros(run.driver)),
                cell.median(|run| run.memory as f64 / 1_024.0),
                ratio(self.of_the_empty_call(cell)),
                ratio(self.of_pgbench(cell)),
            )?;
        }
        if self.cells.iter().any(|cell| cell.place.2 != Credential::None) {
            self.write_credentials(f)?;
        }
        writeln!(f, "\n| pgbench | clients | statements/s | PostgreSQL us | pgbench us |\n|---|--:|--:|--:|--:|")?;
        for (script, clients, runs) in &self.pgbench {
            let [rate, postgres, client] = [
                median(runs, |run| run.per_second),
                median(runs, |run| micros(run.postgres)),
                median(runs, |run| micros(run.client)),
            ];
            writeln!(f, "| {} | {clients} | {rate:.0} | {postgres:.0} | {client:.0} |", script.name())?;
        }
        Ok(())
    }
}
