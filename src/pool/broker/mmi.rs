//! The broker's own services, by names that begin with `mmi.` (RFC 8): any client may ask, in any language.

use std::fmt::Write;
use std::time::Duration;

use crate::message::Message;
use crate::pool::protocol::TaskId;
use crate::pool::scheduler::Scheduler;
use crate::pool::time::Time;

/// Whether the broker answers requests for this queue itself.
pub(super) fn is_reserved(queue: &[u8]) -> bool {
    queue.starts_with(b"mmi.")
}

/// The answer to a request.
///
/// | service | body | answer |
/// | --- | --- | --- |
/// | `mmi.service` | a queue | `200` if a worker serves it, else `404` |
/// | `mmi.queues` | | all queues, as JSON |
/// | `mmi.workers` | | all workers, as JSON |
/// | `mmi.explain` | a task's number | why it is where it is, as JSON |
/// | any other | | `501` |
pub(super) fn answer(scheduler: &Scheduler, now: Time, service: &[u8], body: &Message) -> Message {
    match service {
        b"mmi.service" => if scheduler.is_served(body.last()) { "200" } else { "404" }.into(),
        b"mmi.queues" => queues(scheduler).into(),
        b"mmi.workers" => workers(scheduler).into(),
        b"mmi.explain" => explain(scheduler, now, body),
        _ => "501".into(),
    }
}

fn queues(scheduler: &Scheduler) -> String {
    let queues = scheduler.queues();
    list(queues.iter().map(|queue| {
        Object::new()
            .text("name", &queue.name)
            .number("waiting", queue.waiting)
            .number("bytes", queue.bytes)
            .number("in_flight", queue.in_flight)
            .time("oldest_ms", queue.oldest)
            .number("workers", queue.workers)
            .number("available", queue.available)
            .number("paused", queue.paused)
            .number("dead", queue.dead)
            .number("accepted", queue.counters.accepted)
            .number("done", queue.counters.done)
            .number("redelivered", queue.counters.redelivered)
            .close()
    }))
}

fn workers(scheduler: &Scheduler) -> String {
    let workers = scheduler.workers();
    list(workers.iter().map(|worker| {
        Object::new()
            .number("id", worker.id)
            .text("name", &worker.name)
            .text("address", &worker.address)
            .time("response_ms", worker.response_time)
            .text("availability", format!("{:?}", worker.availability).to_lowercase().as_bytes())
            .number("capacity", worker.capacity)
            .number("credit", worker.credit)
            .number("in_flight", worker.in_flight)
            .number("done", worker.done)
            .number("failed", worker.failed)
            .number("released", worker.released)
            .close()
    }))
}

fn explain(scheduler: &Scheduler, now: Time, body: &Message) -> Message {
    let Some(task) = body.to_str().ok().and_then(|text| text.trim().parse().ok()) else {
        return "400".into();
    };
    let explanation = scheduler.explain(TaskId(task)).at(now).to_string();
    Object::new().number("task", task).text("state", explanation.as_bytes()).close().into()
}

fn list(objects: impl Iterator<Item = String>) -> String {
    format!("[{}]", objects.collect::<Vec<_>>().join(","))
}

/// A JSON object being written.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".into())
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        // Writing to a string cannot fail.
        let _ = write!(self.0, "\"{name}\":");
    }

    fn number(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.name(name);
        let _ = write!(self.0, "{value}");
        self
    }

    fn time(mut self, name: &str, value: Option<Duration>) -> Self {
        self.name(name);
        let _ = match value {
            Some(value) => write!(self.0, "{:.3}", value.as_secs_f64() * 1000.0),
            None => write!(self.0, "null"),
        };
        self
    }

    fn text(mut self, name: &str, value: &[u8]) -> Self {
        self.name(name);
        self.0.push('"');
        for char in String::from_utf8_lossy(value).chars() {
            let _ = match char {
                '"' | '\\' => write!(self.0, "\\{char}"),
                char if char.is_control() => write!(self.0, "\\u{:04x}", u32::from(char)),
                char => write!(self.0, "{char}"),
            };
        }
        self.0.push('"');
        self
    }

    fn close(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Frame;

    #[test]
    fn what_peers_call_themselves_does_not_break_the_json() {
        let name = Frame::from(&b"a \"b\" \\ \n \xff"[..]);
        let object = Object::new().text("name", &name).number("n", 1).time("t", None).close();
        assert_eq!(object, "{\"name\":\"a \\\"b\\\" \\\\ \\u000a \u{fffd}\",\"n\":1,\"t\":null}");
    }
}
