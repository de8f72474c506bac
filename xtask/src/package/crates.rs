//! The crates that are in the package, as cargo knows them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::{process, tree::Tree};

/// What the package is made of: the binary, and the XDP program in it.
const ROOTS: [&str; 2] = ["firewall-userspace", "firewall-ebpf"];

/// The platform that the package is for.
pub const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// A crate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackagedCrate {
    pub name: String,
    pub version: String,
    /// Its licence, as an SPDX expression.
    pub license: String,
    pub authors: Vec<String>,
    /// Where its source is on this machine.
    pub folder: PathBuf,
    /// SHA-256 of the file that the registry has. `None` for ours.
    pub checksum: Option<String>,
    /// Name and version of what it depends on.
    pub dependencies: BTreeSet<(String, String)>,
}

impl PackagedCrate {
    /// Whether it is one of this workspace.
    pub fn is_ours(&self) -> bool {
        self.checksum.is_none()
    }
}

/// All crates that are compiled into the binary and into the program in it, build and development dependencies excepted, by name.
/// Crates of macros are among them: what they write is compiled in.
///
/// # Errors
/// When cargo cannot tell, or a crate says nothing of its licence.
pub fn in_package(tree: &Tree) -> Result<Vec<PackagedCrate>> {
    let mut cargo = tree.cargo();
    cargo.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM]);
    let said = process::output(&mut cargo)?;
    let metadata = serde_json::from_str(&said).context("cannot read what `cargo metadata` says")?;
    let lock = tree.root.join("Cargo.lock");
    let lock = fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    reached(&metadata, &checksums(&lock))
}

fn reached(metadata: &Value, checksums: &BTreeMap<(String, String), String>) -> Result<Vec<PackagedCrate>> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let by_id = |values: Vec<Value>| values.into_iter().map(|value| (text(&value["id"]), value)).collect();
    let packages: BTreeMap<String, Value> = by_id(list(&metadata["packages"]));
    let nodes: BTreeMap<String, Value> = by_id(list(&metadata["resolve"]["nodes"]));
    let is_root = |package: &Value| ROOTS.contains(&text(&package["name"]).as_str());
    let mut waiting: Vec<String> =
        packages.iter().filter(|(_, package)| is_root(package)).map(|(id, _)| id.clone()).collect();
    if waiting.len() != ROOTS.len() {
        bail!("`cargo metadata` does not know all of {}", ROOTS.join(", "));
    }
    let package = |id: &String| packages.get(id).with_context(|| format!("`cargo metadata` does not tell of {id}"));
    let key = |id: &String| package(id).map(|one| (text(&one["name"]), text(&one["version"])));
    let mut crates = BTreeMap::new();
    while let Some(id) = waiting.pop() {
        if crates.contains_key(&id) {
            continue;
        }
        let package = package(&id)?;
        let node = nodes.get(&id).with_context(|| format!("`cargo metadata` does not tell what {id} depends on"))?;
        let is_normal = |kind: &Value| kind["kind"].is_null();
        let dependencies: Vec<String> = list(&node["deps"])
            .iter()
            .filter(|one| list(&one["dep_kinds"]).iter().any(is_normal))
            .map(|one| text(&one["pkg"]))
            .collect();
        let (name, version) = key(&id)?;
        let license = package["license"].as_str().map(spdx);
        let license = license.with_context(|| format!("{name} {version} says nothing of its licence"))?;
        let manifest = text(&package["manifest_path"]);
        let one = PackagedCrate {
            license,
            authors: list(&package["authors"]).iter().map(text).collect(),
            folder: Path::new(&manifest).parent().unwrap_or(Path::new("/")).to_owned(),
            checksum: checksums.get(&(name.clone(), version.clone())).cloned(),
            dependencies: dependencies.iter().map(key).collect::<Result<_>>()?,
            name,
            version,
        };
        crates.insert(id, one);
        waiting.extend(dependencies);
    }
    let mut crates: Vec<PackagedCrate> = crates.into_values().collect();
    crates.sort();
    Ok(crates)
}

/// Old manifests have a slash for `OR`.
fn spdx(license: &str) -> String {
    license.split('/').map(str::trim).collect::<Vec<_>>().join(" OR ")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Checksums in a `Cargo.lock`, by name and version.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let field = |block: &str, name: &str| {
        let start = format!("{name} = \"");
        let value = block.lines().find_map(|line| line.strip_prefix(&start)?.strip_suffix('"'))?;
        Some(value.to_owned())
    };
    let blocks = lock.split("[[package]]").skip(1);
    blocks
        .filter_map(|block| Some(((field(block, "name")?, field(block, "version")?), field(block, "checksum")?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, license: Option<&str>) -> Value {
        let manifest = format!("/crates/{name}/Cargo.toml");
        json!({ "id": name, "name": name, "version": "1.0.0", "license": license, "authors": [], "manifest_path": manifest })
    }

    fn metadata() -> Value {
        let dependency = |name: &str, kind: Value| json!({ "pkg": name, "dep_kinds": [{ "kind": kind }] });
        json!({
            "packages": [
                package("firewall-userspace", Some("MIT")),
                package("firewall-ebpf", Some("MIT")),
                package("serde", Some("MIT/Apache-2.0")),
                package("proptest", None),
                package("cc", None),
            ],
            "resolve": { "nodes": [
                { "id": "firewall-ebpf", "deps": [] },
                { "id": "firewall-userspace", "deps": [
                    dependency("serde", Value::Null), dependency("proptest", json!("dev")), dependency("cc", json!("build")),
                ] },
                { "id": "serde", "deps": [] },
            ] },
        })
    }

    #[test]
    fn what_only_builds_and_tests_use_is_not_in_the_package() {
        let lock = "[[package]]\nname = \"serde\"\nversion = \"1.0.0\"\nchecksum = \"abc\"\n\n[[package]]\nname = \"x\"\nversion = \"2\"\n";
        let crates = reached(&metadata(), &checksums(lock)).unwrap();
        let names: Vec<&str> = crates.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["firewall-ebpf", "firewall-userspace", "serde"]);
        assert_eq!(crates[2].license, "MIT OR Apache-2.0");
        assert_eq!(crates[2].checksum.as_deref(), Some("abc"));
        assert!(crates[0].is_ours() && !crates[2].is_ours());
        assert!(crates[1].dependencies.contains(&("serde".to_owned(), "1.0.0".to_owned())));
    }

    #[test]
    fn a_dependency_that_cargo_does_not_tell_of_is_refused_by_name() {
        let mut metadata = metadata();
        metadata["resolve"]["nodes"][2]["deps"] = json!([{ "pkg": "lost", "dep_kinds": [{ "kind": null }] }]);
        let error = reached(&metadata, &BTreeMap::new()).unwrap_err().to_string();
        assert_eq!(error, "`cargo metadata` does not tell of lost");
    }

    #[test]
    fn a_crate_without_a_licence_is_refused_by_name() {
        let mut metadata = metadata();
        metadata["packages"][2]["license"] = Value::Null;
        let error = reached(&metadata, &BTreeMap::new()).unwrap_err().to_string();
        assert_eq!(error, "serde 1.0.0 says nothing of its licence");
    }
}
