//! Files and ports, by Landlock (landlock(7)): what is not opened here cannot be written, made, removed or executed. Reading stays.

use std::env;

use landlock::{
    ABI, AccessFs, AccessNet, BitFlags, NetPort, PathBeneath, RestrictionStatus, Ruleset, RulesetAttr as _,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};

use super::places::Openings;
use crate::{control::LandlockForce, host::confinement::LandlockSupport};

/// Where systemd wants to be told; an address that begins with `@` is an abstract one (sd_notify(3)).
const NOTIFY: &str = "NOTIFY_SOCKET";

/// Everything that changes a file or its name, and executing; the version of the interface that this was written for.
fn changes() -> BitFlags<AccessFs> {
    AccessFs::from_write(ABI::V5) | AccessFs::Execute
}

/// Restricts the thread that calls, and those that it starts, to `openings`: what of that is in force, and what the kernel has.
///
/// # Errors
/// When the kernel refuses although it has Landlock.
pub(super) fn restrict(openings: &Openings) -> Result<(LandlockForce, LandlockSupport), String> {
    let status =
        try_restrict(openings).map_err(|error| format!("cannot restrict files and ports by Landlock: {error}"))?;
    let force = match status.ruleset {
        RulesetStatus::FullyEnforced => LandlockForce::Full,
        RulesetStatus::PartiallyEnforced => LandlockForce::Partial,
        RulesetStatus::NotEnforced => LandlockForce::None,
    };
    Ok((force, LandlockSupport::of(&status)))
}

fn try_restrict(openings: &Openings) -> Result<RestrictionStatus, RulesetError> {
    // Each right as far as the kernel knows it. The daemon connects to nobody by TCP but whoever has the keys of an issuer.
    let mut rules = Ruleset::default()
        .handle_access(changes())?
        .handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?
        .scope(scope())?
        .create()?;
    for opening in &openings.folders {
        rules = rules.add_rule(PathBeneath::new(&opening.handle, opening.rights))?;
    }
    for port in &openings.ports {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::BindTcp))?;
    }
    for port in &openings.peers {
        rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
    }
    rules.restrict_self()
}

/// No signals to processes outside, and no abstract sockets of theirs, unless the service manager listens at one.
fn scope() -> BitFlags<Scope> {
    let is_abstract = env::var_os(NOTIFY).is_some_and(|address| address.as_encoded_bytes().starts_with(b"@"));
    if is_abstract { Scope::Signal.into() } else { Scope::Signal | Scope::AbstractUnixSocket }
}
