//! What libzmq has and the crate `zmq` does not: its draft socket types, and the calls that only they need.
//! The only unsafe code of this repository: no call here keeps what it is given, or gives what it keeps.
#![allow(unsafe_code, reason = "libzmq is C, and nobody has wrapped its draft sockets")]

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use zmq_sys::zmq_msg_t;

unsafe extern "C" {
    fn zmq_join(socket: *mut c_void, group: *const c_char) -> c_int;
    fn zmq_leave(socket: *mut c_void, group: *const c_char) -> c_int;
    fn zmq_connect_peer(socket: *mut c_void, endpoint: *const c_char) -> u32;
    fn zmq_msg_set_routing_id(message: *mut zmq_msg_t, id: u32) -> c_int;
    fn zmq_msg_routing_id(message: *mut zmq_msg_t) -> u32;
    fn zmq_msg_set_group(message: *mut zmq_msg_t, group: *const c_char) -> c_int;
    fn zmq_msg_group(message: *mut zmq_msg_t) -> *const c_char;
}

/// The number of a socket type in libzmq's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Type(c_int);

pub(crate) const SERVER: Type = Type(12);
pub(crate) const CLIENT: Type = Type(13);
pub(crate) const RADIO: Type = Type(14);
pub(crate) const DISH: Type = Type(15);
pub(crate) const GATHER: Type = Type(16);
pub(crate) const SCATTER: Type = Type(17);
pub(crate) const PEER: Type = Type(19);
pub(crate) const CHANNEL: Type = Type(20);

/// The crate's enum has libzmq's numbers.
impl From<zmq::SocketType> for Type {
    fn from(kind: zmq::SocketType) -> Self {
        Self(kind as c_int)
    }
}

/// A context that makes sockets of any type. Dropping it waits for them.
#[derive(Debug)]
pub(crate) struct Context(*mut c_void);

impl Context {
    pub(crate) fn new() -> Self {
        // SAFETY: it takes nothing; a null pointer would be seen by `socket`.
        Self(unsafe { zmq_sys::zmq_ctx_new() })
    }

    pub(crate) fn socket(&self, kind: impl Into<Type>) -> zmq::Result<zmq::Socket> {
        let kind = kind.into();
        // Without them libzmq ends the process in the first handshake.
        assert!(
            kind.0 < SERVER.0 || zmq::has("draft") == Some(true),
            "libzmq was built without draft sockets: a CXXFLAGS of your own hides that of .cargo/config.toml"
        );
        // SAFETY: the context is not ended before it is dropped.
        let raw = unsafe { zmq_sys::zmq_socket(self.0, kind.0) };
        // SAFETY: a new socket that nobody else has.
        if raw.is_null() { Err(last_error()) } else { Ok(unsafe { zmq::Socket::from_raw(raw) }) }
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: once, and nobody has the pointer.
        unsafe { zmq_sys::zmq_ctx_term(self.0) };
    }
}

/// A message of one frame, and what a draft socket says beside it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Labelled {
    /// Of a SERVER or PEER: whom it is to, or from. Zero is nobody.
    pub(crate) routing_id: u32,
    /// Of a RADIO or DISH.
    pub(crate) group: String,
    pub(crate) body: Vec<u8>,
}

pub(crate) fn send(socket: &mut zmq::Socket, message: &Labelled) -> zmq::Result<()> {
    let group = text(&message.group);
    let mut raw = Raw::of_size(message.body.len())?;
    raw.body_mut().copy_from_slice(&message.body);
    // SAFETY: the message is valid as long as `raw`; the group is copied.
    unsafe {
        if message.routing_id != 0 {
            checked(zmq_msg_set_routing_id(&raw mut raw.0, message.routing_id))?;
        }
        checked(zmq_msg_set_group(&raw mut raw.0, group.as_ptr()))?;
        checked(zmq_sys::zmq_msg_send(&raw mut raw.0, socket.as_mut_ptr(), 0))
    }
}

pub(crate) fn recv(socket: &mut zmq::Socket) -> zmq::Result<Labelled> {
    let mut raw = Raw::of_size(0)?;
    // SAFETY: both are valid; what is said of the message is copied before `raw` is closed.
    unsafe {
        checked(zmq_sys::zmq_msg_recv(&raw mut raw.0, socket.as_mut_ptr(), 0))?;
        assert_eq!(
            zmq_sys::zmq_msg_more(&raw const raw.0),
            0,
            "draft sockets have no messages of several frames"
        );
        let routing_id = zmq_msg_routing_id(&raw mut raw.0);
        let group = CStr::from_ptr(zmq_msg_group(&raw mut raw.0)).to_string_lossy().into_owned();
        Ok(Labelled { routing_id, group, body: raw.body_mut().to_vec() })
    }
}

pub(crate) fn join(socket: &mut zmq::Socket, group: &str) -> zmq::Result<()> {
    // SAFETY: the socket is open, and the text is copied.
    checked(unsafe { zmq_join(socket.as_mut_ptr(), text(group).as_ptr()) })
}

pub(crate) fn leave(socket: &mut zmq::Socket, group: &str) -> zmq::Result<()> {
    // SAFETY: the socket is open, and the text is copied.
    checked(unsafe { zmq_leave(socket.as_mut_ptr(), text(group).as_ptr()) })
}

/// Connects a PEER; says what the other end is called here.
pub(crate) fn connect_peer(socket: &mut zmq::Socket, endpoint: &str) -> zmq::Result<u32> {
    // SAFETY: the socket is open, and the text is copied.
    match unsafe { zmq_connect_peer(socket.as_mut_ptr(), text(endpoint).as_ptr()) } {
        0 => Err(last_error()),
        id => Ok(id),
    }
}

/// Closed when dropped, which is right for one that was sent, too: libzmq leaves an empty one behind. It may be moved:
/// nothing in it points into it. The crate does not say how libzmq wants it aligned.
#[repr(align(8))]
struct Raw(zmq_msg_t);

impl Raw {
    fn of_size(size: usize) -> zmq::Result<Self> {
        let mut raw = Self(zmq_msg_t { __: [0; 64] });
        // SAFETY: it writes the message, and reads nothing of it.
        checked(unsafe { zmq_sys::zmq_msg_init_size(&raw mut raw.0, size) })?;
        Ok(raw)
    }

    fn body_mut(&mut self) -> &mut [u8] {
        // SAFETY: so many bytes are there, and stay while `self` is borrowed.
        unsafe {
            let data = zmq_sys::zmq_msg_data(&raw mut self.0).cast::<u8>();
            std::slice::from_raw_parts_mut(data, zmq_sys::zmq_msg_size(&raw const self.0))
        }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // SAFETY: once; what is no message libzmq refuses.
        unsafe { zmq_sys::zmq_msg_close(&raw mut self.0) };
    }
}

fn text(of: &str) -> CString {
    CString::new(of).expect("no zero in it")
}

fn checked(result: c_int) -> zmq::Result<()> {
    if result == -1 { Err(last_error()) } else { Ok(()) }
}

fn last_error() -> zmq::Error {
    // SAFETY: it reads this thread's errno.
    zmq::Error::from_raw(unsafe { zmq_sys::zmq_errno() })
}
