//! Code of a user's that panics ends what it was for: not the worker, the client, the pool or the broker.

use std::fmt;

use bytes::Bytes;
use sinew::Message;
use sinew::pool::local::LocalPool;
use sinew::pool::{
    Broker, CallError, Candidates, FailReason, Failure, Job, Policy, Retry, Seat, Strategy, TaskInfo,
};
use tokio::sync::mpsc;

use crate::kit::{broker, client, start, text, within, worker};

/// A result that panics when it is made a message.
enum Outcome {
    Broken,
    Text(&'static str),
}

impl From<Outcome> for Message {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Broken => panic!("no result"),
            Outcome::Text(text) => text.into(),
        }
    }
}

/// An error that panics when it is put into words.
#[derive(Debug)]
struct Wordless;

impl fmt::Display for Wordless {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("no words")
    }
}

impl std::error::Error for Wordless {}

/// What panics when it is dropped; also as the bytes of a message.
struct Fragile([u8; 1000]);

impl Fragile {
    fn message() -> Message {
        Bytes::from_owner(Self([0; 1000])).into()
    }
}

impl AsRef<[u8]> for Fragile {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

/// A worker with one place, which was lost for ever with the first of these.
#[tokio::test]
async fn whatever_of_a_handler_panics_its_task_has_crashed_and_its_place_is_free() {
    let policy = Policy::default().retry(Retry::default().max_crashes(1));
    let (_broker, address) = start(Broker::builder().queue("hard", policy)).await;
    let (begun, mut has_begun) = mpsc::unbounded_channel();
    tokio::spawn(worker(&address, "hard").serve_until(std::future::pending(), move |job: Job| {
        let begun = begun.clone();
        async move {
            match text(job.body()) {
                "result" => Ok(Outcome::Broken),
                "error" => Err(Wordless),
                "payload" => std::panic::panic_any(Fragile([0; 1000])),
                "cancelled" => {
                    let _fragile = Fragile([0; 1000]);
                    begun.send(()).unwrap();
                    std::future::pending().await
                }
                _ => Ok(Outcome::Text("well")),
            }
        }
    }));
    let client = client(&address).await;
    for (body, said) in [("result", "no result"), ("error", "no words"), ("payload", "panic")] {
        let answer = within("a failure", client.call("hard", body).into_future()).await;
        let Err(CallError::Failed { reason: FailReason::Crashed, text }) = answer else { panic!("{body}") };
        assert!(text.contains(said), "{text}");
    }
    let ticket = client.submit("hard", "cancelled").await.unwrap();
    within("the handler", has_begun.recv()).await;
    client.cancel(ticket);
    assert_eq!(within("an answer", client.call("hard", "").into_future()).await.unwrap(), "well");
}

/// The last copy of a task is dropped where its answer is read.
#[tokio::test]
async fn a_client_goes_on_when_a_body_panics_as_it_is_dropped() {
    let (_broker, address) = broker().await;
    let handler = |_| async { Ok::<_, Failure>("well") };
    tokio::spawn(worker(&address, "q").serve_until(std::future::pending(), handler));
    let client = client(&address).await;
    for _ in 0..2 {
        let call = client.call("q", Fragile::message());
        assert_eq!(within("an answer", call.into_future()).await.unwrap(), "well");
    }
}

#[tokio::test]
async fn a_local_pool_goes_on_when_a_result_panics_as_it_is_dropped() {
    let pool = LocalPool::new(Policy::default());
    let _worker = pool.worker("q").serve(|_| async { Ok::<_, Failure>(Fragile::message()) });
    for _ in 0..2 {
        pool.submit("q", "whose result nobody wants").await.unwrap();
    }
    within("the end", pool.close()).await;
    assert_eq!(pool.queues()[0].counters.done, 2);
}

#[tokio::test]
async fn a_strategy_that_panics_is_used_no_more_and_does_not_end_the_broker() {
    #[derive(Debug)]
    struct Rash;
    impl Strategy for Rash {
        fn pick(&mut self, _: &Candidates, _: &TaskInfo<'_>) -> Option<Seat> {
            panic!("no idea")
        }
    }
    let policy = Policy::default().custom_strategy(|_| Box::new(Rash));
    let (_broker, address) = start(Broker::builder().queue("q", policy)).await;
    let handler = |_| async { Ok::<_, Failure>("well") };
    tokio::spawn(worker(&address, "q").serve_until(std::future::pending(), handler));
    let client = client(&address).await;
    for _ in 0..2 {
        assert_eq!(within("an answer", client.call("q", "").into_future()).await.unwrap(), "well");
    }
}
