//! SWP/1 by hand, to say what no well-behaved peer would.

/// The header of a message. See the tables in the manual of the pool.
pub(crate) fn header(command: u8, task: u64, attempt: u32, argument: u32) -> Vec<u8> {
    let mut header = b"SWP1".to_vec();
    header.extend([command, 0, 0, 0]);
    header.extend(task.to_be_bytes());
    header.extend(attempt.to_be_bytes());
    header.extend(argument.to_be_bytes());
    header
}

/// A message of a header with metadata behind it.
pub(crate) fn with_meta(mut header: Vec<u8>, meta: &[u8]) -> [Vec<u8>; 2] {
    header[5] |= 1;
    [header, meta.to_vec()]
}

/// A worker's HELLO: its capacity, for one queue of a short name.
pub(crate) fn worker_hello(queue: &str, capacity: u8) -> [Vec<u8>; 2] {
    // {"q": [queue], "c": capacity}
    let mut meta = vec![0x82, 0xa1, b'q', 0x91, 0xa0 | u8::try_from(queue.len()).unwrap()];
    meta.extend(queue.as_bytes());
    meta.extend([0xa1, b'c', capacity]);
    with_meta(header(WORKER_HELLO, 0, 0, 0), &meta)
}

/// The number in a header's last place.
pub(crate) fn argument(header: &[u8]) -> u32 {
    u32::from_be_bytes(header[20..].try_into().unwrap())
}

pub(crate) const SUBMIT: u8 = 0x11;
pub(crate) const WORKER_HELLO: u8 = 0x30;
pub(crate) const CREDIT: u8 = 0x31;
pub(crate) const STARTED: u8 = 0x32;
pub(crate) const DONE: u8 = 0x34;
pub(crate) const NACK: u8 = 0x35;
pub(crate) const WORKER_HEARTBEAT: u8 = 0x36;
pub(crate) const PING: u8 = 0x39;
pub(crate) const WELCOME: u8 = 0x40;
pub(crate) const TASK: u8 = 0x41;
pub(crate) const PONG: u8 = 0x45;
