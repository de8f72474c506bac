//! Floors: a room imports what stands on a lower floor only. A room is a file or a folder right below `src`.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Rule, Violation,
    modules::{Import, Modules},
    source::{Crate, Sources},
    table::{self, Table},
};

pub const RULE: Rule = Rule {
    name: "floors",
    hint: "move what is imported to a lower floor, or ask for it as an argument; the floors are in docs/architecture.md",
    check,
};

/// Crates that may not do without floors.
const REQUIRED: [&str; 1] = ["firewall-userspace"];

const DOCUMENT: &str = "docs/architecture.md";

fn check(sources: &Sources) -> Vec<Violation> {
    let tables = table::read(&sources.architecture);
    let mut violations: Vec<_> = REQUIRED
        .iter()
        .filter(|package| tables.iter().all(|table| table.package != **package))
        .map(|package| Violation::new(DOCUMENT, 1, format!("no table of the floors of {package}")))
        .collect();
    for table in &tables {
        let folder = format!("{}/src", table.package);
        match sources.crates.iter().find(|one| one.folder == folder) {
            Some(one) => violations.extend(check_crate(one, table)),
            None => violations.push(Violation::new(DOCUMENT, table.line, format!("there is no {folder}"))),
        }
    }
    violations
}

fn check_crate(one: &Crate, table: &Table) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut floors = BTreeMap::new();
    let rooms: BTreeSet<&str> = one.files.iter().filter_map(|file| file.module.first()).map(|room| &**room).collect();
    for (floor, row) in table.floors.iter().enumerate() {
        for room in &row.rooms {
            if floors.insert(&**room, floor).is_some() {
                violations.push(Violation::new(DOCUMENT, row.line, format!("`{room}` stands on two floors")));
            }
            if !rooms.contains(&**room) {
                violations.push(Violation::new(DOCUMENT, row.line, format!("{} has no room `{room}`", one.folder)));
            }
        }
    }
    for room in rooms.iter().filter(|room| !floors.contains_key(*room)) {
        violations.push(Violation::new(DOCUMENT, table.line, format!("`{room}` of {} stands on no floor", one.folder)));
    }
    let imports = Modules::of(one).imports();
    violations.extend(imports.iter().filter_map(|import| upwards(import, &floors)));
    violations
}

/// What is wrong with an import, if it does not go down.
fn upwards(import: &Import, floors: &BTreeMap<&str, usize>) -> Option<Violation> {
    let from = import.from.module.first()?; // lib.rs and main.rs are above all
    let what = match import.to.first() {
        Some(to) if to == from => return None,
        Some(to) => match (floors.get(&**from)?, floors.get(&**to)?) {
            (above, below) if above < below => return None,
            (one, other) if one == other => format!("`{from}` and `{to}` stand on one floor and do not see each other"),
            _ => format!("`{from}` stands below `{to}`"),
        },
        None => format!("`{from}` imports what stands in the root of the crate, above all floors"),
    };
    Some(Violation::new(&import.from.path, import.line, format!("{what}: {}", import.written)))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::places, *};

    const TABLE: &str =
        "## Floors\n### firewall-userspace\n| Rooms | |\n|-|-|\n| `top` | |\n| `left`, `right` | |\n| `low` | |\n";

    fn sources(files: &[(&str, &str)]) -> Sources {
        let empty = ["lib.rs", "top.rs", "left/mod.rs", "right.rs", "low.rs"];
        let mut all: Vec<_> = empty.into_iter().map(|path| (path, "")).collect();
        all.retain(|(path, _)| files.iter().all(|(other, _)| other != path));
        all.extend(files);
        Sources { architecture: TABLE.to_owned(), ..Sources::of("firewall-userspace/src", &all) }
    }

    #[test]
    fn import_goes_down_only() {
        let down = sources(&[
            ("lib.rs", "use crate::top::T; pub use low::X;"),
            ("top.rs", "use crate::{left::L, low};\nfn f() { low::g(crate::right::R) }"),
            ("left/mod.rs", "mod inner; use crate::low::X; pub struct L;"),
            ("left/inner.rs", "use super::{L, super::low::X};"),
        ]);
        assert_eq!(places(&RULE, &down), [""; 0]);
    }

    #[test]
    fn import_that_goes_up_or_across_is_found_wherever_it_stands() {
        let up = sources(&[
            ("lib.rs", "pub struct Root; pub use top::T;"),
            ("low.rs", "use crate::{\n    left::L,\n};\nfn f() {\n    crate::top::g();\n}"),
            ("right.rs", "fn f() {\n    println!(\"{}\", crate::left::g(1));\n}"),
            ("left/mod.rs", "mod inner;\nuse super::right as other;\n"),
            ("left/inner.rs", "use crate::Root;\nuse crate::T;\nfn f() { super::other::g() }"),
        ]);
        let wanted = ["left/inner.rs:1", "left/inner.rs:2", "left/inner.rs:3", "left/mod.rs:2"];
        let wanted = wanted.into_iter().chain(["low.rs:2", "low.rs:5", "right.rs:2"]);
        let wanted: Vec<_> = wanted.map(|place| format!("firewall-userspace/src/{place}")).collect();
        assert_eq!(places(&RULE, &up), wanted);
    }

    #[test]
    fn table_and_rooms_must_be_the_same() {
        let extra = sources(&[("new.rs", "")]);
        assert_eq!(places(&RULE, &extra), ["docs/architecture.md:2"]);
        let mut fewer = sources(&[]);
        fewer.crates[0].files.retain(|file| file.name() != "low.rs");
        assert_eq!(places(&RULE, &fewer), ["docs/architecture.md:7"]);
        let none = Sources { architecture: String::new(), ..sources(&[]) };
        assert_eq!(places(&RULE, &none), ["docs/architecture.md:1"]);
    }
}
