//! Names: a type's name is unique in its crate. Types of tests are not looked at.

use std::collections::BTreeMap;

use super::{
    Rule, Violation,
    source::{Crate, Sources},
};

pub const RULE: Rule =
    Rule { name: "names", hint: "name each for what sets it apart, or let both places use one type", check };

fn check(sources: &Sources) -> Vec<Violation> {
    sources.crates.iter().flat_map(check_crate).collect()
}

fn check_crate(one: &Crate) -> Vec<Violation> {
    let mut first = BTreeMap::new();
    let mut violations = Vec::new();
    for file in &one.files {
        for found in file.facts.types.iter().filter(|found| !found.test) {
            let place = first.entry(&*found.name).or_insert((&*file.path, found.line));
            if *place != (&*file.path, found.line) {
                let what = format!("`{}` is the name of a type in {}:{}, too", found.name, place.0, place.1);
                violations.push(Violation::new(&file.path, found.line, what));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::{super::tests::places, *};

    #[test]
    fn second_type_of_a_name_is_found() {
        let files = [("a.rs", "pub struct Change;\nenum Kind {}"), ("b/c.rs", "\ntype Change = ();\ntrait Kind {}")];
        assert_eq!(places(&RULE, &Sources::of("one/src", &files)), ["one/src/b/c.rs:2", "one/src/b/c.rs:3"]);
    }

    #[test]
    fn types_of_tests_and_of_traits_may_share_a_name() {
        let files = [
            ("a.rs", "struct Change; impl T for Change { type Kind = (); }\n#[cfg(test)]\nmod tests;"),
            ("a/tests.rs", "struct Change;"),
            ("b.rs", "enum Kind {}\n#[cfg(test)]\nmod tests { struct Change; }"),
        ];
        assert_eq!(places(&RULE, &Sources::of("one/src", &files)), [""; 0]);
    }
}
