//! A set of small numbers that finds the next one after any number.

/// Two levels of words: a bit of the upper one for each word of the lower one that is not empty.
#[derive(Debug, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    used: Vec<u64>,
}

impl Bits {
    pub(super) fn insert(&mut self, number: usize) {
        let word = number / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
            self.used.resize(word / 64 + 1, 0);
        }
        set(&mut self.words, number, true);
        set(&mut self.used, word, true);
    }

    pub(super) fn remove(&mut self, number: usize) {
        set(&mut self.words, number, false);
        if self.words.get(number / 64) == Some(&0) {
            set(&mut self.used, number / 64, false);
        }
    }

    /// The first number from `start` on.
    pub(super) fn from(&self, start: usize) -> Option<usize> {
        let word = start / 64;
        within(&self.words, word, start % 64).or_else(|| {
            let word = self.next_used(word + 1)?;
            within(&self.words, word, 0)
        })
    }

    /// The first word from `start` on that is not empty.
    fn next_used(&self, start: usize) -> Option<usize> {
        let upper = start / 64;
        within(&self.used, upper, start % 64)
            .or_else(|| (upper + 1..self.used.len()).find_map(|word| within(&self.used, word, 0)))
    }
}

fn set(words: &mut [u64], number: usize, on: bool) {
    if let Some(word) = words.get_mut(number / 64) {
        let bit = 1 << (number % 64);
        *word = if on { *word | bit } else { *word & !bit };
    }
}

/// The first number of this word that is not below its bit `start`.
fn within(words: &[u64], word: usize, start: usize) -> Option<usize> {
    let bits = words.get(word)? & (u64::MAX << start);
    (bits != 0).then(|| word * 64 + bits.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_what_a_sorted_set_finds(steps in proptest::collection::vec((any::<bool>(), 0..20_000_usize), 1..200)) {
            let (mut bits, mut model) = (Bits::default(), BTreeSet::new());
            for (put, number) in steps {
                if put {
                    bits.insert(number);
                    model.insert(number);
                } else if let Some(number) = model.range(number..).next().copied() {
                    bits.remove(number);
                    model.remove(&number);
                }
                prop_assert_eq!(bits.from(number), model.range(number..).next().copied());
            }
        }
    }
}
