//! Lays out what the package has besides the files of the repository.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use super::{binary::Binary, changelog, copyright, crates, moment::Moment, sbom};
use crate::{process, tree::Tree};

/// A folder as cargo-deb wants it: its `target/release`.
pub struct Stage {
    /// The folder that cargo-deb is told as target folder.
    pub target: PathBuf,
    /// Where its files are.
    folder: PathBuf,
}

/// Name and version as `Cargo.toml` has them, for files of the package and of what goes beside it.
pub struct Identity<'a> {
    pub version: &'a str,
    pub maintainer: &'a str,
    pub moment: &'a Moment,
}

impl Stage {
    /// An empty one below a target folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn empty(target: &Path) -> Result<Self> {
        let target = target.join("stage");
        let folder = target.join("release");
        let cannot = || format!("cannot make the folder {} anew", folder.display());
        if target.exists() {
            fs::remove_dir_all(&target).with_context(cannot)?;
        }
        for part in ["man", "completions"] {
            fs::create_dir_all(folder.join(part)).with_context(cannot)?;
        }
        Ok(Self { target, folder })
    }

    /// Where the stripped binary goes.
    pub fn binary(&self) -> PathBuf {
        self.folder.join("portcullis")
    }

    /// Where the list of components is.
    pub fn sbom(&self) -> PathBuf {
        self.folder.join("portcullis.cdx.json")
    }

    /// Writes all files that are not in the repository.
    ///
    /// # Errors
    /// When a verb of the binary is missing or fails, or a file cannot be written.
    pub fn fill(&self, tree: &Tree, binary: &Binary, identity: &Identity) -> Result<()> {
        self.ask(&binary.stripped)?;
        let crates = crates::in_package(tree)?;
        let Identity { version, maintainer, moment } = *identity;
        self.write("copyright", &copyright::file(&tree.root, &crates)?)?;
        self.write("portcullis.cdx.json", &sbom::document(version, moment, &compiler(tree)?, &crates))?;
        let source = tree.root.join("CHANGELOG.md");
        let markdown = fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
        self.write("changelog", &changelog::debian(&markdown, version, maintainer, moment)?)?;
        gzip(&self.folder.join("changelog"))
    }

    /// What the binary tells of itself: manual pages and completions.
    fn ask(&self, binary: &Path) -> Result<()> {
        let verb = |words: &[&str]| {
            let mut command = Command::new(binary);
            command.args(words).env_clear().env("LC_ALL", "C.UTF-8");
            process::output(&mut command).with_context(|| format!("the binary has to know the verb `{}`", words[0]))
        };
        let manual = self.folder.join("man");
        verb(&["manual", &manual.display().to_string()])?;
        let entries = fs::read_dir(&manual).with_context(|| format!("cannot read {}", manual.display()))?;
        let pages = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        if pages.is_empty() {
            bail!("`portcullis manual` wrote no page");
        }
        pages.iter().try_for_each(|page| gzip(page))?;
        for shell in ["bash", "zsh", "fish"] {
            self.write(&format!("completions/portcullis.{shell}"), &(verb(&["completions", shell])? + "\n"))?;
        }
        self.write("portcullis.schema.json", &(verb(&["schema"])? + "\n"))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Without name and time of the file.
fn gzip(path: &Path) -> Result<()> {
    process::run(Command::new("gzip").args(["-9", "--no-name"]).arg(path))
}

/// Version of the compiler of the binary.
fn compiler(tree: &Tree) -> Result<String> {
    let said = process::output(Command::new("rustc").arg("--version").current_dir(&tree.root))?;
    Ok(said.split_whitespace().nth(1).unwrap_or_default().to_owned())
}
