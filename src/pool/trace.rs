//! One trace for a task: spans of `tracing` where it is submitted, where it waits and where it runs, that carry the same
//! `traceparent`, in the format of W3C Trace Context.
//!
//! ```text
//!  client  submit  from its submission to its answer
//!  broker  queue   from its acceptance to its end; in it an event each time that it is given to a worker, or fails
//!  worker  run     each time that it is run; what its handler logs is in it
//! ```
//!
//! All are of level DEBUG and of the target [`TARGET`]. A task has a trace if its caller gave one, or if somebody
//! listens where it is submitted; else nothing is made, sent or kept.

use tracing::{Level, Span};

use crate::message::Frame;
use crate::pool::protocol::{Parent, SubmitOptions};
use crate::pool::scheduler::End;

/// What subscribers filter by.
const TARGET: &str = "sinew::pool::task";

/// The length of a `traceparent`.
const LEN: usize = 55;

/// A `traceparent` of the version that there is. What is none is as good as nothing, as its standard has it.
pub(super) fn parse(parent: &[u8]) -> Option<Parent> {
    let dashes = [2, 35, 52];
    let fits = |(index, byte): (usize, &u8)| match dashes.contains(&index) {
        true => *byte == b'-',
        false => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    };
    let valid = parent.len() == LEN && parent.starts_with(b"00-") && parent.iter().enumerate().all(fits);
    std::str::from_utf8(parent).ok().filter(|_| valid).map(Parent::from)
}

/// The span of a request, which gets a trace of its own if it has none and somebody listens.
pub(super) fn submit(options: &mut SubmitOptions, queue: &Frame) -> Span {
    if options.trace.is_none() && tracing::enabled!(target: TARGET, Level::DEBUG) {
        let parent = format!("00-{:032x}-{:016x}-01", fastrand::u128(1..), fastrand::u64(1..));
        options.trace = Some(parent.into());
    }
    let Some(parent) = &options.trace else { return Span::none() };
    tracing::debug_span!(target: TARGET, "submit", traceparent = &**parent, ?queue)
}

/// The span of one run of a task.
pub(super) fn run(parent: Option<&Parent>, queue: &Frame, task: u64, attempt: u32) -> Span {
    let Some(parent) = parent else { return Span::none() };
    tracing::debug_span!(target: TARGET, "run", traceparent = &**parent, ?queue, task, attempt)
}

/// What a broker keeps of a task with a trace.
#[derive(Debug)]
pub(super) struct Trace {
    parent: Parent,
    span: Span,
}

impl Trace {
    pub(super) fn accepted(parent: Parent, queue: &Frame, task: u64) -> Box<Self> {
        let span = tracing::debug_span!(target: TARGET, "queue", traceparent = &*parent, ?queue, task);
        Box::new(Self { parent, span })
    }

    /// It goes to a worker, and its trace with it.
    pub(super) fn given(&self, worker: &Frame, attempt: u32) -> Parent {
        tracing::debug!(target: TARGET, parent: &self.span, ?worker, attempt, "given");
        self.parent.clone()
    }

    pub(super) fn failed(&self, worker: &Frame, error: &Frame) {
        tracing::debug!(target: TARGET, parent: &self.span, ?worker, ?error, "failed");
    }

    pub(super) fn ended(&self, end: End) {
        tracing::debug!(target: TARGET, parent: &self.span, ?end, "ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_traceparent_is_one() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(parse(good.as_bytes()).as_deref(), Some(good));
        let bad = [
            "",
            "00",
            &good[1..],
            &good.replace("00-0", "01-0"),
            &good.replace('a', "A"),
            &good.replace("c-b", "cb-"),
            &format!("{good}\n"),
        ];
        for bad in bad {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
