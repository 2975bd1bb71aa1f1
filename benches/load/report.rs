//! The table, in Markdown: medians of the runs.

use std::fmt;
use std::time::Duration;

use crate::drive::{Measured, Pace};
use crate::pgbench::{Compared, Script};
use crate::row::Row;

/// The figures, each of which is shown on standard error as it comes. Those of one cell are kept together.
#[derive(Default)]
pub(crate) struct Report {
    cells: Vec<Cell>,
    pgbench: Vec<(Script, usize, Vec<Compared>)>,
}

struct Cell {
    database: &'static str,
    row: Row,
    pace: String,
    runs: Vec<Measured>,
}

impl Report {
    pub(crate) fn row(&mut self, database: &'static str, row: Row, pace: Pace, measured: Measured) {
        let pace = format!("{pace:?}");
        eprintln!("{database} {} {pace}: {:.0} calls/s", row.name(), measured.per_second);
        let cell = self.cells.iter_mut().find(|cell| (cell.database, cell.row, &cell.pace) == (database, row, &pace));
        match cell {
            Some(cell) => cell.runs.push(measured),
            None => self.cells.push(Cell { database, row, pace, runs: vec![measured] }),
        }
    }

    pub(crate) fn pgbench(&mut self, script: Script, clients: usize, compared: Compared) {
        eprintln!("pgbench {} {clients}: {:.0} statements/s", script.name(), compared.per_second);
        match self.pgbench.iter_mut().find(|known| (known.0, known.1) == (script, clients)) {
            Some((_, _, runs)) => runs.push(compared),
            None => self.pgbench.push((script, clients, vec![compared])),
        }
    }

    /// Returns how often faster a cell is than the empty call with as many in flight, and on the same database.
    fn of_the_empty_call(&self, cell: &Cell) -> Option<f64> {
        let same = |other: &&Cell| (other.database, other.row, &other.pace) == (cell.database, Row::Empty, &cell.pace);
        let empty = self.cells.iter().find(same)?;
        Some(cell.median(|run| run.per_second) / empty.median(|run| run.per_second))
    }

    /// Returns how often faster a cell on PostgreSQL is than pgbench: one call alone than one client, several than as many as
    /// make pgbench fast.
    fn of_pgbench(&self, cell: &Cell) -> Option<f64> {
        let clients = if cell.pace == "1" { 1 } else { 32 };
        let wanted = (cell.row.yardstick()?, clients);
        let (_, _, runs) = self.pgbench.iter().find(|known| (known.0, known.1) == wanted)?;
        let compared = cell.database == "postgresql" && cell.pace != "half";
        compared.then(|| cell.median(|run| run.per_second) / median(runs, |run| run.per_second))
    }
}

impl Cell {
    fn median(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        median(&self.runs, of)
    }
}

fn median<T>(runs: &[T], of: impl Fn(&T) -> f64) -> f64 {
    let mut values: Vec<_> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

const HEAD: &str = "\
| database | row | in flight | calls/s | p50 ms | p99 ms | server us | PostgreSQL us | driver us | MiB | x empty | x pgbench |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEAD}")?;
        let micros = |spent: Duration| spent.as_secs_f64() * 1_000_000.0;
        let ratio = |ratio: Option<f64>| ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        for cell in &self.cells {
            let Cell { database, row, pace, .. } = cell;
            let postgres = cell.median(|run| run.postgres.map_or(f64::NAN, micros));
            let postgres = if postgres.is_nan() { String::new() } else { format!("{postgres:.0}") };
            writeln!(
                f,
                "| {database} | {} | {pace} | {:.0} | {:.2} | {:.2} | {:.0} | {postgres} | {:.0} | {:.0} | {} | {} |",
                row.name(),
                cell.median(|run| run.per_second),
                cell.median(|run| micros(run.p50) / 1_000.0),
                cell.median(|run| micros(run.p99) / 1_000.0),
                cell.median(|run| micros(run.server)),
                cell.median(|run| micros(run.driver)),
                cell.median(|run| run.memory as f64 / 1_024.0),
                ratio(self.of_the_empty_call(cell)),
                ratio(self.of_pgbench(cell)),
            )?;
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
