//! The command-line tool: `sinew --help`.
//!
//! It is a user of the library: it has only what `sinew` exports.

mod perf;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Brokerless messaging from the command line.
#[derive(Parser)]
#[command(version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Perf(perf::Args),
}

fn main() -> ExitCode {
    let Command::Perf(args) = Cli::parse().command;
    match perf::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sinew: {}", with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

/// The error and what is behind it, in one line.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
