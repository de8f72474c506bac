//! Lengths: a function outside tests fits a screen. All of the package `tests` is for tests.

use super::{Rule, Violation, source::Sources};

pub const RULE: Rule =
    Rule { name: "lengths", hint: "give a part that has a name of its own a function of its own", check };

/// Lines from the signature to the closing brace, with both.
const MOST: usize = 60;

fn check(sources: &Sources) -> Vec<Violation> {
    let files = sources.files().filter(|file| !file.path.starts_with("tests/"));
    let functions = files.flat_map(|file| file.facts.functions.iter().map(move |function| (file, function)));
    let counted = functions.map(|(file, function)| (file, function, function.last + 1 - function.first));
    let long = counted.filter(|(_, function, lines)| !function.test && *lines > MOST);
    let told = long.map(|(file, function, lines)| {
        let what = format!("`{}` has {lines} lines; {MOST} are the most", function.name);
        Violation::new(&file.path, function.first, what)
    });
    told.collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::places, *};

    /// A function of so many lines, below two of its documentation.
    fn function(lines: usize) -> String {
        format!("/// Documentation.\n#[inline]\npub fn f(\n) {{\n{}}}\n", "a();\n".repeat(lines - 3))
    }

    #[test]
    fn function_longer_than_a_screen_is_found() {
        let files = [("a.rs", &*function(61)), ("b.rs", &*function(60))];
        assert_eq!(places(&RULE, &Sources::of("one/src", &files)), ["one/src/a.rs:3"]);
        let method = format!("impl T {{ {} }}", function(61));
        assert_eq!(places(&RULE, &Sources::of("one/src", &[("a.rs", &method)])), ["one/src/a.rs:3"]);
    }

    #[test]
    fn test_may_be_longer() {
        let text = format!("#[cfg(test)]\nmod tests {{\n{}}}\n#[test]\n{}", function(80), function(80));
        assert_eq!(places(&RULE, &Sources::of("one/src", &[("a.rs", &text)])), [""; 0]);
        assert_eq!(places(&RULE, &Sources::of("tests/src", &[("a.rs", &function(80))])), [""; 0]);
    }
}
