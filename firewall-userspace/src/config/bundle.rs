//! A configuration together with the files that it includes and the list files that they name, so that it can be sent, kept and read
//! again as it was.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    diagnostic::Diagnostic,
    entries,
    include::{Included, Wrong, is_like},
    source::{self, Openness},
};
use crate::text::shown::shown_path;

/// All texts of one configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// How messages call the configuration; what it includes, and its list files, are relative to its folder.
    pub name: String,
    /// The configuration.
    pub config: String,
    /// The files that it includes, in the order in which they were read. A daemon of before knows none.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::text::object::array")]
    pub included: Vec<BundledFile>,
    /// The list files, in the order in which they were read.
    #[serde(default, deserialize_with = "crate::text::object::array")]
    pub files: Vec<BundledFile>,
}

/// A file that belongs to a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BundledFile {
    /// Its path, the folder of the file that names it included.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl Bundle {
    /// Octets of all texts.
    pub fn octets(&self) -> u64 {
        let files = self.included.iter().chain(&self.files);
        files.map(|file| file.text.len()).sum::<usize>().saturating_add(self.config.len()) as u64
    }

    /// Whether `other` says the same, wherever it was read from.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.has_the_settings_of(other) && texts(&self.files).eq(texts(&other.files))
    }

    /// Whether `other` says the same but for its list files.
    pub fn has_the_settings_of(&self, other: &Self) -> bool {
        self.config == other.config && texts(&self.included).eq(texts(&other.included))
    }
}

fn texts(files: &[BundledFile]) -> impl Iterator<Item = &str> {
    files.iter().map(|file| &*file.text)
}

/// Where the files of a configuration come from.
#[derive(Clone, Copy)]
pub enum FilesFrom<'b> {
    /// Regular files.
    Disk,
    /// What was sent or kept.
    Bundle(&'b Bundle),
}

/// The files of a configuration while it is read.
pub struct Files<'b> {
    from: FilesFrom<'b>,
    opened: Vec<PathBuf>,
    included: Vec<BundledFile>,
    texts: Vec<BundledFile>,
}

impl<'b> Files<'b> {
    /// The files of the configuration called `name`.
    pub fn new(name: &Path, from: FilesFrom<'b>) -> Self {
        Self { from, opened: vec![name.to_owned()], included: Vec::new(), texts: Vec::new() }
    }

    /// The files that one element of `include` names, ordered by name. A file that has to be there may be missing all the same.
    ///
    /// # Errors
    /// When its folder cannot be read. A folder that is not there has no files.
    pub fn named(&self, included: &Included) -> Result<Vec<PathBuf>, Wrong> {
        let (folder, pattern) = match included {
            Included::File(path) => return Ok(vec![path.clone()]),
            Included::Like(folder, pattern) => (folder, pattern),
        };
        let mut paths = match self.from {
            FilesFrom::Disk => in_folder(folder, pattern)?,
            FilesFrom::Bundle(bundle) => {
                let is_named = |path: &PathBuf| {
                    let name = path.file_name().and_then(|name| name.to_str());
                    path.parent() == Some(folder) && name.is_some_and(|name| is_like(pattern, name))
                };
                bundle.included.iter().map(|file| PathBuf::from(&file.path)).filter(is_named).collect()
            }
        };
        paths.sort_unstable();
        Ok(paths)
    }

    /// What is in the included file at `path`, which the configuration names at `key`; it has at most `most` octets.
    ///
    /// # Errors
    /// When it cannot be read, or was not sent.
    pub fn include(&mut self, path: &Path, key: &str, most: u64) -> Result<&str, Box<Diagnostic>> {
        self.opened.push(path.to_owned());
        let name = path.to_string_lossy();
        let text = match self.from {
            FilesFrom::Disk => source::read(path, key, most, Openness::RegularOnly)?,
            FilesFrom::Bundle(bundle) => sent(&bundle.included, path, key, "file")?,
        };
        self.included.push(BundledFile { path: name.into_owned(), text });
        Ok(self.included.last().map_or("", |file| &file.text))
    }

    /// Files that were sent as included, and that the configuration does not include.
    pub fn uninvited(&self) -> Vec<Diagnostic> {
        let FilesFrom::Bundle(bundle) = self.from else { return Vec::new() };
        let is_strange =
            |file: &&BundledFile| !self.opened.iter().skip(1).any(|opened| *opened == Path::new(&file.path));
        let problem = |file: &BundledFile| {
            let path = Path::new(&file.path);
            let message = format!("{} came with the configuration, which does not include it", shown_path(path));
            Diagnostic::of_file(path, "include", message)
        };
        bundle.included.iter().filter(is_strange).map(problem).collect()
    }

    /// What is in the list file at `path`, which the configuration names at `key`. Each is read once.
    ///
    /// # Errors
    /// When it cannot be read, or was not sent.
    pub fn text(&mut self, path: &Path, key: &str) -> Result<&str, Box<Diagnostic>> {
        if !self.opened.iter().any(|opened| opened == path) {
            self.opened.push(path.to_owned());
        }
        let name = path.to_string_lossy();
        let index = match self.texts.iter().position(|file| file.path == name) {
            Some(index) => index,
            None => {
                let text = match self.from {
                    FilesFrom::Disk => source::read(path, key, entries::MAX_FILE_OCTETS, Openness::RegularOnly)?,
                    FilesFrom::Bundle(bundle) => sent(&bundle.files, path, key, "list file")?,
                };
                self.texts.push(BundledFile { path: name.into_owned(), text });
                self.texts.len() - 1
            }
        };
        Ok(self.texts.get(index).map_or("", |file| &file.text))
    }

    /// The configuration, the files that it includes, then the list files, as they were opened; and the texts of all of them.
    pub fn into_parts(self, name: &Path, config: &str) -> (Vec<PathBuf>, Bundle) {
        let Self { opened, included, texts: files, .. } = self;
        (opened, Bundle { name: name.to_string_lossy().into_owned(), config: config.to_owned(), included, files })
    }
}

/// The files of `folder` whose names are like `pattern`.
fn in_folder(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, Wrong> {
    let place = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let unreadable = |error: io::Error| {
        let message = format!("cannot list the folder {}: {error}", shown_path(place));
        (message, "run as root, or let the user that reads it read the folder")
    };
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name();
        match name.to_str() {
            Some(text) if is_like(pattern, text) => paths.push(folder.join(text)),
            None if is_like(pattern, &name.to_string_lossy()) => {
                let message = format!("the name of {} is not UTF-8", shown_path(&folder.join(&name)));
                return Err((message, "give the file another name"));
            }
            _ => {}
        }
    }
    Ok(paths)
}

/// The text of a file that was sent or kept.
fn sent(files: &[BundledFile], path: &Path, key: &str, what: &str) -> Result<String, Box<Diagnostic>> {
    let name = path.to_string_lossy();
    match files.iter().find(|file| file.path == name) {
        Some(file) => Ok(file.text.clone()),
        None => {
            let message = format!("the {what} {} did not come with the configuration", shown_path(path));
            Err(Box::new(Diagnostic::of_file(path, key, message)))
        }
    }
}
