//! The page of the configuration file: the sample configuration, which explains every key, with its comments as text.

use super::roff::Roff;

/// The sample: a test of [`crate::config`] holds it against the keys that there are.
const SAMPLE: &str = include_str!("../../../../config/portcullis.toml");

/// A table, or what stands before all of them.
#[derive(Debug, Default, PartialEq)]
struct Section {
    /// `[lists.NAME]`; empty for what stands before all tables.
    title: String,
    /// What is said of it.
    text: Vec<String>,
    /// Its keys in their order: the setting as it is written, and what is said of it.
    keys: Vec<(String, Vec<String>)>,
}

impl Section {
    fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|(setting, _)| name_of(setting) == key)
    }
}

/// The page.
pub fn page() -> String {
    let mut page = Roff::new("portcullis.toml", 5, "configuration of the Portcullis packet filter");
    let sections = sections(SAMPLE);
    for section in &sections {
        if section.title.is_empty() {
            page.section("DESCRIPTION");
            page.text("This page is made of the sample configuration, which explains every key.");
            // Its first paragraph is what NAME says.
            say(&mut page, section.text.get(1..).unwrap_or_default(), false);
            page.section("TABLES AND KEYS");
            page.text("Each key stands with a value that it may have.");
            say_keys(&mut page, &section.keys);
            continue;
        }
        page.part(&section.title);
        say(&mut page, &section.text, true);
        say_keys(&mut page, &section.keys);
    }
    page.section("FILES");
    page.item(&format!("`{}`", crate::config::DEFAULT_PATH), "Where commands look for it.");
    page.section("SEE ALSO");
    page.text("`portcullis`(8),\n`portcullis-check`(8),\n`portcullis-reload`(8)");
    page.finish()
}

/// Settings, with what is said of each.
fn say_keys(page: &mut Roff, keys: &[(String, Vec<String>)]) {
    for (setting, text) in keys {
        page.item(&format!("`{setting}`"), &text.join("\n\n"));
    }
}

/// Paragraphs, and lines that are indented in the sample, which stay as they are.
fn say(page: &mut Roff, paragraphs: &[String], mut is_first: bool) {
    for text in paragraphs {
        if text.starts_with(' ') {
            page.lines(text.lines().map(str::trim));
        } else if std::mem::take(&mut is_first) {
            page.text(text);
        } else {
            page.paragraph(text);
        }
    }
}

/// The sections of a sample. Of a table that is there several times, the keys are one list.
fn sections(sample: &str) -> Vec<Section> {
    let mut sections = vec![Section::default()];
    let (mut current, mut comment) = (0, Vec::new());
    // A line that begins with `#:` is for editors.
    for line in sample.lines().filter(|line| !line.starts_with("#:")) {
        let setting =
            line.strip_prefix('#').filter(|rest| rest.starts_with(|first: char| first == '[' || first.is_alphabetic()));
        match (line.strip_prefix('#'), setting.unwrap_or(line)) {
            (Some(words), _) if setting.is_none() => comment.push(words.strip_prefix(' ').unwrap_or(words).to_owned()),
            (_, "") => {
                let text = paragraphs(&std::mem::take(&mut comment));
                sections[current].text.extend(text);
            }
            (_, table) if table.starts_with('[') => {
                let title = title_of(table);
                let found = sections.iter().position(|section| section.title == title);
                current = found.unwrap_or(sections.len());
                if found.is_none() {
                    sections.push(Section { title, ..Section::default() });
                }
                let text = paragraphs(&std::mem::take(&mut comment));
                sections[current].text.extend(text);
            }
            (_, key) => {
                let text = paragraphs(&std::mem::take(&mut comment));
                if !sections[current].has(name_of(key)) {
                    sections[current].keys.push((key.to_owned(), text));
                }
            }
        }
    }
    sections
}

/// Lines of a comment as paragraphs: those that are indented stay lines, of which each begins with a blank.
fn paragraphs(lines: &[String]) -> Vec<String> {
    let mut paragraphs: Vec<String> = Vec::new();
    let mut is_new = true;
    for line in lines {
        let line = line.strip_prefix("HERE: ").unwrap_or(line);
        let is_indented = line.starts_with("  ");
        match paragraphs.last_mut() {
            _ if line.trim().is_empty() => is_new = true,
            Some(last) if !is_new && last.starts_with(' ') == is_indented => {
                last.push(if is_indented { '\n' } else { ' ' });
                last.push_str(line);
            }
            _ => {
                paragraphs.push(line.to_owned());
                is_new = false;
            }
        }
    }
    paragraphs
}

/// Tables whose keys are names that the operator chose.
const NAMED: [&str; 4] = ["[lists", "[limits", "[services", "[api.signers"];

/// `[lists.NAME]` for a list of any name.
fn title_of(table: &str) -> String {
    match table.rsplit_once('.') {
        Some((kind, _)) if NAMED.contains(&kind) => format!("{kind}.NAME]"),
        _ => table.to_owned(),
    }
}

fn name_of(setting: &str) -> &str {
    setting.split('=').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::keys;

    #[test]
    fn every_key_is_on_the_page_with_words() {
        let sections = sections(SAMPLE);
        for (title, keys) in [
            ("[[interface]]", keys::INTERFACE),
            ("[policy]", keys::POLICY),
            ("[lists.NAME]", keys::LIST),
            ("[limits.NAME]", keys::LIMIT),
            ("[services.NAME]", keys::SERVICE),
            ("[essentials]", keys::ESSENTIALS),
            ("[guard]", keys::GUARD),
            ("[admin]", keys::ADMIN),
            ("[drift]", keys::DRIFT),
            ("[log]", keys::LOG),
            ("[state]", keys::STATE),
            ("[api]", &keys::API[..keys::API.iter().position(|key| key.name == "roles").unwrap()]),
            ("[api.jwt]", keys::JWT),
            ("[api.signers.NAME]", &keys::SIGNER[..2]),
            ("[[test]]", keys::TEST),
        ] {
            let section = sections.iter().find(|section| section.title == title).expect(title);
            for key in keys {
                let found = section.keys.iter().find(|(setting, _)| name_of(setting) == key.name);
                assert!(
                    found.is_some_and(|(_, text)| !text.is_empty()),
                    "{title} {} has no words: {found:?}",
                    key.name
                );
            }
        }
        // A table that nobody has told of above is on the page all the same, but not in this test.
        assert_eq!(sections.len(), 18);
        assert!(sections[0].has("include"));
    }

    #[test]
    fn comments_are_paragraphs_and_what_is_not_in_use_is_a_setting() {
        let sample = "# One.\n#\n#   a  b\n#   c\n\n# Of lists.\n[lists.x]\n# HERE: entries,\n# all.\nentries = []\n#file = \"f\"\n\n[lists.y]\n# No more.\nentries = [1]\n";
        let wanted = [
            Section { text: vec!["One.".into(), "  a  b\n  c".into()], ..Section::default() },
            Section {
                title: "[lists.NAME]".into(),
                text: vec!["Of lists.".into()],
                keys: vec![("entries = []".into(), vec!["entries, all.".into()]), ("file = \"f\"".into(), Vec::new())],
            },
        ];
        assert_eq!(sections(sample), wanted);
    }
}
