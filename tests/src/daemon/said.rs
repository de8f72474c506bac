//! What a command says.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use anyhow::{Context as _, Result};

use crate::trial::binary;

/// What a command printed, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// Data.
    pub stdout: String,
    /// Words.
    pub stderr: String,
}

impl Said {
    /// It was refused, with these words.
    ///
    /// # Panics
    /// When it was not.
    pub fn assert_refused(&self, words: &[&str]) {
        assert_eq!(self.code, 4, "{self:?}");
        for words in words {
            assert!(self.stderr.contains(words), "{words:?} is not in {self:?}");
        }
    }

    /// Its data with one blank between two words, whatever the width of the columns.
    pub fn squeezed(&self) -> String {
        self.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// Runs `portcullis` against the daemon at `socket`.
///
/// # Errors
/// When the command cannot be run.
pub fn command_line(socket: &Path, arguments: &[&str]) -> Result<Said> {
    let mut command = Command::new(binary()?);
    command.arg("--socket").arg(socket).args(arguments).stdin(Stdio::null());
    // Who runs the tests is not at this host.
    said(command.env_remove("SSH_CONNECTION"))
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be run.
pub fn said(command: &mut Command) -> Result<Said> {
    let Output { status, stdout, stderr } = command.output().with_context(|| format!("cannot run {command:?}"))?;
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    Ok(Said { code: status.code().unwrap_or(-1), stdout: text(&stdout), stderr: text(&stderr) })
}
