//! What is sent: bytes, with a topic in front where there are several.

use super::Args;

/// Bytes of a topic, where there are several: a number with leading zeros.
pub(crate) const TOPIC: usize = 8;

/// The payloads to send in turn: one for each topic, or one.
pub(crate) fn payloads(args: &Args) -> Vec<Vec<u8>> {
    let of_topic = |index: usize| {
        let mut bytes = topic(index).into_bytes();
        bytes.resize(args.size, b'x');
        bytes
    };
    if args.topics == 0 { vec![payload(args.size)] } else { (0..args.topics).map(of_topic).collect() }
}

/// A payload without a topic.
pub(crate) fn payload(size: usize) -> Vec<u8> {
    vec![b'x'; size]
}

/// What the socket `index` of a process subscribes to: its share of the topics, or everything.
pub(crate) fn topics(args: &Args, index: u32) -> Vec<String> {
    if args.topics == 0 {
        return vec![String::new()];
    }
    (index as usize..args.topics).step_by(args.sockets as usize).map(topic).collect()
}

fn topic(index: usize) -> String {
    format!("{index:0TOPIC$}")
}

/// `count` dealt out to `sockets`.
pub(crate) fn shares(count: u64, sockets: u32) -> impl Iterator<Item = u64> {
    let sockets = u64::from(sockets);
    (0..sockets).map(move |index| count / sockets + u64::from(index < count % sockets))
}

/// How many messages should come to the sockets of a process that receives: all together, to one at most, and to one
/// as far as can be foreseen. Several sockets that share messages take what they get.
pub(crate) fn expected(args: &Args, sockets: u32) -> (u64, u64, u64) {
    let (count, several) = (args.count, sockets > 1);
    let copies = args.role == super::Role::Sub && args.topics == 0;
    match (several, copies) {
        (false, _) => (count, count, count),
        (true, true) => (count * u64::from(sockets), count, count),
        (true, false) => (count, u64::MAX, count / u64::from(sockets)),
    }
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn shares_differ_by_one_at_most_and_make_up_the_whole() {
        assert_eq!(shares(10, 4).collect::<Vec<_>>(), [3, 3, 2, 2]);
        assert_eq!(shares(2, 3).collect::<Vec<_>>(), [1, 1, 0]);
    }
}
