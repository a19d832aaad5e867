//! Peers that cost their own process nothing: a TCP connection that has shaken hands as a PUSH, and is silent.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::perf::{Args, Outcome};

/// A READY with `Socket-Type` PUSH.
const READY: &[u8] = b"\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH";

/// ZMTP 3.0 with the mechanism NULL.
fn greeting() -> [u8; 64] {
    let mut greeting = [0; 64];
    greeting[0] = 0xff;
    greeting[9] = 0x7f;
    greeting[10] = 3;
    greeting[12..16].copy_from_slice(b"NULL");
    greeting
}

pub(super) fn run(args: &Args) -> Outcome {
    let address = args.endpoint.strip_prefix("tcp://").ok_or("tcp:// only")?;
    let mut peers = Vec::new();
    for _ in 0..args.sockets {
        let mut peer = TcpStream::connect(address)?;
        peer.write_all(&greeting())?;
        peer.write_all(READY)?;
        peer.read_exact(&mut [0; 64])?;
        let mut head = [0; 2];
        peer.read_exact(&mut head)?;
        let mut ready = vec![0; usize::from(head[1])];
        peer.read_exact(&mut ready)?;
        peers.push(peer);
    }
    eprintln!("connected {}", peers.len());
    loop {
        std::thread::park();
    }
}
