//! What a policy is known to be like when its generation is loaded: the read-only globals that change the code.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use firewall_common::rate::Clock;
use firewall_userspace::policy::{
    FragmentPolicy, Limit, Mode, Name, Policy, Prefix, Protocol, Rate, compile::Compiled,
};

use crate::{
    cases::standard,
    draft::{DAY, Draft},
};

/// One combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) observe: bool,
    pub(super) observed_services: bool,
    pub(super) host_default_drop: bool,
    pub(super) fragments_by_source: bool,
    pub(super) has_tcp: bool,
    pub(super) has_udp: bool,
    pub(super) has_addresses: bool,
    /// Whether a limit counts packets, bytes, connections.
    pub(super) counts: [bool; 3],
    /// Whether a tick of the kernel is too long for a limit or a cap.
    pub(super) fine_clock: bool,
}

/// A tick of Debian's kernels: `CONFIG_HZ=250`.
const TICK_NS: u64 = 4_000_000;

impl Facts {
    /// Every combination that a policy can have.
    pub(super) fn all() -> Vec<Self> {
        let combinations = (0..1u32 << 10).map(|bits| {
            let bit = |position: u32| bits >> position & 1 == 1;
            Self {
                has_tcp: bit(0),
                has_udp: bit(1),
                has_addresses: bit(2),
                fragments_by_source: bit(3),
                observe: bit(4),
                counts: [bit(5), bit(6), bit(7)],
                fine_clock: bit(8),
                observed_services: bit(9),
                // No configuration may ask for it yet; scenarios of the table do.
                host_default_drop: false,
            }
        });
        // Addresses, limits and modes of their own are those of services.
        let of_services = |facts: &Self| facts.has_addresses || facts.counts != [false; 3] || facts.observed_services;
        let is_possible = |facts: &Self| facts.has_service() || !of_services(facts);
        combinations.filter(is_possible).collect()
    }

    /// Every combination of services, fragments and mode. What limits count, the clock, and modes of services vary along
    /// with them.
    pub(super) fn few() -> Vec<Self> {
        let mut plain = Self::all();
        plain.retain(|facts| facts.counts == [false; 3] && !facts.fine_clock && !facts.observed_services);
        // Those that have no limits come last.
        plain.sort_by_key(|facts| !facts.has_service());
        let varied = (0u32..).zip(plain).map(|(number, facts)| {
            let bit = |position: u32| number >> position & 1 == 1;
            let counts = [bit(0), bit(1), bit(2)].map(|counts| counts && facts.has_service());
            let observed_services = number.count_ones() % 2 == 1 && facts.has_service();
            Self { counts, fine_clock: bit(3), observed_services, ..facts }
        });
        varied.collect()
    }

    fn has_service(self) -> bool {
        self.has_tcp || self.has_udp
    }

    fn of(compiled: &Compiled) -> Self {
        let quotas = compiled.limits.iter().flat_map(|(_, limit)| limit.quotas).chain(compiled.caps);
        Self {
            observe: compiled.observe,
            observed_services: compiled.observed_services,
            host_default_drop: compiled.host_default_drop,
            fragments_by_source: compiled.fragments_by_source,
            has_tcp: compiled.has_tcp,
            has_udp: compiled.has_udp,
            has_addresses: !compiled.addresses.is_empty(),
            counts: compiled.rate.counts,
            fine_clock: Clock::for_quotas(quotas, TICK_NS) == Clock::Ktime,
        }
    }

    /// As much of `whole`, of which all can be true, as has these facts.
    pub(super) fn policy(self, whole: &Policy) -> Result<Policy> {
        let mut policy = whole.clone();
        policy.mode = if self.observe { Mode::Observe } else { Mode::Enforce };
        policy.fragments = if self.fragments_by_source { FragmentPolicy::Source } else { FragmentPolicy::Drop };
        policy.services.retain(|service| {
            let has_protocol = match service.protocol {
                Protocol::Tcp => self.has_tcp,
                Protocol::Udp => self.has_udp,
            };
            has_protocol && (self.has_addresses || service.addresses.is_empty())
        });
        for service in &mut policy.services {
            service.mode = if self.observed_services { Mode::Observe } else { Mode::Enforce };
        }
        for limit in &mut policy.limits {
            for (quantity, counts) in quantities(limit).into_iter().zip(self.counts) {
                if !counts {
                    *quantity = None;
                }
            }
        }
        if self.fine_clock {
            policy.essentials.dhcp = Rate::of_events(1_000_000, Duration::from_secs(1), 1000)?;
        }
        Ok(policy)
    }

    /// Sets what does not come from a policy, and holds the rest against this.
    pub(super) fn finish(self, compiled: &mut Compiled) -> Result<()> {
        compiled.host_default_drop = self.host_default_drop;
        let found = Self::of(compiled);
        ensure!(found == self, "the policy of a variant is {found:?}");
        Ok(())
    }
}

/// A policy that has everything, each of which can be taken away; no frame of ours meets a limit or a cap of it.
pub(super) fn whole() -> Result<(Policy, Vec<Prefix>)> {
    let (mut policy, own) = standard();
    let mut services = policy.services.iter();
    let mut also_udp = services.find(|service| !service.addresses.is_empty()).cloned();
    let also_udp = also_udp.as_mut().context("the standard policy has a service at an address")?;
    also_udp.protocol = Protocol::Udp;
    also_udp.name = Name::parse("zz-udp")?;
    policy.services.push(also_udp.clone());
    // Tolerant enough for the coarse clock.
    for limit in &mut policy.limits {
        limit.packets = Some(Rate::of_events(1, DAY, 10)?);
        limit.bytes = Some(Rate::of_bytes(1, DAY, 10_000)?);
        limit.connections = Some(Rate::of_events(1, DAY, 10)?);
    }
    let wide = Rate::of_events(1_000_000, Duration::from_secs(1), 1_000_000)?;
    policy.essentials = Draft::new().all_caps(wide).policy().essentials;
    Ok((policy, own))
}

fn quantities(limit: &mut Limit) -> [&mut Option<Rate>; 3] {
    [&mut limit.packets, &mut limit.bytes, &mut limit.connections]
}

#[cfg(test)]
mod tests {
    use firewall_userspace::policy::compile::{Identities, compile};

    use super::*;

    #[test]
    fn every_combination_has_a_policy() -> Result<()> {
        let (whole, _) = whole()?;
        for facts in Facts::all() {
            let policy = facts.policy(&whole)?;
            let mut ids = Identities::new();
            ids.assign(&policy);
            facts.finish(&mut compile(&policy, &ids))?;
        }
        Ok(())
    }

    #[test]
    fn few_combinations_have_every_detail() {
        let (all, few) = (Facts::all(), Facts::few());
        assert!(few.iter().all(|facts| all.contains(facts)) && few.len() < all.len());
        for facts in &all {
            let Facts { observe, observed_services, counts, fine_clock, .. } = *facts;
            let has_shape = |other: &Facts| Facts { observed_services, counts, fine_clock, ..*other } == *facts;
            let has_detail = |other: &Facts| (other.counts, other.fine_clock) == (counts, fine_clock);
            let has_modes = |other: &Facts| (other.observe, other.observed_services) == (observe, observed_services);
            assert!(few.iter().any(has_shape) && few.iter().any(has_detail) && few.iter().any(has_modes), "{facts:?}");
        }
    }
}
