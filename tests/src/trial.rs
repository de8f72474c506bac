//! What a wire test leaves outside of its process while it runs: namespaces, a folder, a folder of pins. Their names
//! begin with `pct-<process>-<test>`, and all of them go with the test.

use std::{
    env,
    fs::{self, DirBuilder},
    io::ErrorKind,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::{
        Once,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context as _, Result, bail};
use nix::mount::{MntFlags, umount2};

/// Where the BPF file system is.
pub const BPFFS: &str = "/sys/fs/bpf";

/// Where `ip netns` keeps namespaces.
pub(crate) const NAMESPACES: &str = "/run/netns";

/// Variable that names the binary under test.
const BINARY: &str = "PORTCULLIS_BIN";

const START: &str = "pct-";

/// The names of one test.
#[derive(Debug)]
pub struct Trial {
    name: String,
    folder: PathBuf,
    pins: PathBuf,
}

impl Trial {
    /// Reserves names and makes a folder that everyone may enter.
    ///
    /// # Errors
    /// When this is not root.
    pub fn begin() -> Result<Self> {
        static SWEPT: Once = Once::new();
        static NEXT: AtomicU32 = AtomicU32::new(0);
        if !nix::unistd::geteuid().is_root() {
            bail!("this test makes network namespaces and needs root\nhint: run `cargo xtask test`, which asks sudo");
        }
        SWEPT.call_once(sweep);
        let name = format!("{START}{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = env::temp_dir().join(&name);
        DirBuilder::new().mode(0o755).create(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder, pins: Path::new(BPFFS).join(&name), name })
    }

    /// The name of a namespace of this test.
    pub fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.name)
    }

    /// A folder for files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A folder on the BPF file system that does not exist yet. Names in it have no dots.
    pub fn pins(&self) -> &Path {
        &self.pins
    }

    /// Writes a file into the folder.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        for path in [&self.folder, &self.pins] {
            match fs::remove_dir_all(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    println!("cannot remove {}: {error}", path.display());
                }
                _ => {}
            }
        }
    }
}

/// The binary under test.
///
/// # Errors
/// When nobody said which one.
pub fn binary() -> Result<PathBuf> {
    let path = env::var_os(BINARY).map(PathBuf::from).filter(|path| path.is_file());
    path.with_context(|| {
        format!("{BINARY} names no file\nhint: run `cargo xtask test --wire`, which builds the binary")
    })
}

/// Where the one disk of a test is mounted, in its folder.
pub fn disk_place(folder: &Path) -> PathBuf {
    folder.join("disk")
}

/// Where the one BPF file system of a test is mounted, in its folder.
pub fn pins_place(folder: &Path) -> PathBuf {
    folder.join("bpf")
}

/// Removes what earlier runs left that were killed before they could clean up.
fn sweep() {
    for folder in [Path::new(NAMESPACES), &env::temp_dir(), Path::new(BPFFS)] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if !name.to_str().and_then(owner).is_some_and(has_ended) {
                continue;
            }
            println!("removing {}, left by a run that was killed", entry.path().display());
            if folder == Path::new(NAMESPACES) {
                let _ = Command::new("ip").args(["netns", "delete"]).arg(&name).status();
            } else {
                for place in [disk_place(&entry.path()), pins_place(&entry.path())] {
                    let _ = umount2(&place, MntFlags::MNT_DETACH);
                }
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// Process that made what has this name.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(START)?.split('-').next()?.parse().ok()
}

fn has_ended(process: u32) -> bool {
    !Path::new("/proc").join(process.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_a_test_have_an_owner() {
        assert_eq!(owner("pct-4711-2-host"), Some(4711));
        assert_eq!(owner("pct-12-0"), Some(12));
        assert_eq!(owner("pct-host"), None);
        assert_eq!(owner("portcullis-lab-12"), None);
    }
}
