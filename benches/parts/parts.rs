//! Each group is one part; the numbers behind the slash are bytes of a message, topics, or peers.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use sinew::Message;
use sinew::bench::{Encoder, In, Out, Topics};

/// Messages that are handed over together.
const BATCH: u64 = 64;

const SIZES: [usize; 4] = [16, 64, 1024, 65_536];

pub(crate) fn run() {
    let mut criterion = Criterion::default().configure_from_args();
    encode(&mut criterion);
    decode(&mut criterion);
    topics(&mut criterion);
    hand_over(&mut criterion);
    route(&mut criterion);
    criterion.final_summary();
}

fn message(size: usize) -> Message {
    vec![b'x'; size].into()
}

/// A batch as it is on the wire.
fn wire(size: usize) -> Vec<u8> {
    let mut one = Vec::new();
    match u8::try_from(size) {
        Ok(size) => one.extend([0, size]),
        Err(_) => {
            one.push(2);
            one.extend((size as u64).to_be_bytes());
        }
    }
    one.resize(one.len() + size, b'x');
    one.repeat(usize::try_from(BATCH).unwrap_or(1))
}

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    group.throughput(Throughput::Elements(BATCH));
    for size in SIZES {
        let (message, mut encoder) = (message(size), Encoder::default());
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                encoder.clear();
                for _ in 0..BATCH {
                    encoder.encode(black_box(&message));
                }
            });
        });
    }
}

/// With the copy that a read is.
fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(BATCH));
    for size in SIZES {
        let (wire, mut reader) = (wire(size), In::default());
        assert_eq!(reader.decode(&wire) as u64, BATCH);
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| reader.decode(black_box(&wire)));
        });
    }
}

fn topics(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("topics");
    for count in [10, 1000, 100_000] {
        let mut topics = Topics::default();
        for index in 0..count {
            topics.insert(format!("{index:08}").as_bytes(), index % 8);
        }
        let subject = format!("{:08} and the message", count / 2);
        assert_eq!(topics.matches(subject.as_bytes()), 1);
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| topics.matches(black_box(subject.as_bytes())));
        });
    }
}

/// Both halves of a pipe, each with both its ends; no task is waiting.
fn hand_over(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hand-over");
    group.throughput(Throughput::Elements(BATCH));
    for size in SIZES {
        let (message, mut out) = (message(size), Out::balance(1));
        group.bench_function(BenchmarkId::new("out", size), |bencher| {
            bencher.iter(|| {
                for _ in 0..BATCH {
                    out.send(message.clone());
                }
                out.write();
            });
        });
        let (wire, mut reader) = (wire(size), In::default());
        group.bench_function(BenchmarkId::new("in", size), |bencher| {
            bencher.iter(|| {
                reader.read(&wire);
                while let Some(message) = reader.recv() {
                    black_box(message);
                }
            });
        });
    }
}

/// A message to the next of so many peers, and to all of them.
fn route(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    let message = message(64);
    for peers in [1, 8, 64, 1000] {
        let (mut balanced, mut published) = (Out::balance(peers), Out::publish(peers, b"x"));
        group.throughput(Throughput::Elements(peers as u64));
        group.bench_function(BenchmarkId::new("balance", peers), |bencher| {
            bencher.iter(|| {
                for _ in 0..peers {
                    balanced.send(message.clone());
                }
                balanced.write();
            });
        });
        group.bench_function(BenchmarkId::new("publish", peers), |bencher| {
            bencher.iter(|| {
                published.send(message.clone());
                published.write();
            });
        });
    }
}
