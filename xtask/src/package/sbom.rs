//! The list of components (SBOM) of a package, in the form of CycloneDX 1.5. The same crates give the same octets.

use serde_json::{Value, json};

use super::{crates::PackagedCrate, moment::Moment};

/// The document, for a package of this version made at this time.
pub fn document(version: &str, moment: &Moment, compiler: &str, crates: &[PackagedCrate]) -> String {
    let tool = json!({ "type": "application", "name": "cargo xtask package" });
    let compiler = json!({ "type": "application", "name": "rustc", "version": compiler });
    let itself = json!({
        "type": "application",
        "bom-ref": "portcullis",
        "name": "portcullis",
        "version": version,
        "licenses": [{ "expression": "MIT OR Apache-2.0" }],
    });
    let mut dependencies: Vec<Value> = vec![json!({
        "ref": "portcullis",
        "dependsOn": crates.iter().filter(|one| one.is_ours()).map(|one| reference(&one.name, &one.version)).collect::<Vec<_>>(),
    })];
    dependencies.extend(crates.iter().map(|one| {
        let on: Vec<String> = one.dependencies.iter().map(|(name, version)| reference(name, version)).collect();
        json!({ "ref": reference(&one.name, &one.version), "dependsOn": on })
    }));
    let document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": moment.iso(),
            "tools": { "components": [tool, compiler] },
            "component": itself,
        },
        "components": crates.iter().map(component).collect::<Vec<_>>(),
        "dependencies": dependencies,
    });
    format!("{document:#}\n")
}

fn component(one: &PackagedCrate) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(&one.name, &one.version),
        "name": one.name,
        "version": one.version,
        "licenses": [{ "expression": one.license }],
    });
    // A package URL names what the registry has: not ours.
    if let Some(checksum) = &one.checksum {
        component["purl"] = reference(&one.name, &one.version).into();
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

/// As a package URL.
fn reference(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crates() -> Vec<PackagedCrate> {
        let one = |name: &str, checksum: Option<&str>, on: &[&str]| PackagedCrate {
            name: name.to_owned(),
            version: "1.0.0+x".to_owned(),
            license: "MIT".to_owned(),
            authors: Vec::new(),
            folder: format!("/somewhere/{name}").into(),
            checksum: checksum.map(str::to_owned),
            dependencies: on.iter().map(|name| ((*name).to_owned(), "1.0.0+x".to_owned())).collect(),
        };
        vec![one("aya", Some("abc"), &[]), one("firewall-userspace", None, &["aya"])]
    }

    #[test]
    fn the_same_crates_give_the_same_octets_wherever_they_lie() {
        let first = document("0.1.0", &Moment::test(), "1.95.0", &crates());
        let mut elsewhere = crates();
        elsewhere[0].folder = "/elsewhere".into();
        assert_eq!(first, document("0.1.0", &Moment::test(), "1.95.0", &elsewhere));
        assert!(!first.contains("somewhere"), "{first}");
    }

    #[test]
    fn a_crate_of_the_registry_has_its_address_and_checksum_and_ours_has_none() {
        let read: Value = serde_json::from_str(&document("0.1.0", &Moment::test(), "1.95.0", &crates())).unwrap();
        assert_eq!(read["components"][0]["purl"], "pkg:cargo/aya@1.0.0%2Bx");
        assert_eq!(read["components"][0]["hashes"][0]["content"], "abc");
        assert_eq!(read["components"][1]["purl"], Value::Null);
        assert_eq!(read["dependencies"][2]["dependsOn"][0], "pkg:cargo/aya@1.0.0%2Bx");
        assert_eq!(read["dependencies"][0]["dependsOn"][0], "pkg:cargo/firewall-userspace@1.0.0%2Bx");
        assert_eq!(read["metadata"]["timestamp"], Moment::test().iso());
    }
}
