//! Sinew beside its peers: each in its documented idiom, in the same jobs, in processes of its own.
//!
//! `jobs` says what is measured, `run` starts the two processes of a run and reads what they print, `report` and
//! `chart` write it down. `role` is what such a process does; for Sinew it is `sinew perf` itself.

mod chart;
mod jobs;
mod machine;
#[path = "../../../src/bin/sinew/perf/mod.rs"]
mod perf;
mod process;
mod report;
mod role;
mod run;
mod series;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use role::report_at_end;

/// Measures Sinew beside libzmq, omq-tokio, zeromq, rzmq and plain TCP, and writes a table and a chart.
#[derive(Parser)]
#[command(bin_name = "cargo run --release --manifest-path benches/peers/Cargo.toml --")]
struct Cli {
    #[command(subcommand)]
    hidden: Option<Hidden>,
    #[command(flatten)]
    options: Options,
}

#[derive(Subcommand)]
enum Hidden {
    /// One process of a run.
    #[command(hide = true)]
    Role(role::RoleArgs),
}

#[derive(clap::Args)]
struct Options {
    /// Only jobs whose name begins with one of these.
    #[arg(long, value_delimiter = ',')]
    jobs: Vec<String>,
    /// Only columns whose name begins with one of these, as sinew, omq-ct or libzmq.
    #[arg(long, value_delimiter = ',')]
    columns: Vec<String>,
    /// Runs of each job and column.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// About how long a run should take, in seconds; 0: as few messages as make sense.
    #[arg(long, default_value_t = 3.0)]
    secs: f64,
    /// Where the results go.
    #[arg(long, default_value = "docs/benchmarks")]
    out: PathBuf,
    /// Say what could be run, and end.
    #[arg(long)]
    list: bool,
}

/// What both binaries do.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.hidden {
        Some(Hidden::Role(args)) => role::run(args),
        None => measure(&cli.options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> perf::Outcome {
    let wanted = |name: &str, prefixes: &[String]| {
        prefixes.is_empty() || prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    let jobs: Vec<_> = jobs::all().into_iter().filter(|job| wanted(&job.name, &options.jobs)).collect();
    let columns: Vec<_> = jobs::columns().filter(|column| wanted(column.name, &options.columns)).collect();
    if options.list || jobs.is_empty() || columns.is_empty() {
        println!("jobs: {}", jobs::all().iter().map(|job| &*job.name).collect::<Vec<_>>().join(" "));
        println!("columns: {}", jobs::columns().map(|column| column.name).collect::<Vec<_>>().join(" "));
        return if options.list { Ok(()) } else { Err("nothing of that name".into()) };
    }
    std::fs::create_dir_all(&options.out)?;
    // Before anything is written that git could see.
    let machine = machine::describe();
    let mut rows = Vec::new();
    for job in &jobs {
        rows.push(series::row(job, &columns, options.rounds, options.secs));
        // After each, so that a run that is broken off was not for nothing.
        std::fs::write(options.out.join("results.md"), report::markdown(&machine, &rows)?)?;
        chart::draw(&rows, &options.out.join("results.svg"))?;
    }
    println!("written to {}", options.out.display());
    Ok(())
}
