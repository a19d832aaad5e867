//! One clock for the deadlines of all connections of the process.
//!
//! A runtime with but one timer set looks at its clock and arms one in the kernel each time that it waits. So heartbeats
//! and the like are not the runtime's: a thread sleeps until the nearest of them, and wakes tasks. It comes with the first
//! deadline, and goes when there has been none for a while. What is farther away may come later, so that thousands of
//! heartbeats share few wake-ups.
//!
//! Knows nothing of who waits for what. Where tokio's clock is not the system's, as in tests that pause it, a deadline is
//! a timer of tokio's.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant as SystemInstant};

use tokio::time::{Instant, Sleep};

/// Without end, as a duration that instants can be added to: longer ones are cut to it.
pub(crate) const FOR_EVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// A deadline is rounded up to this part of how far away it is.
const PART: u64 = 32;
/// But at least to this, in nanoseconds: about a millisecond, which is also what tokio's timers are rounded up to.
const FINEST: u64 = 1 << 20;

static CLOCK: Clock = Clock::new(Duration::from_secs(5));
/// Moments are nanoseconds since then.
static START: LazyLock<SystemInstant> = LazyLock::new(SystemInstant::now);

fn nanos(moment: SystemInstant) -> u64 {
    as_nanos(moment.saturating_duration_since(*START))
}

fn as_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// When a deadline is looked at: a multiple of a power of two, so that many deadlines share few of these.
fn tick(deadline: u64, now: u64) -> u64 {
    let step = 1 << (deadline.saturating_sub(now) / PART).max(FINEST).ilog2();
    deadline.checked_next_multiple_of(step).unwrap_or(u64::MAX)
}

/// Who is woken when: by tick, and a number that tells those of one tick apart.
type Key = (u64, u64);

struct Clock {
    schedule: Mutex<Schedule>,
    /// There is an earlier deadline than the thread knows of.
    earlier: Condvar,
    /// Up to where the thread has taken out whom it wakes.
    passed: AtomicU64,
    /// How long the thread stays without a deadline.
    patience: Duration,
}

struct Schedule {
    waiting: BTreeMap<Key, Waker>,
    next: u64,
    /// When the thread will look by itself; `None` where there is no thread.
    alarm: Option<u64>,
}

impl Clock {
    const fn new(patience: Duration) -> Self {
        let schedule = Schedule { waiting: BTreeMap::new(), next: 0, alarm: None };
        Self { schedule: Mutex::new(schedule), earlier: Condvar::new(), passed: AtomicU64::new(0), patience }
    }

    /// Never held while a waker is cloned, woken or dropped: that runs code of others.
    fn lock(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `waker` woken at `tick`. An error: there is no thread, and none to be had.
    fn add(&'static self, tick: u64, waker: Waker) -> io::Result<Key> {
        let mut schedule = self.lock();
        let earlier = match schedule.alarm {
            Some(alarm) => tick < alarm,
            // Under the lock, so that nobody is added whom no thread would wake.
            None => {
                thread::Builder::new().name("sinew-clock".into()).spawn(|| self.run())?;
                schedule.alarm = Some(0);
                false
            }
        };
        let key = (tick, schedule.next);
        schedule.next += 1;
        schedule.waiting.insert(key, waker);
        drop(schedule);
        if earlier {
            self.earlier.notify_one();
        }
        Ok(key)
    }

    fn remove(&self, key: Key) {
        let waker = self.lock().waiting.remove(&key);
        drop(waker);
    }

    /// The thread.
    fn run(&self) {
        let mut schedule = self.lock();
        let mut idle = false;
        loop {
            let now = nanos(SystemInstant::now());
            self.passed.store(now, Ordering::Release);
            let later = schedule.waiting.split_off(&(now + 1, 0));
            let due = std::mem::replace(&mut schedule.waiting, later);
            if !due.is_empty() {
                drop(schedule);
                for (_, waker) in due {
                    // A panic is that of an executor that is not ours; the others are to be woken all the same.
                    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
                }
                schedule = self.lock();
                continue;
            }
            let next = schedule.waiting.first_key_value().map(|((tick, _), _)| *tick);
            if next.is_none() && idle {
                schedule.alarm = None;
                return;
            }
            let sleep = next.map_or(self.patience, |next| Duration::from_nanos(next - now));
            schedule.alarm = Some(now.saturating_add(as_nanos(sleep)));
            let slept = self.earlier.wait_timeout(schedule, sleep).unwrap_or_else(PoisonError::into_inner);
            schedule = slept.0;
            idle = next.is_none() && slept.1.timed_out();
        }
    }
}

/// One deadline, which may move. Costs nothing until it is polled.
#[derive(Debug)]
pub(crate) struct Timer(Wait);

#[derive(Debug)]
enum Wait {
    Nothing,
    /// A wake-up, for this deadline or a later one.
    Clock {
        key: Key,
        deadline: Instant,
        waker: Waker,
    },
    Tokio(Pin<Box<Sleep>>),
}

impl Timer {
    pub(crate) const fn new() -> Self {
        Self(Wait::Nothing)
    }

    /// Ready when `deadline` has come. Before that the task is woken then, or earlier: a deadline that has only become
    /// later since the last poll costs next to nothing, and a wake-up at the old one.
    #[inline]
    pub(crate) fn poll(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Wait::Clock { key, deadline: earlier, waker }
                if *earlier <= deadline
                    && CLOCK.passed.load(Ordering::Acquire) < key.0
                    && waker.will_wake(cx.waker()) =>
            {
                Poll::Pending
            }
            Wait::Tokio(sleep) => {
                if sleep.deadline() != deadline {
                    sleep.as_mut().reset(deadline);
                }
                sleep.as_mut().poll(cx)
            }
            _ if deadline <= Instant::now() => Poll::Ready(()),
            _ => self.set(deadline, cx),
        }
    }

    #[cold]
    fn set(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        self.clear();
        if is_of_the_system() {
            let tick = tick(nanos(deadline.into_std()), nanos(SystemInstant::now()));
            let waker = cx.waker().clone();
            if let Ok(key) = CLOCK.add(tick, waker.clone()) {
                self.0 = Wait::Clock { key, deadline, waker };
                return Poll::Pending;
            }
        }
        self.0 = Wait::Tokio(Box::pin(tokio::time::sleep_until(deadline)));
        self.poll(deadline, cx)
    }

    fn clear(&mut self) {
        if let Wait::Clock { key, .. } = &self.0 {
            CLOCK.remove(*key);
        }
        self.0 = Wait::Nothing;
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Whether tokio's clock is the system's: it is paused, or was, if it does not lie between two looks at that.
fn is_of_the_system() -> bool {
    let before = SystemInstant::now();
    let now = Instant::now().into_std();
    before <= now && now <= SystemInstant::now()
}

/// Waits until `deadline`.
///
/// # Cancel safety
///
/// Nothing is left behind when the future is dropped.
pub(crate) async fn sleep_until(deadline: Instant) {
    let mut timer = Timer::new();
    poll_fn(|cx| timer.poll(deadline, cx)).await;
}

/// Waits so long, at most [`FOR_EVER`].
///
/// # Cancel safety
///
/// Nothing is left behind when the future is dropped.
pub(crate) async fn sleep(duration: Duration) {
    sleep_until(Instant::now() + duration.min(FOR_EVER)).await;
}

/// It took too long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// Awaits `future`, which is tried once more when the deadline has come. Pinned by the caller: here it would be held
/// twice, as an argument and as what is awaited.
///
/// # Cancel safety
///
/// That of `future`, which stays with the caller.
pub(crate) async fn timeout_at<F: Future>(
    deadline: Instant,
    mut future: Pin<&mut F>,
) -> Result<F::Output, Elapsed> {
    let mut timer = Timer::new();
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => timer.poll(deadline, cx).map(|()| Err(Elapsed)),
    })
    .await
}

/// Awaits `future` so long, at most [`FOR_EVER`]; else as [`timeout_at`].
///
/// # Cancel safety
///
/// That of `future`, which stays with the caller.
pub(crate) async fn timeout<F: Future>(limit: Duration, future: Pin<&mut F>) -> Result<F::Output, Elapsed> {
    timeout_at(Instant::now() + limit.min(FOR_EVER), future).await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::task::Wake;

    use proptest::prelude::*;

    use super::*;

    /// No test waits longer than this for anything.
    const PATIENCE: Duration = Duration::from_secs(10);

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Says who was woken.
    struct Bell(Sender<usize>, usize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            let _ = self.0.send(self.1);
        }
    }

    fn bell(rings: &Sender<usize>, who: usize) -> Waker {
        Arc::new(Bell(rings.clone(), who)).into()
    }

    fn poll(timer: &mut Timer, deadline: Instant, waker: &Waker) -> Poll<()> {
        timer.poll(deadline, &mut Context::from_waker(waker))
    }

    /// Who is woken next.
    fn next(rung: &Receiver<usize>) -> usize {
        rung.recv_timeout(PATIENCE).expect("somebody is woken")
    }

    /// A clock for itself.
    fn clock(patience: Duration) -> &'static Clock {
        Box::leak(Box::new(Clock::new(patience)))
    }

    fn soon(millis: u64) -> u64 {
        nanos(SystemInstant::now() + ms(millis))
    }

    proptest! {
        #[test]
        fn a_deadline_is_rounded_up_by_a_32nd_of_its_distance_or_a_millisecond(
            now in 0..u64::MAX / 4, distance in prop_oneof![0..100_000_000u64, 0..u64::MAX / 4],
        ) {
            let late = tick(now + distance, now) - (now + distance);
            prop_assert!(late < FINEST.max(distance / PART));
        }
    }

    #[test]
    fn the_heartbeats_of_ten_thousand_connections_share_64_wake_ups() {
        let second = as_nanos(Duration::from_secs(1));
        let at = |number: u64| number * second * 30 / 10_000;
        let ticks = (0..10_000).map(|number| tick(at(number) + 30 * second, at(number)));
        assert!(ticks.collect::<std::collections::BTreeSet<_>>().len() <= 64);
        assert_eq!(tick(u64::MAX, 0), u64::MAX);
    }

    #[test]
    fn tasks_are_woken_in_the_order_of_their_deadlines_and_not_before() {
        let (rings, rung) = channel();
        let start = Instant::now();
        let mut timers = [90, 30, 60].map(|millis| (start + ms(millis), Timer::new()));
        for (who, (deadline, timer)) in timers.iter_mut().enumerate() {
            assert!(poll(timer, *deadline, &bell(&rings, who)).is_pending());
        }
        for expected in [1, 2, 0] {
            assert_eq!(next(&rung), expected);
            let (deadline, timer) = &mut timers[expected];
            assert_eq!(poll(timer, *deadline, Waker::noop()), Poll::Ready(()));
            assert!(Instant::now() >= *deadline);
        }
    }

    #[test]
    fn a_deadline_that_becomes_earlier_is_kept_and_one_that_becomes_later_wakes_at_the_old_one_first() {
        let (rings, rung) = channel();
        let (mut timer, waker, now) = (Timer::new(), bell(&rings, 7), Instant::now());
        for deadline in [now + FOR_EVER, now + ms(20), now + ms(40)] {
            assert!(poll(&mut timer, deadline, &waker).is_pending());
        }
        assert_eq!(next(&rung), 7);
        assert!(now.elapsed() >= ms(20));
        while poll(&mut timer, now + ms(40), &waker).is_pending() {
            assert_eq!(next(&rung), 7);
        }
        assert!(now.elapsed() >= ms(40));
    }

    #[test]
    fn a_later_deadline_and_the_same_waker_leave_the_registration_alone() {
        let (rings, _rung) = channel();
        let (mut timer, waker, deadline) = (Timer::new(), bell(&rings, 0), Instant::now() + FOR_EVER / 2);
        let mut key = |deadline, waker: &Waker| {
            assert!(poll(&mut timer, deadline, waker).is_pending());
            let Wait::Clock { key, .. } = timer.0 else { panic!("{timer:?}") };
            key
        };
        let registered = key(deadline, &waker);
        assert_eq!(key(deadline + ms(1), &waker), registered);
        assert_ne!(key(deadline, &bell(&rings, 1)), registered);
    }

    #[test]
    fn the_last_waker_is_woken_and_the_one_before_it_is_dropped() {
        let (rings, rung) = channel();
        let (mut timer, deadline) = (Timer::new(), Instant::now() + ms(30));
        let first = Arc::new(Bell(rings.clone(), 1));
        assert!(poll(&mut timer, deadline, &first.clone().into()).is_pending());
        assert!(poll(&mut timer, deadline, &bell(&rings, 2)).is_pending());
        assert_eq!(Arc::strong_count(&first), 1);
        assert_eq!(next(&rung), 2);
    }

    #[test]
    fn a_timer_that_is_dropped_wakes_nobody() {
        let (rings, rung) = channel();
        let (mut timer, dropped) = (Timer::new(), Arc::new(Bell(rings.clone(), 1)));
        assert!(poll(&mut timer, Instant::now() + ms(5), &dropped.clone().into()).is_pending());
        drop(timer);
        assert_eq!(Arc::strong_count(&dropped), 1);
        assert!(poll(&mut Timer::new(), Instant::now(), &bell(&rings, 2)).is_ready());
        let mut other = Timer::new();
        assert!(poll(&mut other, Instant::now() + ms(20), &bell(&rings, 3)).is_pending());
        assert_eq!(next(&rung), 3);
    }

    #[test]
    fn ten_thousand_timers_all_fire() {
        let (rings, rung) = channel();
        let clock = clock(PATIENCE);
        for who in 0..10_000 {
            let millis = u64::try_from(who % 50).unwrap();
            clock.add(tick(soon(millis), soon(0)), bell(&rings, who)).unwrap();
        }
        let woken: std::collections::BTreeSet<_> = (0..10_000).map(|_| next(&rung)).collect();
        assert_eq!(woken.len(), 10_000);
        assert!(clock.lock().waiting.is_empty());
    }

    #[test]
    fn the_thread_ends_when_nobody_waits_and_comes_again() {
        let (rings, rung) = channel();
        let clock = clock(ms(1));
        for who in 0..3 {
            assert_eq!(clock.lock().alarm, None);
            clock.add(soon(1), bell(&rings, who)).unwrap();
            assert_eq!(next(&rung), who);
            let woken = Instant::now();
            while clock.lock().alarm.is_some() {
                assert!(woken.elapsed() < PATIENCE, "the thread stays");
                thread::yield_now();
            }
        }
    }

    #[test]
    fn the_thread_sleeps_until_the_nearest_deadline() {
        let (rings, rung) = channel();
        let clock = clock(PATIENCE);
        clock.add(soon(3_600_000), bell(&rings, 0)).unwrap();
        clock.add(soon(1), bell(&rings, 1)).unwrap();
        assert_eq!(next(&rung), 1);
        let (far, started) = (*clock.lock().waiting.first_key_value().unwrap().0, Instant::now());
        while clock.lock().alarm != Some(far.0) {
            assert!(started.elapsed() < PATIENCE, "it is awake");
            thread::yield_now();
        }
    }

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            // Without the hook that prints it.
            std::panic::resume_unwind(Box::new("a waker that panics"));
        }
    }

    #[test]
    fn a_waker_that_panics_harms_no_other() {
        let (rings, rung) = channel();
        let (clock, at) = (clock(PATIENCE), soon(10));
        clock.add(at, Arc::new(Panics).into()).unwrap();
        clock.add(at, bell(&rings, 1)).unwrap();
        clock.add(at + FINEST, bell(&rings, 2)).unwrap();
        assert_eq!([next(&rung), next(&rung)], [1, 2]);
    }

    /// Sets another timer of its clock when it is woken, and again when it is dropped.
    struct Reenters(&'static Clock, Sender<usize>);

    impl Wake for Reenters {
        fn wake(self: Arc<Self>) {
            self.0.add(soon(1), bell(&self.1, 1)).unwrap();
        }
    }

    impl Drop for Reenters {
        fn drop(&mut self) {
            self.0.add(soon(100), bell(&self.1, 2)).unwrap();
        }
    }

    #[test]
    fn wakers_run_and_are_dropped_without_the_lock() {
        let (rings, rung) = channel();
        let clock = clock(PATIENCE);
        clock.add(soon(1), Arc::new(Reenters(clock, rings.clone())).into()).unwrap();
        assert_eq!([next(&rung), next(&rung)], [1, 2]);
        let far = clock.add(soon(3_600_000), Arc::new(Reenters(clock, rings)).into()).unwrap();
        clock.remove(far);
        assert_eq!(next(&rung), 2);
    }

    #[tokio::test]
    async fn sleeping_and_timing_out_take_as_long_as_said() {
        let start = Instant::now();
        sleep(ms(10)).await;
        assert!(start.elapsed() >= ms(10));
        let deadline = Instant::now() + ms(10);
        assert_eq!(timeout_at(deadline, pin!(std::future::pending::<()>())).await, Err(Elapsed));
        assert!(Instant::now() >= deadline);
        assert_eq!(timeout_at(start, pin!(async { 7 })).await, Ok(7));
        assert_eq!(timeout_at(start + FOR_EVER, pin!(async { 7 })).await, Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_goes_on_to_the_deadline() {
        let (system, start) = (SystemInstant::now(), Instant::now());
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(3600));
        assert_eq!(timeout_at(start + FOR_EVER, pin!(std::future::pending::<()>())).await, Err(Elapsed));
        assert!(system.elapsed() < PATIENCE);
    }

    #[tokio::test]
    async fn a_clock_that_was_paused_goes_by_tokio_from_then_on() {
        tokio::time::pause();
        tokio::time::advance(ms(20)).await;
        tokio::time::resume();
        let (mut timer, start) = (Timer::new(), Instant::now());
        poll_fn(|cx| {
            assert!(timer.poll(start + FOR_EVER, cx).is_pending());
            Poll::Ready(())
        })
        .await;
        assert!(matches!(timer.0, Wait::Tokio(_)), "{timer:?}");
        poll_fn(|cx| timer.poll(start + ms(5), cx)).await;
        assert!(start.elapsed() >= ms(5));
    }
}
