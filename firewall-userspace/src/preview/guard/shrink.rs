//! A list that loses most of its entries in one reload: more often a file that was cut off than a decision.

use super::Harm;
use crate::{policy::guard::Guard, preview::diff::Difference};

impl Guard {
    /// Lists that lose more entries by `difference` than is normal.
    pub fn shrinks(&self, difference: &Difference) -> Vec<Harm> {
        let lists = difference.lists.iter();
        lists.filter_map(|(list, changes)| self.shrink(list, changes.removed.len(), changes.live)).collect()
    }

    /// The harm of removing so many of the `live` entries of a list; `None` when they are few enough.
    pub fn shrink(&self, list: &str, removed: usize, live: usize) -> Option<Harm> {
        let percent = self.shrink_percent;
        let is_harm = removed > self.shrink_entries && removed as u128 * 100 > live as u128 * u128::from(percent);
        is_harm.then(|| Harm::Shrink { list: list.to_owned(), removed, live, percent })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{config, policy::Policy, preview::diff::PolicyDocument};

    /// A policy with so many entries from the `first` on in `l`, or without the list.
    fn policy(guard: &str, entries: Option<(usize, usize)>) -> Policy {
        let list = entries.map_or(String::new(), |(first, count)| {
            let entries: Vec<_> = (first..first + count).map(|n| format!("\"10.0.{}.{}\"", n >> 8, n & 255)).collect();
            format!("[lists.l]\nentries = [{}]\n", entries.join(", "))
        });
        let text = format!("[[interface]]\nname = \"eth0\"\n{list}[guard]\n{guard}\n");
        config::load_text(Path::new("x.toml"), &text, Path::new("")).unwrap().policy
    }

    fn removed(guard: &str, live: usize, new: Option<(usize, usize)>) -> Option<usize> {
        let new = policy(guard, new);
        let live = PolicyDocument::of(&policy("", Some((0, live))), 1);
        match new.guard.shrinks(&Difference::between(&live, &PolicyDocument::of(&new, 0)))[..] {
            [] => None,
            [Harm::Shrink { removed, .. }] => Some(removed),
            ref other => panic!("{other:?}"),
        }
    }

    #[test]
    fn half_of_a_list_may_go_and_one_entry_more_may_not() {
        assert_eq!(removed("", 100, Some((50, 50))), None);
        assert_eq!(removed("", 100, Some((51, 49))), Some(51));
    }

    #[test]
    fn entries_that_come_do_not_make_up_for_those_that_go() {
        assert_eq!(removed("", 100, Some((60, 200))), Some(60));
    }

    #[test]
    fn a_list_that_is_gone_has_lost_everything() {
        assert_eq!(removed("", 100, None), Some(100));
    }

    #[test]
    fn a_short_list_may_lose_everything() {
        assert_eq!(removed("", 20, None), None);
        assert_eq!(removed("", 21, None), Some(21));
        assert_eq!(removed("shrink_entries = 5", 6, None), Some(6));
    }

    #[test]
    fn the_share_is_that_of_the_new_configuration() {
        assert_eq!(removed("shrink_percent = 10", 100, Some((21, 79))), Some(21));
        assert_eq!(removed("shrink_percent = 100", 100, None), None);
    }
}
