//! What clients have asked for: the tasks that go on, and for a while those that have ended, with their results.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use foldhash::fast::RandomState;

use super::config::Config;
use super::links::{Ix, NIL};
use super::requests::Requests;
use super::wheel::{Timer, Wheel};
use crate::message::{Frame, Message};
use crate::pool::protocol::{FailReason, RequestId};
use crate::pool::time::Time;

/// What is known of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Task(Ix),
    /// The number of its entry among those that have ended; it wraps.
    Ended(u32),
}

/// What an ended task is remembered by.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Result(Message),
    Failed(FailReason, Frame),
    /// Nobody wanted one.
    None,
}

impl Answer {
    fn size(&self) -> usize {
        match self {
            Self::Result(body) => body.footprint(),
            Self::Failed(_, text) => text.len(),
            Self::None => 0,
        }
    }
}

/// Who an ended task was known to.
#[derive(Debug)]
struct Past {
    client: Ix,
    request: RequestId,
    at: Time,
    dedup: Option<Box<(Ix, Frame)>>,
}

/// Limits, as in `Config`.
#[derive(Debug, Clone, Copy)]
struct Limits {
    window: Duration,
    entries: usize,
    ttl: Duration,
    bytes: usize,
}

/// What was forgotten.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forgotten {
    /// Whose request, if it was one, and not an answer only.
    pub(super) client: Option<Ix>,
    /// For want of room.
    pub(super) early: bool,
}

/// Two queues, oldest first: the names, and the answers, of which there are as many or fewer, to the latest names.
#[derive(Debug)]
pub(super) struct Memory {
    limits: Limits,
    requests: Requests,
    /// By queue and the name that the user gave.
    named: HashMap<(Ix, Frame), Known, RandomState>,
    past: VecDeque<Past>,
    answers: VecDeque<Answer>,
    bytes: usize,
    /// The number of the entry after the last; it wraps, and tells entries apart because fewer are kept.
    next: u32,
    /// Of the next forgetting.
    timer: Ix,
}

impl Memory {
    pub(super) fn new(config: &Config) -> Self {
        let limits = Limits {
            window: config.dedup_window,
            // More would not be told apart by their numbers.
            entries: config.dedup_entries.min(1 << 31),
            ttl: config.result_ttl,
            bytes: config.result_bytes,
        };
        Self {
            limits,
            timer: NIL,
            requests: Requests::default(),
            named: HashMap::default(),
            past: VecDeque::new(),
            answers: VecDeque::new(),
            bytes: 0,
            next: 0,
        }
    }

    pub(super) fn request(&self, client: Ix, request: RequestId) -> Option<Known> {
        self.requests.get(client, request)
    }

    pub(super) fn named(&self, queue: Ix, name: &Frame) -> Option<Known> {
        self.named.get(&(queue, name.clone())).copied()
    }

    pub(super) fn add_request(&mut self, client: Ix, request: RequestId, task: Ix) {
        self.requests.insert(client, request, Known::Task(task));
    }

    pub(super) fn add_named(&mut self, queue: Ix, name: Frame, task: Ix) {
        self.named.insert((queue, name), Known::Task(task));
    }

    pub(super) fn remove_request(&mut self, client: Ix, request: RequestId) {
        self.requests.remove(client, request);
    }

    /// A task has ended; `dedup` is its queue and the name that the user gave. What has to go for it, goes.
    pub(super) fn end(
        &mut self,
        now: Time,
        (client, request): (Ix, RequestId),
        dedup: Option<Box<(Ix, Frame)>>,
        answer: Answer,
    ) {
        let ended = Known::Ended(self.next);
        self.requests.insert(client, request, ended);
        if let Some(name) = &dedup {
            self.named.insert((**name).clone(), ended);
        }
        self.bytes += answer.size();
        self.past.push_back(Past { client, request, at: now, dedup });
        self.answers.push_back(answer);
        self.next = self.next.wrapping_add(1);
    }

    /// The answer of an ended task, if it is kept.
    pub(super) fn answer(&self, number: u32) -> Option<&Answer> {
        let from_end = self.next.wrapping_sub(number) as usize;
        self.answers.get(self.answers.len().checked_sub(from_end)?)
    }

    /// Forgets an answer, if one is too old or too much.
    fn forget_answer(&mut self, now: Time) -> Option<Forgotten> {
        let oldest = self.past.get(self.past.len() - self.answers.len())?;
        let old = now.since(oldest.at) >= self.limits.ttl;
        if !old && self.bytes <= self.limits.bytes {
            return None;
        }
        self.bytes -= self.answers.pop_front()?.size();
        Some(Forgotten { client: None, early: !old })
    }

    /// One step of forgetting: `None` when there is nothing more to forget.
    pub(super) fn forget(&mut self, now: Time) -> Option<Forgotten> {
        if let Some(forgotten) = self.forget_answer(now) {
            return Some(forgotten);
        }
        let old = now.since(self.past.front()?.at) >= self.limits.window;
        if !old && self.past.len() <= self.limits.entries {
            return None;
        }
        let number = self.next.wrapping_sub(self.past.len() as u32);
        if self.answers.len() == self.past.len()
            && let Some(answer) = self.answers.pop_front()
        {
            self.bytes -= answer.size();
        }
        let past = self.past.pop_front()?;
        self.requests.remove_known(past.client, past.request, Known::Ended(number));
        if let Some(name) = past.dedup
            && self.named.get(&*name) == Some(&Known::Ended(number))
        {
            self.named.remove(&*name);
        }
        Some(Forgotten { client: Some(past.client), early: !old })
    }

    /// Whether so much is too much that it is worth forgetting. What is forgotten has not been looked at for long, and
    /// many neighbours together cost little more than one.
    pub(super) fn is_overfull(&self) -> bool {
        let over = |held: usize, limit: usize| held > limit.saturating_add(limit / 1024);
        over(self.past.len(), self.limits.entries) || over(self.bytes, self.limits.bytes)
    }

    /// When the oldest gets too old.
    fn next_forgetting(&self) -> Option<Time> {
        let name = self.past.front()?.at + self.limits.window;
        let answer = self.past.get(self.past.len() - self.answers.len());
        Some(answer.map_or(name, |past| name.min(past.at + self.limits.ttl)))
    }

    /// Sets the timer, unless it is set, or there is nothing to forget.
    pub(super) fn forget_later(&mut self, now: Time, wheel: &mut Wheel) {
        if self.timer == NIL
            && let Some(at) = self.next_forgetting()
        {
            // Not for each: those that follow within a second go together.
            self.timer = wheel.set(at.max(now + Duration::from_secs(1)), Timer::Memory);
        }
    }

    /// The timer has fired.
    pub(super) fn is_due(&mut self) {
        self.timer = NIL;
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.past.len()
    }
}
