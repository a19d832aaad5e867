//! Programs that know no pool: REQ clients, and the workers of load-balancing brokers, which say `READY` once and
//! then answer one request after the other. Each has an endpoint of its own, for nothing in the messages tells who
//! speaks.
//!
//! ```text
//!  client  ["", body]  ->  ["", reply]
//!  worker  ["", READY]    <-  ["", address, "", body]    ->  ["", address, "", reply]
//! ```

use std::collections::VecDeque;

use super::WireError;
use super::mdp::{address, answer, one_at_a_time};
use crate::message::{Frame, Message};
use crate::pool::protocol::{FromClient, FromWorker, RequestId, SubmitOptions, ToClient, ToWorker};

/// A client; all its requests are for one queue.
#[derive(Debug)]
pub(crate) struct Client {
    queue: Frame,
    /// It begins with an empty frame, as a REQ does.
    lead: bool,
    next: RequestId,
}

impl Client {
    pub(crate) const fn new(queue: Frame) -> Self {
        Self { queue, lead: true, next: 0 }
    }

    pub(crate) fn decode(&mut self, mut body: Message) -> FromClient {
        self.lead = body.first().is_empty() && body.pop_front().is_some();
        self.next += 1;
        let options = SubmitOptions::default();
        FromClient::Submit { id: self.next, queue: self.queue.clone(), options, body }
    }

    /// `None` where there are no words for it.
    pub(crate) fn encode(&self, said: ToClient) -> Option<Message> {
        let ToClient::Result { mut body, .. } = said else { return None };
        if self.lead {
            body.push_front(Frame::new());
        }
        Some(body)
    }
}

/// What a worker of `queue` said.
pub(crate) fn decode_from_worker(queue: &Frame, message: Message) -> Result<FromWorker, WireError> {
    let mut frames = VecDeque::from(message.into_frames());
    if frames.front().is_some_and(|front| front.is_empty()) {
        frames.pop_front();
    }
    match (frames.len(), frames.front().map(|front| &**front)) {
        (1, Some(b"READY" | b"\x01")) => Ok(FromWorker::Hello(one_at_a_time(queue.clone()))),
        (1, Some(b"\x02")) => Ok(FromWorker::Heartbeat),
        _ => answer(frames).map(|(lease, body)| FromWorker::Done(lease, body)),
    }
}

/// `None` where there are no words for it.
pub(crate) fn encode_to_worker(said: ToWorker) -> Option<Message> {
    let ToWorker::Task { lease, mut body, .. } = said else { return None };
    for frame in [Frame::new(), address(lease), Frame::new()] {
        body.push_front(frame);
    }
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::protocol::{Lease, TaskId};

    #[test]
    fn a_worker_says_ready_and_answers() {
        let queue = Frame::from("plain");
        let ready = decode_from_worker(&queue, ["", "READY"].into()).unwrap();
        assert!(
            matches!(ready, FromWorker::Hello(hello) if hello.queues == ["plain"] && hello.capacity == 1)
        );
        let lease = Lease { task: TaskId(1), attempt: 1 };
        let task = ToWorker::Task {
            lease,
            queue,
            budget: None,
            redelivered: false,
            trace: None,
            body: "hello".into(),
        };
        let request = encode_to_worker(task).unwrap();
        assert_eq!(request.frame_count(), 4);
        let reply = ["".into(), request[1].clone(), "".into(), Frame::from("world")];
        let done = decode_from_worker(&"plain".into(), reply.into()).unwrap();
        assert!(matches!(done, FromWorker::Done(of, body) if of == lease && body == "world"));
        assert!(decode_from_worker(&"plain".into(), "garbage".into()).is_err());
    }

    #[test]
    fn a_client_is_answered_as_it_asks() {
        let mut client = Client::new("plain".into());
        for (request, reply) in [(vec!["", "hi"], vec!["", "HI"]), (vec!["hi"], vec!["HI"])] {
            let FromClient::Submit { id, body, .. } = client.decode(request.into_iter().collect()) else {
                panic!("not a request")
            };
            assert_eq!(body, "hi");
            let reply: Message = reply.into_iter().collect();
            assert_eq!(client.encode(ToClient::Result { id, body: "HI".into() }), Some(reply));
        }
    }
}
