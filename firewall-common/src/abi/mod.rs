//! What the kernel program and userspace agree on: map names, keys, values and their sizes.
//!
//! Identifiers of services and limits count from 1; 0 means none. Integers are in host order.

use crate::{address::Family, flow::Transport, rate::Quota, rate_table::HashSeed, verdict::Verdict};

pub use crate::prefix_table::{ClassRecord, LIST_CLASSES, MANAGEMENT, MAX_CLASSES, MAX_LISTS, OWN, RootV4, RootV6};

/// Grows with every incompatible change of this file.
pub const ABI_VERSION: u32 = 2;

/// Services of one policy.
pub const MAX_SERVICES: usize = 256;
/// Limits of one policy.
pub const MAX_LIMITS: usize = 255;
/// Interfaces of one policy.
pub const MAX_INTERFACES: usize = 16;
/// Counters kept for verdicts; more than there are verdicts, so that a new one does not move the others.
pub const MAX_VERDICTS: u32 = 32;
/// Distinct local addresses that services of one policy may name.
pub const MAX_LOCAL_ADDRESSES: usize = 256;
/// Prefixes of one family over all lists.
pub const MAX_PREFIXES: u32 = 1 << 21;
/// Sources whose rate the reference program remembers.
pub const MAX_BUCKETS: u32 = 1 << 18;
/// Sets of the rate table of strangers: half a million buckets, 16 MiB.
pub const RATE_SETS: u32 = 1 << 16;
/// Fewest sets of the rate table of members.
pub const MIN_MEMBER_SETS: u32 = 1 << 14;
/// Most sets of the rate table of members: half a million buckets, 16 MiB.
pub const MAX_MEMBER_SETS: u32 = 1 << 16;

/// Name of the XDP program.
pub const PROGRAM: &str = "firewall";

/// Name of the program that samples the clocks into the map [`CLOCKS`](maps::CLOCKS).
pub const CLOCK_PROGRAM: &str = "clock";

/// Names of the maps. Those of a policy are fresh in each generation, shared ones live on.
pub mod maps {
    /// Policy: `ARRAY`, one [`RootV4`](super::RootV4) of the prefix table.
    pub const ROOT_V4: &str = "ROOT_V4";
    /// Policy: `ARRAY`, one [`RootV6`](super::RootV6) of the prefix table.
    pub const ROOT_V6: &str = "ROOT_V6";
    /// Policy: `ARRAY` of the lines of places of the prefix table.
    pub const PLACES: &str = "PLACES";
    /// Policy: `ARRAY` of the lines of the prefix table.
    pub const LINES: &str = "LINES";
    /// Policy: `ARRAY` of [`ClassRecord`](super::ClassRecord) by class.
    pub const CLASSES: &str = "CLASSES";
    /// Reference program only: `LPM_TRIE`, IPv4 prefix to [`ClassRecord`](super::ClassRecord).
    pub const LISTS_V4: &str = "LISTS_V4";
    /// Reference program only: the same for IPv6.
    pub const LISTS_V6: &str = "LISTS_V6";
    /// Policy: `HASH`, [`AddressKey`](super::AddressKey) to the block of rows of a local address that services name.
    pub const ADDRESSES: &str = "ADDRESSES";
    /// Policy: `ARRAY` of [`PortRow`](super::PortRow), two a block: TCP and UDP. Block 0 is for every other address.
    pub const PORTS: &str = "PORTS";
    /// Policy: `ARRAY` of [`FragmentRule`](super::FragmentRule), four a block: TCP, UDP, every protocol, unused.
    pub const FRAGMENTS: &str = "FRAGMENTS";
    /// Policy: `ARRAY` of [`ServiceRecord`](super::ServiceRecord) by service.
    pub const SERVICES: &str = "SERVICES";
    /// Policy: `ARRAY` of [`LimitRecord`](super::LimitRecord) by limit.
    pub const LIMITS: &str = "LIMITS";
    /// Policy: `ARRAY` of [`Quota`](super::Quota) by essential.
    pub const ESSENTIAL_CAPS: &str = "ESSENTIAL_CAPS";
    /// Policy: `ARRAY`, one [`Explanation`](super::Explanation).
    pub const EXPLANATION: &str = "EXPLANATION";
    /// Shared: `ARRAY` of one TAT by essential.
    pub const ESSENTIAL_STATE: &str = "ESSENTIAL_STATE";
    /// Shared: `ARRAY` of [`RateSet`](crate::rate_table::RateSet), for members.
    pub const MEMBERS: &str = "MEMBERS";
    /// Shared: `ARRAY` of [`RateSet`](crate::rate_table::RateSet), for strangers.
    pub const STRANGERS: &str = "STRANGERS";
    /// Shared: `ARRAY`, one [`RateBase`](super::RateBase).
    pub const RATE_BASE: &str = "RATE_BASE";
    /// Shared: `ARRAY` of one TAT by limit, for the gate of its newcomers.
    pub const GATES: &str = "GATES";
    /// Shared: `PERCPU_ARRAY` of a number by [`RateEvent`](super::RateEvent).
    pub const RATE_EVENTS: &str = "RATE_EVENTS";
    /// Reference program only: `LRU_HASH`, [`BucketKey`](super::BucketKey) to [`BucketState`](super::BucketState).
    pub const BUCKETS: &str = "BUCKETS";
    /// Shared: `ARRAY` of [`BucketState`](super::BucketState) by limit, for sources that found no room of their own.
    pub const OVERFLOW: &str = "OVERFLOW";
    /// Shared: `PERCPU_ARRAY` of [`Count`](super::Count); see [`counter_index`](super::counter_index).
    pub const COUNTERS: &str = "COUNTERS";
    /// Shared: `PERCPU_ARRAY` of [`Count`](super::Count), two a service: passed and dropped.
    pub const SERVICE_COUNTERS: &str = "SERVICE_COUNTERS";
    /// Shared: `PERCPU_ARRAY` of [`Count`](super::Count), two a limit: conforming and exceeding.
    pub const LIMIT_COUNTERS: &str = "LIMIT_COUNTERS";

    /// Not in the program: `ARRAY` of names, which say whose the shared state is.
    pub const NAMES: &str = "NAMES";

    /// `ARRAY`, one `[u64; 2]`: jiffies and nanoseconds of the monotonic clock at one moment.
    pub const CLOCKS: &str = "CLOCKS";

    /// The maps of one policy.
    pub const POLICY: [&str; 12] = [
        ROOT_V4,
        ROOT_V6,
        PLACES,
        LINES,
        CLASSES,
        ADDRESSES,
        PORTS,
        FRAGMENTS,
        SERVICES,
        LIMITS,
        ESSENTIAL_CAPS,
        EXPLANATION,
    ];

    /// The maps that live on across generations.
    pub const SHARED: [&str; 11] = [
        ESSENTIAL_STATE,
        MEMBERS,
        STRANGERS,
        RATE_BASE,
        GATES,
        RATE_EVENTS,
        BUCKETS,
        OVERFLOW,
        COUNTERS,
        SERVICE_COUNTERS,
        LIMIT_COUNTERS,
    ];
}

/// Names of the read-only globals, set when a generation is loaded.
pub mod globals {
    /// `u32`: 1 when drops are only counted.
    pub const OBSERVE: &str = "OBSERVE";
    /// `u32`: 1 when a service has [`observe`](super::ServiceRecord::observe).
    pub const OBSERVED_SERVICES: &str = "OBSERVED_SERVICES";
    /// `u32`: 1 when the program says what it would do and does nothing: no counter and no rate state changes.
    pub const EXPLAIN: &str = "EXPLAIN";
    /// `u32`: 1 when traffic of no service is dropped.
    pub const HOST_DEFAULT_DROP: &str = "HOST_DEFAULT_DROP";
    /// `u32`: 1 when fragments are judged by their source.
    pub const FRAGMENTS_BY_SOURCE: &str = "FRAGMENTS_BY_SOURCE";
    /// `u32`: 1 when there is a TCP service.
    pub const HAS_TCP: &str = "HAS_TCP";
    /// `u32`: 1 when there is a UDP service.
    pub const HAS_UDP: &str = "HAS_UDP";
    /// `u32`: 1 when services name local addresses.
    pub const HAS_ADDRESSES: &str = "HAS_ADDRESSES";
    /// `u64`: lists that admit to a service or name a limit.
    pub const MEMBER_LISTS: &str = "MEMBER_LISTS";
    /// `u32`: bit n for the [`Quantity`](crate::Quantity) n that a limit counts.
    pub const COUNTED: &str = "COUNTED";
    /// `u64`: see [`RateMemory::horizon_ns`](crate::rate_table::RateMemory::horizon_ns).
    pub const HORIZON_NS: &str = "HORIZON_NS";
    /// `u32`: sets of the rate table of members.
    pub const MEMBER_SETS: &str = "MEMBER_SETS";
    /// `u64`: length of a jiffy in ns when jiffies are the clock, 0 for `ktime`.
    pub const TICK_NS: &str = "TICK_NS";
    /// `u64`: see [`PlacesHash`](crate::prefix_table::PlacesHash).
    pub const PLACES_MULTIPLIER: &str = "PLACES_MULTIPLIER";
    /// `u32`: likewise.
    pub const PLACES_LINES: &str = "PLACES_LINES";
    /// `u32`: interfaces in `INTERFACES`, with the gaps between them.
    pub const INTERFACE_COUNT: &str = "INTERFACE_COUNT";
    /// `[u32; MAX_INTERFACES]`: interface indices; the position is the index in the counters.
    pub const INTERFACES: &str = "INTERFACES";
}

/// Key of `ADDRESSES`. Keys are aligned to 8, as the verifier wants every store of 8 octets to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C, align(8))]
pub struct AddressKey {
    /// See [`Address::high`](crate::Address::high).
    pub high: u64,
    /// See [`Address::low`](crate::Address::low).
    pub low: u64,
    /// See [`Family`].
    pub family: u32,
    /// Always zero.
    pub padding: u32,
}

/// Services of one protocol by destination port.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct PortRow {
    /// Service of each port, 0 for none.
    pub services: [u16; 65536],
}

/// Rows of `PORTS` for each local address.
pub const PORT_ROWS_PER_BLOCK: u32 = 2;
/// Rules of `FRAGMENTS` for each local address.
pub const FRAGMENT_RULES_PER_BLOCK: u32 = 4;

/// Which of the rules of a block holds for fragments of `protocol`.
#[inline(always)]
pub const fn fragment_rule_index(protocol: Transport) -> u32 {
    match protocol {
        Transport::Tcp => 0,
        Transport::Udp => 1,
        _ => 2,
    }
}

/// The lists that decide about fragments of one protocol to one local address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct FragmentRule {
    /// Lists that any of the possible services denies.
    pub deny: u64,
    /// Lists that any of them allows.
    pub allow: u64,
    /// How many services a fragment could belong to.
    pub services: u32,
    /// 1 when one of them has no `allow`.
    pub open: u32,
}

/// A service as the kernel sees it.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct ServiceRecord {
    /// Lists that deny.
    pub deny: u64,
    /// Lists that admit; meant only when `has_allow`.
    pub allow: u64,
    /// All lists of `limit_for`.
    pub limit_for_lists: u64,
    /// 1 when only members of `allow` are admitted.
    pub has_allow: u32,
    /// Limit of everyone else, 0 for none.
    pub limit: u16,
    /// Rows of `limit_for` in use.
    pub limit_for_count: u16,
    /// The first row whose list has the source decides.
    pub limit_for: [LimitForRecord; MAX_LISTS],
    /// 1 when drops are only counted.
    pub observe: u32,
    /// Always zero.
    pub padding: u32,
}

/// One row of [`ServiceRecord::limit_for`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LimitForRecord {
    /// Bit of the list.
    pub list: u16,
    /// The limit, never 0 in use.
    pub limit: u16,
}

/// A limit as the kernel sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct LimitRecord {
    /// By [`Quantity`](crate::Quantity).
    pub quotas: [Quota; 3],
    /// Which bits of an IPv6 address make a source, first half first.
    pub mask_v6: [u64; 2],
    /// Which bits of the first half of an IPv4 address make a source.
    pub mask_v4: u64,
    /// For newcomers among strangers, see [`rate_table`](crate::rate_table).
    pub gate: Quota,
}

/// Key of `BUCKETS`: a bucket belongs to a source and a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(C, align(8))]
pub struct BucketKey {
    /// First half of the source's prefix, see [`Address::high`](crate::Address::high).
    pub high: u64,
    /// Second half.
    pub low: u64,
    /// See [`Family`].
    pub family: u16,
    /// The limit.
    pub limit: u16,
    /// Always zero.
    pub padding: u32,
}

/// TATs of a bucket by [`Quantity`](crate::Quantity), in ns of the monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct BucketState {
    /// Theoretical arrival times.
    pub tat_ns: [u64; 3],
}

/// What the rate state of a host is founded on: written once, before the first packet.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct RateBase {
    /// Spreads sources over the tables.
    pub seed: HashSeed,
    /// What makes nanoseconds since boot of jiffies times their length, so that both clocks tell the same.
    pub jiffies_offset_ns: u64,
    /// 1 when this has been written.
    pub is_set: u64,
}

/// What became of a newcomer to the rate tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RateEvent {
    /// It has a bucket of its own.
    Inserted = 0,
    /// Every bucket where it could be is in debt: it shares the overflow bucket.
    Full = 1,
    /// The gate for strangers was shut: it shares the overflow bucket.
    Gated = 2,
}

impl RateEvent {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Inserted, Self::Full, Self::Gated];

    /// Value of the metric label `outcome`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Inserted => "inserted",
            Self::Full => "full",
            Self::Gated => "gated",
        }
    }
}

/// What an instance of the program that explains says about its last frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Explanation {
    /// The lists that the source is in, see [`Membership`](crate::Membership).
    pub lists: u64,
    /// The time by which the limit was judged, in ns of its clock.
    pub now_ns: u64,
    /// The TATs that were found, by [`Quantity`](crate::Quantity).
    pub tat_ns: [u64; 3],
    /// [`OWN`] and [`MANAGEMENT`].
    pub flags: u32,
    /// See [`Verdict::index`].
    pub verdict: u32,
    /// See [`Family`].
    pub family: u32,
    /// The service it was judged by, 0 for none.
    pub service: u32,
    /// The limit that was asked, 0 for none.
    pub limit: u32,
    /// A [`BucketOutcome`], 0 when no bucket was looked for.
    pub bucket: u32,
}

/// Where the rate state of a source was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum BucketOutcome {
    /// It had a bucket.
    Found = 1,
    /// It had none and gets one.
    Inserted = 2,
    /// See [`RateEvent::Full`].
    Full = 3,
    /// See [`RateEvent::Gated`].
    Gated = 4,
}

/// A counter of one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Frame bytes, as XDP sees them.
    pub bytes: u64,
}

/// Entries of `COUNTERS`.
pub const COUNTERS: u32 = MAX_INTERFACES as u32 * Family::ALL.len() as u32 * MAX_VERDICTS;

/// Entries of `COUNTERS` for each interface.
pub const COUNTERS_OF_INTERFACE: u32 = Family::ALL.len() as u32 * MAX_VERDICTS;

/// Where `COUNTERS` keeps a verdict; `interface` is its position in the global `INTERFACES`.
#[inline(always)]
pub const fn counter_index(interface: u32, family: Family, verdict: Verdict) -> u32 {
    (interface * Family::ALL.len() as u32 + family as u32) * MAX_VERDICTS + verdict.index()
}

const _: () = assert!(Verdict::ALL.len() <= MAX_VERDICTS as usize, "every verdict has a counter");

const _: () = {
    assert!(size_of::<AddressKey>() == 24);
    assert!(size_of::<PortRow>() == 131_072);
    assert!(size_of::<FragmentRule>() == 24);
    assert!(size_of::<ServiceRecord>() == 40 + 4 * MAX_LISTS);
    assert!(size_of::<Explanation>() == 64);
    assert!(size_of::<Quota>() == 24);
    assert!(size_of::<LimitRecord>() == 120);
    assert!(size_of::<RateBase>() == 176);
    assert!(size_of::<BucketKey>() == 24);
    assert!(size_of::<BucketState>() == 24);
    assert!(size_of::<Count>() == 16);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_place_of_its_own() {
        let mut taken = [false; COUNTERS as usize];
        for interface in 0..MAX_INTERFACES as u32 {
            for family in Family::ALL {
                for verdict in Verdict::ALL {
                    let index = counter_index(interface, family, *verdict) as usize;
                    assert!(!taken[index], "{interface} {family:?} {verdict:?}");
                    taken[index] = true;
                }
            }
        }
    }
}
