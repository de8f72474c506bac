//! The sources that the rules look at: each crate's files, read and parsed.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, anyhow};

use super::{facts::Facts, modules::Modules};

/// The sources of the workspace.
#[derive(Debug, Default)]
pub struct Sources {
    pub crates: Vec<Crate>,
    /// Text of `docs/architecture.md`.
    pub architecture: String,
}

/// The files below one root: `src`, a program of `src/bin`, or a test of `tests`.
#[derive(Debug)]
pub struct Crate {
    /// Its folder, or its only file, from the root of the workspace on.
    pub folder: String,
    pub files: Vec<File>,
}

/// A file of Rust.
#[derive(Debug)]
pub struct File {
    /// From the root of the workspace on.
    pub path: String,
    pub text: String,
    /// Names of the modules that lead to it; none for `lib.rs` and `main.rs`.
    pub module: Vec<String>,
    pub facts: Facts,
    /// Whether all of it is for tests only.
    pub test: bool,
}

impl Sources {
    /// Reads those of a workspace: of each folder that has a `Cargo.toml`.
    pub fn read(root: &Path) -> Result<Self> {
        let mut crates = Vec::new();
        for package in names(root)?.iter().filter(|name| root.join(name).join("Cargo.toml").exists()) {
            for (folder, test) in roots(root, package)? {
                let paths = if folder.ends_with(".rs") { vec![folder.clone()] } else { below(root, &folder)? };
                let texts = paths.into_iter().map(|path| {
                    let text = fs::read_to_string(root.join(&path)).with_context(|| format!("cannot read {path}"))?;
                    Ok((path, text))
                });
                crates.push(Crate::parse(&folder, texts.collect::<Result<_>>()?, test)?);
            }
        }
        let path = root.join("docs/architecture.md");
        let architecture = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { crates, architecture })
    }

    /// Every file of every crate.
    pub fn files(&self) -> impl Iterator<Item = &File> {
        self.crates.iter().flat_map(|one| &one.files)
    }
}

impl Crate {
    /// Parses the files of a crate, which are paths and texts.
    pub fn parse(folder: &str, texts: Vec<(String, String)>, test: bool) -> Result<Self> {
        let mut files = Vec::new();
        for (path, text) in texts {
            let syntax = syn::parse_file(&text)
                .map_err(|error| anyhow!("cannot parse {path}:{}: {error}", error.span().start().line))?;
            let module = module(path.strip_prefix(folder).unwrap_or_default());
            files.push(File { facts: Facts::of(&syntax, test), module, path, text, test });
        }
        let mut parsed = Self { folder: folder.to_owned(), files };
        let apart = Modules::of(&parsed).only_for_tests();
        for file in parsed.files.iter_mut().filter(|file| apart.iter().any(|module| file.module.starts_with(module))) {
            file.mark_as_test();
        }
        Ok(parsed)
    }
}

impl File {
    /// Without its folder.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// What is declared for tests only is for tests only, whatever it says itself.
    fn mark_as_test(&mut self) {
        self.test = true;
        self.facts.paths.iter_mut().for_each(|path| path.test = true);
        self.facts.types.iter_mut().for_each(|one| one.test = true);
        self.facts.functions.iter_mut().for_each(|function| function.test = true);
    }
}

/// Folders and files with a crate's root in them, and whether they are tests.
fn roots(root: &Path, package: &str) -> Result<Vec<(String, bool)>> {
    let mut roots = vec![(format!("{package}/src"), false)];
    for (folder, test) in [(format!("{package}/src/bin"), false), (format!("{package}/tests"), true)] {
        let names = if root.join(&folder).is_dir() { names(&root.join(&folder))? } else { Vec::new() };
        let paths = names.iter().map(|name| format!("{folder}/{name}"));
        let is_root = |path: &String| path.ends_with(".rs") || root.join(path).join("main.rs").exists();
        roots.extend(paths.filter(is_root).map(|path| (path, test)));
    }
    Ok(roots)
}

/// The files of Rust in a folder and those in it, without the programs of `src/bin`.
fn below(root: &Path, folder: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for name in names(&root.join(folder))? {
        let path = format!("{folder}/{name}");
        if root.join(&path).is_dir() && !path.ends_with("/src/bin") {
            found.extend(below(root, &path)?);
        } else if path.ends_with(".rs") {
            found.push(path);
        }
    }
    Ok(found)
}

/// What is in a folder, in the order of the names.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut names: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// The module of a file, which is a path below the folder of its crate.
fn module(path: &str) -> Vec<String> {
    let mut names: Vec<_> =
        path.trim_start_matches('/').trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    let is_root = names.len() == 1 && ["lib", "main", ""].contains(&&*names[0]);
    if is_root || names.last().is_some_and(|name| name == "mod") {
        names.pop();
    }
    names
}
