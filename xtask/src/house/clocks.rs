//! Clocks: where time is an argument, none is read. A wait that ends by the clock says so, right there:
//! `// waits: for whom, and how long`.

use super::{
    Rule, Violation,
    facts::Mention,
    source::{File, Sources},
};

pub const RULE: Rule = Rule {
    name: "clocks",
    hint: "take the time as an argument; above a wait that has to read it, say `// waits: ...`",
    check,
};

/// Rooms of `firewall-userspace`.
const ROOMS: [&str; 5] = ["controller", "lists", "policy", "preview", "state"];

/// Ends of the paths that read one. The last is a function of its own, so that importing it tells.
const READS: [&[&str]; 6] = [
    &["Timestamp", "now"],
    &["Now", "read"],
    &["Instant", "now"],
    &["Instant", "elapsed"],
    &["SystemTime", "now"],
    &["clock_gettime"],
];

fn check(sources: &Sources) -> Vec<Violation> {
    let one = sources.crates.iter().find(|one| one.folder == "firewall-userspace/src");
    let files = one.into_iter().flat_map(|one| &one.files);
    let files = files.filter(|file| file.module.first().is_some_and(|room| ROOMS.contains(&&**room)));
    let told = files.flat_map(|file| {
        let reads = file.facts.paths.iter().filter(|path| !path.test && is_read(file, path) && !waits(file, path));
        reads.map(|read| Violation::new(&file.path, read.line, format!("`{}` reads a clock", read.segments.join("::"))))
    });
    told.collect()
}

/// Whether a path reads a clock, by the name that it has or that a `use` of the file gave it.
fn is_read(file: &File, path: &Mention) -> bool {
    let ends = |path: &[String]| {
        READS.iter().any(|read| read.len() <= path.len() && path[path.len() - read.len()..] == **read)
    };
    let renames = file.facts.paths.iter().filter(|other| other.imported.as_ref() == path.segments.first());
    ends(&path.segments)
        || path.imported.is_none()
            && renames.into_iter().any(|rename| ends(&[&*rename.segments, &path.segments[1..]].concat()))
}

/// Whether a comment says what is waited for: on the line, or right above it or its statement.
fn waits(file: &File, path: &Mention) -> bool {
    let says = |line: &str| line.split_once("// waits: ").is_some_and(|(_, why)| !why.trim().is_empty());
    let lines: Vec<_> = file.text.lines().collect();
    let line = |number: usize| number.checked_sub(1).and_then(|index| lines.get(index)).copied().unwrap_or_default();
    let above = |number: usize| Some(line(number - 1)).filter(|line| line.trim_start().starts_with("//"));
    says(line(path.line)) || [path.line, path.statement].into_iter().filter_map(above).any(says)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::places, *};

    fn found(path: &str, text: &str) -> Vec<String> {
        let places = places(&RULE, &Sources::of("firewall-userspace/src", &[(path, text)]));
        places.iter().map(|place| place.rsplit(':').next().unwrap().to_owned()).collect()
    }

    const READS: &str = "use std::time::Instant;\nfn f() {\n    let a = Instant::now();\n    a.map(std::time::SystemTime::now);\n    g(|| Timestamp::now());\n    debug!(\"{}\", crate::clock::Now::read());\n}\n";

    #[test]
    fn clock_that_is_read_where_time_is_an_argument_is_found() {
        assert_eq!(found("controller/mod.rs", READS), ["3", "4", "5", "6"]);
        assert_eq!(found("state/deep/er.rs", READS), ["3", "4", "5", "6"]);
        assert_eq!(found("daemon/mod.rs", READS), [""; 0]);
        assert_eq!(found("lists/mod.rs", &format!("#[cfg(test)]\nmod tests {{ {READS} }}")), [""; 0]);
    }

    #[test]
    fn clock_that_is_read_by_another_name_is_found() {
        let text = "use std::time::Instant as I;\nuse nix::time::clock_gettime;\nfn f(a: I) {\n    I::now();\n    a.elapsed();\n}\n";
        assert_eq!(found("policy/mod.rs", text), ["2", "4", "5"]);
    }

    #[test]
    fn wait_that_says_so_may_read_it() {
        let text = "fn f() {\n    // waits: for the disk, a second\n    let a = b\n        .c(Instant::now());\n    let d = Instant::now(); // waits: for it\n    let e = Instant::now();\n    // waits:\n    let f = Instant::now();\n}\n";
        assert_eq!(found("state/mod.rs", text), ["6", "8"]);
    }
}
