//! What must be true of the stripped binary, whatever built it.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use object::{Object as _, ObjectSection as _};
use serde_json::Value;

use super::binary::Binary;

/// Section of cargo-auditable.
const DEPENDENCIES: &str = ".dep-v0";

/// Crates that the list must name, or it is of something else.
const NAMED: [&str; 3] = ["firewall-userspace", "firewall-common", "aya"];

/// Far beyond what the list has.
const LARGEST_LIST: usize = 16 << 20;

/// Checks that the XDP program is inside as it was built, with its BTF, that the list of crates is there if it was made
/// with one, and that nothing is left to strip. `paths` may not occur: folders of this machine.
///
/// # Errors
/// When one of it is not so.
pub fn inspect(binary: &Binary, paths: &[&Path]) -> Result<()> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let (octets, object) = (read(&binary.stripped)?, read(&binary.object)?);
    carries(&octets, &object)?;
    is_stripped(&octets)?;
    if binary.is_auditable {
        names_its_crates(&octets)?;
    }
    for path in paths {
        let path = path.display().to_string();
        if let Some(at) = position(&octets, path.as_bytes()) {
            let end = octets.len().min(at + 120);
            let said = String::from_utf8_lossy(octets.get(at..end).unwrap_or_default()).into_owned();
            bail!("the binary names a folder of this machine, {path}: `{said}`");
        }
    }
    Ok(())
}

fn carries(binary: &[u8], program: &[u8]) -> Result<()> {
    let parsed = object::File::parse(program).context("the XDP program is no object")?;
    for section in [".BTF", ".BTF.ext"] {
        if parsed.section_by_name(section).is_none() {
            bail!("the XDP program has no {section}: kernels could not load it");
        }
    }
    match position(binary, program) {
        Some(_) => Ok(()),
        None => bail!("the XDP program is not in the stripped binary, octet for octet"),
    }
}

fn is_stripped(binary: &[u8]) -> Result<()> {
    let parsed = object::File::parse(binary).context("the binary is no object")?;
    // A quick build has names of scripts among its data: strip (binutils 2.40) takes RELRO away with them.
    let unwanted = |name: &str| name.starts_with(".debug") && name != ".debug_gdb_scripts" || name == ".symtab";
    let left = parsed.sections().find_map(|section| section.name().ok().filter(|name| unwanted(name)));
    left.map_or(Ok(()), |section| bail!("the binary is not stripped: it has {section}"))
}

fn names_its_crates(binary: &[u8]) -> Result<()> {
    let parsed = object::File::parse(binary).context("the binary is no object")?;
    let section = parsed.section_by_name(DEPENDENCIES);
    let section = section.with_context(|| format!("the binary has no list of its crates ({DEPENDENCIES})"))?;
    let names = names(section.data().context("cannot read the list of crates")?)?;
    for wanted in NAMED {
        if !names.iter().any(|name| name == wanted) {
            bail!("the list of crates in the binary does not name {wanted}");
        }
    }
    Ok(())
}

/// Names in the list: JSON, deflated.
fn names(section: &[u8]) -> Result<Vec<String>> {
    let list = decompress_to_vec_zlib_with_limit(section, LARGEST_LIST)
        .map_err(|error| anyhow::anyhow!("cannot inflate the list of crates: {error}"))?;
    let list: Value = serde_json::from_slice(&list).context("cannot read the list of crates")?;
    let packages = list["packages"].as_array().context("the list of crates has no packages")?;
    Ok(packages.iter().filter_map(|one| one["name"].as_str()).map(str::to_owned).collect())
}

/// Where one begins in the other.
fn position(octets: &[u8], wanted: &[u8]) -> Option<usize> {
    let (first, _) = wanted.split_first()?;
    let mut from = 0;
    while let Some(at) = octets.get(from..)?.iter().position(|octet| octet == first) {
        let at = from + at;
        if octets.get(at..)?.starts_with(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use miniz_oxide::deflate::compress_to_vec_zlib;

    use super::*;

    #[test]
    fn an_object_that_differs_in_one_octet_is_not_found() {
        let binary = b"....\x7fELF\x01BTF....";
        assert_eq!(position(binary, b"\x7fELF\x01BTF"), Some(4));
        assert_eq!(position(binary, b"\x7fELF\x02BTF"), None);
        assert_eq!(position(b"\x7f\x7fELF", b"\x7fELF"), Some(1));
        assert_eq!(position(b"\x7fEL", b"\x7fELF"), None);
        assert_eq!(position(b"abc", b""), None);
    }

    #[test]
    fn names_come_out_of_the_list_and_a_cut_list_is_refused() {
        let list = compress_to_vec_zlib(br#"{"packages":[{"name":"aya","version":"0.14.0"}]}"#, 6);
        assert_eq!(names(&list).unwrap(), ["aya"]);
        assert!(names(&list[..list.len() / 2]).unwrap_err().to_string().starts_with("cannot inflate"));
        assert!(names(&compress_to_vec_zlib(b"{}", 6)).is_err());
    }
}
