//! Pairs of a map from a key on.
//!
//! `range` of the map itself looks at every node before its lower bound (immutable-chunkmap 2.1, avl.rs, `Iter::next`): with two
//! million entries that is four thousand looks for one entry.

use std::ops::Bound;

use immutable_chunkmap::map::{DEFAULT_SIZE, MapM, NodeRef};

/// A chunk of a map.
type Chunk<'a, K, V> = NodeRef<'a, K, V, DEFAULT_SIZE>;

/// Pairs from some key on, in order.
pub struct PairsFrom<'a, K: Ord + Clone, V: Clone> {
    /// What is left of the chunk that is being read.
    pairs: Box<dyn Iterator<Item = (&'a K, &'a V)> + 'a>,
    /// Chunks behind it, the next one last. All that is left of them has been read.
    stack: Vec<Chunk<'a, K, V>>,
}

impl<'a, K: Ord + Clone + 'a, V: Clone> PairsFrom<'a, K, V> {
    /// The pairs of `map` whose keys are not before `bound`.
    pub fn new(map: &'a MapM<K, V>, bound: Bound<K>) -> Self {
        let is_before = move |key: &K| match &bound {
            Bound::Unbounded => false,
            Bound::Included(bound) => key < bound,
            Bound::Excluded(bound) => key <= bound,
        };
        let (mut stack, mut floor) = (Vec::new(), None);
        let mut next = map.root();
        while let Some(chunk) = next {
            if chunk.pairs().next().is_some_and(|(first, _)| is_before(first)) {
                // Of all chunks that begin before the bound only the last one may end behind it.
                next = chunk.right();
                floor = Some(chunk);
            } else {
                next = chunk.left();
                stack.push(chunk);
            }
        }
        let pairs: Box<dyn Iterator<Item = (&'a K, &'a V)> + 'a> = match floor {
            Some(floor) => Box::new(floor.pairs().skip_while(move |(key, _)| is_before(key))),
            None => Box::new(std::iter::empty()),
        };
        Self { pairs, stack }
    }
}

impl<'a, K: Ord + Clone + 'a, V: Clone> Iterator for PairsFrom<'a, K, V> {
    type Item = (&'a K, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(pair) = self.pairs.next() {
                return Some(pair);
            }
            let chunk = self.stack.pop()?;
            self.pairs = Box::new(chunk.pairs());
            let mut next = chunk.right();
            while let Some(right) = next {
                next = right.left();
                self.stack.push(right);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, cmp::Ordering, collections::BTreeMap};

    use proptest::prelude::*;

    use super::*;

    thread_local! {
        static COMPARED: Cell<usize> = const { Cell::new(0) };
    }

    /// A key that counts how often it is compared.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Counted(u32);

    impl Ord for Counted {
        fn cmp(&self, other: &Self) -> Ordering {
            COMPARED.set(COMPARED.get() + 1);
            self.0.cmp(&other.0)
        }
    }

    impl PartialOrd for Counted {
        fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
            Some(self.cmp(other))
        }
    }

    #[test]
    fn one_entry_among_many_is_found_without_a_look_at_those_before_it() {
        let all: Vec<(Counted, ())> =
            (0..100_000u32).map(|number| (Counted(number.wrapping_mul(2_654_435_761)), ())).collect();
        let map = MapM::default().insert_many(all.iter().copied());
        for (key, ()) in all.iter().step_by(997) {
            COMPARED.set(0);
            assert_eq!(PairsFrom::new(&map, Bound::Included(*key)).next(), Some((key, &())));
            assert!(COMPARED.get() < 600, "{}", COMPARED.get());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn pairs_are_those_of_the_standard_map(
            keys in prop::collection::vec(0..5000u16, 0..3000), from in 0..5000u16, kind in 0..3u8,
        ) {
            let mut map = MapM::default();
            let mut wanted = BTreeMap::new();
            for (value, key) in keys.into_iter().enumerate() {
                map.insert_cow(key, value);
                wanted.insert(key, value);
                if value % 7 == 0 {
                    map.remove_cow(&from);
                    wanted.remove(&from);
                }
            }
            let bound = match kind {
                0 => Bound::Unbounded,
                1 => Bound::Included(from),
                _ => Bound::Excluded(from),
            };
            let found: Vec<_> = PairsFrom::new(&map, bound).collect();
            prop_assert_eq!(found, wanted.range((bound, Bound::Unbounded)).collect::<Vec<_>>());
        }
    }
}
