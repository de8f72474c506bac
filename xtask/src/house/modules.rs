//! The modules of a crate, and which of them import which.

use std::collections::{BTreeSet, HashMap};

use super::{
    facts::Mention,
    source::{Crate, File},
};

/// Names of the modules that lead to one.
type Path = [String];

/// How often a name may lead to another name.
const DEPTH: usize = 8;

/// What there is in a crate to lead a path somewhere.
#[derive(Debug)]
pub struct Modules<'a> {
    files: &'a [File],
    known: BTreeSet<Vec<String>>,
    /// What a module calls something by, and the path that it wrote for it.
    names: HashMap<(Vec<String>, &'a str), &'a Path>,
    /// What a module has everything of.
    globs: HashMap<Vec<String>, Vec<&'a Path>>,
}

/// A module names something of another one.
#[derive(Debug)]
pub struct Import<'a> {
    pub from: &'a File,
    pub line: usize,
    /// The module that it leads to; none for the root of the crate.
    pub to: Vec<String>,
    /// As it is written.
    pub written: String,
    pub test: bool,
}

impl<'a> Modules<'a> {
    pub fn of(one: &'a Crate) -> Self {
        let mut modules =
            Self { files: &one.files, known: BTreeSet::new(), names: HashMap::new(), globs: HashMap::new() };
        for file in &one.files {
            modules.known.insert(file.module.clone());
            modules.known.extend(file.facts.modules.iter().map(|module| [&*file.module, &module.path].concat()));
            for mention in &file.facts.paths {
                let inside = [&*file.module, &mention.inside].concat();
                match mention.imported.as_deref() {
                    Some("*") => modules.globs.entry(inside).or_default().push(&mention.segments),
                    Some(name) => drop(modules.names.insert((inside, name), &mention.segments)),
                    None => {}
                }
            }
        }
        modules
    }

    /// Modules that are declared for tests.
    pub fn only_for_tests(&self) -> Vec<Vec<String>> {
        let declared = |file: &'a File| {
            let tests = file.facts.modules.iter().filter(|module| module.test);
            tests.map(|module| [&*file.module, &module.path].concat())
        };
        self.files.iter().flat_map(declared).collect()
    }

    /// Every path that leads to a module of this crate other than the one it stands in.
    pub fn imports(&self) -> Vec<Import<'a>> {
        let mut imports = Vec::new();
        for file in self.files {
            for mention in &file.facts.paths {
                let inside = [&*file.module, &mention.inside].concat();
                let Some(path) = self.absolute(&inside, &mention.segments, 0) else { continue };
                let to = self.target(&file.module, &path, 0);
                if !to.starts_with(&file.module) && !self.is_imported(file, mention, &inside, &to) {
                    let written = mention.segments.join("::");
                    imports.push(Import { from: file, line: mention.line, to, written, test: mention.test });
                }
            }
        }
        imports
    }

    /// Whether a path in code begins with what a `use` imports from that very module, so that it tells nothing new.
    fn is_imported(&self, file: &File, mention: &Mention, inside: &Path, to: &Path) -> bool {
        let begin = mention.segments.first().filter(|_| mention.imported.is_none());
        let meant = begin.and_then(|name| self.named(inside, name, 0));
        meant.is_some_and(|path| self.target(&file.module, &path, 0) == to)
    }

    /// A path from the root of the crate on. `None` for what belongs to another crate, or to the module itself.
    fn absolute(&self, module: &Path, path: &Path, depth: usize) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([module, rest].concat()),
            "super" => match rest.first() {
                Some(next) if next == "super" => self.absolute(module.split_last()?.1, rest, depth),
                _ => Some([module.split_last()?.1, rest].concat()),
            },
            _ => {
                let child = [module, std::slice::from_ref(first)].concat();
                let found = if self.known.contains(&child) { Some(child) } else { self.named(module, first, depth) };
                Some([&found?, rest].concat())
            }
        }
    }

    /// What a module has under a name by a `use`, its own or one of everything.
    fn named(&self, module: &Path, name: &str, depth: usize) -> Option<Vec<String>> {
        if depth > DEPTH {
            return None;
        }
        if let Some(path) = self.names.get(&(module.to_vec(), name)) {
            return self.absolute(module, path, depth + 1);
        }
        let globs = self.globs.get(module).into_iter().flatten();
        let mut globs = globs.filter_map(|path| self.absolute(module, path, depth + 1));
        globs.find_map(|glob| {
            let child = [&*glob, &[name.to_owned()]].concat();
            if self.known.contains(&child) { Some(child) } else { self.named(&glob, name, depth + 1) }
        })
    }

    /// The module that a path leads to. What a module around the importing one passes on is looked up: all in a folder
    /// may name each other by `super::`.
    fn target(&self, from: &Path, path: &Path, depth: usize) -> Vec<String> {
        let length = (0..=path.len()).rev().find(|length| self.known.contains(&path[..*length])).unwrap_or(0);
        let (module, rest) = path.split_at(length);
        match rest.first() {
            Some(name) if depth < DEPTH && from.starts_with(module) && from != module => {
                match self.named(module, name, depth) {
                    Some(meant) if meant != path => self.target(from, &[&*meant, &rest[1..]].concat(), depth + 1),
                    _ => module.to_vec(),
                }
            }
            _ => module.to_vec(),
        }
    }
}
