//! Lists that admit and become empty: then nobody is let in by them.

use super::Harm;
use crate::{
    policy::{List, Name, Policy},
    preview::diff::Difference,
};

/// Lists that services of `new` allow and that lose their last entry by `difference`; `is_pushed` says whether any was pushed into one.
pub fn emptied(new: &Policy, difference: &Difference, is_pushed: impl Fn(&Name) -> bool) -> Vec<Harm> {
    let lists = new.lists.iter().enumerate().filter(|(index, list)| new.allows_list(*index) && list.entries.is_empty());
    let harm = |(_, list): (usize, &List)| {
        let live = difference.lists.get(&*list.name)?.live;
        (live > 0 && !is_pushed(&list.name)).then(|| Harm::Empty { list: list.name.to_string(), live })
    };
    lists.filter_map(harm).collect()
}

/// Whether it is the shrinking of one of the lists that are `emptied`, of which more is said then.
pub fn is_of_emptied(harm: &Harm, emptied: &[Harm]) -> bool {
    let Harm::Shrink { list: shrunk, .. } = harm else { return false };
    emptied.iter().any(|one| matches!(one, Harm::Empty { list, .. } if list == shrunk))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{config, preview::diff::PolicyDocument};

    /// The form of `../shared/field/cdn.toml`.
    fn policy(entries: usize, of_service: &str) -> Policy {
        let entries: Vec<String> = (0..entries).map(|number| format!("\"198.51.100.{number}\"")).collect();
        let text = format!(
            "[[interface]]\nname = \"eth0\"\n[lists.cdn]\nentries = [{}]\n\
             [services.api]\nprotocol = \"tcp\"\nports = [443]\n{of_service}\n",
            entries.join(", ")
        );
        config::load_text(Path::new("x.toml"), &text, Path::new("")).unwrap().policy
    }

    fn told(live: &Policy, new: &Policy, is_pushed: bool) -> Vec<String> {
        let difference = Difference::between(&PolicyDocument::of(live, 1), &PolicyDocument::of(new, 0));
        emptied(new, &difference, |_| is_pushed).iter().map(Harm::to_string).collect()
    }

    const ALLOW: &str = "allow = [\"cdn\"]";

    #[test]
    fn a_list_that_admits_and_becomes_empty_is_named_whatever_its_size_was() {
        for (size, entries) in [(1, "its only entry"), (16, "all of its 16 entries")] {
            let told = told(&policy(size, ALLOW), &policy(0, ALLOW), false);
            let wanted = format!("list `cdn` would lose {entries} and admit nobody (guard `empty`)");
            assert_eq!(told, [wanted]);
        }
        assert_eq!(told(&policy(16, ""), &policy(0, ALLOW), false).len(), 1, "and one that begins to admit");
    }

    #[test]
    fn one_that_was_empty_has_something_left_or_does_not_admit_may_be_so() {
        assert_eq!(told(&policy(0, ALLOW), &policy(0, ALLOW), false), [""; 0]);
        assert_eq!(told(&policy(16, ALLOW), &policy(1, ALLOW), false), [""; 0]);
        assert_eq!(told(&policy(16, ALLOW), &policy(0, ALLOW), true), [""; 0], "what was pushed admits somebody");
        assert_eq!(told(&policy(16, "deny = [\"cdn\"]"), &policy(0, "deny = [\"cdn\"]"), false), [""; 0]);
        assert_eq!(told(&policy(16, ALLOW), &policy(0, ""), false), [""; 0]);
    }
}
