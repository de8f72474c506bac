//! Files that are there as a whole or not at all: one frame of JSON each, written under another name, synced and renamed.

use std::io;

use serde::{Serialize, de::DeserializeOwned};

use super::{
    disk::Disk,
    error::{StoreError, Strayed},
    frame,
};

/// What is in the `octets` of a file; `None` when they are not what was written.
pub fn parse<T: DeserializeOwned>(octets: &[u8]) -> Option<T> {
    let (payload, _) = frame::at(octets, 0).filter(|(_, end)| *end == octets.len())?;
    serde_json::from_slice(payload).ok()
}

/// What is in the file `name`; `None` when it is not there, cannot be read, or is not what was written.
pub fn read<D: Disk, T: DeserializeOwned>(disk: &D, name: &str) -> Option<T> {
    parse(&disk.read(name).ok()?)
}

/// Writes `value` to the file `name`, in place of what is there. It is called `unfinished` until it is whole.
///
/// # Errors
/// When the disk refuses. What was there before is there then.
pub fn write<D: Disk>(disk: &D, name: &str, unfinished: &str, value: &impl Serialize) -> Result<(), StoreError> {
    let fail = |source| StoreError::Write { path: disk.path(name), attempt: "write", source };
    let payload = serde_json::to_vec(value).map_err(|error| fail(error.into()))?;
    let mut octets = Vec::new();
    if !frame::push(&mut octets, &payload) {
        return Err(StoreError::TooLarge);
    }
    let write = move || {
        let mut file = disk.create(unfinished)?;
        disk.write(unfinished, &mut file, 0, octets)?;
        disk.rename(unfinished, name)?;
        disk.sync()
    };
    write().map_err(|source| {
        // What is left of it takes room that is short, maybe; the next one would use the same name.
        let _ = disk.remove(unfinished);
        // A folder in which nothing can be made has lost its name.
        fail(if source.kind() == io::ErrorKind::NotFound { Strayed::Folder.into() } else { source })
    })
}
