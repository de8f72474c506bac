//! `cargo xtask doctor`: whether this machine can build, run and test Portcullis, and what to do about what it cannot.

use std::{fs, path::Path};

use anyhow::{Result, bail};

use crate::{
    ebpf,
    needs::{self, BPFFS, Scope},
    privilege,
    process::find_program,
};

/// The oldest kernel that is supported: Debian 12's.
const OLDEST_KERNEL: (u32, u32) = (6, 1);

/// What was found, or what is wrong and the fix.
type Finding = Result<String, (String, String)>;

/// Prints a line for each prerequisite; an error when one fails.
pub fn doctor() -> Result<()> {
    let findings = [
        ("BPF compiler", compiler()),
        ("bpf-linker", linker()),
        ("kernel", kernel()),
        ("BTF", btf()),
        ("BPF JIT", jit()),
        ("bpffs", bpffs()),
        ("root", root()),
        ("namespaces", namespaces()),
        ("packages", packages()),
    ];
    let checks = findings.len();
    let mut failed = 0;
    for (name, finding) in findings {
        match finding {
            Ok(found) => println!("ok    {name:<13} {found}"),
            Err((wrong, fix)) => {
                failed += 1;
                println!("fail  {name:<13} {wrong}\n{:20}fix: {fix}", "");
            }
        }
    }
    if failed > 0 {
        bail!("{failed} of {checks} checks failed");
    }
    Ok(())
}

fn compiler() -> Finding {
    match ebpf::compiler() {
        (Some(compiler), _) => Ok(compiler.to_string()),
        (None, passed_over) => Err((passed_over.join("; "), setup(Scope::Build))),
    }
}

fn linker() -> Finding {
    ebpf::linker().map(|path| path.display().to_string()).map_err(|why| (why, setup(Scope::Build)))
}

fn kernel() -> Finding {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release = release.trim().to_owned();
    let mut numbers = release.split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST_KERNEL => Ok(release),
        _ => {
            let (major, minor) = OLDEST_KERNEL;
            Err((format!("{release} is too old"), format!("boot Linux {major}.{minor} or later")))
        }
    }
}

fn btf() -> Finding {
    let file = "/sys/kernel/btf/vmlinux";
    if Path::new(file).exists() {
        return Ok(file.to_owned());
    }
    Err((format!("there is no {file}"), "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y".to_owned()))
}

fn jit() -> Finding {
    let file = "/proc/sys/net/core/bpf_jit_enable";
    match fs::read_to_string(file) {
        Ok(text) if text.trim() == "0" => {
            Err(("off: every packet is interpreted".to_owned(), "sysctl -w net.core.bpf_jit_enable=1".to_owned()))
        }
        Ok(_) => Ok("on".to_owned()),
        Err(error) => Err((
            format!("cannot read {file}: {error}"),
            "boot a kernel built with CONFIG_BPF_JIT=y, or look as root".to_owned(),
        )),
    }
}

fn bpffs() -> Finding {
    if needs::bpffs_is_mounted() {
        return Ok(BPFFS.to_owned());
    }
    Err((format!("not mounted on {BPFFS}"), setup(Scope::Demo)))
}

fn root() -> Finding {
    if privilege::is_root() {
        return Ok("yes".to_owned());
    }
    if find_program("sudo").is_some() {
        return Ok("through sudo, for the parts that need it".to_owned());
    }
    Err(("not root, and there is no sudo".to_owned(), "run `demo`, `lab` and `test` as root".to_owned()))
}

fn namespaces() -> Finding {
    if !Path::new("/proc/self/ns/net").exists() {
        return Err(("no network namespaces".to_owned(), "boot a kernel built with CONFIG_NET_NS=y".to_owned()));
    }
    match find_program("ip") {
        Some(ip) => Ok(format!("with {}", ip.display())),
        None => Err(("`ip` is not installed".to_owned(), setup(Scope::Demo))),
    }
}

fn packages() -> Finding {
    let missing: Vec<_> = needs::missing(Scope::Test).into_iter().map(|missing| missing.name).collect();
    if missing.is_empty() {
        return Ok("all there for `test`".to_owned());
    }
    Err((format!("missing: {}", missing.join(", ")), setup(Scope::Test)))
}

fn setup(scope: Scope) -> String {
    format!("cargo xtask setup --for {}", scope.name())
}
