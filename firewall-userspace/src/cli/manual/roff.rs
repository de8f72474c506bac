//! A manual page in man(7), as mandoc and groff read it.

use crate::made;

/// A page that grows from its head on.
pub struct Roff(String);

/// Characters that typesetters take for something else, and how they are written (groff_char(7), mandoc_char(7)).
const SPECIAL: [(char, &str); 7] =
    [('\\', r"\e"), ('-', r"\-"), ('\'', r"\(aq"), ('`', r"\(ga"), ('"', r"\(dq"), ('~', r"\(ti"), ('^', r"\(ha")];

impl Roff {
    /// A page with its first section, which says in a line what `name` is. There is no date on it: pages of one version are the same.
    pub fn new(name: &str, section: u8, what: &str) -> Self {
        let title = escaped(&name.to_uppercase());
        let mut page = Self(format!(".TH {title} {section} \"\" \"portcullis {}\" \"Portcullis\"\n", made::VERSION));
        page.section("NAME");
        page.text(&format!("{name} - {}", what.trim_end_matches('.')));
        page
    }

    /// Begins a section.
    pub fn section(&mut self, title: &str) {
        self.0.push_str(&format!(".SH \"{}\"\n", escaped(title)));
    }

    /// Begins a part of a section.
    pub fn part(&mut self, title: &str) {
        self.0.push_str(&format!(".SS \"{}\"\n", escaped(title)));
    }

    /// A paragraph behind another one.
    pub fn paragraph(&mut self, text: &str) {
        self.0.push_str(".PP\n");
        self.text(text);
    }

    /// Text at the place where it is; what stands between backticks is in bold type.
    pub fn text(&mut self, text: &str) {
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            self.line(&styled(line));
        }
    }

    /// All paragraphs of `text`, the first of them at the place where it is.
    pub fn paragraphs(&mut self, text: &str) {
        for (index, paragraph) in text.split("\n\n").enumerate() {
            if index > 0 {
                self.0.push_str(".PP\n");
            }
            self.text(paragraph);
        }
    }

    /// What `tag` is, in paragraphs; the part of the tag that is typed is in backticks.
    pub fn item(&mut self, tag: &str, text: &str) {
        self.0.push_str(".TP\n");
        self.line(&styled(tag));
        for (index, paragraph) in text.split("\n\n").enumerate() {
            if index > 0 {
                self.0.push_str(".sp\n");
            }
            self.text(paragraph);
        }
    }

    /// Lines as they are, indented.
    pub fn lines<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        self.0.push_str(".PP\n.RS 4\n.nf\n");
        for line in lines {
            self.line(&escaped(line));
        }
        self.0.push_str(".fi\n.RE\n");
    }

    /// The page.
    pub fn finish(self) -> String {
        self.0
    }

    /// A line of text, which must not begin as a request does.
    fn line(&mut self, line: &str) {
        if line.starts_with('.') {
            self.0.push_str(r"\&");
        }
        self.0.push_str(line);
        self.0.push('\n');
    }
}

/// `text` as it is.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for symbol in text.chars() {
        match SPECIAL.iter().find(|(special, _)| *special == symbol) {
            Some((_, written)) => out.push_str(written),
            None if symbol.is_ascii() => out.push(symbol),
            None => out.push_str(&format!("\\[u{:04X}]", u32::from(symbol))),
        }
    }
    out
}

/// The same, with what stands between backticks in bold type.
fn styled(text: &str) -> String {
    let pieces: Vec<&str> = text.split('`').collect();
    // One without its other half is a character.
    if pieces.len().is_multiple_of(2) {
        return escaped(text);
    }
    let piece = |(index, piece): (usize, &&str)| match index % 2 {
        _ if piece.is_empty() => String::new(),
        0 => escaped(piece),
        _ => format!(r"\fB{}\fR", escaped(piece)),
    };
    pieces.iter().enumerate().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_is_a_request() {
        let mut page = Roff(String::new());
        page.text(".so /etc/shadow\n'x\\fB\n`--a` is `b\u{2026}`.\na ` b");
        let wanted = "\\&.so /etc/shadow\n\\(aqx\\efB\n\\fB\\-\\-a\\fR is \\fBb\\[u2026]\\fR.\na \\(ga b\n";
        assert_eq!(page.finish(), wanted);
    }

    #[test]
    fn paragraphs_of_an_item_stay_in_it() {
        let mut page = Roff(String::new());
        page.item("`-x`", "One.\n\nTwo.");
        assert_eq!(page.finish(), ".TP\n\\fB\\-x\\fR\nOne.\n.sp\nTwo.\n");
    }
}
