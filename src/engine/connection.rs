//! One connection from the greeting to its end.

use std::io::{self, IoSlice};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::time::Instant;

use super::session::{End, Session, Start};
use super::site::Site;
use crate::clock::timeout_at;
use crate::message::Frame;
use crate::monitor::{DisconnectReason, DropReason, EventKind, PeerInfo};
use crate::options;
use crate::pipe::{Deferred, WireBuf};
use crate::proto::{self, Handshake, HandshakeError};
use crate::routing::PeerKey;
use crate::socket::{Core, Pipe, Tally};
use crate::transport::Stream;

/// After our last byte we read on until the peer has seen our end, at most this long: closing with
/// unread bytes would reset the connection and destroy what the peer has not yet received.
const PARTING: Duration = Duration::from_millis(500);

/// A peer that may be admitted.
pub(super) struct Ready {
    /// The minor version of ZMTP 3 that it speaks.
    minor: u8,
    pub(super) info: Arc<PeerInfo>,
    /// What came in the same read as the end of its handshake.
    input: BytesMut,
}

/// Greets the peer and waits until it is ready, by one absolute deadline (A1.7, D1, D2).
pub(super) async fn handshake(site: &Site, stream: &Stream) -> Result<Ready, HandshakeError> {
    let (pattern, specific, options) = (site.core.pattern, &site.core.specific, &site.options);
    let deadline = Instant::now() + options.handshake_timeout;
    let config = proto::Config {
        socket_type: pattern.socket_type,
        peers: pattern.peers,
        identity: pattern.announces_routing_id.then(|| specific.routing_id.clone()),
        properties: options.metadata.clone(),
        max_handshake_frame: options::limit(options.max_handshake_frame),
        security: proto::Security::default(),
    };
    let mut handshake = Handshake::new(config);
    let mut input = BytesMut::new();
    let peer = timeout_at(deadline, pin!(exchange(&mut handshake, stream, &mut input))).await;
    let peer = peer.unwrap_or(Err(HandshakeError::Timeout));
    if peer.is_err() {
        // An ERROR for the peer may be left; what fits into the kernel's buffer is enough for it.
        let _ = stream.try_write_vectored(&[IoSlice::new(handshake.output())]);
    }
    let peer = peer?;
    let info = Arc::new(PeerInfo {
        address: stream.peer().to_string().into(),
        socket_type: Some(peer.socket_type),
        routing_id: Frame::copy_from_slice(&peer.identity),
        metadata: peer.properties.clone(),
    });
    Ok(Ready { minor: peer.minor, info, input })
}

async fn exchange(
    handshake: &mut Handshake,
    stream: &Stream,
    input: &mut BytesMut,
) -> Result<proto::Peer, HandshakeError> {
    let gone = |_: io::Error| HandshakeError::Closed;
    loop {
        write_all(stream, handshake.output()).await.map_err(gone)?;
        if read(stream, input).await.map_err(gone)? == 0 {
            return Err(HandshakeError::Closed);
        }
        if let Some(peer) = handshake.input(input)? {
            write_all(stream, handshake.output()).await.map_err(gone)?;
            return Ok(peer);
        }
    }
}

async fn write_all(stream: &Stream, bytes: &mut Vec<u8>) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.try_write_vectored(&[IoSlice::new(bytes)]) {
            Ok(count) => drop(bytes.drain(..count)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::future::poll_fn(|cx| stream.poll_write_ready(cx)).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn read(stream: &Stream, input: &mut BytesMut) -> io::Result<usize> {
    loop {
        // A handshake is small; what follows it is read in larger steps.
        input.reserve(512);
        match stream.try_read_buf(input, usize::MAX) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                std::future::poll_fn(|cx| stream.poll_read_ready(cx)).await?;
            }
            result => return result,
        }
    }
}

/// Takes the peer in; one that the socket does not want is told why. Apart from [`run`], which would hold what this is given
/// for as long as the connection lasts.
pub(super) fn admit(site: &Site, stream: &Stream, pipe: Pipe, info: &Arc<PeerInfo>) -> Option<PeerKey> {
    let core = &site.core;
    let key = match core.admit(&site.name, info, pipe) {
        Ok(key) => key,
        Err(refused) => {
            refuse(stream, &refused.to_string());
            site.emit(Some(info), EventKind::Refused(refused));
            return None;
        }
    };
    if !core.belongs(&site.name, key) {
        // Unbound, disconnected or closed meanwhile. A pipe made at connect was told then, and lingers.
        let mut later = Deferred::new();
        {
            let mut outbox = core.outbox.lock();
            if outbox.pipes.get(key).is_some_and(|pipe| pipe.closing().is_none()) {
                outbox.close_pipe(key, Instant::now(), &mut later);
            }
        }
        later.run();
    }
    site.emit(Some(info), EventKind::HandshakeSucceeded);
    Some(key)
}

/// Carries the traffic of a peer that was taken in until the connection ends; says why. What was not written goes to
/// `unwritten`.
pub(super) async fn run(
    site: &Site,
    stream: Arc<Stream>,
    key: PeerKey,
    ready: Ready,
    unwritten: &mut WireBuf,
) -> DisconnectReason {
    let core = &site.core;
    let start = Start { minor: ready.minor, input: ready.input, records: None };
    let mut session = Session::new(site, &stream, key, start);
    let end = std::future::poll_fn(|cx| session.poll(cx)).await;
    *unwritten = std::future::poll_fn(|cx| session.poll_unwritten(cx)).await;
    let reason = match end {
        End::Flushed(closing) => {
            let _ = stream.shutdown_write();
            // Over ipc the kernel gives what the peer has not read up with the connection, so there all of
            // linger is spent waiting for it.
            let parting = if stream.outlives_close() { Instant::now() + PARTING } else { closing };
            let _ = timeout_at(parting.min(closing), pin!(read_to_end(&stream))).await;
            DisconnectReason::ClosedByUs
        }
        End::Deadline => DisconnectReason::ClosedByUs,
        End::Lost(reason) => reason,
    };
    if let DisconnectReason::Protocol(_) = reason {
        Tally::count(&core.tally.refused, 1);
    }
    reason
}

/// Tells the monitors of the end, once the peer is out of the socket: who hears of it finds it true.
pub(super) fn report_end(site: &Site, info: &Arc<PeerInfo>, reason: DisconnectReason) {
    site.emit(Some(info), EventKind::Disconnected(reason));
}

/// Takes a peer out whose pipe lived only as long as its connection.
pub(super) fn gone(core: &Core, key: PeerKey, reason: &DisconnectReason) {
    core.left(key);
    // A socket that closes counts what is left itself.
    if !core.outbox.lock().is_closed() {
        let ours = *reason == DisconnectReason::ClosedByUs;
        core.depart(key, false, if ours { DropReason::Linger } else { DropReason::Disconnect });
    }
}

/// Tells the peer why, as well as the protocol allows: our READY may be on its way already (D25).
fn refuse(stream: &Stream, reason: &str) {
    let mut error = Vec::new();
    proto::command::put_error(&mut error, reason);
    let _ = stream.try_write_vectored(&[IoSlice::new(&error)]);
}

async fn read_to_end(stream: &Stream) -> io::Result<()> {
    let mut input = BytesMut::with_capacity(4096);
    while read(stream, &mut input).await? > 0 {
        input.clear();
    }
    Ok(())
}
