//! The Majordomo protocol, versions 0.1 (RFC 7) and 0.2 (RFC 18), as clients and workers speak it to a broker.
//!
//! ```text
//!             client asks            client is told              worker is given, and answers
//!  0.1   [""] C01 service body   [""] C01 service body      [""] W01 2 address "" body    [""] W01 3 address "" body
//!  0.2        C02 1 service body      C02 2|3 service body       W02 2 address "" body         W02 3|4 address "" body
//! ```
//!
//! Some peers begin 0.2 with an empty frame, too; and the clients of one package, majortomo, number their words as workers
//! do, and expect no service in an answer: `C02 2 service body`, `C02 3|4 body`. Each is answered as it speaks. The
//! protocol has no id of a request, so a client's are counted here; and the address that a worker gives back is the lease
//! of the task.

use std::collections::{BTreeMap, VecDeque};

use super::WireError;
use crate::message::{Frame, Message};
use crate::pool::protocol::{
    FromClient, FromWorker, Lease, RequestId, SubmitOptions, TaskId, ToClient, ToWorker, WorkerHello,
};

/// How one peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// 0.2, not 0.1.
    second: bool,
    /// Its messages begin with an empty frame.
    lead: bool,
}

/// Which side of the protocol a message belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Worker,
}

/// Recognises a peer by a message of it.
pub(crate) fn detect(message: &Message) -> Option<(Side, Style)> {
    let lead = message.first().is_empty();
    let (side, second) = match &**message.get(usize::from(lead))? {
        b"MDPC01" => (Side::Client, false),
        b"MDPC02" => (Side::Client, true),
        b"MDPW01" => (Side::Worker, false),
        b"MDPW02" => (Side::Worker, true),
        _ => return None,
    };
    Some((side, Style { second, lead }))
}

impl Style {
    /// Takes the front off: what is left begins behind the protocol's name.
    fn open(message: Message) -> Result<(Side, VecDeque<Frame>), WireError> {
        let (side, style) = detect(&message).ok_or(WireError::NoHeader)?;
        let mut frames = VecDeque::from(message.into_frames());
        frames.drain(..1 + usize::from(style.lead));
        Ok((side, frames))
    }

    /// Puts the front on.
    fn close(self, side: Side, frames: impl IntoIterator<Item = Frame>, body: Option<Message>) -> Message {
        let name = match (side, self.second) {
            (Side::Client, false) => "MDPC01",
            (Side::Client, true) => "MDPC02",
            (Side::Worker, false) => "MDPW01",
            (Side::Worker, true) => "MDPW02",
        };
        let lead = self.lead.then(Frame::new);
        let body = body.into_iter().flat_map(Message::into_frames);
        lead.into_iter().chain([name.into()]).chain(frames).chain(body).collect()
    }
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    style: Style,
    /// It numbers its words as workers do.
    as_worker: bool,
    next: RequestId,
    /// What is not answered yet, for the answer names the service.
    open: BTreeMap<RequestId, Frame>,
}

impl Client {
    pub(crate) const fn new(style: Style) -> Self {
        Self { style, as_worker: false, next: 0, open: BTreeMap::new() }
    }

    pub(crate) fn decode(&mut self, message: Message) -> Result<FromClient, WireError> {
        let (Side::Client, mut frames) = Style::open(message)? else { return Err(WireError::BadCommand) };
        if self.style.second {
            self.as_worker = match frames.pop_front().as_deref() {
                Some(b"\x01") => false,
                Some(b"\x02") => true,
                _ => return Err(WireError::BadCommand),
            };
        }
        let queue = frames.pop_front().ok_or(WireError::Truncated)?;
        super::check(&queue)?;
        self.next += 1;
        let id = self.next;
        self.open.insert(id, queue.clone());
        let body = Message::from(Vec::from(frames));
        Ok(FromClient::Submit { id, queue, options: SubmitOptions::default(), body })
    }

    /// `None` where the protocol has no words for it: a client that gets no answer asks again.
    pub(crate) fn encode(&mut self, said: ToClient) -> Option<Message> {
        let (id, last, body) = match said {
            ToClient::Result { id, body } => (id, true, Some(body)),
            ToClient::Partial { id, body } => (id, false, self.style.second.then_some(body)),
            ToClient::Reject { id, .. } | ToClient::Failed { id, .. } => (id, true, None),
            ToClient::Accept { .. } | ToClient::Status { .. } => return None,
        };
        let service = match last {
            true => self.open.remove(&id)?,
            false => self.open.get(&id)?.clone(),
        };
        let body = body?;
        let number = 2 + u8::from(last) + u8::from(self.as_worker);
        let command = self.style.second.then(|| Frame::from(&[number]));
        let service = Some(service).filter(|_| !self.as_worker);
        Some(self.style.close(Side::Client, command.into_iter().chain(service), Some(body)))
    }
}

/// What a worker may say, with its number in each version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Ready,
    Partial,
    Final,
    Heartbeat,
    Disconnect,
}

impl Word {
    const fn decode(second: bool, number: u8) -> Option<Self> {
        Some(match (second, number) {
            (_, 1) => Self::Ready,
            (true, 3) => Self::Partial,
            (false, 3) | (true, 4) => Self::Final,
            (false, 4) | (true, 5) => Self::Heartbeat,
            (false, 5) | (true, 6) => Self::Disconnect,
            _ => return None,
        })
    }
}

/// What a worker said; there is nothing to remember.
pub(crate) fn decode_from_worker(message: Message) -> Result<FromWorker, WireError> {
    let (_, style) = detect(&message).ok_or(WireError::NoHeader)?;
    let (Side::Worker, mut frames) = Style::open(message)? else { return Err(WireError::BadCommand) };
    let number = frames.pop_front().ok_or(WireError::Truncated)?;
    let &[number] = &*number else { return Err(WireError::BadCommand) };
    Ok(match Word::decode(style.second, number).ok_or(WireError::BadCommand)? {
        Word::Ready => {
            let service = frames.pop_front().ok_or(WireError::Truncated)?;
            super::check(&service)?;
            FromWorker::Hello(one_at_a_time(service))
        }
        Word::Partial => {
            let (lease, body) = answer(frames)?;
            FromWorker::Partial(lease, body)
        }
        Word::Final => {
            let (lease, body) = answer(frames)?;
            FromWorker::Done(lease, body)
        }
        Word::Heartbeat => FromWorker::Heartbeat,
        Word::Disconnect => FromWorker::Bye,
    })
}

/// A worker that is idle, busy, and idle again.
pub(super) fn one_at_a_time(queue: Frame) -> WorkerHello {
    WorkerHello { queues: vec![queue], capacity: 1, weight: 1.0, ..WorkerHello::default() }
}

/// `None` where the protocol has no words for it.
pub(crate) fn encode_to_worker(style: Style, said: ToWorker) -> Option<Message> {
    let (number, lease, body) = match (said, style.second) {
        (ToWorker::Task { lease, body, .. }, _) => (2, Some(lease), Some(body)),
        (ToWorker::Heartbeat, false) => (4, None, None),
        (ToWorker::Heartbeat, true) => (5, None, None),
        // It has to begin anew, and this is the word for it.
        (ToWorker::Rejoin, false) => (5, None, None),
        (ToWorker::Rejoin, true) => (6, None, None),
        (ToWorker::Welcome { .. } | ToWorker::Cancel(_) | ToWorker::Pong, _) => return None,
    };
    let address = lease.into_iter().flat_map(|lease| [address(lease), Frame::new()]);
    Some(style.close(Side::Worker, [Frame::from(&[number])].into_iter().chain(address), body))
}

/// A lease, as the address that a worker gives back.
pub(super) fn address(lease: Lease) -> Frame {
    let mut bytes = [0; 12];
    let (task, attempt) = bytes.split_at_mut(8);
    task.copy_from_slice(&lease.task.0.to_be_bytes());
    attempt.copy_from_slice(&lease.attempt.to_be_bytes());
    Frame::copy_from_slice(&bytes)
}

/// The address, an empty frame, and the body.
pub(super) fn answer(mut frames: VecDeque<Frame>) -> Result<(Lease, Message), WireError> {
    let address = frames.pop_front().ok_or(WireError::Truncated)?;
    let (task, attempt) = address.split_first_chunk::<8>().ok_or(WireError::BadCode)?;
    let attempt: [u8; 4] = attempt.try_into().map_err(|_| WireError::BadCode)?;
    let lease = Lease { task: TaskId(u64::from_be_bytes(*task)), attempt: u32::from_be_bytes(attempt) };
    match frames.pop_front() {
        Some(delimiter) if delimiter.is_empty() => Ok((lease, Vec::from(frames).into())),
        _ => Err(WireError::Truncated),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    type Parts = &'static [&'static [u8]];

    fn frames(parts: &[&[u8]]) -> Message {
        parts.iter().map(|part| Frame::copy_from_slice(part)).collect()
    }

    const LEASE: Lease = Lease { task: TaskId(7), attempt: 2 };
    const ADDRESS: &[u8] = b"\0\0\0\0\0\0\0\x07\0\0\0\x02";

    fn task(body: &str) -> ToWorker {
        ToWorker::Task {
            lease: LEASE,
            queue: "echo".into(),
            budget: None,
            redelivered: false,
            trace: None,
            body: body.into(),
        }
    }

    #[test]
    fn a_client_is_answered_as_it_speaks() {
        let cases: [(Parts, Parts); 4] = [
            (&[b"", b"MDPC02", b"\x02", b"echo", b"hi"], &[b"", b"MDPC02", b"\x04", b"HI"]),
            (&[b"", b"MDPC01", b"echo", b"hi"], &[b"", b"MDPC01", b"echo", b"HI"]),
            (&[b"MDPC02", b"\x01", b"echo", b"hi"], &[b"MDPC02", b"\x03", b"echo", b"HI"]),
            (&[b"", b"MDPC02", b"\x01", b"echo", b"hi"], &[b"", b"MDPC02", b"\x03", b"echo", b"HI"]),
        ];
        for (request, reply) in cases {
            let (side, style) = detect(&frames(request)).unwrap();
            assert_eq!(side, Side::Client);
            let mut client = Client::new(style);
            let FromClient::Submit { id, queue, body, .. } = client.decode(frames(request)).unwrap() else {
                panic!("not a request")
            };
            assert_eq!((queue, body), ("echo".into(), "hi".into()));
            assert_eq!(client.encode(ToClient::Result { id, body: "HI".into() }), Some(frames(reply)));
            assert_eq!(client.encode(ToClient::Result { id, body: "HI".into() }), None);
        }
    }

    #[test]
    fn a_worker_is_spoken_to_as_it_speaks() {
        let cases: [(Parts, u8, Parts, u8); 3] = [
            (&[b"", b"MDPW01", b"\x01", b"echo"], 3, &[b"", b"MDPW01"], 5),
            (&[b"MDPW02", b"\x01", b"echo"], 4, &[b"MDPW02"], 6),
            (&[b"", b"MDPW02", b"\x01", b"echo"], 4, &[b"", b"MDPW02"], 6),
        ];
        for (ready, last, front, disconnect) in cases {
            let (_, style) = detect(&frames(ready)).unwrap();
            let FromWorker::Hello(hello) = decode_from_worker(frames(ready)).unwrap() else {
                panic!("not READY")
            };
            assert_eq!((hello.queues, hello.capacity), (vec!["echo".into()], 1));
            let with = |rest: &[&[u8]]| frames(&[front, rest].concat());
            let request = encode_to_worker(style, task("hi")).unwrap();
            assert_eq!(request, with(&[b"\x02", ADDRESS, b"", b"hi"]));
            let reply = with(&[&[last], ADDRESS, b"", b"HI"]);
            let FromWorker::Done(lease, body) = decode_from_worker(reply).unwrap() else {
                panic!("not a reply")
            };
            assert_eq!((lease, body), (LEASE, "HI".into()));
            assert_eq!(encode_to_worker(style, ToWorker::Rejoin).unwrap(), with(&[&[disconnect]]));
            assert!(matches!(decode_from_worker(with(&[&[disconnect - 1]])), Ok(FromWorker::Heartbeat)));
        }
    }

    #[test]
    fn a_reply_to_nobody_is_refused() {
        for address in [&b"short"[..], b"", b"longer than a lease is"] {
            let reply = frames(&[b"", b"MDPW01", b"\x03", address, b"", b"body"]);
            assert_eq!(decode_from_worker(reply).unwrap_err(), WireError::BadCode);
        }
    }

    proptest! {
        #[test]
        fn any_frames_are_decoded_or_refused(
            lead: bool, name in "MDP[CW]0[12]", rest in vec(vec(any::<u8>(), 0..16), 0..6),
        ) {
            let mut message: Message = rest.into_iter().collect();
            message.push_front(name);
            if lead {
                message.push_front("");
            }
            let (side, style) = detect(&message).unwrap();
            match side {
                Side::Client => drop(Client::new(style).decode(message)),
                Side::Worker => drop(decode_from_worker(message)),
            }
        }
    }
}
