//! Where data and words go.

use std::{
    io::{self, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use clap::ValueEnum;

use super::failure::Failure;

/// Form of the answer on standard output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people; may change with every version.
    #[default]
    #[value(help = None::<&str>)]
    Table,
    /// For programs; has a schema.
    #[value(help = None::<&str>)]
    Json,
}

/// Whether a piece of a document went to standard output.
static HAS_BEGUN: AtomicBool = AtomicBool::new(false);

/// Whether a piece of a document was written to standard output, which no other document may follow.
pub fn has_begun() -> bool {
    HAS_BEGUN.load(Ordering::Relaxed)
}

/// Writes `data` to standard output and ends it with a line feed. That nobody reads it (`| head`) is no failure.
pub fn data(data: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    let end: &[u8] = if data.ends_with(b"\n") || data.is_empty() { b"" } else { b"\n" };
    let written = stdout.write_all(data).and_then(|()| stdout.write_all(end)).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Write(error)),
        _ => Ok(()),
    }
}

/// Writes a piece of `data` to standard output, as it is; `false` when nobody reads it any more.
pub fn piece(data: &[u8]) -> Result<bool, Failure> {
    HAS_BEGUN.store(true, Ordering::Relaxed);
    let mut stdout = io::stdout().lock();
    match stdout.write_all(data).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Write(error)),
    }
}

/// Writes `words` to standard error, line by line.
pub fn words(words: &str) {
    if !words.is_empty() {
        // There is nowhere left to say that this failed.
        let _ = writeln!(io::stderr(), "{words}");
    }
}
