//! What the kernel program and userspace agree on: map names, keys, values and their sizes.
//!
//! - In: nothing. This is data; records that a table needs for itself stand with the table and are shown here too.
//! - Out: the names of maps and globals, and a record for each map, one file for each kind of table.
//! - Owner: the controller writes the maps of a policy before its generation goes live, the kernel the shared ones.
//!
//! Identifiers of services and limits count from 1; 0 means none. Integers are in host order.

mod counters;
mod explanation;
mod rates;
mod services;

pub use self::{
    counters::{COUNTERS, COUNTERS_OF_INTERFACE, Count, MAX_VERDICTS, counter_index},
    explanation::Explanation,
    rates::{
        BucketOutcome, BucketState, LimitRecord, MAX_BUCKETS, MAX_MEMBER_SETS, MIN_MEMBER_SETS, RATE_SETS, RateBase,
        RateEvent,
    },
    services::{
        AddressKey, FRAGMENT_RULES_PER_BLOCK, FragmentRule, LimitForRecord, PORT_ROWS_PER_BLOCK, PortRow,
        ServiceRecord, fragment_rule_index,
    },
};
pub use crate::{
    prefix_table::{ClassRecord, LIST_CLASSES, MANAGEMENT, MAX_CLASSES, MAX_LISTS, OWN, RootV4, RootV6},
    rate_table::BucketKey,
};

/// Grows with every incompatible change of what this module shows.
pub const ABI_VERSION: u32 = 2;

/// Services of one policy.
pub const MAX_SERVICES: usize = 256;
/// Limits of one policy.
pub const MAX_LIMITS: usize = 255;
/// Interfaces of one policy.
pub const MAX_INTERFACES: usize = 16;
/// Distinct local addresses that services of one policy may name.
pub const MAX_LOCAL_ADDRESSES: usize = 256;
/// Prefixes of one family over all lists.
pub const MAX_PREFIXES: u32 = 1 << 21;

/// Octets of a frame that the program logs for `--trace-packets`, from its first one on: an Ethernet header with two tags, an IPv6
/// header, an extension header and a TCP header.
pub const TRACED_OCTETS: usize = 96;

/// What the program answers the kernel for a frame that ends there (`XDP_DROP` of linux/bpf.h).
pub const XDP_DROP: u32 = 1;
/// The same for a frame that goes on (`XDP_PASS` of linux/bpf.h).
pub const XDP_PASS: u32 = 2;

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
    /// Policy: `ARRAY` of [`Quota`](crate::Quota) by essential.
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
