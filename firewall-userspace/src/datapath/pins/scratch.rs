//! A folder of a test, gone with its guard.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
};

/// The folder; its name is the test's.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn new(name: &str) -> Self {
        let folder = env::temp_dir().join(format!("portcullis-{name}-{}", process::id()));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
