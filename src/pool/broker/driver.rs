//! The one task of a broker: events in, the scheduler's decisions out, as many of each at a time as there are.

use std::pin::Pin;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Sleep, sleep_until};

use super::mmi;
use super::outgoing::Outgoing;
use super::peers::{Peer, Peers};
use crate::message::{Frame, Message};
use crate::patterns::{PeerId, Router, RouterEvent};
use crate::pool::protocol::{FromClient, FromWorker, Session, ToClient, ToWorker};
use crate::pool::scheduler::{Action, Admin, Event, Scheduler};
use crate::pool::time::Time;
use crate::pool::wire::{Dialect, Door, Said};

/// Events taken at a time. More would not save anything, and keep what they cause waiting.
const BATCH: usize = 256;
/// A Majordomo worker that has nothing to do and says nothing for so long is gone: four of its usual heartbeats.
const MDP_SILENCE: Duration = Duration::from_secs(10);

/// Answers that a worker may not read while it asks for more.
const MAX_REPLIES: u32 = 4096;

/// What a handle asks of the driver.
pub(super) enum Command {
    Admin(Admin),
    /// Runs with the scheduler at hand.
    Ask(Box<Look>),
    /// Takes no more tasks, ends when those it has are done, or at the time given.
    ShutDown(Instant),
}

/// Something that wants to look at the scheduler.
type Look = dyn FnOnce(&Scheduler, Time, &Wire) + Send;

/// What is counted outside the scheduler.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Wire {
    pub(super) connections: usize,
    pub(super) malformed: u64,
    pub(super) cut_off: u64,
}

/// Received by another socket than the first.
type Arrival = (usize, Vec<RouterEvent>);

/// The broker at work.
pub(super) struct Driver {
    scheduler: Scheduler,
    doors: Vec<(Door, Router)>,
    peers: Peers,
    outgoing: Outgoing,
    commands: mpsc::UnboundedReceiver<Command>,
    started: Instant,
    heartbeat: Duration,
    max_backlog: usize,
    actions: Vec<Action>,
    wire: Wire,
    /// When the driver wanted to be called.
    due: Option<Instant>,
    /// When those workers are looked after that cannot be relied on to speak, if there are any.
    mute: Option<Time>,
    ending: Option<Instant>,
}

impl Driver {
    pub(super) fn new(
        scheduler: Scheduler,
        doors: Vec<(Door, Router)>,
        commands: mpsc::UnboundedReceiver<Command>,
        heartbeat: Duration,
        max_backlog: usize,
    ) -> Self {
        Self {
            scheduler,
            peers: Peers::with_doors(doors.len()),
            outgoing: Outgoing::new(doors.iter().map(|(_, router)| router.clone())),
            doors,
            commands,
            started: Instant::now(),
            heartbeat,
            max_backlog,
            actions: Vec::new(),
            wire: Wire::default(),
            due: None,
            mute: None,
            ending: None,
        }
    }

    /// Until it is told to shut down, or nobody has a handle to it any more.
    pub(super) async fn run(mut self, ended: oneshot::Sender<()>) {
        let mut side = self.side_doors();
        let Some((_, main)) = self.doors.first() else { return };
        let main = main.clone();
        let mut inbound = Vec::with_capacity(BATCH);
        let mut alarm = Alarm { sleep: Box::pin(sleep_until(self.started)) };
        loop {
            self.settle();
            if self.is_over() {
                break;
            }
            let deadline = self.deadline();
            self.due = deadline;
            tokio::select! {
                biased;
                command = self.commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => break,
                },
                (door, id) = self.outgoing.writable() => self.writable(door, id),
                received = main.recv_events(&mut inbound, BATCH) => {
                    if received.is_err() {
                        break;
                    }
                    self.take_in(0, &mut inbound);
                }
                Some((door, mut events)) = side.recv() => self.take_in(door, &mut events),
                () = alarm.wait(deadline) => self.tick(),
            }
        }
        let closing: Vec<_> = self.doors.iter().map(|(_, router)| router.close()).collect();
        for closing in closing {
            closing.await;
        }
        let _ = ended.send(());
    }

    /// The first socket is read by the driver itself; the others, for peers that know no pool, by a task each.
    fn side_doors(&self) -> mpsc::Receiver<Arrival> {
        // Small, so that what is held back stays in the sockets, within their marks.
        let (sender, receiver) = mpsc::channel(4);
        for (door, (_, router)) in self.doors.iter().enumerate().skip(1) {
            let (router, sender) = (router.clone(), sender.clone());
            tokio::spawn(async move {
                let mut events = Vec::new();
                while router.recv_events(&mut events, BATCH).await.is_ok() {
                    if sender.send((door, std::mem::take(&mut events))).await.is_err() {
                        break;
                    }
                }
            });
        }
        receiver
    }

    fn now(&self) -> Time {
        Time::after(self.started.elapsed())
    }

    /// When to look again, if nothing happens before.
    fn deadline(&self) -> Option<Instant> {
        let due = [self.scheduler.next_deadline(), self.mute].into_iter().flatten().min();
        let due = due.and_then(|time| self.started.checked_add(time.since_start()));
        [due, self.ending].into_iter().flatten().min()
    }

    fn is_over(&self) -> bool {
        let idle = || self.scheduler.queues().iter().all(|queue| queue.waiting == 0 && queue.in_flight == 0);
        self.ending.is_some_and(|end| end <= Instant::now() || idle())
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Admin(admin) => self.on(self.now(), Event::Admin(admin)),
            Command::Ask(ask) => {
                let wire = Wire { connections: self.peers.len(), ..self.wire };
                ask(&self.scheduler, self.now(), &wire);
            }
            Command::ShutDown(end) => {
                self.on(self.now(), Event::Admin(Admin::ShutDown));
                self.ending = Some(self.ending.map_or(end, |earlier| earlier.min(end)));
            }
        }
    }

    fn on(&mut self, now: Time, event: Event) {
        self.scheduler.on(now, event, &mut self.actions);
    }

    /// Events of one socket, in order.
    fn take_in(&mut self, door: usize, events: &mut Vec<RouterEvent>) {
        let now = self.now();
        self.excuse(now);
        for event in events.drain(..) {
            match event {
                RouterEvent::Message(from, message) => {
                    if let Some(id) = from.peer() {
                        self.message(now, door, id, message);
                    }
                }
                RouterEvent::Connected(from) => self.connected(now, door, from.peer()),
                RouterEvent::Disconnected(from) => {
                    let peer = from.peer().and_then(|id| self.peers.remove(door, id));
                    if let Some(peer) = peer {
                        self.on(now, Event::Lost(peer.session));
                    }
                }
            }
        }
    }

    fn connected(&mut self, now: Time, door: usize, id: Option<PeerId>) {
        let Some(id) = id else { return };
        let Some((kind, router)) = self.doors.get(door) else { return };
        let address = router.peer_info(id).map_or_else(Frame::new, |info| (&*info.address).into());
        self.peers.insert(door, id, address, kind, now);
    }

    fn message(&mut self, now: Time, door: usize, id: PeerId, message: Message) {
        let Some(peer) = self.peers.at(door, id) else { return };
        let said = match peer.dialect.decode(message) {
            Ok(said) => said,
            Err(error) => {
                tracing::debug!(address = ?peer.address, %error, "a message that makes no sense");
                self.wire.malformed += 1;
                return;
            }
        };
        let session = peer.session;
        match said {
            Said::Client(FromClient::Submit { id, queue, body, .. }) if mmi::is_reserved(&queue) => {
                let body = mmi::answer(&self.scheduler, now, &queue, &body);
                self.actions.push(Action::ToClient(session, ToClient::Result { id, body }));
            }
            Said::Client(said @ FromClient::Nonsense { .. }) => {
                self.wire.malformed += 1;
                self.on(now, Event::Client(session, said));
            }
            Said::Client(said) => self.on(now, Event::Client(session, said)),
            Said::Worker(mut said) => {
                if let FromWorker::Hello(hello) = &mut said {
                    hello.address = peer.address.clone();
                }
                if peer.dialect.is_mute() {
                    heard(peer, &said, now);
                    self.mute.get_or_insert(now + self.heartbeat / 2);
                }
                self.on(now, Event::Worker(session, said));
            }
        }
    }

    /// Time has passed.
    fn tick(&mut self) {
        let now = self.now();
        self.excuse(now);
        if self.mute.is_some_and(|due| due <= now) {
            self.speak_for_the_mute(now);
        }
        self.on(now, Event::Tick);
    }

    /// If this process was stopped, its workers were not silent: it did not listen.
    fn excuse(&mut self, now: Time) {
        let late =
            self.due.take().map(|due| (self.started + now.since_start()).saturating_duration_since(due));
        if let Some(late) = late.filter(|late| *late > self.heartbeat) {
            self.peers.excuse(late);
            self.on(now, Event::Late(late));
        }
    }

    /// Says for a worker that it is there, as long as its connection is and it may be busy.
    fn speak_for_the_mute(&mut self, now: Time) {
        let mute: Vec<_> = self.peers.iter().filter(|peer| peer.dialect.is_mute()).collect();
        let silent = |peer: &Peer| {
            let counts = matches!(peer.dialect, Dialect::MdpWorker(_)) && peer.busy == 0;
            counts && now.since(peer.heard) > MDP_SILENCE
        };
        let (gone, there): (Vec<_>, Vec<_>) = mute.into_iter().partition(|peer| silent(peer));
        let gone: Vec<_> = gone.into_iter().map(|peer| (peer.session, peer.door)).collect();
        let there: Vec<_> = there.into_iter().map(|peer| peer.session).collect();
        self.mute = (!there.is_empty()).then(|| now + self.heartbeat / 2);
        for session in there {
            self.on(now, Event::Worker(session, FromWorker::Heartbeat));
        }
        for (session, door) in gone {
            if let Some((kind, _)) = self.doors.get(door) {
                self.peers.renew(session, kind);
            }
            self.on(now, Event::Lost(session));
        }
    }

    /// A peer that did not read does again.
    fn writable(&mut self, door: usize, id: PeerId) {
        let Some(peer) = self.peers.at(door, id) else { return };
        self.outgoing.resume(peer);
        let session = peer.session;
        self.settle();
        let now = self.now();
        if let Some(peer) = self.peers.get(session).filter(|peer| !peer.waiting) {
            peer.lagging = false;
            self.read_or_not(session);
            self.on(now, Event::Writable(session));
        }
    }

    /// Carries out what the scheduler has decided, until there is nothing left to do.
    fn settle(&mut self) {
        loop {
            let mut actions = std::mem::take(&mut self.actions);
            for action in actions.drain(..) {
                self.act(action);
            }
            let mut congested = Vec::new();
            self.outgoing.flush(&mut self.peers, &mut congested);
            // Its memory is used again.
            self.actions = actions;
            if congested.is_empty() {
                return;
            }
            let now = self.now();
            for session in congested {
                self.on(now, Event::Congested(session));
            }
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::ToClient(session, said) => {
                if let Some(peer) = self.peers.get(session)
                    && let Some(message) = peer.dialect.encode_to_client(said)
                {
                    self.outgoing.push(peer, message);
                    if peer.waiting {
                        self.client_is_behind(session);
                    }
                }
            }
            Action::ToWorker(session, said) => {
                if let Some(peer) = self.peers.get(session) {
                    let is_task = matches!(said, ToWorker::Task { .. });
                    // What there is of these is not limited by what it has been given.
                    let reply = matches!(
                        said,
                        ToWorker::Pong | ToWorker::Rejoin | ToWorker::Heartbeat | ToWorker::Welcome { .. }
                    );
                    if let Some(message) = peer.dialect.encode_to_worker(said) {
                        peer.busy += u32::from(is_task);
                        self.outgoing.push(peer, message);
                        peer.replies += u32::from(reply && peer.waiting);
                        if peer.replies > MAX_REPLIES {
                            self.cut_off(session);
                        }
                    }
                }
            }
            Action::StopReading(session) => self.stop_reading(session, true),
            Action::ResumeReading(session) => self.stop_reading(session, false),
        }
    }

    /// A client does not read as fast as it is answered. It may be one that first asks and then reads, so what it asks is
    /// read for a while: were it not, it would wait for the broker, and the broker for it.
    fn client_is_behind(&mut self, session: Session) {
        let Some(peer) = self.peers.get(session) else { return };
        if peer.owed > self.max_backlog {
            self.cut_off(session);
        } else if peer.owed > self.max_backlog / 64 && !peer.lagging {
            peer.lagging = true;
            self.read_or_not(session);
        }
    }

    /// A peer has not read for too long.
    fn cut_off(&mut self, session: Session) {
        if let Some(peer) = self.peers.get(session).filter(|peer| !peer.cut_off) {
            tracing::debug!(address = ?peer.address, "does not read: its connection is ended");
            self.outgoing.cut_off(peer);
            self.wire.cut_off += 1;
        }
    }

    fn stop_reading(&mut self, session: Session, stop: bool) {
        if let Some(peer) = self.peers.get(session) {
            peer.stopped = stop;
            self.read_or_not(session);
        }
    }

    /// A client is read while it reads, and while there is room for what it says. A worker always is: what it says
    /// makes room.
    fn read_or_not(&mut self, session: Session) {
        let Some(peer) = self.peers.get(session) else { return };
        let Some((_, router)) = self.doors.get(peer.door) else { return };
        let client =
            matches!(peer.dialect, Dialect::SwpClient(_) | Dialect::MdpClient(_) | Dialect::PlainClient(_));
        if client && (peer.lagging || peer.stopped) {
            router.pause(peer.id);
        } else {
            router.resume(peer.id);
        }
    }
}

/// Keeps count of what a worker has that cannot be relied on to speak.
fn heard(peer: &mut Peer, said: &FromWorker, now: Time) {
    peer.heard = now;
    match said {
        FromWorker::Done(..) | FromWorker::Nack(..) => peer.busy = peer.busy.saturating_sub(1),
        FromWorker::Hello(_) | FromWorker::Bye => peer.busy = 0,
        _ => {}
    }
}

/// One timer. Setting it costs more than waking up too early, so it is only ever set to an earlier time, or anew.
struct Alarm {
    sleep: Pin<Box<Sleep>>,
}

impl Alarm {
    async fn wait(&mut self, deadline: Option<Instant>) {
        let Some(deadline) = deadline else { return std::future::pending().await };
        if self.sleep.is_elapsed() || deadline < self.sleep.deadline() {
            self.sleep.as_mut().reset(deadline);
        }
        self.sleep.as_mut().await;
    }
}
