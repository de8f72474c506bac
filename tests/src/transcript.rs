//! A document with commands and their answers: what it asks for, whether an answer is the one that it shows, and how an answer is put
//! into it.
//!
//! A line of a `console` block that begins with a prompt is a command, and the lines up to the next prompt are its answer. Two answers
//! are the same when their lines are, word by word. A time and a length of time match any other, `…` matches anything up to the next
//! text of its line, and a line that is `…` any lines.

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};

/// What an answer may have at its place whatever it is: up to the next text of the line.
const ANYTHING: char = '…';

/// The same for whole lines.
const LINES: &str = "…";

/// Units of a length of time, longer ones first where one begins with another.
const UNITS: [&str; 7] = ["ms", "us", "ns", "d", "h", "m", "s"];

/// A document.
#[derive(Clone, Debug)]
pub struct Transcript {
    lines: Vec<String>,
    steps: Vec<Step>,
}

/// A command of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The last heading above it.
    pub heading: String,
    /// Where it is to be run: what stands before `$`, nothing for the host.
    pub place: String,
    /// What is to be run, by a shell.
    pub command: String,
    answer: Range<usize>,
}

impl Transcript {
    /// Reads it.
    ///
    /// # Errors
    /// When a block of commands begins with an answer, or has no end.
    pub fn parse(text: &str) -> Result<Self> {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let mut steps: Vec<Step> = Vec::new();
        let (mut heading, mut block) = ("", None);
        for (number, line) in lines.iter().enumerate() {
            match (block, line.strip_prefix("```")) {
                (None, Some(kind)) => block = Some((kind, steps.len())),
                (Some(_), Some(_)) => block = None,
                (None, None) => heading = line.strip_prefix("## ").unwrap_or(heading),
                (Some(("console", begun)), None) => match line.split_once("$ ").filter(|(place, _)| is_place(place)) {
                    Some((place, command)) => steps.push(Step {
                        heading: heading.to_owned(),
                        place: place.to_owned(),
                        command: command.to_owned(),
                        answer: number + 1..number + 1,
                    }),
                    None => {
                        let step = steps.get_mut(begun..).and_then(<[Step]>::last_mut);
                        step.with_context(|| format!("line {} answers no command", number + 1))?.answer.end =
                            number + 1;
                    }
                },
                (Some(_), None) => {}
            }
        }
        ensure!(block.is_none(), "the last block has no end");
        Ok(Self { lines, steps })
    }

    /// Its commands, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Text of its first block of this kind.
    pub fn block(&self, kind: &str) -> Option<String> {
        let begin = self.lines.iter().position(|line| line.strip_prefix("```") == Some(kind))?;
        let lines = self.lines[begin + 1..].iter().take_while(|line| !line.starts_with("```"));
        Some(lines.map(|line| format!("{line}\n")).collect())
    }

    /// What it shows as the answer to this command.
    pub fn answer(&self, step: &Step) -> String {
        self.lines[step.answer.clone()].iter().map(|line| format!("{line}\n")).collect()
    }

    /// How an answer differs from the one that it shows, with the number of the line; `None` when it is the same.
    pub fn difference(&self, step: &Step, answer: &str) -> Option<String> {
        let given: Vec<&str> = answer.lines().collect();
        let (at, other) = first_difference(&self.lines[step.answer.clone()], &given)?;
        let line = step.answer.start + at;
        let words = |text: Option<&str>| text.map_or("nothing more".to_owned(), |text| format!("`{text}`"));
        let shown = words(self.lines[step.answer.clone()].get(at).map(String::as_str));
        let (given, Step { heading, command, .. }) = (words(given.get(other).copied()), step);
        Some(format!("line {} (\"{heading}\", `{command}`): shown is {shown}, the answer has {given}", line + 1))
    }

    /// Its text with these answers in place of those that differ, one for each command.
    pub fn with(&self, answers: &[String]) -> String {
        let (mut text, mut next) = (String::new(), 0);
        let mut copy = |text: &mut String, until: usize, after: usize| {
            self.lines[next..until].iter().for_each(|line| text.extend([line.as_str(), "\n"]));
            next = after;
        };
        for (step, answer) in self.steps.iter().zip(answers) {
            if self.difference(step, answer).is_some() {
                copy(&mut text, step.answer.start, step.answer.end);
                answer.lines().for_each(|line| text.extend([line.trim_end(), "\n"]));
            }
        }
        copy(&mut text, self.lines.len(), self.lines.len());
        text
    }
}

fn is_place(text: &str) -> bool {
    text.chars().all(|letter| letter.is_ascii_lowercase())
}

/// Numbers of the first lines that differ, in what is shown and in what is given.
fn first_difference(shown: &[String], given: &[&str]) -> Option<(usize, usize)> {
    let (mut begin, mut place) = (0, 0);
    for (number, part) in shown.split(|line| line.trim() == LINES).enumerate() {
        let same =
            |from: usize| part.iter().zip(&given[from..]).take_while(|(shown, given)| is_same(shown, given)).count();
        let last = given.len().checked_sub(part.len()).filter(|last| *last >= place);
        let is_end = begin + part.len() == shown.len();
        let places = match (number, last) {
            (_, None) => place..place,
            (0, Some(_)) => place..place + 1,
            (_, Some(last)) => (if is_end { last } else { place })..last + 1,
        };
        let Some(found) = places.clone().find(|from| same(*from) == part.len()) else {
            // Where most of it is.
            let nearest = places.max_by_key(|from| same(*from)).unwrap_or(place);
            return Some((begin + same(nearest), nearest + same(nearest)));
        };
        place = found + part.len();
        if is_end && place < given.len() {
            return Some((shown.len(), place));
        }
        begin += part.len() + 1;
    }
    None
}

/// Whether this line of a document shows that line of an answer.
fn is_same(shown: &str, given: &str) -> bool {
    let [shown, given] = [shown, given].map(lasting);
    let mut parts = shown.split(ANYTHING);
    let Some(mut rest) = parts.next().and_then(|first| given.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
    }
    true
}

/// A line with one blank between two words, and without what is another one each time.
fn lasting(line: &str) -> String {
    let words = line.split_whitespace().map(|word| word.split_inclusive([',', '"']).map(lasting_word).collect());
    // What is said of the first second in place of a length of time.
    words.collect::<Vec<String>>().join(" ").replace("(now)", "(LENGTH ago)")
}

fn lasting_word(word: &str) -> String {
    let core = word.trim_matches(|letter: char| "()[],;:\"`".contains(letter));
    match (is_time(core), is_length(core)) {
        (true, _) => word.replace(core, "TIME"),
        (false, true) => word.replace(core, "LENGTH"),
        (false, false) => word.to_owned(),
    }
}

/// Such as `2026-11-27T22:59:46Z`.
fn is_time(word: &str) -> bool {
    let form: String = word.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect();
    form.starts_with("0000-00-00T00:00:00") && form.ends_with('Z')
}

/// Such as `1h59m58s`.
fn is_length(mut word: &str) -> bool {
    let mut parts = 0;
    while !word.is_empty() {
        let unit = word.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
        let Some(rest) = UNITS.iter().find_map(|name| unit.strip_prefix(name)) else { return false };
        if unit.len() == word.len() {
            return false;
        }
        (word, parts) = (rest, parts + 1);
    }
    parts > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# Day\n```toml\na = 1\n```\n## Who?\n```console\n$ who\nanna\nbert, 3s ago\nclient$ true\n```\nend\n";

    #[test]
    fn commands_have_their_heading_their_place_and_their_answer() {
        let transcript = Transcript::parse(TEXT).unwrap();
        let [who, well] = transcript.steps() else { panic!("{transcript:?}") };
        assert_eq!((&*who.heading, &*who.place, &*who.command), ("Who?", "", "who"));
        assert_eq!((&*well.place, &*well.command), ("client", "true"));
        assert_eq!(transcript.answer(who), "anna\nbert, 3s ago\n");
        assert_eq!(transcript.answer(well), "");
        assert_eq!(transcript.block("toml").as_deref(), Some("a = 1\n"));
        assert!(Transcript::parse("```console\nanswer\n```\n").is_err());
        assert!(Transcript::parse("```console\n$ true\n```\n```console\nanswer\n```\n").is_err());
        assert!(Transcript::parse("```console\n$ true\n").is_err());
    }

    #[test]
    fn an_answer_differs_by_a_word_a_line_more_and_a_line_less() {
        let transcript = Transcript::parse(TEXT).unwrap();
        let differs = |answer: &str| transcript.difference(&transcript.steps()[0], answer);
        assert_eq!(differs("anna\nbert,  59s ago\n"), None);
        for (answer, line) in
            [("anna\nbert, soon\n", 9), ("anna\n", 9), ("anna\nbert, 3s ago\ncarl\n", 10), ("Anna\nbert, 3s ago\n", 8)]
        {
            let told = differs(answer).unwrap();
            assert!(told.starts_with(&format!("line {line} (\"Who?\", `who`): ")), "{told}");
        }
    }

    #[test]
    fn what_differs_is_replaced_and_nothing_else() {
        let transcript = Transcript::parse(TEXT).unwrap();
        let same = ["anna\nbert, 7m3s ago\n".to_owned(), String::new()];
        assert_eq!(transcript.with(&same), TEXT);
        let other = ["carl\n".to_owned(), "well\n".to_owned()];
        assert_eq!(
            transcript.with(&other),
            TEXT.replace("anna\nbert, 3s ago\n", "carl\n").replace("true\n", "true\nwell\n")
        );
    }

    #[test]
    fn lines_that_are_left_out_match_any_and_the_others_must_be_there() {
        let differ = |shown: &str, given: &str| {
            let shown: Vec<String> = shown.split(' ').map(str::to_owned).collect();
            first_difference(&shown, &given.split(' ').collect::<Vec<_>>())
        };
        for (shown, given) in [
            ("a b", "a b"),
            ("a … d", "a b c d"),
            ("a … b", "a b"),
            ("… b … d e", "a b c d d e"),
            ("a …", "a b"),
            ("…", "a"),
        ] {
            assert_eq!(differ(shown, given), None, "{shown}: {given}");
        }
        for (shown, given, at) in [
            ("a … d", "a b c", (2, 2)),
            ("a … b", "a b c", (2, 2)),
            ("… b c …", "a b d", (2, 2)),
            ("a … b … a", "a b", (4, 2)),
            ("a b", "a", (1, 1)),
            ("a", "a b", (1, 1)),
        ] {
            assert_eq!(differ(shown, given), Some(at), "{shown}: {given}");
        }
    }

    #[test]
    fn times_blanks_and_what_is_left_out_match() {
        for (shown, given) in [
            ("until 2026-11-27T22:59:46Z (in 1h59m)", "until  2027-01-01T00:00:00.123Z (in 59m58s)"),
            ("… packets, … dropped", "12 packets, 3 dropped"),
            ("12 …", "12 packets"),
            ("{\"a\":\"2026-11-27T22:59:46.5Z\",\"b\":1}", "{\"a\":\"2026-11-28T00:00:00Z\",\"b\":1}"),
            ("2026-11-27T22:59:46Z (now)", "2026-11-27T22:59:46Z (1s ago)"),
            ("a … c … e", "a b c d e"),
        ] {
            assert!(is_same(shown, given), "{shown} {given}");
        }
        for (shown, given) in [
            ("in 2h", "in 2"),
            ("12 … dropped", "12 packets passed"),
            ("12 …", "13 packets"),
            ("… a", "a b"),
            ("2001:db8::d", "2001:db8::e"),
            ("3 added", "4 added"),
        ] {
            assert!(!is_same(shown, given), "{shown} {given}");
        }
    }
}
