//! Folders: a module with files of its own is `name/mod.rs`, never `name.rs` beside `name/`.

use super::{Rule, Violation, source::Sources};

pub const RULE: Rule = Rule { name: "folders", hint: "move it to mod.rs of the folder", check };

fn check(sources: &Sources) -> Vec<Violation> {
    let beside = |path: &str| format!("{}/", path.trim_end_matches(".rs"));
    let has_folder = |path: &str| sources.files().any(|other| other.path.starts_with(&beside(path)));
    let found = sources.files().filter(|file| has_folder(&file.path));
    found.map(|file| Violation::new(&file.path, 1, format!("it stands beside {}", beside(&file.path)))).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::places, *};

    #[test]
    fn file_beside_its_folder_is_found() {
        let files = [("a.rs", ""), ("a/b.rs", ""), ("ab.rs", ""), ("c/mod.rs", ""), ("c/a.rs", "")];
        assert_eq!(places(&RULE, &Sources::of("one/src", &files)), ["one/src/a.rs:1"]);
        assert_eq!(places(&RULE, &Sources::of("one/src", &files[2..])), [""; 0]);
    }
}
