//! This host as the kernel describes it: its interfaces, its addresses, its connections, and what is around it.
//!
//! In: sysfs, procfs, netlink and sock_diag. Out: facts, true at the moment they were asked. Nothing is changed here, and the caller owns
//! what it is told.

pub mod addresses;
pub mod caller;
pub mod confinement;
pub mod connections;
pub mod devices;
pub mod ephemeral;
pub mod group;
pub mod memory;
pub mod netlink;
pub mod processes;
mod raw;
pub mod reach;
pub mod recent;
mod routes;
mod source_filter;
pub mod sshd;
pub mod surroundings;

/// A folder for a test, gone with it.
#[cfg(test)]
struct TestFolder(std::path::PathBuf);

#[cfg(test)]
impl TestFolder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("portcullis-host-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).expect("a folder for temporary files can be written to");
        Self(folder)
    }

    fn path(&self) -> &std::path::Path {
        &self.0
    }
}

#[cfg(test)]
impl Drop for TestFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
