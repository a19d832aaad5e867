//! The tree against a plain map, and against what a hostile peer may do to it.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;

use super::slab::tests::visits;
use super::*;

type Model = BTreeMap<Vec<u8>, BTreeSet<u8>>;

#[derive(Clone, Debug)]
enum Op {
    Insert(Vec<u8>, u8),
    Remove(Vec<u8>, u8),
    /// One step of a key's end, of so many nodes.
    RemoveKey(u8, usize),
    Match(Vec<u8>),
}

/// Topics that nest, that fan out past a list of children, and that are longer than a label.
fn topic() -> impl Strategy<Value = Vec<u8>> {
    let nested = vec(prop_oneof![Just(b'a'), Just(b'b')], 0..8);
    let fan = (0..3_u8, 0..40_u8).prop_map(|(a, b)| vec![a, b]);
    let long = (0..600_usize, vec(0..3_u8, 0..3)).prop_map(|(len, tail)| [vec![b'a'; len], tail].concat());
    prop_oneof![4 => nested, 4 => fan, 1 => long]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (topic(), 0..5_u8).prop_map(|(topic, key)| Op::Insert(topic, key)),
        6 => (topic(), 0..5_u8).prop_map(|(topic, key)| Op::Remove(topic, key)),
        2 => (0..5_u8, 0..20_usize).prop_map(|(key, budget)| Op::RemoveKey(key, budget)),
        4 => topic().prop_map(Op::Match),
    ]
}

fn model_insert(model: &mut Model, topic: Vec<u8>, key: u8) -> Inserted {
    let keys = model.entry(topic).or_default();
    match (keys.insert(key), keys.len()) {
        (false, _) => Inserted::Already,
        (true, 1) => Inserted::First,
        (true, _) => Inserted::New,
    }
}

fn model_remove(model: &mut Model, topic: &[u8], key: u8) -> Removed {
    let Some(keys) = model.get_mut(topic) else {
        return Removed::NotHeld;
    };
    if !keys.remove(&key) {
        return Removed::NotHeld;
    }
    if !keys.is_empty() {
        return Removed::Held;
    }
    model.remove(topic);
    Removed::Last
}

fn matched(trie: &Trie<u8>, topic: &[u8]) -> Vec<u8> {
    let mut keys = Vec::new();
    trie.matches(topic, |key| keys.push(key));
    keys.sort_unstable();
    keys
}

/// The rest of a key's end.
fn removed(trie: &mut Trie<u8>, key: u8) -> Vec<(Vec<u8>, bool)> {
    let mut topics = Vec::new();
    assert!(!trie.remove_key(key, usize::MAX, |topic, last| topics.push((topic.to_vec(), last))));
    topics
}

fn apply(trie: &mut Trie<u8>, model: &mut Model, op: Op) {
    match op {
        Op::Insert(topic, key) => {
            assert_eq!(trie.insert(&topic, key), model_insert(model, topic.clone(), key));
            assert!(trie.holds(&topic, key));
        }
        Op::Remove(topic, key) => {
            assert_eq!(trie.remove(&topic, key), model_remove(model, &topic, key));
            assert!(!trie.holds(&topic, key));
        }
        Op::RemoveKey(key, budget) => {
            let (mut told, held) = (0, model.values().any(|keys| keys.contains(&key)));
            let more = trie.remove_key(key, budget, |topic, last| {
                let removed = if last { Removed::Last } else { Removed::Held };
                assert_eq!(model_remove(model, topic, key), removed);
                told += 1;
            });
            assert!((usize::from(held)..=budget.max(1)).contains(&told));
            assert_eq!(more, model.values().any(|keys| keys.contains(&key)));
        }
        Op::Match(topic) => {
            let held = model.iter().filter(|(prefix, _)| topic.starts_with(prefix));
            let mut keys: Vec<_> = held.flat_map(|(_, keys)| keys.iter().copied()).collect();
            keys.sort_unstable();
            assert_eq!(matched(trie, &topic), keys);
        }
    }
}

/// Nothing is lost or named by what it is not named by: every node, wide and byte is reachable, and each key's list has
/// all that it holds.
fn check<K: Copy + Ord + std::fmt::Debug>(trie: &Trie<K>) {
    let (mut nodes, mut labels, mut stack) = (0, Vec::new(), vec![ROOT]);
    let mut held = BTreeMap::<K, BTreeSet<u32>>::new();
    while let Some(at) = stack.pop() {
        let node = trie.nodes.get(at).unwrap();
        let children: Vec<_> = trie.children(at).collect();
        nodes += 1;
        labels.push(node.label);
        assert!(at == ROOT || node.key.is_some() || !children.is_empty());
        assert_eq!(trie.labels.get(&node.label).first().copied().unwrap_or_default(), node.label.byte());
        assert!(node.wide.as_ref().is_none_or(|wide| wide.fan.is_some() || !wide.holders.is_empty()));
        for &(child, byte) in &children {
            assert_eq!(trie.child(node, byte), Some(child));
            assert_eq!(trie.links.get(child).unwrap().parent, at);
            let lone = trie.nodes.get(child).unwrap().lone_key();
            assert!(node.fan().is_none_or(|fan| fan.find(byte).map(|at| fan.lone(at)) == Ok(lone)));
        }
        for holder in (0..).map_while(|place| trie.holder(at, place)) {
            assert!(held.entry(holder.key).or_default().insert(at));
        }
        stack.extend(children.iter().map(|(at, _)| at));
    }
    assert_eq!((nodes, nodes), (trie.nodes.end(), trie.links.end()));
    trie.labels.check(&labels);
    assert!(held.keys().eq(trie.newest.keys()));
    for (key, mut nodes) in held {
        let (mut prev, mut at) = (NIL, trie.newest.get(&key).copied().unwrap());
        while at != NIL {
            assert!(nodes.remove(&at));
            let mut holders = (0..).map_while(|place| trie.holder(at, place));
            let holder = holders.find(|holder| holder.key == key).unwrap();
            assert_eq!(holder.held.prev, prev);
            (prev, at) = (at, holder.held.next);
        }
        assert!(nodes.is_empty());
    }
}

proptest! {
    #[test]
    fn equals_the_naive_filter(ops in vec(op(), 0..300)) {
        let (mut trie, mut model) = (Trie::default(), Model::new());
        for op in ops {
            apply(&mut trie, &mut model, op);
            assert_eq!((trie.len(), trie.is_empty()), (model.len(), model.is_empty()));
            check(&trie);
        }
        for key in 0..5 {
            removed(&mut trie, key);
            check(&trie);
        }
        assert!(trie.is_empty());
        assert_eq!((trie.nodes.end(), trie.labels.capacity()), (1, 0));
    }
}

#[test]
fn a_key_comes_once_per_topic_that_matches() {
    let mut trie = Trie::default();
    for (topic, key) in [("", 1), ("a", 1), ("ab", 2), ("ab", 1), ("b", 3), ("abc", 4)] {
        trie.insert(topic.as_bytes(), key);
    }
    assert_eq!(matched(&trie, b"ab"), [1, 1, 1, 2]);
    assert_eq!(matched(&trie, b""), [1]);
    assert_eq!(matched(&trie, b"b\0"), [1, 3]);
}

#[test]
fn every_byte_is_a_child() {
    let mut trie = Trie::default();
    for key in 0..=u8::MAX {
        assert_eq!(trie.insert(&[b'x', key, key], key), Inserted::First);
        check(&trie);
    }
    for key in 0..=u8::MAX {
        assert_eq!(matched(&trie, &[b'x', key, key, 0]), [key]);
    }
    for key in 0..=u8::MAX {
        assert_eq!(trie.remove(&[b'x', key, key], key), Removed::Last);
        check(&trie);
    }
    assert!(trie.nodes.get(ROOT).unwrap().wide.is_none());
}

#[test]
fn many_keys_share_a_topic() {
    let mut trie = Trie::default();
    for key in (0..1000_u32).rev() {
        trie.insert(b"topic", key);
    }
    let mut count = 0;
    trie.matches(b"topic", |_| count += 1);
    assert_eq!((count, trie.len()), (1000, 1));
    for key in 0..999 {
        assert_eq!(trie.remove(b"topic", key), Removed::Held);
    }
    assert_eq!(trie.remove(b"topic", 999), Removed::Last);
    assert!(trie.is_empty());
}

fn random(i: u32) -> Vec<u8> {
    i.wrapping_mul(2_654_435_761).to_be_bytes().repeat(4)
}

#[test]
fn gives_its_memory_back() {
    let mut trie = Trie::default();
    for i in 0..20_000 {
        trie.insert(&random(i), 1_u8);
        trie.insert(&random(i), 2);
    }
    for i in 0..20_000 {
        trie.remove(&random(i), 1);
    }
    trie.insert(b"kept", 3);
    // Each chunk of labels keeps one.
    for i in (0..20_000).filter(|i| i % 40 != 0) {
        trie.remove(&random(i), 2);
    }
    check(&trie);
    assert!(trie.labels.capacity() < 500 * 16 * 3, "{}", trie.labels.capacity());
    trie.remove_key(2, usize::MAX, |_, last| assert!(last));
    assert_eq!((trie.len(), matched(&trie, b"kept")), (1, vec![3]));
    assert!(trie.nodes.capacity() < 16 && trie.labels.capacity() < 1024);
}

#[test]
fn a_key_that_leaves_costs_what_it_held_whatever_the_others_hold() {
    let cost = |others: u32, own: u32| {
        let mut trie = Trie::default();
        for i in 0..others + own {
            trie.insert(&random(i), if i < others { i % 50 } else { 50 });
        }
        let before = visits();
        assert!(!trie.remove_key(50, usize::MAX, |_, last| assert!(last)));
        let cost = visits() - before;
        check(&trie);
        cost
    };
    assert_eq!(cost(50_000, 0), 0);
    let [few, many] = [5_000, 50_000].map(|others| cost(others, 100));
    assert!(many < 100 * 200 && many < 2 * few, "{few}, {many}");
}

#[test]
fn no_operation_costs_more_than_a_few_looks_however_much_is_held() {
    const STEP: usize = 64;
    let (mut trie, mut longest) = (Trie::default(), [0; 3]);
    let mut at = visits();
    let mut note = |which: &mut usize| {
        *which = (visits() - at).max(*which);
        at = visits();
    };
    let [insert, remove, step] = &mut longest;
    for i in 0..50_000_u32 {
        trie.insert(&random(i), i % 5);
        note(insert);
    }
    for i in (0..50_000_u32).filter(|i| i % 5 < 2) {
        trie.remove(&random(i), i % 5);
        note(remove);
    }
    for key in 2..5 {
        while trie.remove_key(key, STEP, |_, _| {}) {
            note(step);
        }
    }
    assert!(trie.is_empty());
    // A child among 256 is found by their index, but all are told where their parent has moved to.
    assert!(*insert < 150 && *remove < 700 && *step < 50 * STEP, "{insert}, {remove}, {step}");
}

#[test]
fn a_node_costs_44_bytes_and_a_match_reads_32_of_them() {
    assert_eq!((size_of::<Node<crate::routing::PeerKey>>(), size_of::<Links>()), (32, 12));
}

#[test]
fn depth_costs_no_stack() {
    let sweep = || {
        let topic: Vec<u8> = (0..1 << 20_u32).map(|i| (i ^ (i >> 8)) as u8).collect();
        let prefixes = || (0..2000).chain([topic.len()]).map(|len| topic.get(..len).unwrap());
        for last in [false, true] {
            let mut trie = Trie::default();
            prefixes().for_each(|prefix| assert_eq!(trie.insert(prefix, 1_u8), Inserted::First));
            trie.insert(&topic, 2);
            assert_eq!(matched(&trie, &topic).len(), 2002);
            if last {
                prefixes()
                    .collect::<Vec<_>>()
                    .iter()
                    .rev()
                    .for_each(|prefix| assert_ne!(trie.remove(prefix, 1), Removed::NotHeld));
            } else {
                prefixes().for_each(|prefix| assert_ne!(trie.remove(prefix, 1), Removed::NotHeld));
            }
            assert_eq!((trie.len(), removed(&mut trie, 2)), (1, vec![(topic.clone(), true)]));
            check(&trie);
        }
        let mut deep = Trie::default();
        prefixes().for_each(|prefix| assert_eq!(deep.insert(prefix, 1_u8), Inserted::First));
        let mut count = 0;
        deep.remove_key(1, usize::MAX, |_, last| count += usize::from(last));
        assert_eq!((count, deep.len()), (2001, 0));
        prefixes().for_each(|prefix| assert_eq!(deep.insert(prefix, 1), Inserted::First));
        drop(deep);
    };
    thread::Builder::new().stack_size(64 << 10).spawn(sweep).unwrap().join().unwrap();
}
