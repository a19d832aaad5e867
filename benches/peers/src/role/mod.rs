//! One process of a run: `sinew perf` for Sinew, and the like of it for the others.

mod generic;
mod libzmq;
mod omq;
mod omq_blocking;
mod raw;
mod rzmq;
mod tcp;
mod zeromq;

use std::sync::OnceLock;

use clap::ValueEnum;

use crate::perf::{self, Outcome};

/// Which implementation, and how it is told to run.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Library {
    Sinew,
    Omq,
    OmqBlocking,
    Zeromq,
    Rzmq,
    Libzmq,
    /// Blocking TCP with so many KiB to a write.
    Tcp16,
    Tcp64,
    Tcp256,
    /// Peers that shake hands and are silent.
    Raw,
}

/// A role of `sinew perf`, by any library.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct RoleArgs {
    library: Library,
    /// The one core that this process may use.
    #[arg(long)]
    core: Option<usize>,
    #[command(flatten)]
    perf: perf::Args,
}

static AT_END: OnceLock<fn()> = OnceLock::new();

/// Has a role call this when it has done its work.
pub fn report_at_end(report: fn()) {
    // The first stays.
    let _ = AT_END.set(report);
}

/// The role has done its work; the process may have to live on.
fn done() {
    if let Some(report) = AT_END.get() {
        report();
    }
}

pub(crate) fn run(args: RoleArgs) -> Outcome {
    if let Some(core) = args.core {
        let mut cores = rustix::thread::CpuSet::new();
        cores.set(core);
        rustix::thread::sched_setaffinity(None, &cores)?;
    }
    let perf = args.perf;
    match args.library {
        Library::Sinew => perf::run(perf)?,
        Library::Omq => generic::run::<omq::Peer>(perf)?,
        Library::OmqBlocking => generic::run::<omq_blocking::Peer>(perf)?,
        Library::Zeromq => generic::run::<zeromq::Peer>(perf)?,
        Library::Rzmq => generic::run::<rzmq::Peer>(perf)?,
        Library::Libzmq => generic::run::<libzmq::Peer>(perf)?,
        Library::Tcp16 => tcp::run(&perf, 16 << 10)?,
        Library::Tcp64 => tcp::run(&perf, 64 << 10)?,
        Library::Tcp256 => tcp::run(&perf, 256 << 10)?,
        Library::Raw => raw::run(&perf)?,
    }
    done();
    Ok(())
}
