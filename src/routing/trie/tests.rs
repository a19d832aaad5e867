//! The tree against a plain map, and against what a hostile peer may do to it.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

type Model = BTreeMap<Vec<u8>, BTreeSet<u8>>;

#[derive(Clone, Debug)]
enum Op {
    Insert(Vec<u8>, u8),
    Remove(Vec<u8>, u8),
    RemoveKey(u8),
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
        1 => (0..5_u8).prop_map(Op::RemoveKey),
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

fn removed(trie: &mut Trie<u8>, key: u8) -> Vec<(Vec<u8>, bool)> {
    let mut topics = Vec::new();
    trie.remove_key(key, |topic, last| topics.push((topic.to_vec(), last)));
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
        Op::RemoveKey(key) => {
            let topics = model.iter().filter(|(_, keys)| keys.contains(&key));
            let topics: Vec<_> = topics.map(|(topic, keys)| (topic.clone(), keys.len() == 1)).collect();
            topics
                .iter()
                .for_each(|(topic, _)| assert_ne!(model_remove(model, topic, key), Removed::NotHeld));
            assert_eq!(removed(trie, key), topics);
        }
        Op::Match(topic) => {
            let held = model.iter().filter(|(prefix, _)| topic.starts_with(prefix));
            let mut keys: Vec<_> = held.flat_map(|(_, keys)| keys.iter().copied()).collect();
            keys.sort_unstable();
            assert_eq!(matched(trie, &topic), keys);
        }
    }
}

/// No node, wide or byte is lost: what is not reachable is known to be free, and what is known to
/// be free is less than half.
fn check(trie: &Trie<u8>) {
    let (mut nodes, mut wides, mut bytes, mut stack) = (0, 0, 0, vec![ROOT]);
    while let Some(at) = stack.pop() {
        let node = trie.nodes.get(at).unwrap();
        let children: Vec<_> = trie.children(at).collect();
        nodes += 1;
        wides += usize::from(node.wide != NIL);
        bytes += usize::from(node.len);
        assert!(at == ROOT || node.key.is_some() || !children.is_empty());
        assert_eq!(trie.label(node).first().copied().unwrap_or_default(), node.byte);
        for &(at, byte) in &children {
            assert_eq!(trie.child(node, byte), Some(at));
            let lone = trie.nodes.get(at).unwrap().lone_key();
            assert!(trie.fan(node).is_none_or(|fan| fan.find(byte).map(|at| fan.lone(at)) == Ok(lone)));
        }
        stack.extend(children.iter().map(|(at, _)| at));
    }
    assert_eq!(nodes, trie.nodes.items.len() - trie.nodes.free.len());
    assert_eq!(wides, trie.wides.items.len() - trie.wides.free.len());
    assert_eq!(bytes, trie.labels.len() - trie.dead);
    assert!(trie.nodes.free.len() < trie.nodes.items.len() / 2 + SLACK);
    assert!(trie.wides.free.len() < trie.wides.items.len() / 2 + SLACK);
    assert!(trie.dead < trie.labels.len() / 2 + SLACK);
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
        assert_eq!(trie.nodes.items.len() - trie.nodes.free.len(), 1);
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
    assert!(trie.wides.items.len() <= 1);
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

#[test]
fn gives_its_memory_back() {
    let mut trie = Trie::default();
    let topic = |i: u32| i.wrapping_mul(2_654_435_761).to_be_bytes().repeat(4);
    for i in 0..20_000 {
        trie.insert(&topic(i), 1_u8);
        trie.insert(&topic(i), 2);
    }
    for i in 0..20_000 {
        trie.remove(&topic(i), 1);
    }
    assert!(trie.wides.items.capacity() < 1024);
    trie.insert(b"kept", 3);
    trie.remove_key(2, |_, last| assert!(last));
    assert_eq!((trie.len(), matched(&trie, b"kept")), (1, vec![3]));
    assert!(trie.nodes.items.capacity() < 256 && trie.nodes.free.capacity() < 256);
    assert!(trie.wides.items.capacity() < 256 && trie.labels.capacity() < 256);
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
        deep.remove_key(1, |_, last| count += usize::from(last));
        assert_eq!((count, deep.len()), (2001, 0));
        prefixes().for_each(|prefix| assert_eq!(deep.insert(prefix, 1), Inserted::First));
        drop(deep);
    };
    thread::Builder::new().stack_size(64 << 10).spawn(sweep).unwrap().join().unwrap();
}
