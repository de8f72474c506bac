//! The first configuration of a host (`portcullis init`): what to filter, what is served here, and who administers it.
//!
//! In: what this host says of itself ([`FirstSight`]), and profiles. Out: a [`FirstPolicy`], its text with a reason for each line, and the
//! file, which takes nobody's place. The host is not changed, and the caller owns what it gets.

mod file;
mod interfaces;
mod management;
mod names;
mod profile;
mod services;
mod sight;
mod text;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, net::IpAddr};

use crate::policy::{AttachMode, Prefix, Protocol};

pub use self::{
    file::{FirstFileError, FirstPlace},
    profile::Profile,
    sight::{FirstSight, SightError, SshSight},
};

/// What is proposed for a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstPolicy {
    /// Interfaces to filter.
    pub interfaces: Vec<ChosenInterface>,
    /// Services, by name.
    pub services: Vec<FoundService>,
    /// Who administers the host, with the reason.
    pub management: Vec<(Prefix, String)>,
    /// Who may administer it and is not in `management`, with the reason.
    pub suggested: Vec<(IpAddr, String)>,
    /// What is left out.
    pub skipped: Vec<Skipped>,
}

/// An interface to filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenInterface {
    /// A name of it that a configuration can have.
    pub name: String,
    /// Where the program is to run.
    pub mode: AttachMode,
    /// What it is, and why it has this mode.
    pub reasons: Vec<String>,
}

/// A service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundService {
    /// Its name, unique.
    pub name: String,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its ports.
    pub ports: BTreeSet<u16>,
    /// Where it listens; empty for all addresses.
    pub addresses: BTreeSet<IpAddr>,
    /// Whether it is the way in of administrators, which has a limit of its own.
    pub is_ssh: bool,
    /// Who listens where, each a line; or which profile wants it.
    pub reasons: Vec<String>,
}

/// Something that is left out, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Skipped {
    /// `interface tun0`, `udp 68`.
    pub what: String,
    /// Why.
    pub why: String,
}

/// What fits this host, with the services of `profiles` besides those that are found.
pub fn propose(sight: &FirstSight, profiles: &BTreeSet<Profile>) -> FirstPolicy {
    let (interfaces, mut skipped) = interfaces::choose(sight);
    let (services, others) = services::find(sight, profiles);
    skipped.extend(others);
    let (management, suggested) = management::of(&sight.ssh);
    FirstPolicy { interfaces, services, management, suggested, skipped }
}
