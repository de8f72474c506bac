//! `include`: the files that belong to a configuration besides its own.
//!
//! In: the array of paths and patterns. Out: the texts of the files, in their order, and one document of all of them. Nobody owns
//! it: the caller keeps the texts for as long as it reads.

use std::{
    cell::OnceCell,
    path::{Path, PathBuf},
};

use toml::de::DeTable;

use super::{
    MAX_CONFIG_OCTETS,
    bundle::Files,
    document::{Node, TomlTable},
    merge,
    reader::Reader,
    source::Source,
};
use crate::text::shown::{grouped, shown, shown_path};

/// Most files that a configuration includes.
const MOST_FILES: usize = 256;

/// What one element of `include` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Included {
    /// A file, which has to be there.
    File(PathBuf),
    /// Those files of a folder whose names are like a pattern, of `*` and `?`.
    Like(PathBuf, String),
}

/// The document in `main` with those of the files that it includes, which are read through `files` and kept in `texts`.
pub fn document<'s>(
    reader: &mut Reader<'s>,
    main: &'s Source,
    texts: &'s OnceCell<Vec<Source>>,
    files: &mut Files<'_>,
) -> DeTable<'s> {
    let mut document = reader.parse(main);
    let included = read(reader, &TomlTable::document(&document), main, files);
    for source in texts.get_or_init(|| included) {
        let more = reader.parse(source);
        merge::add(reader, &mut document, more);
    }
    document
}

/// The texts of all files that are included.
fn read(reader: &mut Reader<'_>, document: &TomlTable<'_>, main: &Source, files: &mut Files<'_>) -> Vec<Source> {
    let elements = document.node("include").map(|node| reader.array(&node, "paths")).unwrap_or_default();
    let mut sources: Vec<Source> = Vec::new();
    let mut octets = main.text.len();
    for element in &elements {
        for path in named(reader, element, files) {
            if path == main.name {
                let hint = "keep the files that it includes in a folder of their own, for example conf.d";
                reader.error_with_hint(&element.at, "the configuration includes itself", hint);
                continue;
            }
            if sources.iter().any(|source| source.name == path) {
                continue;
            }
            if sources.len() == MOST_FILES {
                reader.error(&element.at, format!("more than {MOST_FILES} files are included"));
                return sources;
            }
            let text = match files.include(&path, &element.at.path, MAX_CONFIG_OCTETS) {
                Ok(text) => text,
                Err(problem) => {
                    reader.error_about_file(&element.at, *problem);
                    continue;
                }
            };
            octets += text.len();
            if octets as u64 > MAX_CONFIG_OCTETS {
                let most = grouped(usize::try_from(MAX_CONFIG_OCTETS).unwrap_or(usize::MAX));
                let message = format!("with {}, the configuration is longer than {most} octets", shown_path(&path));
                reader.error_with_hint(&element.at, message, "long lists belong into list files");
                return sources;
            }
            let source = Source::new(&path, text, path.parent().unwrap_or(Path::new("")));
            sources.push(source.behind(sources.last().unwrap_or(main)));
        }
    }
    files.uninvited().into_iter().for_each(|problem| reader.push(problem));
    sources
}

/// The files that one element names, in their order.
fn named(reader: &mut Reader<'_>, element: &Node<'_>, files: &Files<'_>) -> Vec<PathBuf> {
    let Some(text) = reader.string(element, "a path or a pattern, for example \"conf.d/*.toml\"") else {
        return Vec::new();
    };
    let named = Included::parse(text, reader.folder(&element.at)).and_then(|included| files.named(&included));
    named.unwrap_or_else(|(message, hint)| {
        reader.error_with_hint(&element.at, message, hint);
        Vec::new()
    })
}

/// What is wrong, and a hint.
pub type Wrong = (String, &'static str);

impl Included {
    /// What `text` names; it is relative to `folder`.
    ///
    /// # Errors
    /// When it can be no path, or a pattern has signs that mean nothing here.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, Wrong> {
        let hint = "write a path, or a pattern such as \"conf.d/*.toml\"";
        let whole = folder.join(text);
        let (Some(name), false) = (Path::new(text).file_name().and_then(|name| name.to_str()), text.contains('\0'))
        else {
            return Err((format!("`{}` is not the path of a file", shown(text)), hint));
        };
        if text.ends_with(['/', '.']) && !text.ends_with(name) {
            return Err((format!("`{}` is not the path of a file", shown(text)), hint));
        }
        let is_wild = |text: &str| text.contains(['*', '?']);
        if Path::new(text).parent().and_then(Path::to_str).is_some_and(is_wild) {
            let message = format!("`{}` has a `*` or a `?` in the name of a folder", shown(text));
            return Err((message, "both may stand in the last part of a path only"));
        }
        if !is_wild(name) {
            return Ok(Self::File(whole));
        }
        if name.contains(['[', ']', '{', '}']) {
            let message = format!("`{}` has brackets, which mean nothing in a pattern", shown(text));
            return Err((
                message,
                "`*` is any number of characters, `?` is one; several patterns are several elements",
            ));
        }
        Ok(Self::Like(whole.parent().unwrap_or(Path::new("")).to_owned(), name.to_owned()))
    }
}

/// Whether `name` is like `pattern`, in which `*` is any number of characters and `?` is one. A dot at the beginning has to be written.
pub fn is_like(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut of) = (0, 0);
    // Behind the last `*`, and what is left for it to take.
    let mut again: Option<(usize, usize)> = None;
    while let Some(symbol) = name.get(at) {
        match pattern.get(of) {
            Some('*') => {
                again = Some((of + 1, at));
                of += 1;
            }
            Some(wanted) if *wanted == '?' || wanted == symbol => (at, of) = (at + 1, of + 1),
            _ => {
                let Some((behind, taken)) = again else { return false };
                again = Some((behind, taken + 1));
                (at, of) = (taken + 1, behind);
            }
        }
    }
    pattern.iter().skip(of).all(|symbol| *symbol == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_stars_and_question_marks() {
        for (pattern, name) in [
            ("*.toml", "a.toml"),
            ("*.toml", "a.b.toml"),
            ("?0-*.toml", "10-x.toml"),
            ("*", "a"),
            ("*a*b*", "xxaxxbxx"),
            ("**", "x"),
            (".*.toml", ".a.toml"),
            ("ä?.toml", "äö.toml"),
            ("*.toml", "a.toml.toml"),
        ] {
            assert!(is_like(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.toml", ".a.toml"),
            ("*.toml", ".#a.toml"),
            ("*.toml", "a.toml~"),
            ("*.toml", "a.toml.dpkg-old"),
            ("*.toml", "toml"),
            ("?", "ab"),
            ("?", ""),
            ("a*b", "abc"),
            ("?.toml", ".toml"),
        ] {
            assert!(!is_like(pattern, name), "{pattern} {name}");
        }
        // Many stars take no time.
        assert!(!is_like(&format!("{}b", "*a".repeat(40)), &"a".repeat(5000)));
    }

    #[test]
    fn what_is_no_path_or_pattern_is_refused() {
        let said = |text: &str| Included::parse(text, Path::new("/etc/p")).map_err(|(message, _)| message);
        let like = |folder: &str, name: &str| Ok(Included::Like(folder.into(), name.into()));
        assert_eq!(said("conf.d/*.toml"), like("/etc/p/conf.d", "*.toml"));
        assert_eq!(said("*.toml"), like("/etc/p", "*.toml"));
        assert_eq!(said("/srv/x?"), like("/srv", "x?"));
        assert_eq!(said("[a].toml"), Ok(Included::File("/etc/p/[a].toml".into())));
        for bad in ["", "/", "..", "conf.d/..", "conf.d/", "a/.", "a\0"] {
            assert_eq!(said(bad), Err(format!("`{}` is not the path of a file", shown(bad))));
        }
        assert_eq!(said("*/a.toml"), Err("`*/a.toml` has a `*` or a `?` in the name of a folder".into()));
        assert_eq!(said("[0-9]*"), Err("`[0-9]*` has brackets, which mean nothing in a pattern".into()));
    }
}
