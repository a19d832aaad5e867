//! Tasks that have come and wait to be taken, of all brokers of one worker.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::task::Task;
use crate::error::RecvError;

#[derive(Debug, Default)]
pub(super) struct Shelf {
    state: Mutex<Stock>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Stock {
    tasks: VecDeque<Task>,
    closed: bool,
}

impl Shelf {
    fn state(&self) -> MutexGuard<'_, Stock> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, tasks: &mut Vec<Task>) {
        let count = tasks.len();
        let late = {
            let mut state = self.state();
            if state.closed {
                std::mem::take(tasks)
            } else {
                state.tasks.extend(tasks.drain(..));
                Vec::new()
            }
        };
        // They go back to the broker.
        drop(late);
        for _ in 0..count {
            self.arrived.notify_one();
        }
    }

    /// The next one; `None` once the worker drains.
    pub(super) async fn take(&self) -> Option<Task> {
        loop {
            let arrived = self.arrived.notified();
            match self.try_take() {
                Ok(task) => return Some(task),
                Err(RecvError::Closed) => return None,
                Err(_) => arrived.await,
            }
        }
    }

    /// The next one, if there is one, or will be.
    pub(super) fn try_take(&self) -> Result<Task, RecvError> {
        let mut state = self.state();
        let mut task =
            state.tasks.pop_front().ok_or(if state.closed { RecvError::Closed } else { RecvError::Empty })?;
        let more = !state.tasks.is_empty();
        drop(state);
        if more {
            // A notice may have stood for more than one: it travels on.
            self.arrived.notify_one();
        }
        task.begin();
        Ok(task)
    }

    /// No more tasks: what waits goes back to the broker.
    pub(super) fn close(&self) {
        let left = {
            let mut state = self.state();
            state.closed = true;
            std::mem::take(&mut state.tasks)
        };
        drop(left);
        self.arrived.notify_waiters();
    }
}
