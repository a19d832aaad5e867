//! One trace for a task: the spans of client, broker and worker carry the same `traceparent`.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use sinew::pool::{Failure, Job};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use crate::kit::{broker, client, within, worker};

/// Notes spans and events of the pool's tasks.
#[derive(Clone, Default)]
struct Notes {
    next: Arc<AtomicU64>,
    spans: Arc<Mutex<HashMap<u64, Span>>>,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct Span {
    name: &'static str,
    traceparent: String,
    events: Vec<String>,
    closed: bool,
}

struct Find<'a>(&'static str, &'a mut String);

impl Visit for Find<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == self.0 {
            self.1.push_str(value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

impl Subscriber for Notes {
    /// Each thread has to look: the other tests have no listener.
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sinew::pool::task"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut new = Span { name: span.metadata().name(), ..Span::default() };
        span.record(&mut Find("traceparent", &mut new.traceparent));
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        self.spans.lock().unwrap().insert(id, new);
        Id::from_u64(id)
    }

    fn event(&self, event: &Event<'_>) {
        let mut said = String::new();
        event.record(&mut Find("message", &mut said));
        let parent = event.parent().unwrap().into_u64();
        self.spans.lock().unwrap().get_mut(&parent).unwrap().events.push(said);
    }

    fn try_close(&self, id: Id) -> bool {
        self.spans.lock().unwrap().get_mut(&id.into_u64()).unwrap().closed = true;
        true
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

impl Notes {
    fn spans(&self) -> Vec<Span> {
        let spans = self.spans.lock().unwrap();
        let mut ids: Vec<_> = spans.keys().copied().collect();
        ids.sort_unstable();
        ids.iter().map(|id| spans[id].clone()).collect()
    }
}

fn span(name: &'static str, traceparent: &str, events: &[&str]) -> Span {
    let events = events.iter().map(|event| (*event).to_owned()).collect();
    Span { name, traceparent: traceparent.to_owned(), events, closed: true }
}

/// Fails the first time, then answers with its trace.
async fn flaky(job: Job) -> Result<String, Failure> {
    let trace = job.traceparent().map(str::to_owned);
    match job.attempt() {
        1 => Err(Failure::retry("not yet")),
        _ => Ok(trace.unwrap_or_default()),
    }
}

#[tokio::test]
async fn a_task_has_one_trace_from_submission_to_result() {
    let notes = Notes::default();
    let _listening = tracing::subscriber::set_default(notes.clone());
    // While there is only one, what another thread has come by first is taken to be of no interest to anybody.
    let _second = tracing::Dispatch::new(Notes::default());
    let (_broker, address) = broker().await;
    // On this thread, where somebody listens.
    let worker = worker(&address, "traced").io_thread(false);
    tokio::spawn(worker.serve_until(std::future::pending(), flaky));
    let client = client(&address).await;

    let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let answer = within("an answer", client.call("traced", "").traceparent(given).into_future()).await;
    assert_eq!(answer.unwrap(), given);
    let queue = span("queue", given, &["given", "failed", "given", "ended"]);
    let run = span("run", given, &[]);
    assert_eq!(notes.spans(), [span("submit", given, &[]), queue, run.clone(), run]);

    // One that was given none gets one.
    let answer = within("an answer", client.call("traced", "").traceparent("nonsense").into_future()).await;
    let own = answer.unwrap();
    let own = own.to_str().unwrap();
    assert_eq!((own.len(), own.get(..3)), (55, Some("00-")));
    let spans = notes.spans();
    assert!(spans[4..].iter().all(|span| span.traceparent == own && span.closed), "{spans:?}");
    assert_eq!(spans.len(), 8);
}

#[tokio::test]
async fn without_a_listener_there_is_no_trace() {
    let (_broker, address) = broker().await;
    tokio::spawn(worker(&address, "quiet").serve_until(std::future::pending(), flaky));
    let client = client(&address).await;
    let answer = within("an answer", client.call("quiet", "").into_future()).await;
    assert_eq!(answer.unwrap(), "");
}
