//! The first of many.

use std::collections::BTreeMap;

use super::shown::grouped;

/// The first ten of each kind, the next one of it, and how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Few<T> {
    first: Vec<T>,
    kinds: BTreeMap<&'static str, FewOfKind<T>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FewOfKind<T> {
    count: usize,
    eleventh: Option<T>,
}

impl<T> Few<T> {
    /// Most of one kind that are kept.
    pub const MOST: usize = 10;

    /// Adds what `make` gives, unless there are more than ten of the kind: then it is only counted. A kind is called in the plural:
    /// `host names`.
    pub fn add(&mut self, kind: &'static str, make: impl FnOnce() -> T) {
        let of_kind = self.kinds.entry(kind).or_insert(FewOfKind { count: 0, eleventh: None });
        of_kind.count += 1;
        if of_kind.count <= Self::MOST {
            self.first.push(make());
        } else if of_kind.eleventh.is_none() {
            of_kind.eleventh = Some(make());
        }
    }

    /// Those that are kept, in the order in which they came.
    pub fn first(&self) -> &[T] {
        &self.first
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kinds.values().map(|of_kind| of_kind.count).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Kinds of which there are more: the first that is not told, and words for all of those.
    pub fn more(&self) -> impl Iterator<Item = (&T, String)> {
        self.kinds.iter().filter_map(|(kind, FewOfKind { count, eleventh })| {
            Some((eleventh.as_ref()?, format!("from here on, {} more: {kind}", grouped(count - Self::MOST))))
        })
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { first: Vec::new(), kinds: BTreeMap::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_of_each_kind_are_kept_and_the_others_counted_without_being_made() {
        let mut few = Few::default();
        let mut made = 0;
        for number in 0..1234 {
            few.add("numbers", || {
                made += 1;
                number
            });
        }
        few.add("letters", || 7);
        assert_eq!((made, few.len(), few.first()), (11, 1235, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 7][..]));
        assert_eq!(few.more().collect::<Vec<_>>(), [(&10, "from here on, 1,224 more: numbers".to_owned())]);
    }
}
