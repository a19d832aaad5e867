//! Everything that can be said survives the wire; everything else is refused by name.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::client::{decode_from_client, encode_to_client};
use super::header::{self, command};
use super::worker::{decode_from_worker, encode_to_worker};
use super::*;
use crate::pool::protocol::*;

fn name() -> impl Strategy<Value = Frame> {
    vec(any::<u8>(), 1..=MAX_NAME).prop_map(Frame::from)
}

fn a_trace() -> impl Strategy<Value = Parent> {
    "00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}".prop_map(Parent::from)
}

fn body() -> impl Strategy<Value = Message> {
    vec(vec(any::<u8>(), 0..100), 1..4).prop_map(|frames| frames.into_iter().collect())
}

fn time() -> impl Strategy<Value = Duration> {
    any::<u32>().prop_map(|millis| Duration::from_millis(millis.into()))
}

fn some_time() -> impl Strategy<Value = Duration> {
    (1..=u32::MAX).prop_map(|millis| Duration::from_millis(millis.into()))
}

prop_compose! {
    fn a_lease()(task: u64, attempt: u32) -> Lease {
        Lease { task: TaskId(task), attempt }
    }
}

prop_compose! {
    fn options()(
        ack: bool,
        no_reply: bool,
        priority in option::of(any::<u8>()),
        key in option::of(name().prop_map(Box::new)),
        dedup in option::of(name().prop_map(Box::new)),
        delay in time(),
        budget in option::of(some_time()),
        tags in vec(name(), 0..3),
        trace in option::of(a_trace()),
    ) -> SubmitOptions {
        SubmitOptions { ack, no_reply, priority, key, dedup, delay, budget, tags, trace }
    }
}

prop_compose! {
    fn hello()(
        name in name(),
        queues in vec(name(), 1..4),
        capacity: u32,
        prefetch: u32,
        tags in vec(name(), 0..3),
        weight in 0.1..1e6,
        running in vec(a_lease(), 0..3),
    ) -> WorkerHello {
        WorkerHello { name, queues, capacity, prefetch, tags, weight, running, ..WorkerHello::default() }
    }
}

fn from_client() -> impl Strategy<Value = FromClient> {
    prop_oneof![
        name().prop_map(|client| FromClient::Hello { client }),
        (any::<u64>(), name(), options(), body()).prop_map(|(id, queue, options, body)| FromClient::Submit {
            id,
            queue,
            options,
            body
        }),
        any::<u64>().prop_map(|id| FromClient::Cancel { id }),
        any::<u64>().prop_map(|id| FromClient::Status { id }),
    ]
}

fn to_client() -> impl Strategy<Value = ToClient> {
    let reject = prop_oneof![
        Just(RejectReason::QueueFull),
        Just(RejectReason::UnknownQueue),
        Just(RejectReason::ShuttingDown),
        Just(RejectReason::Invalid),
    ];
    let fail = prop_oneof![
        Just(FailReason::Rejected),
        Just(FailReason::Exhausted),
        Just(FailReason::Crashed),
        Just(FailReason::Expired),
        Just(FailReason::Cancelled),
        Just(FailReason::Lost),
        Just(FailReason::Dropped),
        Just(FailReason::Purged),
        Just(FailReason::Forgotten),
    ];
    prop_oneof![
        any::<u64>().prop_map(|id| ToClient::Accept { id }),
        (any::<u64>(), reject, time()).prop_map(|(id, reason, retry_after)| ToClient::Reject {
            id,
            reason,
            retry_after
        }),
        (any::<u64>(), body()).prop_map(|(id, body)| ToClient::Partial { id, body }),
        (any::<u64>(), body()).prop_map(|(id, body)| ToClient::Result { id, body }),
        (any::<u64>(), fail, name()).prop_map(|(id, reason, text)| ToClient::Failed { id, reason, text }),
        (any::<u64>(), name()).prop_map(|(id, text)| ToClient::Status { id, text }),
    ]
}

fn nack() -> impl Strategy<Value = Nack> {
    prop_oneof![
        (option::of(time()), name()).prop_map(|(delay, error)| Nack::Retry { delay, error }),
        name().prop_map(|error| Nack::Reject { error }),
        Just(Nack::Release),
        time().prop_map(|delay| Nack::Defer { delay }),
        name().prop_map(|error| Nack::Crash { error }),
    ]
}

fn from_worker() -> impl Strategy<Value = FromWorker> {
    prop_oneof![
        hello().prop_map(FromWorker::Hello),
        any::<i32>().prop_map(FromWorker::Credit),
        a_lease().prop_map(FromWorker::Started),
        (a_lease(), body()).prop_map(|(lease, body)| FromWorker::Partial(lease, body)),
        (a_lease(), body()).prop_map(|(lease, body)| FromWorker::Done(lease, body)),
        (a_lease(), nack()).prop_map(|(lease, nack)| FromWorker::Nack(lease, nack)),
        Just(FromWorker::Heartbeat),
        Just(FromWorker::Ping),
        Just(FromWorker::Drain),
        Just(FromWorker::Bye),
    ]
}

fn to_worker() -> impl Strategy<Value = ToWorker> {
    prop_oneof![
        (time(), any::<u32>()).prop_map(|(heartbeat, liveness)| ToWorker::Welcome { heartbeat, liveness }),
        (a_lease(), name(), option::of(some_time()), any::<bool>(), option::of(a_trace()), body()).prop_map(
            |(lease, queue, budget, redelivered, trace, body)| ToWorker::Task {
                lease,
                queue,
                budget,
                redelivered,
                trace,
                body
            }
        ),
        a_lease().prop_map(ToWorker::Cancel),
        Just(ToWorker::Heartbeat),
        Just(ToWorker::Rejoin),
        Just(ToWorker::Pong),
    ]
}

/// The vocabulary has no equality of its own: nothing but a test would use it.
fn text(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}")
}

proptest! {
    #[test]
    fn what_a_client_says_survives_the_wire(said in vec(from_client(), 1..8)) {
        let (mut naming, mut names) = (Naming::default(), Names::default());
        for said in said {
            let expected = text(&said);
            let parsed = parse(encode_from_client(said, &mut naming)).unwrap();
            prop_assert_eq!(text(&decode_from_client(parsed, &mut names).unwrap()), expected);
        }
    }

    #[test]
    fn what_a_client_is_told_survives_the_wire(said in to_client()) {
        let expected = text(&said);
        let parsed = parse(encode_to_client(said)).unwrap();
        prop_assert_eq!(text(&decode_to_client(parsed).unwrap()), expected);
    }

    #[test]
    fn what_a_worker_says_survives_the_wire(said in from_worker()) {
        let expected = text(&said);
        let parsed = parse(encode_from_worker(said)).unwrap();
        prop_assert_eq!(text(&decode_from_worker(parsed).unwrap()), expected);
    }

    #[test]
    fn what_a_worker_is_told_survives_the_wire(said in vec(to_worker(), 1..8)) {
        let (mut naming, mut names) = (Naming::default(), Names::default());
        for said in said {
            let expected = text(&said);
            let parsed = parse(encode_to_worker(said, &mut naming)).unwrap();
            prop_assert_eq!(text(&decode_to_worker(parsed, &mut names).unwrap()), expected);
        }
    }

    #[test]
    fn any_frames_are_decoded_or_refused(
        command: u8, flags: u8, handle in 0..4_u16, id: u64, attempt in 0..10_u32, argument: u32,
        rest in vec(vec(any::<u8>(), 0..64), 0..4),
    ) {
        let header = Header { command, flags, handle, id, attempt, argument };
        let mut message = Message::from(header.encode());
        message.extend(rest);
        let mut names = Names::default();
        if let Ok(parsed) = parse(message.clone()) {
            let _ = decode_from_client(parsed, &mut names);
        }
        if let Ok(parsed) = parse(message.clone()) {
            let _ = decode_to_client(parsed);
        }
        if let Ok(parsed) = parse(message.clone()) {
            let _ = decode_from_worker(parsed);
        }
        if let Ok(parsed) = parse(message) {
            let _ = decode_to_worker(parsed, &mut names);
        }
    }
}

#[test]
fn a_task_of_a_known_queue_is_its_header_and_its_body() {
    let mut naming = Naming::default();
    let submit = || FromClient::Submit {
        id: 7,
        queue: "resize".into(),
        options: SubmitOptions { budget: Some(Duration::from_secs(1)), ..SubmitOptions::default() },
        body: "body".into(),
    };
    assert_eq!(encode_from_client(submit(), &mut naming).frame_count(), 3);
    let second = encode_from_client(submit(), &mut naming);
    assert_eq!((second.frame_count(), second.first().len()), (2, header::LEN));
}

#[test]
fn a_lying_length_in_the_metadata_is_refused_without_memory() {
    // A MessagePack array that claims four billion elements.
    for bytes in
        [&b"\x81\xa1t\xdd\xff\xff\xff\xff"[..], b"\x81\xa1q\xc6\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff"]
    {
        let header = Header { flags: flag::META, ..Header::new(command::SUBMIT) };
        let message = Message::from([header.encode(), Frame::from(bytes)]);
        let decoded = decode_from_client(parse(message).unwrap(), &mut Names::default());
        assert!(matches!(decoded, Ok(FromClient::Nonsense { .. })), "{decoded:?}");
    }
    let deep = [b"\x81\xa1t".as_slice(), &[0x91; 100_000]].concat();
    let header = Header { flags: flag::META, ..Header::new(command::WORKER_HELLO) };
    let decoded = decode_from_worker(parse([header.encode(), deep.into()].into()).unwrap());
    assert_eq!(decoded.unwrap_err(), WireError::BadMeta);
}
