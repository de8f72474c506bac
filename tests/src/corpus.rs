//! Frames that once got past a firewall or broke one, ours or another's, each with its cause: `tests/corpus/`.
//!
//! A file has three lines: `cause: `, why it is here; `verdict: `, the label of what is said about it by the policy of
//! [`standard`](crate::cases::standard); and `frame: `, its octets in hex. A frame on which a test fails goes here
//! before the fix, as the test prints it.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use firewall_common::Verdict;

/// One frame of the corpus.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Name of its file.
    pub name: String,
    /// Why it is here.
    pub cause: String,
    /// What is said about it.
    pub verdict: Verdict,
    /// The frame.
    pub frame: Vec<u8>,
}

/// Every frame of the corpus, by name.
///
/// # Errors
/// When a file cannot be read, or has another form.
pub fn entries() -> Result<Vec<Entry>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut entries = Vec::new();
    for file in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = file?.path();
        let read = || parse(path.file_name().unwrap_or_default().to_string_lossy().into(), &fs::read_to_string(&path)?);
        entries.push(read().with_context(|| path.display().to_string())?);
    }
    entries.sort_by(|one: &Entry, other| one.name.cmp(&other.name));
    Ok(entries)
}

fn parse(name: String, text: &str) -> Result<Entry> {
    let field = |key: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        found.map(str::trim).with_context(|| format!("has no line `{key}: `"))
    };
    let label = field("verdict")?;
    let verdict = Verdict::ALL.iter().find(|verdict| verdict.label() == label);
    let hex = field("frame")?;
    ensure!(hex.len().is_multiple_of(2), "the frame has half an octet");
    let octets = (0..hex.len()).step_by(2).map(|at| {
        let pair = hex.get(at..at + 2).context("the frame is not hex")?;
        u8::from_str_radix(pair, 16).with_context(|| format!("`{pair}` is not hex"))
    });
    Ok(Entry {
        name,
        cause: field("cause")?.to_owned(),
        verdict: *verdict.with_context(|| format!("`{label}` is not the label of a verdict"))?,
        frame: octets.collect::<Result<_>>()?,
    })
}
