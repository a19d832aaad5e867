//! One run: two processes, what they print, and a time limit.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::jobs::{Column, Job, Shape, Transport};
use crate::perf::Outcome;
use crate::process::Process;
use crate::role::Library;

/// What a run has shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// In the unit of the job.
    pub(crate) value: f64,
    /// The share that did not arrive; only publishers may lose some.
    pub(crate) lost: f64,
}

/// Runs the job once, with so many messages, within `limit`.
pub(crate) fn once(job: &Job, column: &Column, count: u64, limit: Duration) -> Outcome<Measured> {
    let deadline = Instant::now() + limit;
    let measured = match job.shape {
        Shape::Idle => idle(job, column, deadline)?,
        Shape::Allocations => {
            // What both counts share is the start and the end.
            let one = allocations(job, column, count, deadline)?;
            let two = allocations(job, column, count * 2, deadline)?;
            (two - one).max(0.0) / count as f64
        }
        _ => return traffic(job, column, count, deadline),
    };
    Ok(Measured { value: measured, lost: 0.0 })
}

/// The roles of who binds and who connects.
const fn roles(shape: Shape) -> (&'static str, &'static str) {
    match shape {
        Shape::PushPull | Shape::Idle | Shape::Allocations => ("pull", "push"),
        Shape::PushToMany => ("push", "pull"),
        Shape::PubSub => ("pub", "sub"),
        Shape::RouterDealer => ("router", "dealer"),
        Shape::ReqRep => ("rep", "req"),
        Shape::Inproc => ("inproc", ""),
    }
}

fn traffic(job: &Job, column: &Column, count: u64, deadline: Instant) -> Outcome<Measured> {
    let program = std::env::current_exe()?;
    let (binder, connecter) = start(&program, job, column, count, deadline)?;
    let of_binder = matches!(job.shape, Shape::PushPull | Shape::Inproc);
    let measured = if of_binder { &binder } else { connecter.as_ref().unwrap_or(&binder) };
    if job.shape == Shape::ReqRep {
        let line = measured.line("n=", deadline)?;
        return Ok(Measured { value: value(&line, "p50")?, lost: 0.0 });
    }
    let line = format!("got={}", measured.line("got=", deadline)?);
    let lost = 1.0 - value(&line, "got")? / value(&line, "of")?;
    if lost > 0.0 && job.shape != Shape::PubSub {
        return Err(format!("{:.1} % did not arrive", lost * 100.0).into());
    }
    Ok(Measured { value: value(&line, "rate")?, lost })
}

fn allocations(job: &Job, column: &Column, count: u64, deadline: Instant) -> Outcome<f64> {
    let (binder, connecter) = start(counted()?, job, column, count, deadline)?;
    let mut sum = 0.0;
    for process in std::iter::once(binder).chain(connecter) {
        sum += process.line("allocations ", deadline)?.parse::<f64>()?;
    }
    Ok(sum)
}

fn idle(job: &Job, column: &Column, deadline: Instant) -> Outcome<f64> {
    let program = std::env::current_exe()?;
    let binder = Process::start(&program, &binder_args(job, column, 1)?)?;
    let endpoint = binder.line("bound ", deadline)?;
    let before = resident(binder.id())?;
    let mut args = args(job, column, 1, ("push", &endpoint, job.sockets))?;
    args[0] = name(Library::Raw)?;
    let peers = Process::start(&program, &args)?;
    peers.line("connected ", deadline)?;
    std::thread::sleep(Duration::from_secs(1));
    Ok((resident(binder.id())? - before) / f64::from(job.sockets))
}

/// Starts who binds, and once it is bound who connects.
fn start(
    program: &Path,
    job: &Job,
    column: &Column,
    count: u64,
    deadline: Instant,
) -> Outcome<(Process, Option<Process>)> {
    let binder = Process::start(program, &binder_args(job, column, count)?)?;
    let (_, role) = roles(job.shape);
    if role.is_empty() {
        return Ok((binder, None));
    }
    let endpoint = binder.line("bound ", deadline)?;
    let mut args = args(job, column, count, (role, &endpoint, job.sockets))?;
    if job.shape == Shape::PushToMany {
        args.push("--connect".into());
    }
    if let Some((_, core)) = job.cores {
        args.push(format!("--core={core}"));
    }
    Ok((binder, Some(Process::start(program, &args)?)))
}

fn binder_args(job: &Job, column: &Column, count: u64) -> Outcome<Vec<String>> {
    let endpoint = match job.transport {
        Transport::Tcp => "tcp://127.0.0.1:0".into(),
        Transport::Ipc => format!("ipc://{}", ipc_path().display()),
        Transport::Inproc => "inproc://peers".into(),
    };
    // Who binds has one socket; who sends first waits for its peers.
    let waits = matches!(job.shape, Shape::PubSub | Shape::PushToMany);
    let sockets = if waits { job.sockets } else { 1 };
    let mut args = args(job, column, count, (roles(job.shape).0, &endpoint, sockets))?;
    if job.shape == Shape::PushToMany {
        args.push("--bind".into());
    }
    if let Some((core, _)) = job.cores {
        args.push(format!("--core={core}"));
    }
    Ok(args)
}

/// A file that is not there.
fn ipc_path() -> PathBuf {
    let path = std::env::temp_dir().join(format!("sinew-peers-{}", std::process::id()));
    // What the run before has left.
    let _ = std::fs::remove_file(&path);
    path
}

fn args(
    job: &Job,
    column: &Column,
    count: u64,
    (role, endpoint, sockets): (&str, &str, u32),
) -> Outcome<Vec<String>> {
    let mut args = vec![
        name(column.library)?,
        role.into(),
        endpoint.into(),
        job.size.to_string(),
        count.to_string(),
        sockets.to_string(),
        format!("--runtime={}", column.runtime),
        format!("--hwm={}", job.hwm),
    ];
    if job.topics > 0 {
        args.push(format!("--topics={}", job.topics));
    }
    Ok(args)
}

fn name(library: Library) -> Outcome<String> {
    let value = library.to_possible_value().ok_or("a library without a name")?;
    Ok(value.get_name().into())
}

/// The number after `key=`, without its unit.
fn value(line: &str, key: &str) -> Outcome<f64> {
    let field = line.split(' ').find_map(|field| field.strip_prefix(key)?.strip_prefix('='));
    let number = field.ok_or_else(|| format!("no {key} in: {line}"))?.trim_end_matches("us");
    Ok(number.parse()?)
}

/// Resident memory of a process, in KiB.
fn resident(process: u32) -> Outcome<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// The program that counts allocations; built when it is first needed.
fn counted() -> Outcome<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let program = std::env::current_exe().map_err(|error| error.to_string())?.with_file_name("counted");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let built = Command::new(cargo)
            .args(["build", "--quiet", "--release", "--bin", "counted", "--manifest-path"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .status();
        match built {
            Ok(status) if status.success() && program.exists() => Ok(program),
            _ => Err("the counting program could not be built".into()),
        }
    });
    Ok(built.as_ref().map_err(String::as_str)?)
}
