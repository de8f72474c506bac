//! `cargo xtask package --twice`: the package again, in another folder, compared octet for octet.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use crate::{process, tree::Tree};

/// A clone of the commit that is checked out, with a target folder of its own; gone when dropped.
pub struct Elsewhere {
    folder: PathBuf,
    /// The clone.
    pub tree: Tree,
}

impl Elsewhere {
    /// Beside nothing of this workspace: below the folder for temporary files.
    ///
    /// # Errors
    /// When the working tree has changes that a clone would lack, or git fails.
    pub fn clone(tree: &Tree) -> Result<Self> {
        let changed = process::output(Command::new("git").args(["status", "--porcelain"]).current_dir(&tree.root))?;
        if !changed.is_empty() {
            bail!(
                "cannot build the commit a second time: the working tree has changes\nhint: commit them first\n{changed}"
            );
        }
        let folder = env::temp_dir().join(format!("portcullis-again-{}", std::process::id()));
        let root = folder.join("another name for it");
        let elsewhere = Self { tree: Tree { target: folder.join("built"), root: root.clone() }, folder };
        process::run_shown(Command::new("git").args(["clone", "--quiet", "--shared"]).arg(&tree.root).arg(root))?;
        Ok(elsewhere)
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        if let (true, Err(error)) = (self.folder.exists(), fs::remove_dir_all(&self.folder)) {
            process::warn(&format!("cannot remove {}: {error}", self.folder.display()));
        }
    }
}

/// Compares two folders of results.
///
/// # Errors
/// When a file differs, with the name of it.
pub fn compare(first: &Path, second: &Path, names: &[String]) -> Result<()> {
    for name in names {
        let read = |folder: &Path| {
            let path = folder.join(name);
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let (one, other) = (read(first)?, read(second)?);
        if let Some(at) = difference(&one, &other) {
            bail!("two builds of one commit differ: {name}, at octet {at} of {} and {}", one.len(), other.len());
        }
    }
    Ok(())
}

/// Where two files first differ.
fn difference(one: &[u8], other: &[u8]) -> Option<usize> {
    let common = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    (common < one.len() || common < other.len()).then_some(common)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_differ_or_end_early_are_told_apart() {
        assert_eq!(difference(b"abc", b"abc"), None);
        assert_eq!(difference(b"abc", b"abd"), Some(2));
        assert_eq!(difference(b"abc", b"ab"), Some(2));
        assert_eq!(difference(b"", b"x"), Some(0));
    }
}
