//! The drivers that a kernel has as modules: which files, in which order.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, ensure};

/// What a machine needs: a virtio network card on PCI.
const WANTED: [&str; 2] = ["virtio_pci", "virtio_net"];

/// A module, ready to be loaded.
pub(super) struct Module {
    pub(super) name: String,
    pub(super) octets: Vec<u8>,
}

/// Modules with those that they depend on before them. What is built into the kernel has no file.
pub(super) fn modules(folder: &Path) -> Result<Vec<Module>> {
    let mut files = BTreeMap::new();
    find(folder, &mut files)?;
    ensure!(files.contains_key("virtio_net"), "there is no driver for virtio network cards in {}", folder.display());
    let mut ordered = Vec::new();
    for name in WANTED {
        add(name, &files, &mut ordered)?;
    }
    Ok(ordered)
}

fn add(name: &str, files: &BTreeMap<String, PathBuf>, ordered: &mut Vec<Module>) -> Result<()> {
    let Some(file) = files.get(name).filter(|_| ordered.iter().all(|module| module.name != name)) else {
        return Ok(());
    };
    let octets = read(file)?;
    for needed in depends(&octets) {
        add(&needed, files, ordered)?;
    }
    ordered.push(Module { name: name.to_owned(), octets });
    Ok(())
}

/// Modules by name, as the kernel spells it.
fn find(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            find(&entry.path(), files)?;
        } else if let Some((name, "ko" | "ko.xz")) = entry.file_name().to_string_lossy().split_once('.') {
            files.insert(name.replace('-', "_"), entry.path());
        }
    }
    Ok(())
}

fn read(file: &Path) -> Result<Vec<u8>> {
    if file.extension().is_none_or(|end| end != "xz") {
        return fs::read(file).with_context(|| format!("cannot read {}", file.display()));
    }
    let unpacked = Command::new("xz").args(["--decompress", "--stdout"]).arg(file).output().context("cannot run xz")?;
    ensure!(unpacked.status.success(), "cannot unpack {}: {}", file.display(), unpacked.status);
    Ok(unpacked.stdout)
}

/// What `depends=` says in the module's own `.modinfo`: strings that end with a zero.
fn depends(module: &[u8]) -> Vec<String> {
    let value = module.split(|octet| *octet == 0).find_map(|text| text.strip_prefix(b"depends="));
    let names = String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
    names.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_listed_behind_those_that_they_depend_on() {
        assert_eq!(
            depends(b"\x7fELF\0license=GPL\0depends=net_failover,virtio-ring\0name=x\0"),
            ["net_failover", "virtio_ring"]
        );
        assert!(depends(b"\x7fELF\0depends=\0").is_empty() && depends(b"").is_empty());
    }
}
