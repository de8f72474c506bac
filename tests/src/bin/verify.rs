//! What the kernel's verifier says of the program: every variant of it is loaded once, and none attached.
//!
//! Prints the fewest and the most instructions that it went through, and octets of machine code. Started by
//! `cargo xtask verify`, as root.

use anyhow::{Context, Result};
use firewall_common::rate_table::RateFacts;
use firewall_tests::{cases::standard, kernel::require_root};
use firewall_userspace::{
    datapath::{LoadOptions, LoadedPolicy, PinFolder},
    lists::members::Members,
    policy::compile::{Compiled, Identities, compile},
};

/// Facts that take two values each: observe, fragments by source, TCP, UDP, services at addresses, packets, bytes,
/// connections, services that observe.
const FACTS: u32 = 9;

fn main() -> Result<()> {
    require_root()?;
    let folder = std::path::PathBuf::from(format!("/sys/fs/bpf/portcullis-verify-{}", std::process::id()));
    let pins = PinFolder::open(&folder)?;
    let measured = measure(&pins);
    pins.clear().context("cannot remove the pins")?;
    let _ = std::fs::remove_dir(&folder); // `clear` may have taken it along
    let sizes = measured?;
    let range = |of: fn(&(u32, u32)) -> u32| {
        let numbers = sizes.iter().map(of);
        (numbers.clone().min().unwrap_or(0), numbers.max().unwrap_or(0))
    };
    let ((least, most), (smallest, largest)) = (range(|size| size.0), range(|size| size.1));
    println!("{} {least} {most} {smallest} {largest}", sizes.len());
    Ok(())
}

fn measure(pins: &PinFolder) -> Result<Vec<(u32, u32)>> {
    let (policy, _) = standard();
    let mut ids = Identities::new();
    ids.assign(&policy);
    let mut sizes = Vec::new();
    for facts in 0..1 << FACTS {
        let mut compiled = compile(&policy, &ids);
        set(&mut compiled, |fact| facts >> fact & 1 != 0);
        let generation = LoadedPolicy::load(&compiled, &Members::default(), pins, &LoadOptions::default())
            .with_context(|| format!("the variant with the facts {facts:#b}"))?;
        let (verified, octets) = generation.size()?;
        sizes.push((verified.context("the kernel does not tell how much it verified")?, octets));
    }
    Ok(sizes)
}

fn set(compiled: &mut Compiled, holds: impl Fn(u32) -> bool) {
    compiled.observe = holds(0);
    compiled.fragments_by_source = holds(1);
    compiled.has_tcp = holds(2);
    compiled.has_udp = holds(3);
    if !holds(4) {
        compiled.addresses.clear();
    }
    compiled.observed_services = holds(8);
    compiled.rate = RateFacts { counts: [holds(5), holds(6), holds(7)], ..compiled.rate };
}
