//! Embeds the eBPF object that `cargo xtask build` made, or nothing for builds without a BPF toolchain.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-env-changed=PORTCULLIS_EBPF_OBJECT");
    let folder = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let object = match env::var_os("PORTCULLIS_EBPF_OBJECT") {
        Some(path) => {
            let path = PathBuf::from(path);
            println!("cargo::rerun-if-changed={}", path.display());
            fs::read(&path).unwrap_or_else(|error| {
                println!("cargo::error=cannot read the eBPF object {}: {error}", path.display());
                Vec::new()
            })
        }
        None => Vec::new(),
    };
    if let Err(error) = fs::write(folder.join("firewall.bpf.o"), object) {
        println!("cargo::error=cannot write to {}: {error}", folder.display());
    }
}
