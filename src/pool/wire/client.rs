//! SWP/1 between a client and the broker.

use std::time::Duration;

use super::header::{Header, command, flag};
use super::meta::{self, Blob, ClientMeta, TaskMeta};
use super::names::{Names, Naming};
use super::{Parsed, WireError, assemble, bare, check, duration, millis, with_meta};
use crate::message::{Frame, Message};
use crate::pool::protocol::{FailReason, FromClient, RejectReason, SubmitOptions, ToClient};

/// What a client says, as a message.
pub(crate) fn encode_from_client(said: FromClient, naming: &mut Naming) -> Message {
    match said {
        FromClient::Hello { client } => {
            let meta = meta::encode(&ClientMeta { name: Blob(client) });
            with_meta(Header::new(command::CLIENT_HELLO), meta)
        }
        FromClient::Submit { id, queue, options, body } => submit(id, &queue, &options, body, naming),
        // Nobody has reason to say it; what a broker makes of this is the same.
        FromClient::Nonsense { id } => bare(Header::new(command::SUBMIT).of(id)),
        FromClient::Cancel { id } => bare(Header::new(command::CANCEL).of(id)),
        FromClient::Status { id } => bare(Header::new(command::STATUS).of(id)),
    }
}

fn submit(id: u64, queue: &Frame, options: &SubmitOptions, body: Message, naming: &mut Naming) -> Message {
    let (handle, name_it) = naming.handle(queue);
    let mut header = Header::new(command::SUBMIT)
        .of(id)
        .flag(flag::ACK, options.ack)
        .flag(flag::NO_REPLY, options.no_reply);
    header.handle = handle;
    header.argument = options.budget.map_or(0, |budget| millis(budget).max(1));
    let plain = options.priority.is_none()
        && options.key.is_none()
        && options.dedup.is_none()
        && options.delay.is_zero()
        && options.tags.is_empty()
        && options.trace.is_none();
    // The usual case: all of it is in the header.
    if plain && !name_it {
        return assemble(header, None, body);
    }
    let meta = TaskMeta {
        queue: name_it.then(|| Blob(queue.clone())),
        priority: options.priority,
        key: options.key.as_deref().cloned().map(Blob),
        dedup: options.dedup.as_deref().cloned().map(Blob),
        delay: u64::try_from(options.delay.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX),
        tags: options.tags.iter().cloned().map(Blob).collect(),
        trace: options.trace.as_deref().map(Blob::from),
    };
    assemble(header, Some(meta::encode(&meta)), body)
}

/// What the broker says to a client, as a message.
pub(crate) fn encode_to_client(said: ToClient) -> Message {
    match said {
        ToClient::Accept { id } => bare(Header::new(command::ACCEPT).of(id)),
        ToClient::Reject { id, reason, retry_after } => {
            let attempt = reject_code(reason);
            bare(Header { attempt, argument: millis(retry_after), ..Header::new(command::REJECT).of(id) })
        }
        ToClient::Partial { id, body } => assemble(Header::new(command::PARTIAL).of(id), None, body),
        ToClient::Result { id, body } => assemble(Header::new(command::RESULT).of(id), None, body),
        ToClient::Failed { id, reason, text } => {
            let argument = fail_code(reason);
            assemble(Header { argument, ..Header::new(command::FAILED).of(id) }, None, text.into())
        }
        ToClient::Status { id, text } => assemble(Header::new(command::STATUS_IS).of(id), None, text.into()),
    }
}

/// What a client said. `names` are the queues that it has named so far.
pub(crate) fn decode_from_client(parsed: Parsed, names: &mut Names) -> Result<FromClient, WireError> {
    let Parsed { header, meta, body } = parsed;
    let id = header.id;
    Ok(match header.command {
        command::CLIENT_HELLO => {
            let ClientMeta { name } = meta::decode(&meta.ok_or(WireError::BadMeta)?)?;
            check(&name.0)?;
            FromClient::Hello { client: name.0 }
        }
        command::SUBMIT => {
            let submitted = submitted(header, meta, names);
            submitted.map_or(FromClient::Nonsense { id }, |(queue, options)| FromClient::Submit {
                id,
                queue,
                options,
                body,
            })
        }
        command::CANCEL => FromClient::Cancel { id },
        command::STATUS => FromClient::Status { id },
        _ => return Err(WireError::BadCommand),
    })
}

fn submitted(
    header: Header,
    meta: Option<Frame>,
    names: &mut Names,
) -> Result<(Frame, SubmitOptions), WireError> {
    let mut options = SubmitOptions {
        ack: header.has(flag::ACK),
        no_reply: header.has(flag::NO_REPLY),
        budget: (header.argument > 0).then(|| duration(header.argument)),
        ..SubmitOptions::default()
    };
    let Some(meta) = meta else { return Ok((names.resolve(header.handle, None)?, options)) };
    let meta: TaskMeta = meta::decode(&meta)?;
    let queue = names.resolve(header.handle, meta.queue.map(|name| name.0))?;
    options.priority = meta.priority;
    options.key = meta.key.map(|key| Box::new(key.0));
    options.dedup = meta.dedup.map(|dedup| Box::new(dedup.0));
    options.delay = Duration::from_millis(meta.delay);
    options.tags = meta.tags.into_iter().map(|tag| tag.0).collect();
    options.trace = super::trace(meta.trace);
    let names = options.key.iter().chain(&options.dedup).map(|name| &**name);
    names.chain(&options.tags).try_for_each(check)?;
    Ok((queue, options))
}

/// What the broker said to a client.
pub(crate) fn decode_to_client(parsed: Parsed) -> Result<ToClient, WireError> {
    let Parsed { header, body, .. } = parsed;
    let id = header.id;
    Ok(match header.command {
        command::ACCEPT => ToClient::Accept { id },
        command::REJECT => {
            let reason = reject_reason(header.attempt)?;
            ToClient::Reject { id, reason, retry_after: duration(header.argument) }
        }
        command::PARTIAL => ToClient::Partial { id, body },
        command::RESULT => ToClient::Result { id, body },
        command::FAILED => {
            ToClient::Failed { id, reason: fail_reason(header.argument)?, text: body.first().clone() }
        }
        command::STATUS_IS => ToClient::Status { id, text: body.first().clone() },
        _ => return Err(WireError::BadCommand),
    })
}

const REJECTIONS: [(RejectReason, u32); 4] = [
    (RejectReason::QueueFull, 1),
    (RejectReason::UnknownQueue, 2),
    (RejectReason::ShuttingDown, 3),
    (RejectReason::Invalid, 4),
];

const FAILURES: [(FailReason, u32); 9] = [
    (FailReason::Rejected, 1),
    (FailReason::Exhausted, 2),
    (FailReason::Crashed, 3),
    (FailReason::Expired, 4),
    (FailReason::Cancelled, 5),
    (FailReason::Lost, 6),
    (FailReason::Dropped, 7),
    (FailReason::Purged, 8),
    (FailReason::Forgotten, 9),
];

fn reject_code(reason: RejectReason) -> u32 {
    REJECTIONS.iter().find(|(known, _)| *known == reason).map_or(0, |(_, code)| *code)
}

fn reject_reason(code: u32) -> Result<RejectReason, WireError> {
    let found = REJECTIONS.iter().find(|(_, known)| *known == code);
    found.map(|(reason, _)| *reason).ok_or(WireError::BadCode)
}

fn fail_code(reason: FailReason) -> u32 {
    FAILURES.iter().find(|(known, _)| *known == reason).map_or(0, |(_, code)| *code)
}

fn fail_reason(code: u32) -> Result<FailReason, WireError> {
    let found = FAILURES.iter().find(|(_, known)| *known == code);
    found.map(|(reason, _)| *reason).ok_or(WireError::BadCode)
}
