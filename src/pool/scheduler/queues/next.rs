//! Which task of a queue goes next, and to whom.

use super::Queues;
use super::queue::{Closed, TaskQueue};
use crate::pool::scheduler::links::{Ix, there};
use crate::pool::scheduler::task::{Task, Tasks};
use crate::pool::strategy::{Seat, TaskInfo};
use crate::pool::time::Time;

/// What is to be done about a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Next {
    /// Nothing can go, or nobody can take it.
    Nothing,
    /// Something could, were it not for the limits of the queue.
    Closed(Closed),
    /// The deadline of this task has passed.
    Expired(Ix),
    /// A task goes to a worker, who sits there.
    Give { task: Ix, worker: Ix, seat: Seat },
    /// A worker is to be kept free for the tasks of this class that must run alone.
    Reserve { class: u16, worker: Ix },
}

/// Where to look.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The worker for which a task was kept has room.
    Parked(u16, Seat),
    /// A task must run alone, and a worker could be kept free for it.
    Solo(u16),
    /// Level and class of an ordinary task.
    Line(u8, u16),
}

impl Queues {
    /// What can be done about this queue now. Tasks that nobody may have yet find their places on the way.
    pub(crate) fn next(&mut self, tasks: &mut Tasks, ix: Ix, now: Time) -> Next {
        loop {
            let Some(queue) = self.get_mut(ix) else { return Next::Nothing };
            let Some(step) = queue.next_step() else { return Next::Nothing };
            if let Some(closed) = queue.closed(now) {
                return Next::Closed(closed);
            }
            let next = match step {
                Step::Parked(class, seat) => queue.next_parked(tasks, class, seat, now),
                Step::Solo(class) => queue.next_alone(tasks, class, now),
                Step::Line(level, class) => self.next_in_line(tasks, ix, (level, class), now),
            };
            if let Some(next) = next {
                return next;
            }
        }
    }

    fn next_in_line(
        &mut self,
        tasks: &mut Tasks,
        ix: Ix,
        (level, number): (u8, u16),
        now: Time,
    ) -> Option<Next> {
        let queue = self.list.get_mut(ix as usize)?;
        let class = queue.classes.get_mut(usize::from(number))?;
        let first = class.levels.front(&mut self.flows, level)?;
        let task = tasks.get(first)?;
        if task.deadline <= now {
            return Some(Next::Expired(first));
        }
        let last = queue.keys.last(task.key).filter(|(class, _)| *class == number);
        let info = TaskInfo { last: last.map(|(_, seat)| seat), ..info(task) };
        class.workers.set_now(now);
        let pick = class.strategy.pick(&class.workers, &info);
        match pick.and_then(|seat| Some((seat, class.workers.get(seat)?.worker))) {
            None => {
                queue.nobody(number);
                None
            }
            Some((seat, worker)) if class.workers.is_available(seat) => {
                queue.advance(level, number);
                Some(Next::Give { task: first, worker, seat })
            }
            Some((seat, _)) => {
                self.park(tasks, first, seat);
                None
            }
        }
    }

    /// The task of this class that is to run alone next, and what keeps it from going.
    pub(crate) fn alone(&self, ix: Ix, class: u16, now: Time) -> Option<(Ix, Option<Closed>)> {
        let queue = self.get(ix)?;
        let first = queue.classes.get(usize::from(class))?.solo.front()?;
        Some((first, queue.closed(now)))
    }
}

impl TaskQueue {
    fn next_step(&mut self) -> Option<Step> {
        for (number, class) in (0_u16..).zip(&mut self.classes) {
            if let Some(seat) = class.next_owed() {
                return Some(Step::Parked(number, seat));
            }
            if class.may_reserve() && class.can_give() {
                return Some(Step::Solo(number));
            }
        }
        self.next_level().map(|(level, class)| Step::Line(level, class))
    }

    /// The level and the class of the next task that someone could take.
    fn next_level(&self) -> Option<(u8, u16)> {
        let filled = self.classes.iter().fold(0, |filled, class| filled | class.open_levels());
        let level = self.drain.choose(filled, self.policy.strict_priority)?;
        let (count, first) = (self.classes.len(), self.first_class as usize);
        let class = (0..count).map(|step| (first + step) % count).find(|index| {
            self.classes.get(*index).is_some_and(|class| class.open_levels() & 1 << level != 0)
        })?;
        Some((level, u16::try_from(class).ok()?))
    }

    /// A task of this level and class goes.
    fn advance(&mut self, level: u8, class: u16) {
        self.drain.advance(level);
        self.first_class = u32::from(class) + 1;
    }

    /// The strategy of a class wants none of those who are available.
    fn nobody(&mut self, class: u16) {
        self.choosy = true;
        if let Some(class) = self.class(class) {
            class.stuck = true;
        }
    }

    fn next_parked(&mut self, tasks: &Tasks, class: u16, seat: Seat, now: Time) -> Option<Next> {
        let class = self.class(class)?;
        let task = there(class.parked(seat).and_then(|list| list.front()))?;
        let worker = there(class.workers.get(seat))?.worker;
        let expired = tasks.get(task)?.deadline <= now;
        Some(if expired { Next::Expired(task) } else { Next::Give { task, worker, seat } })
    }

    fn next_alone(&mut self, tasks: &Tasks, number: u16, now: Time) -> Option<Next> {
        let class = self.class(number)?;
        let task = tasks.get(class.solo.front()?)?;
        class.workers.set_now(now);
        let pick = class.strategy.pick(&class.workers, &info(task));
        let available = class.workers.available().first().copied();
        let seat =
            pick.and_then(|seat| if class.workers.is_available(seat) { Some(seat) } else { available });
        let Some(worker) = seat.and_then(|seat| Some(class.workers.get(seat)?.worker)) else {
            self.nobody(number);
            return None;
        };
        class.reserved += 1;
        Some(Next::Reserve { class: number, worker })
    }

    /// Whether a task could go, were it not for the queue's own limits.
    #[cfg(test)]
    pub(crate) fn next_ready(&mut self) -> bool {
        self.next_step().is_some()
    }
}

fn info(task: &Task) -> TaskInfo<'_> {
    TaskInfo { id: u64::from(task.serial), key: task.key().map(|key| &**key), last: None }
}
