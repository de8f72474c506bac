//! The manual pages: that there is one for every command, and that mandoc finds nothing wrong with them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
};

/// The one thing that mandoc may find: a date would make the pages of two builds differ.
const NO_DATE: &str = "missing date, using \"\": TH";

/// A folder with all pages, which goes away with the test.
struct Pages(PathBuf);

impl Pages {
    fn written(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("portcullis-manual-{}-{name}", process::id()));
        let command = Command::new(env!("CARGO_BIN_EXE_portcullis")).arg("manual").arg(&folder).output().unwrap();
        assert!(command.status.success(), "{}", String::from_utf8_lossy(&command.stderr));
        Self(folder)
    }

    /// Names and texts, in their order.
    fn all(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(&self.0).unwrap().map(|one| one.unwrap().path());
        let named = |path: PathBuf| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
        };
        let mut all: Vec<_> = entries.map(named).collect();
        all.sort();
        all
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What mandoc makes of a page.
fn mandoc(arguments: &[&str], page: &Path) -> String {
    let output = Command::new("mandoc").args(arguments).arg(page).output();
    let output = output.expect("mandoc is needed: `cargo xtask setup` installs it");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn mandoc_finds_nothing_wrong_with_any_page() {
    let pages = Pages::written("lint");
    let mut wrong = Vec::new();
    for (name, _) in pages.all() {
        let said = mandoc(&["-T", "lint", "-W", "warning"], &pages.0.join(&name));
        wrong.extend(said.lines().filter(|line| !line.ends_with(NO_DATE)).map(str::to_owned));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn every_command_has_a_page_that_names_it_with_its_options() {
    let pages = Pages::written("all");
    let names: Vec<String> = pages.all().into_iter().map(|(name, _)| name).collect();
    // A test of the help holds these files against the commands.
    let help = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/help");
    let commands = fs::read_dir(help).unwrap().map(|one| one.unwrap().path());
    let page = |path: PathBuf| match path.file_stem().unwrap().to_str().unwrap() {
        "portcullis" => "portcullis.8".to_owned(),
        command => format!("portcullis-{command}.8"),
    };
    let mut wanted: Vec<String> = commands.map(page).collect();
    wanted.push("portcullis.toml.5".to_owned());
    wanted.sort();
    assert_eq!(names, wanted);
    let seen = mandoc(&["-T", "ascii", "-O", "width=200"], &pages.0.join("portcullis-allow-add.8"));
    // Bold type is a letter over itself.
    let mut plain = String::new();
    for symbol in seen.chars() {
        if symbol == '\u{8}' {
            plain.pop();
        } else {
            plain.push(symbol);
        }
    }
    for wanted in [
        "portcullis-allow-add - Add prefixes to a list: all of them, or none\n",
        "portcullis allow add [OPTIONS] <LIST> [PREFIX]...\n",
        "--ttl <TIME>",
        "--force[=<GUARD,...>]",
        "PORTCULLIS_SOCKET",
        "portcullis-allow(8), portcullis.toml(5)",
    ] {
        assert!(plain.contains(wanted), "{wanted}\n{plain}");
    }
    assert!(!plain.contains('`') && !plain.contains("\\f"), "{plain}");
}

#[test]
fn pages_are_the_same_at_each_time() {
    let (one, other) = (Pages::written("one"), Pages::written("other"));
    assert_eq!(one.all(), other.all());
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_portcullis")).args(["manual", "/proc/nowhere"]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr.starts_with("error: cannot write the manual to /proc/nowhere: "), "{stderr}");
}
