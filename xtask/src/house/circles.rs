//! Circles: no room imports what imports it, not even by way of others. Rooms are the files and folders right below
//! `src`, and each folder among its neighbours further down. What the files of one folder have of each other, `mod.rs`
//! among them, is the folder's own matter.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    Rule, Violation,
    modules::{Import, Modules},
    source::{Crate, File, Sources},
};

pub const RULE: Rule =
    Rule { name: "circles", hint: "move what two of them share to a file that imports neither", check };

/// Who imports whom among the rooms of a folder, with an import for each arrow.
type Arrows<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a Import<'a>>>;

fn check(sources: &Sources) -> Vec<Violation> {
    sources.crates.iter().flat_map(check_crate).collect()
}

fn check_crate(one: &Crate) -> Vec<Violation> {
    let imports: Vec<_> = Modules::of(one).imports().into_iter().filter(|import| !import.test).collect();
    let mut folders: BTreeMap<&[String], Arrows> = BTreeMap::new();
    for import in &imports {
        let (from, to) = (&import.from.module, &import.to);
        let shared = from.iter().zip(to).take_while(|(one, other)| one == other).count();
        if let (Some(one), Some(other)) = (from.get(shared), to.get(shared)) {
            folders.entry(&from[..shared]).or_default().entry(one).or_default().entry(other).or_insert(import);
        }
    }
    let told = folders.into_iter().flat_map(|(folder, arrows)| {
        let crosses = |room: &str| folder.is_empty() || one.files.iter().any(|file| is_inside(file, folder, room));
        circles(&arrows)
            .into_iter()
            .filter_map(|rooms| {
                let room = rooms.into_iter().find(|room| crosses(room))?;
                Some(told(room, &path(&arrows, room, room)))
            })
            .collect::<Vec<_>>()
    });
    told.collect()
}

/// Whether a file stands in the folder that is a room of another folder.
fn is_inside(file: &File, folder: &[String], room: &str) -> bool {
    file.module.len() > folder.len() + 1 && file.module.starts_with(folder) && file.module[folder.len()] == room
}

/// Each set of rooms that all lead to each other.
fn circles<'a>(arrows: &Arrows<'a>) -> Vec<BTreeSet<&'a str>> {
    let mut circles: Vec<BTreeSet<&str>> = Vec::new();
    for room in arrows.keys().copied() {
        if circles.iter().all(|circle| !circle.contains(room)) && leads(arrows, room, room) {
            let back = arrows.keys().copied().filter(|other| leads(arrows, room, other) && leads(arrows, other, room));
            circles.push(back.collect());
        }
    }
    circles
}

fn told(room: &str, circle: &[&Import]) -> Violation {
    let steps: String =
        circle.iter().map(|import| format!(" -> {}:{}", import.from.path, import.line)).skip(1).collect();
    let (file, line, written) =
        circle.first().map_or(("", 0, ""), |first| (&first.from.path, first.line, &first.written));
    Violation::new(file, line, format!("`{room}` leads to itself: {written}{steps}"))
}

fn leads(arrows: &Arrows, from: &str, to: &str) -> bool {
    !path(arrows, from, to).is_empty()
}

/// The imports that lead from a room to another one, as few as possible; none if it does not.
fn path<'a>(arrows: &Arrows<'a>, from: &str, to: &str) -> Vec<&'a Import<'a>> {
    let mut seen = BTreeSet::new();
    let mut queue = VecDeque::from([(from, Vec::new())]);
    while let Some((room, path)) = queue.pop_front() {
        for (next, import) in arrows.get(room).into_iter().flatten() {
            let path = [&*path, &[*import]].concat();
            if *next == to {
                return path;
            }
            if seen.insert(*next) {
                queue.push_back((next, path));
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::places, *};

    #[test]
    fn circle_is_found_once_by_way_of_others() {
        let sources = Sources::of(
            "one/src",
            &[
                ("lib.rs", "mod a; mod b; mod c; mod d;"),
                ("a/mod.rs", "mod deep;"),
                ("a/deep.rs", "use crate::b::B;"),
                ("b.rs", "\nuse super::c;\npub struct B;"),
                ("c.rs", "fn f() { crate::a::g() }"),
                ("d.rs", "use crate::a;"),
            ],
        );
        assert_eq!(places(&RULE, &sources), ["one/src/a/deep.rs:1"]);
    }

    #[test]
    fn folder_and_what_is_in_it_may_know_each_other() {
        let files = [("a/mod.rs", "mod b; use b::B; pub struct A;"), ("a/b.rs", "use super::A; pub struct B;")];
        assert_eq!(places(&RULE, &Sources::of("one/src", &files)), [""; 0]);
    }

    #[test]
    fn files_of_one_folder_may_know_each_other_until_one_is_a_folder() {
        let files = [
            ("a/mod.rs", "mod b; mod c; pub use self::{b::B, c::C};"),
            ("a/b.rs", "use super::C; pub struct B;"),
            ("a/c.rs", "use super::B; pub struct C;"),
            ("a/c/d.rs", ""),
        ];
        assert_eq!(places(&RULE, &Sources::of("one/src", &files[..3])), [""; 0]);
        assert_eq!(places(&RULE, &Sources::of("one/src", &files)), ["one/src/a/c.rs:1"]);
    }
}
