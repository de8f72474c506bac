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
pub fn sweep(kind: &str) {
    let folders = [
        (namespace::FOLDER.into(), format!("pc-{kind}-")),
        (env::temp_dir(), name_start(kind)),
        (BPFFS.into(), name_start(kind)),
    ];
    for (folder, start) in folders {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = name
                .strip_prefix(&start)
                .and_then(|rest| rest.split('-').next())
                .and_then(|pid| pid.parse::<u32>().ok());
            let Some(owner) = owner else { continue };
            if Path::new("/proc").join(owner.to_string()).exists() {
                continue;
            }
            eprintln!("removing {}, left by a run that was killed", entry.path().display());
            if folder == Path::new(namespace::FOLDER) {
                if let Err(error) = output(Command::new("ip").args(["netns", "delete", &name])) {
                    warn(&format!("cannot remove the namespace {name}: {error:#}"));
                }
            } else {
                remove(&entry.path());
            }
        }
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
