//! Plain blocking TCP: what the machine can do. No frames; many messages to a write, as far as they fit.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use crate::perf::payload::payload;
use crate::perf::tally::{Tally, line, round_trips};
use crate::perf::{Args, Outcome, Role};

/// Bytes to a read, at most.
const READ: usize = 256 << 10;

pub(super) fn run(args: &Args, write: usize) -> Outcome {
    match args.role {
        Role::Pull => pull(args),
        Role::Push => push(args, write),
        Role::Rep => rep(args),
        Role::Req => req(args),
        _ => Err("plain TCP has no such role".into()),
    }
}

fn connect(args: &Args) -> Outcome<TcpStream> {
    let address = args.endpoint.strip_prefix("tcp://").ok_or("tcp:// only")?;
    let stream = if args.binds() {
        let listener = TcpListener::bind(address)?;
        eprintln!("bound tcp://{}", listener.local_addr()?);
        listener.accept()?.0
    } else {
        TcpStream::connect(address)?
    };
    stream.set_nodelay(true)?;
    // As Sinew's: with the system's default, which may be BBR, this would measure pacing, not the machine.
    rustix::net::sockopt::set_tcp_congestion(&stream, "reno")?;
    Ok(stream)
}

fn pull(args: &Args) -> Outcome {
    let mut stream = connect(args)?;
    let (mut tally, mut buffer, mut rest) = (Tally::new(args.count, args.count), vec![0; READ], 0);
    while tally.wants_more() {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        rest += read;
        tally.add((rest / args.size) as u64);
        rest %= args.size;
    }
    println!("{}", line("got", &[tally], args.count, args.size)?);
    Ok(())
}

fn push(args: &Args, write: usize) -> Outcome {
    let mut stream = connect(args)?;
    let together = (write / args.size).max(1) as u64;
    let bytes = payload(args.size * usize::try_from(together)?);
    let mut unsent = args.count;
    while unsent > 0 {
        let messages = unsent.min(together);
        stream.write_all(&bytes[..args.size * usize::try_from(messages)?])?;
        unsent -= messages;
    }
    Ok(())
}

fn rep(args: &Args) -> Outcome {
    let (mut stream, mut buffer) = (connect(args)?, payload(args.size));
    for _ in 0..args.count {
        stream.read_exact(&mut buffer)?;
        stream.write_all(&buffer)?;
    }
    Ok(())
}

fn req(args: &Args) -> Outcome {
    let (mut stream, mut buffer) = (connect(args)?, payload(args.size));
    let mut trips = Vec::new();
    for _ in 0..args.count {
        let start = Instant::now();
        stream.write_all(&buffer)?;
        stream.read_exact(&mut buffer)?;
        trips.push(start.elapsed());
    }
    trips.sort_unstable();
    println!("{}", round_trips(&trips));
    Ok(())
}
