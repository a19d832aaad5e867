//! The task that reads what brokers say, and hands it to whoever waits.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::state::Calls;
use crate::patterns::RouterEvent;
use crate::pool::wire::{decode_to_client, parse};

/// Events taken at a time.
const BATCH: usize = 256;

pub(super) async fn read(calls: Arc<Calls>, stop: CancellationToken) {
    let (mut events, mut said) = (Vec::with_capacity(BATCH), Vec::with_capacity(BATCH));
    loop {
        let received = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            received = calls.router.recv_events(&mut events, BATCH) => received,
        };
        if received.is_err() {
            break;
        }
        for event in events.drain(..) {
            match event {
                RouterEvent::Message(_, message) => match parse(message).and_then(decode_to_client) {
                    Ok(message) => said.push(message),
                    Err(error) => tracing::debug!(%error, "a broker says what makes no sense"),
                },
                RouterEvent::Connected(broker) => {
                    // In order: what it said before comes first.
                    calls.take_in(&mut said);
                    if let Some(peer) = broker.peer() {
                        calls.connected(peer);
                    }
                }
                RouterEvent::Disconnected(broker) => {
                    calls.take_in(&mut said);
                    if let Some(peer) = broker.peer() {
                        calls.disconnected(peer);
                    }
                }
            }
        }
        calls.take_in(&mut said);
    }
    calls.close();
}
