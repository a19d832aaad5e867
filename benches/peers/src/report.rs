//! The table.

use std::fmt::Write;

use crate::jobs::{Job, Library, Unit};
use crate::perf::Outcome;
use crate::series::{Cell, Row};

const HEAD: &str = "# Results

Written by the command below; [how it is measured](README.md). Medians of the runs, with the least and the most in
brackets. `ct`: tokio's current_thread runtime; `mt`: multi_thread with 2 workers. \"failed\": no run of it came to its end.

";

pub(crate) fn markdown(machine: &[String], rows: &[Row]) -> Outcome<String> {
    let mut out = String::from(HEAD);
    for line in machine {
        writeln!(out, "- {line}")?;
    }
    writeln!(out, "\n![The same as a chart](results.svg)")?;
    for unit in [Unit::Rate, Unit::Micros, Unit::Allocations, Unit::KiB] {
        let rows: Vec<_> = rows.iter().filter(|row| row.job.unit == unit).collect();
        if !rows.is_empty() {
            writeln!(out, "\n## {}\n", title(unit))?;
            table(&mut out, &rows)?;
        }
    }
    failures(&mut out, rows)?;
    Ok(out)
}

fn table(out: &mut String, rows: &[&Row]) -> Outcome {
    let mut titles: Vec<&str> = Vec::new();
    for cell in rows.iter().flat_map(|row| &row.cells) {
        if !titles.contains(&cell.column.title) {
            titles.push(cell.column.title);
        }
    }
    writeln!(out, "| job | {} |", titles.join(" | "))?;
    writeln!(out, "| --- |{}", " --- |".repeat(titles.len()))?;
    for row in rows {
        write!(out, "| {} |", row.job.title)?;
        for title in &titles {
            let cell = best(row, title);
            write!(out, " {} |", cell.map_or_else(|| "–".into(), |cell| show(&row.job, cell)))?;
        }
        writeln!(out)?;
    }
    Ok(())
}

/// The best cell of that title.
pub(crate) fn best<'a>(row: &'a Row, title: &str) -> Option<&'a Cell> {
    let of_title = row.cells.iter().filter(|cell| cell.column.title == title);
    let goodness = |cell: &Cell| {
        let median = cell.median().map(|(median, ..)| median);
        let sign = if row.job.unit == Unit::Rate { 1.0 } else { -1.0 };
        median.map_or(f64::NEG_INFINITY, |median| median * sign)
    };
    of_title.max_by(|one, other| goodness(one).total_cmp(&goodness(other)))
}

fn show(job: &Job, cell: &Cell) -> String {
    let Some((median, least, most)) = cell.median() else { return "failed".into() };
    let scale = if job.unit == Unit::Rate { 1e-6 } else { 1.0 };
    let places = if job.unit == Unit::Rate && most < 1e6 { 4 } else { 2 };
    let number = |value: f64| format!("{:.places$}", value * scale);
    let mut text = format!("{} ({}–{})", number(median), number(least), number(most));
    if let Some(kib) = write_size(cell, job) {
        text += &format!(", {kib} KiB writes");
    }
    let lost = cell.runs.iter().flatten().map(|run| run.lost).fold(0.0, f64::max);
    if lost > 0.0005 {
        text += &format!(", up to {:.1} % lost", lost * 100.0);
    }
    let failed = cell.runs.iter().filter(|run| run.is_err()).count();
    if failed > 0 {
        text += &format!(", {failed} of {} failed", cell.runs.len());
    }
    text
}

fn write_size(cell: &Cell, job: &Job) -> Option<u32> {
    match cell.column.library {
        _ if job.unit != Unit::Rate => None,
        Library::Tcp16 => Some(16),
        Library::Tcp64 => Some(64),
        Library::Tcp256 => Some(256),
        _ => None,
    }
}

fn failures(out: &mut String, rows: &[Row]) -> Outcome {
    let mut head = "\n## What failed\n\n";
    for row in rows {
        for cell in &row.cells {
            if let Some(error) = cell.runs.iter().find_map(|run| run.as_ref().err()) {
                writeln!(out, "{head}- {}, {}: {error}", row.job.title, cell.column.title)?;
                head = "";
            }
        }
    }
    Ok(())
}

pub(crate) const fn title(unit: Unit) -> &'static str {
    match unit {
        Unit::Rate => "Throughput, million messages a second",
        Unit::Micros => "Round trips, microseconds",
        Unit::KiB => "Memory, KiB",
        Unit::Allocations => "Heap allocations a message",
    }
}
