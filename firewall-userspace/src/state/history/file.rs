//! The files of a history.

use std::{collections::BTreeSet, io};

use serde::{Serialize, de::DeserializeOwned};

use super::HistoryError;
use crate::state::{disk::Disk, error::StoreError, whole};

/// The one name that a file has while it is written.
const UNFINISHED: &str = "history.tmp";

/// Begins the names of configurations.
const BUNDLE: &str = "policy-";

/// Name of the file of a configuration.
pub fn bundle_name(number: u64) -> String {
    format!("{BUNDLE}{number:010}")
}

/// What is in the file `name`; `None` when it is not there.
///
/// # Errors
/// When it cannot be read, or is not what was written.
pub fn read<D: Disk, T: DeserializeOwned>(disk: &D, name: &str) -> Result<Option<T>, HistoryError> {
    let octets = match disk.read(name) {
        Ok(octets) => octets,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(HistoryError::Read { path: disk.path(name), source }),
    };
    whole::parse(&octets).map(Some).ok_or_else(|| HistoryError::Damaged { path: disk.path(name) })
}

/// Writes `value` to the file `name`, in place of what is there.
///
/// # Errors
/// When the disk refuses.
pub fn write<D: Disk>(disk: &D, name: &str, value: &impl Serialize) -> Result<(), StoreError> {
    whole::write(disk, name, UNFINISHED, value)
}

/// The largest number of a configuration that is there; 0 when nobody can tell.
pub fn last_bundle<D: Disk>(disk: &D) -> u64 {
    let names = disk.names().unwrap_or_default();
    names.iter().filter_map(|name| name.strip_prefix(BUNDLE)?.parse().ok()).max().unwrap_or(0)
}

/// Removes configurations that are not among `needed`. What cannot be removed is tried again next time.
pub fn remove_others<D: Disk>(disk: &D, needed: &BTreeSet<u64>) {
    let needed: BTreeSet<String> = needed.iter().map(|number| bundle_name(*number)).collect();
    for name in disk.names().unwrap_or_default() {
        let is_bundle =
            name.strip_prefix(BUNDLE).is_some_and(|number| number.bytes().all(|octet| octet.is_ascii_digit()));
        if is_bundle && !needed.contains(&name) {
            let _ = disk.remove(&name);
        }
    }
}
