//! Kernel memory of the maps of a policy with a long list.

use std::{
    fmt, fs,
    os::fd::{AsFd as _, AsRawFd as _, BorrowedFd},
};

use anyhow::{Context as _, Result};
use aya::{maps::MapInfo, programs::loaded_programs};
use firewall_tests::trial::Trial;
use serde::{Deserialize, Serialize};

use crate::{
    cases::{Case, Situation, short},
    effort::Effort,
    frame::Family,
    packets::Contender,
    prefixes::Prefixes,
    subject::{Prepared, Subject},
};

/// Memory of one program.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Memory {
    /// Family of the list.
    pub family: Family,
    /// Prefixes in the list.
    pub prefixes: usize,
    /// Whose maps.
    pub contender: Contender,
    /// Octets by map, as the kernel accounts them (`memlock` in fdinfo).
    pub maps: Vec<(String, u64)>,
}

impl Memory {
    /// Octets of all maps.
    pub fn total(&self) -> u64 {
        self.maps.iter().map(|(_, octets)| octets).sum()
    }

    /// The same in MiB.
    pub fn total_mib(&self) -> f64 {
        self.total() as f64 / f64::from(1 << 20)
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, prefixes, contender, .. } = self;
        write!(f, "memory/{}/{} {contender} {:.1} MiB", family.name(), short(*prefixes), self.total_mib())?;
        let mib = |octets: u64| octets as f64 / f64::from(1 << 20);
        let large = self.maps.iter().filter(|(_, octets)| *octets >= 1 << 20);
        large.into_iter().try_for_each(|(name, octets)| write!(f, ", {name} {:.1}", mib(*octets)))
    }
}

/// Loads both programs for a list of each family, and asks the kernel.
///
/// # Errors
/// When the kernel refuses, or does not tell.
pub fn measure(effort: Effort, reference: &[u8]) -> Result<Vec<Memory>> {
    let mut all = Vec::new();
    for family in Family::ALL {
        let case = Case { family, situation: Situation::Listed, prefixes: effort.longest };
        let trial = Trial::begin()?;
        let list = Prefixes::new(family, case.prefixes, effort.seed).text();
        fs::write(trial.folder().join("list.txt"), list).context("cannot write the list")?;
        let prepared = Prepared::read(&case.policy(), trial.folder())?;
        for contender in [Contender::Portcullis, Contender::Reference] {
            let subject = match contender {
                Contender::Reference => Subject::reference(&prepared, reference)?,
                _ => Subject::portcullis(&prepared)?,
            };
            let maps = maps_of(subject.descriptor()?)?;
            all.push(Memory { family, prefixes: case.prefixes, contender, maps });
        }
    }
    Ok(all)
}

fn maps_of(program: BorrowedFd<'_>) -> Result<Vec<(String, u64)>> {
    let id: u32 = fact(program, "prog_id")?.try_into()?;
    let info = loaded_programs().find_map(|info| info.ok().filter(|info| info.id() == id));
    let ids = info.context("the kernel does not list the program")?.map_ids()?;
    let ids = ids.context("this kernel does not tell the maps of a program")?;
    let map = |id| {
        let info = MapInfo::from_id(id)?;
        let name = info.name_as_str().unwrap_or("?").to_owned();
        Ok((name, fact(info.fd()?.as_fd(), "memlock")?))
    };
    ids.into_iter().map(map).collect()
}

/// A number in what /proc tells of a descriptor.
fn fact(descriptor: BorrowedFd<'_>, name: &str) -> Result<u64> {
    let path = format!("/proc/self/fdinfo/{}", descriptor.as_raw_fd());
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.and_then(|value| value.trim().parse().ok()).with_context(|| format!("{path} tells no {name}"))
}
