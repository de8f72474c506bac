//! The prefixes of one invocation, and where each of them was written.

use std::{
    fs::File,
    io::{self, Read},
    sync::Arc,
};

use super::failure::Failure;

/// A prefix as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchItem {
    /// The text.
    pub text: String,
    /// File and line; `None` for an argument.
    pub place: Option<(Arc<str>, usize)>,
}

/// Largest file of prefixes in octets.
const MAX_FILE: u64 = 128 << 20;

/// Reads the prefixes of the arguments, then those of `files`; `-` is standard input.
pub fn read(arguments: Vec<String>, files: &[String]) -> Result<Vec<BatchItem>, Failure> {
    let mut items: Vec<BatchItem> = arguments.into_iter().map(|text| BatchItem { text, place: None }).collect();
    for file in files {
        let text = read_text(file).map_err(|source| Failure::Input { file: file.clone(), source })?;
        let name = Arc::from(if file == "-" { "<stdin>" } else { file });
        items.extend(lines(&text, &name));
    }
    Ok(items)
}

fn read_text(file: &str) -> io::Result<String> {
    let input: Box<dyn Read> = if file == "-" { Box::new(io::stdin()) } else { Box::new(File::open(file)?) };
    let mut text = String::new();
    input.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {} MiB", MAX_FILE >> 20)));
    }
    Ok(text)
}

/// One prefix a line; `#` starts a comment.
fn lines<'a>(text: &'a str, name: &'a Arc<str>) -> impl Iterator<Item = BatchItem> + 'a {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines().zip(1..).filter_map(move |(line, number)| {
        let prefix = line.split('#').next().unwrap_or_default().trim();
        (!prefix.is_empty()).then(|| BatchItem { text: prefix.to_owned(), place: Some((name.clone(), number)) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_blanks_and_line_ends_do_not_count_but_lines_do() {
        let name = Arc::from("list.txt");
        let text = "\u{feff}# head\r\n\r\n 192.0.2.1 # one\r\n\t\n2001:db8::/32";
        let read: Vec<_> = lines(text, &name).map(|item| (item.text, item.place.unwrap().1)).collect();
        assert_eq!(read, [("192.0.2.1".to_owned(), 3), ("2001:db8::/32".to_owned(), 5)]);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let failure = read(Vec::new(), &["/nowhere/list.txt".to_owned()]).unwrap_err();
        assert_eq!(
            failure.to_string(),
            "error: cannot read prefixes from /nowhere/list.txt: No such file or directory (os error 2)"
        );
    }
}
