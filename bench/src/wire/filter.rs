//! The filters that are compared end to end. Each drops what is not in the list, and counts it.

use std::{
    fmt, fs,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};
use firewall_common::{Verdict, abi::XDP_DROP};
use firewall_tests::netns::output;
use serde::{Deserialize, Serialize};

use super::link::{Cable, INTERFACE};
use crate::{
    bpf::{self, Link, Program},
    cases::Case,
    netfilter,
    prefixes::Prefixes,
    scrambler::constant,
    subject::{Prepared, Subject},
};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilterKind {
    /// Nothing but `XDP_DROP`: the floor.
    BareDrop,
    /// The program of Portcullis.
    Portcullis,
    /// The same with LPM_TRIE, LRU_HASH and ktime.
    Reference,
    /// nftables: an interval set at the ingress hook.
    Nftables,
    /// ipset: `hash:net`, asked by iptables-legacy in the raw table.
    Ipset,
}

/// What filters are made of.
pub struct Ingredients<'a> {
    /// The policy.
    pub prepared: &'a Prepared,
    /// Object of the reference program.
    pub reference: &'a [u8],
    /// The list.
    pub prefixes: &'a Prefixes,
    /// For files.
    pub folder: &'a Path,
}

/// An installed filter.
pub enum Filter {
    /// An attached XDP program that counts nothing.
    Bare(#[expect(dead_code, reason = "held for its end")] Link, #[expect(dead_code, reason = "as above")] Program),
    /// An attached packet program.
    Packet(#[expect(dead_code, reason = "held for its end")] Link, Box<Subject>),
    /// Rules of nftables.
    Nftables,
    /// Rules of iptables.
    Ipset,
}

impl FilterKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::BareDrop, Self::Portcullis, Self::Reference, Self::Nftables, Self::Ipset];
}

impl fmt::Display for FilterKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BareDrop => "bare XDP_DROP",
            Self::Portcullis => "Portcullis",
            Self::Reference => "reference (LPM_TRIE)",
            Self::Nftables => "nftables netdev ingress, interval set",
            Self::Ipset => "ipset hash:net, iptables-legacy raw",
        })
    }
}

impl Filter {
    /// Sets a filter up at the end of a cable.
    ///
    /// # Errors
    /// When the kernel or a program refuses.
    pub fn install(kind: FilterKind, cable: &Cable, ingredients: &Ingredients<'_>) -> Result<Self> {
        let interface = cable.receiver_index()?;
        let run = |program: &str, arguments: &[&str]| {
            cable.receiver.enter(|| output(Command::new(program).args(arguments)).map(drop))?
        };
        let write = |name: &str, text: String| -> Result<PathBuf> {
            let path = ingredients.folder.join(name);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
            Ok(path)
        };
        let attach = |subject: Subject| {
            let link = cable.receiver.enter(|| bpf::attach(subject.descriptor()?, interface))??;
            Ok(Self::Packet(link, Box::new(subject)))
        };
        match kind {
            FilterKind::BareDrop => {
                let program = constant(XDP_DROP)?;
                let link = cable.receiver.enter(|| bpf::attach(program.as_fd(), interface))??;
                Ok(Self::Bare(link, program))
            }
            FilterKind::Portcullis => attach(Subject::portcullis(ingredients.prepared)?),
            FilterKind::Reference => attach(Subject::reference(ingredients.prepared, ingredients.reference)?),
            FilterKind::Nftables => {
                let path = write("rules.nft", netfilter::nftables_rules(ingredients.prefixes, INTERFACE))?;
                run("nft", &["-f", &path.to_string_lossy()])?;
                Ok(Self::Nftables)
            }
            FilterKind::Ipset => {
                let path = write("set.ipset", netfilter::ipset_commands(ingredients.prefixes))?;
                run("ipset", &["restore", "-file", &path.to_string_lossy()])?;
                run("iptables-legacy", &netfilter::iptables_rule(INTERFACE))?;
                Ok(Self::Ipset)
            }
        }
    }

    /// Frames dropped so far because their source is not in the list; `None` for the bare program, which counts nothing.
    ///
    /// # Errors
    /// When the filter does not tell.
    pub fn dropped(&self, cable: &Cable, case: Case) -> Result<Option<u64>> {
        let ask = |words: &[&str]| {
            let (program, arguments) = words.split_first().context("no program to ask")?;
            cable.receiver.enter(|| output(Command::new(program).args(arguments)))?
        };
        match self {
            Self::Bare(..) => Ok(None),
            Self::Packet(_, subject) => Ok(Some(subject.judged(case.family.of_packet())?.of(Verdict::NotAllowed))),
            // Asking nft for a counter has it fetch the whole set: take what does not come out behind the rule.
            Self::Nftables => Ok(Some(cable.received()? - cable.received_by_ip()?)),
            Self::Ipset => netfilter::iptables_dropped(&ask(&netfilter::IPTABLES_ASK)?).map(Some),
        }
    }
}
