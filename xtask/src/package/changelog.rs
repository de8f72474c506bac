//! The changelog as Debian wants it (deb-changelog(5)), from `CHANGELOG.md`.

use anyhow::{Context as _, Result, bail};

use super::moment::Moment;

/// Columns of a line; lintian speaks up beyond 80.
const WIDTH: usize = 78;

/// Heading of what has not been released.
const UNRELEASED: &str = "Unreleased";

/// The whole file. What is unreleased is of `version`, made at `moment`; other sections say version and day: `## 0.0.9 - 2026-01-31`.
///
/// # Errors
/// When a heading is of another form, or nothing stands below the newest.
pub fn debian(markdown: &str, version: &str, maintainer: &str, moment: &Moment) -> Result<String> {
    let mut entries = Vec::new();
    for section in markdown.split("\n## ").skip(1) {
        let (heading, body) = section.split_once('\n').unwrap_or((section, ""));
        let (version, moment) = match heading.trim().split_once(" - ") {
            None if heading.trim() == UNRELEASED => (version.to_owned(), moment.clone()),
            None => {
                bail!("CHANGELOG.md: the heading `{heading}` is neither `{UNRELEASED}` nor `VERSION - YEAR-MONTH-DAY`")
            }
            Some((version, day)) => {
                let moment =
                    Moment::of_day(day).with_context(|| format!("CHANGELOG.md: the heading `{heading}` has no day"))?;
                (version.to_owned(), moment)
            }
        };
        let items = items(body);
        if items.is_empty() {
            continue;
        }
        let lines: String = items.iter().map(|item| wrapped(item)).collect();
        let mail = moment.mail();
        entries.push(format!("portcullis ({version}) unstable; urgency=medium\n\n{lines}\n -- {maintainer}  {mail}\n"));
    }
    match entries.first() {
        Some(first) if first.starts_with(&format!("portcullis ({version}) ")) => Ok(entries.join("\n")),
        _ => bail!(
            "CHANGELOG.md says nothing of {version}\nhint: begin it with `## {UNRELEASED}`, or `## {version} - YEAR-MONTH-DAY`"
        ),
    }
}

/// The items of a list, each on one line.
fn items(body: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    for line in body.lines() {
        if let Some(item) = line.strip_prefix("- ") {
            items.push(item.trim().to_owned());
        } else if let (Some(last), false) = (items.last_mut(), line.trim().is_empty()) {
            last.push(' ');
            last.push_str(line.trim());
        }
    }
    items
}

fn wrapped(item: &str) -> String {
    let mut lines = String::new();
    let mut line = "  *".to_owned();
    for word in item.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH && line.trim() != "*" {
            lines.push_str(&line);
            lines.push('\n');
            line = "   ".to_owned();
        }
        line.push(' ');
        line.push_str(word);
    }
    lines + &line + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: &str = "Somebody <a@b.example>";

    #[test]
    fn what_is_unreleased_is_of_this_version_and_other_sections_keep_theirs() {
        let markdown = "# Changelog\n\n## Unreleased\n\n- One thing,\n  on two lines.\n- Another.\n\n## 0.0.9 - 2023-11-14\n\n- Old.\n";
        let wanted = "portcullis (0.1.0) unstable; urgency=medium\n\n  * One thing, on two lines.\n  * Another.\n\n \
            -- Somebody <a@b.example>  Sat, 28 Nov 2026 04:03:02 +0000\n\n\
            portcullis (0.0.9) unstable; urgency=medium\n\n  * Old.\n\n \
            -- Somebody <a@b.example>  Tue, 14 Nov 2023 00:00:00 +0000\n";
        assert_eq!(debian(markdown, "0.1.0", WHO, &Moment::test()).unwrap(), wanted);
    }

    #[test]
    fn a_section_without_items_is_left_out_and_the_version_must_be_told_of() {
        let markdown = "# Changelog\n\n## Unreleased\n\n## 0.1.0 - 2023-11-14\n\n- Old.\n";
        assert!(debian(markdown, "0.1.0", WHO, &Moment::test()).unwrap().starts_with("portcullis (0.1.0) "));
        let error = debian(markdown, "0.2.0", WHO, &Moment::test()).unwrap_err().to_string();
        assert!(error.starts_with("CHANGELOG.md says nothing of 0.2.0\nhint: "), "{error}");
        assert!(debian("# C\n\n## Later\n- x\n", "0.2.0", WHO, &Moment::test()).is_err());
    }

    #[test]
    fn no_line_is_longer_than_a_terminal_is_wide() {
        let long = "word ".repeat(60) + &"x".repeat(100);
        let text = debian(&format!("# C\n\n## Unreleased\n\n- {long}\n"), "1.0.0", WHO, &Moment::test()).unwrap();
        let too_long: Vec<&str> = text.lines().filter(|line| line.len() > 80).collect();
        assert_eq!(too_long, [format!("    {}", "x".repeat(100))], "only what cannot be cut");
        assert_eq!(text.matches("word").count(), 60);
    }
}
