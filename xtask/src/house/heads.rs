//! Heads: the `mod.rs` of a folder, and `lib.rs`, begin with what comes in, what goes out and who owns it.

use super::{
    Rule, Violation,
    source::{File, Sources},
};

pub const RULE: Rule = Rule {
    name: "heads",
    hint: "begin the file with `//!` lines on what comes in, what goes out and who owns it",
    check,
};

const FOLDERS: [&str; 2] = ["firewall-common/src/", "firewall-userspace/src/"];

const LEAST: usize = 3;

fn check(sources: &Sources) -> Vec<Violation> {
    let files = sources.files().filter(|file| FOLDERS.iter().any(|folder| file.path.starts_with(folder)));
    let heads = files.filter(|file| !file.test && ["lib.rs", "mod.rs"].contains(&file.name()));
    let short = heads.map(|file| (file, lines(file))).filter(|(_, lines)| *lines < LEAST);
    let told = short.map(|(file, lines)| {
        Violation::new(&file.path, 1, format!("{lines} lines at its head say what it is; {LEAST} are the least"))
    });
    told.collect()
}

/// Lines of documentation that a file begins with, without empty ones.
fn lines(file: &File) -> usize {
    let head = file.text.lines().map_while(|line| line.strip_prefix("//!"));
    head.filter(|line| !line.trim().is_empty()).count()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::places, *};

    #[test]
    fn folder_that_says_too_little_is_found() {
        let files = [
            ("lib.rs", "//! One.\n//!\n//! Two.\n\nmod a;"),
            ("a/mod.rs", "//! One.\n//! Two.\n//! Three.\n"),
            ("a/b.rs", ""),
            ("c/mod.rs", "\n//! One.\n//! Two.\n//! Three.\n"),
        ];
        let wanted = ["firewall-common/src/c/mod.rs:1", "firewall-common/src/lib.rs:1"];
        assert_eq!(places(&RULE, &Sources::of("firewall-common/src", &files)), wanted);
    }
}
