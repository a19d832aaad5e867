//! All runs of a job, the columns in turn, so that what drifts drifts for all.

use std::time::Duration;

use crate::jobs::{Column, Job, Shape, Unit};
use crate::perf::Outcome;
use crate::run::{Measured, once};

/// A row of the table.
pub(crate) struct Row {
    pub(crate) job: Job,
    pub(crate) cells: Vec<Cell>,
}

/// What one column has done of a job.
pub(crate) struct Cell {
    pub(crate) column: Column,
    /// In the order of the runs.
    pub(crate) runs: Vec<Outcome<Measured>>,
}

/// All runs of a job.
pub(crate) fn row(job: &Job, columns: &[Column], rounds: usize, secs: f64) -> Row {
    let takes_part = columns.iter().filter(|column| job.is_for(column));
    let mut cells: Vec<_> = takes_part.map(|&column| Cell { column, runs: Vec::new() }).collect();
    let counts: Vec<_> = cells.iter().map(|cell| count(job, &cell.column, secs)).collect();
    for round in 0..rounds {
        for (cell, count) in cells.iter_mut().zip(&counts) {
            let run = match count {
                Ok(count) => once(job, &cell.column, *count, limit(secs)),
                // A run as short as that has failed: a long one would only take longer to.
                Err(error) => Err(error.to_string().into()),
            };
            let shown = run.as_ref().map_or_else(ToString::to_string, |run| format!("{:.1}", run.value));
            eprintln!("{} round {} {}: {shown}", job.name, round + 1, cell.column.name);
            cell.runs.push(run);
        }
    }
    Row { job: job.clone(), cells }
}

/// How many messages take about `secs`, by a short run.
fn count(job: &Job, column: &Column, secs: f64) -> Outcome<u64> {
    let (least, most) = job.count;
    if least == most || secs == 0.0 || job.shape == Shape::Idle {
        return Ok(least);
    }
    let mut count = least;
    // A short run tells little of a long one, so in two steps.
    for part in [0.1, 1.0] {
        let value = once(job, column, count, limit(secs))?.value;
        let rate = if job.unit == Unit::Micros { 1e6 / value } else { value };
        // Of publishers, what is delivered is told, and what is published is asked for.
        let copies = if job.shape == Shape::PubSub && job.topics == 0 { f64::from(job.sockets) } else { 1.0 };
        #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "cut to the range below")]
        let wanted = (rate / copies * secs * part) as u64;
        count = wanted.clamp(least, most);
    }
    Ok(count)
}

/// Setting 1,000 sockets up takes some seconds, too, and so does finding out that nothing comes any more.
fn limit(secs: f64) -> Duration {
    Duration::from_secs(40) + Duration::from_secs_f64(secs * 5.0)
}

impl Cell {
    /// The median of the runs that worked, with the least and the most.
    pub(crate) fn median(&self) -> Option<(f64, f64, f64)> {
        let mut values: Vec<_> = self.runs.iter().flatten().map(|run| run.value).collect();
        values.sort_by(f64::total_cmp);
        let (first, last) = (*values.first()?, *values.last()?);
        Some((values[values.len() / 2], first, last))
    }
}
