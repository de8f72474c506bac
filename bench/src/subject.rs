//! The packet programs under test, loaded for a policy as the daemon loads it, with their counters.

use std::{
    fs, iter,
    net::IpAddr,
    os::fd::{AsFd as _, BorrowedFd},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context as _, Result, anyhow, bail};
use aya::{
    Ebpf,
    maps::{LpmTrie, lpm_trie::Key},
    programs::Xdp,
};
use firewall_common::{
    Family,
    abi::{self, maps},
};
use firewall_userspace::{
    config,
    datapath::{ListSize, LoadOptions, LoadedPolicy, PinFolder, load_policy},
    lists::members::{Member, Members},
    policy::{
        Prefix,
        compile::{Compiled, Identities, compile},
    },
};

use crate::counters::{Counters, Judged};

/// A policy as loaders take it. It has one list at most.
pub struct Prepared {
    compiled: Compiled,
    entries: Vec<Prefix>,
}

/// A loaded program; everything that is pinned for it is removed with it.
pub struct Subject {
    program: Loaded,
    counters: Counters,
    _pins: Pins,
}

enum Loaded {
    Portcullis(Box<LoadedPolicy>),
    Reference(Box<Ebpf>),
}

/// A folder of pins of its own.
struct Pins {
    pins: PinFolder,
    folder: PathBuf,
}

/// The interface on which [`run`](crate::bpf::run) makes frames come in.
const LOOPBACK: u32 = 1;

/// Of the list of a policy, the first and only one.
const MEMBER_OF_FIRST: u64 = 1;

impl Prepared {
    /// Reads a configuration; `folder` has its list file.
    ///
    /// # Errors
    /// When something is wrong with it.
    pub fn read(text: &str, folder: &Path) -> Result<Self> {
        let loaded = config::load_text(Path::new("bench.toml"), text, folder)
            .map_err(|report| anyhow!("the policy of a case is refused: {report}"))?;
        let mut ids = Identities::new();
        ids.assign(&loaded.policy);
        let compiled = compile(&loaded.policy, &ids);
        let mut lists = loaded.policy.lists.into_iter();
        let entries = lists.next().map(|list| list.entries).unwrap_or_default();
        if lists.next().is_some() {
            bail!("the policy of a case has more than one list");
        }
        Ok(Self { compiled, entries })
    }

    /// What its prefixes are in.
    pub fn members(&self) -> Members {
        let member = Member { lists: MEMBER_OF_FIRST, ..Member::default() };
        Members::from_all(self.entries.iter().map(|prefix| (*prefix, member.clone())))
    }
}

impl Subject {
    /// Loads the program of Portcullis.
    ///
    /// # Errors
    /// When the kernel refuses, or this was built without a program.
    pub fn portcullis(prepared: &Prepared) -> Result<Self> {
        let pins = Pins::new()?;
        let generation = LoadedPolicy::load(&prepared.compiled, &prepared.members(), &pins.pins, &options())?;
        Self::with(Loaded::Portcullis(Box::new(generation)), pins)
    }

    /// Loads the reference program from its object.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn reference(prepared: &Prepared, object: &[u8]) -> Result<Self> {
        let pins = Pins::new()?;
        // It has no lines, but its object is loaded by the same words.
        let mut ebpf =
            load_policy(object, &prepared.compiled, &pins.pins, &options(), ListSize::of(&Members::default()))?;
        fill_tries(&mut ebpf, &prepared.entries).context("cannot fill the lists of the reference program")?;
        Self::with(Loaded::Reference(Box::new(ebpf)), pins)
    }

    fn with(program: Loaded, pins: Pins) -> Result<Self> {
        let counters = Counters::open(&pins.pins.map(maps::COUNTERS))?;
        Ok(Self { program, counters, _pins: pins })
    }

    /// The program.
    ///
    /// # Errors
    /// When it is not loaded.
    pub fn descriptor(&self) -> Result<BorrowedFd<'_>> {
        match &self.program {
            Loaded::Portcullis(generation) => Ok(generation.descriptor()?),
            Loaded::Reference(ebpf) => {
                let program: &Xdp =
                    ebpf.program(abi::PROGRAM).context("the reference object has no program")?.try_into()?;
                Ok(program.fd()?.as_fd())
            }
        }
    }

    /// Writes what changed at one prefix into the live table.
    ///
    /// # Errors
    /// When there is no room for it, or this is the reference program.
    pub fn update(&mut self, members: &Members, prefix: Prefix) -> Result<()> {
        let Loaded::Portcullis(generation) = &mut self.program else {
            bail!("the reference program takes no pushes here");
        };
        generation.update(members, iter::once(prefix)).map_err(|error| anyhow!("cannot push {prefix}: {error}"))
    }

    /// Frames judged so far, by verdict.
    ///
    /// # Errors
    /// When the counters cannot be read.
    pub fn judged(&self, family: Family) -> Result<Judged> {
        self.counters.judged(family)
    }
}

impl Pins {
    fn new() -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = PathBuf::from(format!("/sys/fs/bpf/pct-{}-bench-{number}", process::id()));
        Ok(Self { pins: PinFolder::open(&folder)?, folder })
    }
}

impl Drop for Pins {
    fn drop(&mut self) {
        let _ = self.pins.clear();
        let _ = fs::remove_dir(&self.folder);
    }
}

fn options() -> LoadOptions {
    LoadOptions { interfaces: vec![LOOPBACK], ..LoadOptions::default() }
}

fn fill_tries(ebpf: &mut Ebpf, entries: &[Prefix]) -> Result<()> {
    // As the reference program reads it: lists, low word first, and flags.
    let value = [MEMBER_OF_FIRST as u32, 0, 0];
    let take = |ebpf: &mut Ebpf, name| ebpf.take_map(name).with_context(|| format!("it has no map {name}"));
    let mut v4: LpmTrie<_, [u8; 4], [u32; 3]> = take(ebpf, maps::LISTS_V4)?.try_into()?;
    let mut v6: LpmTrie<_, [u8; 16], [u32; 3]> = take(ebpf, maps::LISTS_V6)?.try_into()?;
    for prefix in entries {
        let length = u32::from(prefix.length());
        match prefix.address() {
            IpAddr::V4(address) => v4.insert(&Key::new(length, address.octets()), value, 0)?,
            IpAddr::V6(address) => v6.insert(&Key::new(length, address.octets()), value, 0)?,
        }
    }
    Ok(())
}

/// Reads the object of the reference program.
///
/// # Errors
/// When it cannot be read.
pub fn reference_object(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read the reference program {}", path.display()))
}
