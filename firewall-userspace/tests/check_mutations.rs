//! Whatever a configuration has become, it is read to a policy or to errors: no panic, and every error has its place.

use std::path::Path;

use firewall_userspace::config::{load_text, parse_entries_file};
use proptest::{collection::vec, prelude::*, sample::Index};

const SAMPLE: &str = include_str!("../../config/portcullis.toml");

/// What happens to a piece of the file.
#[derive(Clone, Debug)]
enum Mutation {
    Remove(Index, usize),
    Insert(Index, String),
    Swap(Index, Index),
    Repeat(Index, Index),
    Cut(Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let token = prop_oneof![
        Just("["),
        Just("]"),
        Just("]]"),
        Just("{"),
        Just("}"),
        Just("\""),
        Just("'"),
        Just("\"\"\""),
        Just("="),
        Just(","),
        Just("."),
        Just("#"),
        Just("\n"),
        Just("\r"),
        Just("\0"),
        Just("\u{1b}[2J"),
        Just("\u{feff}"),
        Just("ä漢\u{202e}"),
        Just("-1"),
        Just("99999999999999999999"),
        Just("0x"),
        Just("1979-05-27"),
        Just("inf"),
        Just("true"),
        Just("[[lists]]\n"),
        Just("[lists.\"\"]\n"),
        Just("\"::ffff:1.2.3.4\""),
        Just("\"0-65535\""),
        Just("lists = 1\n"),
        Just("a.b.c = {}\n"),
    ]
    .prop_map(str::to_owned);
    prop_oneof![
        (any::<Index>(), 1..40usize).prop_map(|(at, count)| Mutation::Remove(at, count)),
        (any::<Index>(), token).prop_map(|(at, text)| Mutation::Insert(at, text)),
        (any::<Index>(), "\\PC{0,8}").prop_map(|(at, text)| Mutation::Insert(at, text)),
        (any::<Index>(), any::<Index>()).prop_map(|(left, right)| Mutation::Swap(left, right)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Mutation::Repeat(from, to)),
        any::<Index>().prop_map(Mutation::Cut),
    ]
}

/// The sample with its disabled settings enabled and without most of its comments, so that mutations meet settings.
fn settings() -> String {
    let is_setting = |line: &&str| !line.starts_with("# ") && !line.is_empty();
    SAMPLE.lines().filter(is_setting).map(|line| line.trim_start_matches('#').to_owned() + "\n").collect()
}

fn mutate(text: &mut String, mutation: &Mutation) {
    let place = |text: &str, at: &Index| text.floor_char_boundary(at.index(text.len() + 1));
    let line = |text: &str, at: &Index| at.index(text.lines().count().max(1));
    match mutation {
        Mutation::Remove(at, count) => {
            let start = place(text, at);
            let end = text.floor_char_boundary(start + count);
            text.replace_range(start..end, "");
        }
        Mutation::Insert(at, piece) => text.insert_str(place(text, at), piece),
        Mutation::Swap(left, right) => {
            let (left, right) = (line(text, left), line(text, right));
            let mut lines: Vec<&str> = text.lines().collect();
            if !lines.is_empty() {
                lines.swap(left, right);
            }
            *text = lines.join("\n");
        }
        Mutation::Repeat(from, to) => {
            let (from, to) = (line(text, from), line(text, to));
            let mut lines: Vec<&str> = text.lines().collect();
            if let Some(repeated) = lines.get(from).copied() {
                lines.insert(to, repeated);
            }
            *text = lines.join("\n");
        }
        Mutation::Cut(at) => text.truncate(place(text, at)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_sample_is_read_or_refused_with_places(mutations in vec(mutation(), 1..6)) {
        let mut text = settings();
        for mutation in &mutations {
            mutate(&mut text, mutation);
        }
        let lines = text.strip_prefix('\u{feff}').unwrap_or(&text).split('\n').count();
        let report = match load_text(Path::new("m.toml"), &text, Path::new("tests/data")) {
            Ok(loaded) => {
                prop_assert_eq!(loaded.warnings.errors().count(), 0);
                loaded.warnings
            }
            Err(report) => {
                prop_assert_ne!(report.errors().count(), 0);
                report
            }
        };
        for diagnostic in report.diagnostics() {
            if let Some((line, column)) = diagnostic.position() {
                prop_assert!(line >= 1 && column >= 1 && line <= lines.max(1), "{diagnostic}");
            }
            prop_assert!(!diagnostic.to_string().contains(char::is_control), "{:?}", diagnostic);
        }
        let is_escaped = !report.render(false).contains('\u{1b}');
        prop_assert!(is_escaped, "an escape sequence of the file is rendered");
        let is_said = report.is_empty() || !report.render(true).is_empty();
        prop_assert!(is_said, "problems are rendered");
    }

    #[test]
    fn any_text_is_a_list_file_or_refused_with_its_lines(text in "([0-9a-f.:/# \\r\\n\\t]|\\PC){0,200}") {
        let lines = text.split('\n').count();
        match parse_entries_file(Path::new("l"), &text) {
            Ok(entries) => prop_assert!(entries.prefixes.is_sorted_by(|left, right| left < right)),
            Err(report) => {
                for error in report.errors() {
                    let (line, _) = error.position().expect("every bad line has its place");
                    prop_assert!(line <= lines);
                }
            }
        }
    }
}
