//! A configuration together with the list files that it names, so that it can be sent, kept and read again as it was.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    diagnostic::Diagnostic,
    entries,
    source::{self, Openness},
};
use crate::text::shown::shown_path;

/// All texts of one configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// How messages call the configuration; list files are relative to its folder.
    pub name: String,
    /// The configuration.
    pub config: String,
    /// The list files, in the order in which they were read.
    #[serde(default, deserialize_with = "crate::text::object::array")]
    pub files: Vec<ListFile>,
}

/// One list file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ListFile {
    /// Its path, the folder of the configuration included.
    pub path: String,
    /// What is in it.
    pub text: String,
}

impl Bundle {
    /// Octets of all texts.
    pub fn octets(&self) -> u64 {
        self.files.iter().map(|file| file.text.len()).sum::<usize>().saturating_add(self.config.len()) as u64
    }

    /// Whether `other` says the same, wherever it was read from.
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.config == other.config && self.has_the_lists_of(other)
    }

    /// Whether the list files of `other` say the same.
    fn has_the_lists_of(&self, other: &Self) -> bool {
        self.files.iter().map(|file| &file.text).eq(other.files.iter().map(|file| &file.text))
    }
}

/// Where the files of a configuration come from.
#[derive(Clone, Copy)]
pub enum FilesFrom<'b> {
    /// The file system, as far as it may be read.
    Disk(Openness),
    /// What was sent or kept.
    Bundle(&'b Bundle),
}

/// The files of a configuration while it is read.
pub struct Files<'b> {
    from: FilesFrom<'b>,
    opened: Vec<PathBuf>,
    texts: Vec<ListFile>,
}

impl<'b> Files<'b> {
    /// The files of the configuration called `name`.
    pub fn new(name: &Path, from: FilesFrom<'b>) -> Self {
        Self { from, opened: vec![name.to_owned()], texts: Vec::new() }
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
                let text = self.read(path, key)?;
                self.texts.push(ListFile { path: name.into_owned(), text });
                self.texts.len() - 1
            }
        };
        Ok(self.texts.get(index).map_or("", |file| &file.text))
    }

    /// The configuration, then the list files, as they were opened; and the texts of the list files.
    pub fn into_parts(self) -> (Vec<PathBuf>, Vec<ListFile>) {
        (self.opened, self.texts)
    }

    fn read(&self, path: &Path, key: &str) -> Result<String, Box<Diagnostic>> {
        let bundle = match self.from {
            FilesFrom::Disk(openness) => return source::read(path, key, entries::MAX_FILE_OCTETS, openness),
            FilesFrom::Bundle(bundle) => bundle,
        };
        let name = path.to_string_lossy();
        match bundle.files.iter().find(|file| file.path == name) {
            Some(file) => Ok(file.text.clone()),
            None => {
                let message = format!("the list file {} did not come with the configuration", shown_path(path));
                Err(Box::new(Diagnostic::of_file(path, key, message)))
            }
        }
    }
}
