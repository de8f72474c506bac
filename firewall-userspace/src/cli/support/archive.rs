//! The archive: a new file that only its owner can read.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use tar::{Builder, Header};

/// What was written.
#[derive(Clone, Copy, Debug)]
pub struct Packed {
    /// Octets of the file.
    pub octets: usize,
}

/// Writes `entries` below a folder of this `name` into a new file.
///
/// # Errors
/// When there is a file already, or it cannot be written; then there is none.
pub fn write(file: &Path, name: &str, entries: &[(&str, Vec<u8>)], now: Timestamp) -> io::Result<Packed> {
    let packed = pack(name, entries, now)?;
    let mut out = File::options().write(true).create_new(true).mode(0o600).open(file)?;
    if let Err(error) = out.write_all(&packed).and_then(|()| out.sync_all()) {
        // It is ours: it was not there before.
        let _ = fs::remove_file(file);
        return Err(error);
    }
    Ok(Packed { octets: packed.len() })
}

fn pack(name: &str, entries: &[(&str, Vec<u8>)], now: Timestamp) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for (entry, octets) in entries {
        let mut header = Header::new_gnu();
        header.set_size(octets.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(u64::try_from(now.as_second()).unwrap_or_default());
        builder.append_data(&mut header, format!("{name}/{entry}"), octets.as_slice())?;
    }
    builder.into_inner()?.finish()
}
