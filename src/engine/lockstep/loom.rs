//! Models of a half that its task and its waker share: whatever comes is taken, by one of them.
//!
//! `RUSTFLAGS="--cfg sinew_loom" cargo test --release --lib loom`

use ::loom::future::block_on;
use ::loom::model::Builder;
use ::loom::thread;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::{ActingWaker, AtOnce, Half, Left};
use crate::sync::Mutex;

/// What bytes come from: how many have come and are not taken, and who waits for more.
#[derive(Debug, Default)]
struct Source(Mutex<(usize, Option<Waker>)>);

impl Source {
    fn send(&self) {
        let waker = {
            let mut source = self.0.lock();
            source.0 += 1;
            source.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Takes what has come; where nothing has, waits.
    fn take(&self, waker: &Waker) -> usize {
        let mut source = self.0.lock();
        let taken = std::mem::take(&mut source.0);
        if taken == 0 {
            source.1 = Some(waker.clone());
        }
        taken
    }
}

/// Counts what it has read, and stops at a "command", which is the task's.
#[derive(Debug, Default)]
struct Counter {
    read: usize,
    command_at: usize,
}

impl AtOnce for Counter {
    type Owner = Source;

    fn act(&mut self, source: &Source, waker: &Waker) -> Left {
        loop {
            if self.read == self.command_at {
                return Left::Something;
            }
            match source.take(waker) {
                0 => return Left::Nothing,
                taken => self.read += taken,
            }
        }
    }
}

/// The connection's task: done when all has been read.
fn poll(source: &Arc<Source>, half: &Arc<Half<Counter>>, cx: &Context<'_>, all: usize) -> Poll<()> {
    let Some(mut counter) = half.take(cx.waker()) else { return Poll::Pending };
    let acting = ActingWaker::waker(half);
    loop {
        if counter.read >= all {
            return Poll::Ready(());
        }
        counter.command_at = usize::MAX;
        match source.take(&acting) {
            0 => break,
            taken => counter.read += taken,
        }
    }
    // The end is what only the task looks at.
    counter.command_at = all;
    half.give_back(counter);
    Poll::Pending
}

#[test]
fn loom_what_comes_is_read_by_the_waker_or_the_task_and_the_task_hears_of_the_rest() {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let source = Arc::new(Source::default());
        let half = Arc::new(Half::new(Counter { read: 0, command_at: 2 }, source.clone()));
        let senders = [(); 2].map(|()| {
            let source = source.clone();
            thread::spawn(move || source.send())
        });
        block_on(std::future::poll_fn(|cx| poll(&source, &half, cx, 2)));
        for sender in senders {
            sender.join().unwrap();
        }
    });
}
