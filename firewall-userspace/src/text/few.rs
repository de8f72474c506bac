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
    /// All of them.
    count: usize,
    /// Those of them that are kept.
    kept: usize,
    /// The first that is not kept.
    next: Option<T>,
}

impl<T> Few<T> {
    /// Most of one kind that are kept.
    pub const MOST: usize = 10;

    /// Adds what `make` gives, unless there are more than ten of the kind: then it is only counted. A kind is called in the plural:
    /// `host names`.
    pub fn add(&mut self, kind: &'static str, make: impl FnOnce() -> T) {
        let of_kind = self.kinds.entry(kind).or_default();
        of_kind.count += 1;
        if of_kind.kept < Self::MOST {
            of_kind.kept += 1;
            self.first.push(make());
        } else if of_kind.next.is_none() {
            of_kind.next = Some(make());
        }
    }

    /// Counts one more of a kind, of which none is kept: nobody has looked what it is.
    pub fn count(&mut self, kind: &'static str, make: impl FnOnce() -> T) {
        let of_kind = self.kinds.entry(kind).or_default();
        of_kind.count += 1;
        of_kind.next.get_or_insert_with(make);
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
        self.kinds.is_empty()
    }

    /// Kinds of which there are more: the first that is not told, and words for all of those.
    pub fn more(&self) -> impl Iterator<Item = (&T, String)> {
        self.kinds.iter().filter_map(|(kind, FewOfKind { count, kept, next })| {
            Some((next.as_ref()?, format!("from here on, {} more: {kind}", grouped(count - kept))))
        })
    }
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { first: Vec::new(), kinds: BTreeMap::new() }
    }
}

impl<T> Default for FewOfKind<T> {
    fn default() -> Self {
        Self { count: 0, kept: 0, next: None }
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

    #[test]
    fn what_nobody_has_looked_at_is_only_counted() {
        let mut few = Few::default();
        (0..20).for_each(|number| few.count("others", || number));
        assert_eq!((few.len(), few.first(), few.is_empty()), (20, &[][..], false));
        assert_eq!(few.more().collect::<Vec<_>>(), [(&0, "from here on, 20 more: others".to_owned())]);
        few.add("others", || 7);
        assert_eq!((few.len(), few.first()), (21, &[7][..]), "somebody has looked at this one");
    }
}
