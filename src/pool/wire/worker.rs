//! SWP/1 between a worker and the broker.

use super::header::{Header, command, flag};
use super::meta::{self, Blob, TaskMeta, WorkerMeta};
use super::names::{Names, Naming};
use super::{Parsed, WireError, assemble, bare, check, duration, millis, with_meta};
use crate::message::Message;
use crate::pool::protocol::{FromWorker, Lease, MAX_NAME, Nack, TaskId, ToWorker, WorkerHello};

/// How a task comes back: in the header's `handle`.
mod kind {
    pub(super) const RETRY: u16 = 1;
    pub(super) const RETRY_AFTER: u16 = 2;
    pub(super) const REJECT: u16 = 3;
    pub(super) const RELEASE: u16 = 4;
    pub(super) const DEFER: u16 = 5;
    pub(super) const CRASH: u16 = 6;
}

fn about(command: u8, lease: Lease) -> Header {
    Header { attempt: lease.attempt, ..Header::new(command).of(lease.task.0) }
}

/// What a worker says, as a message.
pub(crate) fn encode_from_worker(said: FromWorker) -> Message {
    match said {
        FromWorker::Hello(hello) => self::hello(hello),
        FromWorker::Credit(more) => {
            bare(Header { argument: more.cast_unsigned(), ..Header::new(command::CREDIT) })
        }
        FromWorker::Started(lease) => bare(about(command::STARTED, lease)),
        FromWorker::Partial(lease, body) => assemble(about(command::PROGRESS, lease), None, body),
        FromWorker::Done(lease, body) => assemble(about(command::DONE, lease), None, body),
        FromWorker::Nack(lease, nack) => self::nack(lease, nack),
        FromWorker::Heartbeat => bare(Header::new(command::WORKER_HEARTBEAT)),
        FromWorker::Ping => bare(Header::new(command::PING)),
        FromWorker::Drain => bare(Header::new(command::DRAIN)),
        FromWorker::Bye => bare(Header::new(command::BYE)),
    }
}

fn hello(hello: WorkerHello) -> Message {
    let blobs = |names: Vec<_>| names.into_iter().map(Blob).collect();
    let meta = WorkerMeta {
        name: Blob(hello.name),
        queues: blobs(hello.queues),
        capacity: hello.capacity,
        prefetch: hello.prefetch,
        tags: blobs(hello.tags),
        weight: hello.weight,
        running: hello.running.iter().map(|lease| (lease.task.0, lease.attempt)).collect(),
    };
    with_meta(Header::new(command::WORKER_HELLO), meta::encode(&meta))
}

fn nack(lease: Lease, nack: Nack) -> Message {
    let (handle, delay, error) = match nack {
        Nack::Retry { delay: None, error } => (kind::RETRY, None, Some(error)),
        Nack::Retry { delay: Some(delay), error } => (kind::RETRY_AFTER, Some(delay), Some(error)),
        Nack::Reject { error } => (kind::REJECT, None, Some(error)),
        Nack::Release => (kind::RELEASE, None, None),
        Nack::Defer { delay } => (kind::DEFER, Some(delay), None),
        Nack::Crash { error } => (kind::CRASH, None, Some(error)),
    };
    let argument = delay.map_or(0, millis);
    let header = Header { handle, argument, ..about(command::NACK, lease) };
    match error {
        Some(error) => assemble(header, None, error.into()),
        None => bare(header),
    }
}

/// What the broker says to a worker, as a message.
pub(crate) fn encode_to_worker(said: ToWorker, naming: &mut Naming) -> Message {
    match said {
        ToWorker::Welcome { heartbeat, liveness } => {
            bare(Header { attempt: liveness, argument: millis(heartbeat), ..Header::new(command::WELCOME) })
        }
        ToWorker::Task { lease, queue, budget, redelivered, trace, body } => {
            let (handle, name_it) = naming.handle(&queue);
            let argument = budget.map_or(0, |budget| millis(budget).max(1));
            let header = Header { handle, argument, ..about(command::TASK, lease) };
            let meta = (name_it || trace.is_some()).then(|| {
                let (queue, trace) = (name_it.then_some(Blob(queue)), trace.as_deref().map(Blob::from));
                meta::encode(&TaskMeta { queue, trace, ..TaskMeta::default() })
            });
            assemble(header.flag(flag::REDELIVERED, redelivered), meta, body)
        }
        ToWorker::Cancel(lease) => bare(about(command::CANCEL_TASK, lease)),
        ToWorker::Heartbeat => bare(Header::new(command::BROKER_HEARTBEAT)),
        ToWorker::Rejoin => bare(Header::new(command::REJOIN)),
        ToWorker::Pong => bare(Header::new(command::PONG)),
    }
}

const fn lease(header: Header) -> Lease {
    Lease { task: TaskId(header.id), attempt: header.attempt }
}

/// What a worker said.
pub(crate) fn decode_from_worker(parsed: Parsed) -> Result<FromWorker, WireError> {
    let Parsed { header, meta, body } = parsed;
    Ok(match header.command {
        command::WORKER_HELLO => FromWorker::Hello(said_hello(&meta.ok_or(WireError::BadMeta)?)?),
        command::CREDIT => FromWorker::Credit(header.argument.cast_signed()),
        command::STARTED => FromWorker::Started(lease(header)),
        command::PROGRESS => FromWorker::Partial(lease(header), body),
        command::DONE => FromWorker::Done(lease(header), body),
        command::NACK => FromWorker::Nack(lease(header), nacked(header, &body)?),
        command::WORKER_HEARTBEAT => FromWorker::Heartbeat,
        command::PING => FromWorker::Ping,
        command::DRAIN => FromWorker::Drain,
        command::BYE => FromWorker::Bye,
        _ => return Err(WireError::BadCommand),
    })
}

fn said_hello(meta: &[u8]) -> Result<WorkerHello, WireError> {
    let meta: WorkerMeta = meta::decode(meta)?;
    let frames = |blobs: Vec<Blob>| blobs.into_iter().map(|blob| blob.0).collect::<Vec<_>>();
    let hello = WorkerHello {
        name: meta.name.0,
        queues: frames(meta.queues),
        capacity: meta.capacity,
        prefetch: meta.prefetch,
        tags: frames(meta.tags),
        // What is no number is no weight either.
        weight: if meta.weight.is_finite() && meta.weight > 0.0 { meta.weight } else { 1.0 },
        running: meta
            .running
            .into_iter()
            .map(|(task, attempt)| Lease { task: TaskId(task), attempt })
            .collect(),
        ..WorkerHello::default()
    };
    hello.queues.iter().chain(&hello.tags).try_for_each(check)?;
    if hello.queues.is_empty() || hello.name.len() > MAX_NAME {
        return Err(WireError::BadName);
    }
    Ok(hello)
}

fn nacked(header: Header, body: &Message) -> Result<Nack, WireError> {
    let error = body.first().clone();
    let delay = duration(header.argument);
    Ok(match header.handle {
        kind::RETRY => Nack::Retry { delay: None, error },
        kind::RETRY_AFTER => Nack::Retry { delay: Some(delay), error },
        kind::REJECT => Nack::Reject { error },
        kind::RELEASE => Nack::Release,
        kind::DEFER => Nack::Defer { delay },
        kind::CRASH => Nack::Crash { error },
        _ => return Err(WireError::BadCode),
    })
}

/// What the broker said to a worker. `names` are the queues that it has named so far.
pub(crate) fn decode_to_worker(parsed: Parsed, names: &mut Names) -> Result<ToWorker, WireError> {
    let Parsed { header, meta, body } = parsed;
    Ok(match header.command {
        command::WELCOME => {
            ToWorker::Welcome { heartbeat: duration(header.argument), liveness: header.attempt }
        }
        command::TASK => {
            let meta = match meta {
                Some(meta) => meta::decode(&meta)?,
                None => TaskMeta::default(),
            };
            ToWorker::Task {
                lease: lease(header),
                queue: names.resolve(header.handle, meta.queue.map(|name| name.0))?,
                budget: (header.argument > 0).then(|| duration(header.argument)),
                redelivered: header.has(flag::REDELIVERED),
                trace: super::trace(meta.trace),
                body,
            }
        }
        command::CANCEL_TASK => ToWorker::Cancel(lease(header)),
        command::BROKER_HEARTBEAT => ToWorker::Heartbeat,
        command::REJOIN => ToWorker::Rejoin,
        command::PONG => ToWorker::Pong,
        _ => return Err(WireError::BadCommand),
    })
}
