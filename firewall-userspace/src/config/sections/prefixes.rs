//! Prefixes in the configuration: `management`, and the entries and files of `[lists.*]`.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use super::named::NamedItem;
use crate::{
    config::{
        bundle::Files,
        diagnostic::{Diagnostic, Severity},
        document::Node,
        entries::{self, EXPLAINED, FileEntries, UNEXPLAINED},
        keys,
        reader::{At, Reader},
    },
    policy::{List, Prefix, PrefixError},
    text::{
        few::Few,
        shown::{counted, shown, shown_path},
    },
};

/// Reads an array of prefixes; each is kept once. Bad ones are left out and reported, as are those that are repeated: ten of a kind,
/// then a count.
pub fn array(reader: &mut Reader<'_>, node: &Node<'_>) -> Vec<(Prefix, At)> {
    let mut places: HashMap<Prefix, usize> = HashMap::new();
    let mut prefixes: Vec<(Prefix, At)> = Vec::new();
    let (mut bad, mut repeated) = (Few::default(), Few::default());
    for element in reader.array(node, "prefixes") {
        let Some(text) = reader.string(&element, "a prefix in quotes") else { continue };
        let parsed = if bad.len() < EXPLAINED { text.parse().map_err(Some) } else { plainly(text) };
        let prefix = match parsed {
            Ok(prefix) => prefix,
            Err(error) => {
                match error {
                    Some(error) => bad.add(error.kind(), || (element.at, error.to_string())),
                    None => bad.count(UNEXPLAINED, || (element.at, String::new())),
                }
                continue;
            }
        };
        match places.get(&prefix).and_then(|index| prefixes.get(*index)) {
            Some((_, first)) => repeated.add("prefixes that are repeated", || {
                (element.at, format!("`{prefix}` is repeated; `{}` is the same", first.path))
            }),
            None => {
                places.insert(prefix, prefixes.len());
                prefixes.push((prefix, element.at));
            }
        }
    }
    tell(&bad, |at, message| reader.error(at, message));
    tell(&repeated, |at, message| reader.warning(at, message, None));
    prefixes
}

fn plainly(text: &str) -> Result<Prefix, Option<PrefixError>> {
    Prefix::parse_plainly(text).ok_or(None)
}

/// Hands on what is told, then what is said of the rest.
fn tell(few: &Few<(At, String)>, mut tell: impl FnMut(&At, String)) {
    few.first().iter().for_each(|(at, message)| tell(at, message.clone()));
    few.more().for_each(|((at, _), message)| tell(at, message));
}

/// Reads one list with its file, which is relative to the folder of the file that names it and is read through `files`; `None` after an
/// error.
pub fn list(reader: &mut Reader<'_>, item: &NamedItem<'_>, files: &mut Files<'_>) -> Option<List> {
    let table = reader.table(&item.node, keys::LIST)?;
    let written = table.node("entries").map(|node| array(reader, &node)).unwrap_or_default();
    let mut entries = Vec::new();
    if let Some(node) = table.node("file") {
        let path = reader.string(&node, "the path of a list file")?;
        let file = list_path(reader, &node, path)?;
        let read = list_file(reader, &node, &file, files)?;
        warn_of_repetitions(reader, &node.at, &file, &read, &written);
        entries = read.prefixes;
    }
    entries.extend(written.into_iter().map(|(prefix, _)| prefix));
    entries.sort_unstable();
    entries.dedup();
    Some(List { name: item.name.clone()?, entries })
}

fn list_path(reader: &mut Reader<'_>, node: &Node<'_>, path: &str) -> Option<PathBuf> {
    if path.is_empty() || path.contains('\0') {
        reader.error(&node.at, format!("`{}` is not the path of a file", shown(path)));
        return None;
    }
    Some(reader.folder(&node.at).join(path))
}

fn list_file(reader: &mut Reader<'_>, node: &Node<'_>, file: &Path, files: &mut Files<'_>) -> Option<FileEntries> {
    let key = &node.at.path;
    let text = files.text(file, key).map_err(|problem| vec![*problem]);
    let problems = match text.and_then(|text| entries::parse_at(file, key, text)) {
        Ok(read) => return Some(read),
        Err(problems) => problems,
    };
    problems.into_iter().for_each(|problem| reader.error_about_file(&node.at, problem));
    None
}

fn warn_of_repetitions(reader: &mut Reader<'_>, at: &At, file: &Path, read: &FileEntries, written: &[(Prefix, At)]) {
    if read.repeated_lines > 0 {
        let lines = counted(read.repeated_lines, "line");
        let verb = if read.repeated_lines == 1 { "repeats" } else { "repeat" };
        reader.push(Diagnostic {
            severity: Severity::Warning,
            location: read.first_repetition.clone(),
            ..Diagnostic::of_file(file, &at.path, format!("{lines} of {} {verb} an earlier entry", shown_path(file)))
        });
    }
    let mut repeated = Few::default();
    for (prefix, at) in written.iter().filter(|(prefix, _)| read.prefixes.binary_search(prefix).is_ok()) {
        repeated.add("prefixes that are repeated", || {
            (at.clone(), format!("`{prefix}` is repeated; {} has it too", shown_path(file)))
        });
    }
    tell(&repeated, |at, message| reader.warning(at, message, None));
}
