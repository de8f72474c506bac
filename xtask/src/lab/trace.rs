//! What a lab leaves on the machine while it runs, how it is removed, and how to see that it is gone.

use std::{
    env, fs,
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{self, Command},
};

use anyhow::{Context as _, Result};

use super::namespace;
use crate::{
    needs::BPFFS,
    process::{output, warn},
};

/// What a lab is made for: part of every name it leaves on the machine.
const KINDS: [&str; 2] = ["demo", "lab"];

/// Start of the name of every namespace of this run.
pub fn prefix(kind: &str) -> String {
    format!("pc-{kind}-{}-", process::id())
}

/// A folder of its own for configuration, logs and the socket.
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Makes it, for root only.
    pub fn create(kind: &str) -> Result<Self> {
        let path = env::temp_dir().join(name(kind, process::id()));
        fs::DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Where Portcullis pins its maps and links. Portcullis makes it; it goes with us, whatever Portcullis left in it.
pub struct Pins {
    path: PathBuf,
}

impl Pins {
    /// A folder name no other run has.
    pub fn reserve(kind: &str) -> Self {
        Self { path: Path::new(BPFFS).join(name(kind, process::id())) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Everything a lab has made.
pub struct Trace {
    /// Names of namespaces.
    pub namespaces: Vec<String>,
    /// Name and number of processes.
    pub processes: Vec<(&'static str, u32)>,
    /// Folders.
    pub paths: Vec<PathBuf>,
}

impl Trace {
    /// What of it is still there.
    pub fn remaining(&self) -> Vec<String> {
        let namespaces = self.namespaces.iter().filter(|name| Path::new(namespace::FOLDER).join(name).exists());
        let is_still = |(name, number): &&(&str, u32)| {
            fs::read_to_string(format!("/proc/{number}/comm")).is_ok_and(|comm| comm.trim() == *name)
        };
        let processes = self.processes.iter().filter(is_still);
        let paths = self.paths.iter().filter(|path| path.symlink_metadata().is_ok());
        let namespaces = namespaces.map(|name| format!("namespace {name}"));
        let processes = processes.map(|(name, number)| format!("process {number} ({name})"));
        namespaces.chain(processes).chain(paths.map(|path| path.display().to_string())).collect()
    }
}

/// Removes what earlier runs left that were killed before they could clean up.
pub fn sweep() {
    for kind in KINDS {
        let folders = [
            (PathBuf::from(namespace::FOLDER), format!("pc-{kind}-")),
            (env::temp_dir(), name_start(kind)),
            (PathBuf::from(BPFFS), name_start(kind)),
        ];
        for (folder, start) in folders {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                if entry.file_name().to_str().and_then(|name| owner(name, &start)).is_some_and(has_ended) {
                    eprintln!("removing {}, left by a run that was killed", entry.path().display());
                    remove_entry(&folder, &entry.path());
                }
            }
        }
    }
}

/// Process that made what has this name.
fn owner(name: &str, start: &str) -> Option<u32> {
    name.strip_prefix(start)?.split('-').next()?.parse().ok()
}

fn has_ended(process: u32) -> bool {
    !Path::new("/proc").join(process.to_string()).exists()
}

fn remove_entry(folder: &Path, path: &Path) {
    if folder != Path::new(namespace::FOLDER) {
        remove(path);
    } else if let Some(name) = path.file_name()
        && let Err(error) = output(Command::new("ip").args(["netns", "delete"]).arg(name))
    {
        warn(&format!("cannot remove the namespace {}: {error:#}", name.display()));
    }
}

fn name(kind: &str, pid: u32) -> String {
    format!("{}{pid}", name_start(kind))
}

fn name_start(kind: &str) -> String {
    format!("portcullis-{kind}-")
}

fn remove(path: &Path) {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            warn(&format!("cannot remove {}: {error}", path.display()))
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_a_lab_have_an_owner() {
        assert_eq!(owner("pc-demo-4711-client-a", "pc-demo-"), Some(4711));
        assert_eq!(owner("portcullis-lab-12", "portcullis-lab-"), Some(12));
        assert_eq!(owner("pc-demo-host", "pc-demo-"), None);
        assert_eq!(owner("portcullis", "portcullis-lab-"), None);
    }
}
