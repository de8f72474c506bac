//! What a machine needs, for which task and why: one table.

use std::{path::Path, process::Command};

use clap::ValueEnum;
use nix::sys::statfs::{BPF_FS_MAGIC, statfs};

use crate::{
    ebpf,
    missing::{Install, Missing},
    process::find_program,
};

/// What a machine is wanted for. Each includes those before it, but for `bench`, which goes on from `demo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Scope {
    /// Build the XDP program and the binary.
    Build,
    /// Show it at work between network namespaces.
    Demo,
    /// Run every test.
    Test,
    /// Boot other kernels in emulated machines.
    Kernels,
    /// Make the Debian package.
    Package,
    /// Check what lands.
    Ci,
    /// Measure against the filters of the kernel.
    Bench,
}

impl Scope {
    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Demo => "demo",
            Self::Test => "test",
            Self::Kernels => "kernels",
            Self::Package => "package",
            Self::Ci => "ci",
            Self::Bench => "bench",
        }
    }

    fn includes(self, other: Self) -> bool {
        match self {
            Self::Kernels | Self::Package => other == self || other == Self::Build,
            Self::Bench => other == Self::Bench || other <= Self::Demo,
            _ => other <= self,
        }
    }
}

/// A Debian package, and the program that tells whether it is there.
struct Package {
    name: &'static str,
    program: &'static str,
    why: &'static str,
    scope: Scope,
    service: Option<&'static str>,
}

const PACKAGES: [Package; 24] = [
    Package {
        name: "iproute2",
        program: "ip",
        why: "makes namespaces and veth pairs",
        scope: Scope::Demo,
        service: None,
    },
    Package {
        name: "util-linux",
        program: "nsenter",
        why: "runs programs in a namespace",
        scope: Scope::Demo,
        service: None,
    },
    Package { name: "curl", program: "curl", why: "the client behind the firewall", scope: Scope::Demo, service: None },
    Package {
        name: "nginx-light",
        program: "nginx",
        why: "the server behind the firewall",
        scope: Scope::Demo,
        service: Some("nginx"),
    },
    Package {
        name: "openssl",
        program: "openssl",
        why: "makes certificates and signs requests for the API",
        scope: Scope::Test,
        service: None,
    },
    Package {
        name: "prometheus",
        program: "promtool",
        why: "checks and scrapes the metrics",
        scope: Scope::Test,
        service: Some("prometheus"),
    },
    Package {
        name: "bpftool",
        program: "bpftool",
        why: "changes maps and links behind the daemon's back",
        scope: Scope::Test,
        service: None,
    },
    Package {
        name: "e2fsprogs",
        program: "mkfs.ext4",
        why: "makes a disk that can be frozen",
        scope: Scope::Test,
        service: None,
    },
    Package {
        name: "nftables",
        program: "nft",
        why: "filters beside Portcullis",
        scope: Scope::Test,
        service: Some("nftables"),
    },
    Package { name: "mandoc", program: "mandoc", why: "checks the manual pages", scope: Scope::Test, service: None },
    Package { name: "zsh", program: "zsh", why: "completes the command line", scope: Scope::Test, service: None },
    Package { name: "fish", program: "fish", why: "completes the command line", scope: Scope::Test, service: None },
    Package {
        name: "qemu-system-x86",
        program: "qemu-system-x86_64",
        why: "emulates the machines that boot other kernels",
        scope: Scope::Kernels,
        service: None,
    },
    Package {
        name: "xz-utils",
        program: "xz",
        why: "unpacks the drivers of those kernels",
        scope: Scope::Kernels,
        service: None,
    },
    Package {
        name: "mmdebstrap",
        program: "mmdebstrap",
        why: "makes the Debian that the package is tried on",
        scope: Scope::Ci,
        service: None,
    },
    Package {
        name: "git",
        program: "git",
        why: "knows when the commit was made",
        scope: Scope::Package,
        service: None,
    },
    Package {
        name: "binutils",
        program: "strip",
        why: "takes out of the binary what nothing reads",
        scope: Scope::Package,
        service: None,
    },
    Package {
        name: "dpkg-dev",
        program: "dpkg-shlibdeps",
        why: "tells which version of the C library the package needs",
        scope: Scope::Package,
        service: None,
    },
    Package {
        name: "lintian",
        program: "lintian",
        why: "checks the package against Debian's policy",
        scope: Scope::Package,
        service: None,
    },
    Package {
        name: "nftables",
        program: "nft",
        why: "a filter to compare with: an interval set",
        scope: Scope::Bench,
        service: Some("nftables"),
    },
    Package {
        name: "e2fsprogs",
        program: "mkfs.ext4",
        why: "makes a disk that can be frozen",
        scope: Scope::Bench,
        service: None,
    },
    Package {
        name: "ipset",
        program: "ipset",
        why: "a filter to compare with: a set of networks",
        scope: Scope::Bench,
        service: None,
    },
    Package {
        name: "iptables",
        program: "iptables-legacy",
        why: "asks the ipset in the raw table",
        scope: Scope::Bench,
        service: None,
    },
    Package {
        name: "ethtool",
        program: "ethtool",
        why: "sets the queues of a veth, and makes one take frames without an XDP program",
        scope: Scope::Test,
        service: None,
    },
];

/// Where the BPF file system belongs.
pub const BPFFS: &str = "/sys/fs/bpf";

/// Programs of crates.io: name, version, what for, for which task.
const CARGO_TOOLS: [(&str, &str, &str, Scope); 3] = [
    ("cargo-deny", "0.20.2", "checks licences, duplicates and origins of the dependencies", Scope::Ci),
    ("cargo-deb", "3.8.0", "puts the Debian package together", Scope::Package),
    ("cargo-auditable", "0.7.7", "writes the list of crates into the binary", Scope::Package),
];

/// What this machine lacks for a task.
pub fn missing(scope: Scope) -> Vec<Missing> {
    let mut missing = ebpf::missing();
    for package in &PACKAGES {
        if scope.includes(package.scope) && find_program(package.program).is_none() {
            missing.push(Missing {
                name: package.name.to_owned(),
                why: package.why.to_owned(),
                install: Install::Apt { service: package.service },
            });
        }
    }
    if scope.includes(Scope::Demo) && !bpffs_is_mounted() {
        missing.push(Missing {
            name: format!("bpffs on {BPFFS}"),
            why: "the filter is pinned there".to_owned(),
            install: Install::MountBpffs,
        });
    }
    if scope.includes(Scope::Ci) {
        missing.extend(ebpf::missing_for_clippy());
        missing.extend(missing_components());
    }
    missing.extend(CARGO_TOOLS.iter().filter(|tool| scope.includes(tool.3)).filter_map(missing_tool));
    missing
}

/// Whether maps and links can be pinned.
pub fn bpffs_is_mounted() -> bool {
    statfs(Path::new(BPFFS)).is_ok_and(|facts| facts.filesystem_type() == BPF_FS_MAGIC)
}

fn missing_tool(&(name, version, why, _): &(&str, &str, &str, Scope)) -> Option<Missing> {
    find_program(name).is_none().then(|| Missing {
        name: format!("{name} {version}"),
        why: why.to_owned(),
        // Unoptimised, for it is built in half the time and runs for seconds.
        install: Install::command(&format!("cargo install {name} --version {version} --locked --force --debug")),
    })
}

fn missing_components() -> Vec<Missing> {
    let parts = [("clippy", "clippy-driver", "lints the workspace"), ("rustfmt", "rustfmt", "checks the formatting")];
    let answers =
        |program: &str| Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    let absent = parts.into_iter().filter(|(_, program, _)| !answers(program));
    absent
        .map(|(component, _, why)| Missing {
            name: component.to_owned(),
            why: why.to_owned(),
            install: Install::command(&format!("rustup component add {component}")),
        })
        .collect()
}
