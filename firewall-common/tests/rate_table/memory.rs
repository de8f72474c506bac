//! The two tables in the memory of a test, and a limiter over them.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use firewall_common::{
    Address, Family, Quantity, Quota,
    abi::BucketKey,
    rate::{TatCell, charge},
    rate_table::{
        Gate, Hash, HashSeed, Lookup, RateFacts, RateMemory, RateTable, SEED_WORDS, SetMemory, WAYS, Way, lookup,
    },
};

pub const SECOND: u64 = 1_000_000_000;
pub const DAY: u64 = 86_400 * SECOND;
pub const YEAR: u64 = 365 * DAY;

/// Random numbers (G. Steele and others, Fast splittable pseudorandom number generators, OOPSLA 2014).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let first = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let second = (first ^ first >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        second ^ second >> 31
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn seed(&mut self) -> HashSeed {
        let words: [u64; SEED_WORDS] = std::array::from_fn(|_| self.next());
        HashSeed::from_random(&words)
    }
}

/// A set, octet for octet like a `RateSet`.
#[derive(Default)]
pub struct Set {
    pub tags: [AtomicU64; WAYS],
    pub tat_ns: [[AtomicU64; WAYS]; 3],
}

impl SetMemory for &Set {
    fn tag(&self, way: usize) -> u64 {
        self.tags[way].load(SeqCst)
    }

    fn exchange_tag(&self, way: usize, current: u64, new: u64) -> u64 {
        exchange(&self.tags[way], current, new)
    }

    fn tat_ns(&self, quantity: Quantity, way: usize) -> u64 {
        self.tat_ns[quantity as usize][way].load(SeqCst)
    }
}

fn exchange(word: &AtomicU64, current: u64, new: u64) -> u64 {
    word.compare_exchange(current, new, SeqCst, SeqCst).unwrap_or_else(|seen| seen)
}

/// A TAT of a test.
pub struct Tat<'a>(pub &'a AtomicU64);

impl TatCell for Tat<'_> {
    fn load(&self) -> u64 {
        self.0.load(SeqCst)
    }

    fn compare_exchange(&self, current: u64, new: u64) -> u64 {
        exchange(self.0, current, new)
    }
}

/// Both tables.
pub struct Memory {
    pub members: Vec<Set>,
    pub strangers: Vec<Set>,
    pub facts: RateFacts,
}

impl Memory {
    pub fn new(members: usize, strangers: usize, facts: RateFacts) -> Self {
        let sets = |number| (0..number).map(|_| Set::default()).collect();
        Self { members: sets(members), strangers: sets(strangers), facts }
    }

    pub fn table(&self, table: RateTable) -> &[Set] {
        match table {
            RateTable::Members => &self.members,
            RateTable::Strangers => &self.strangers,
        }
    }
}

impl<'a> RateMemory for &'a Memory {
    type Set = &'a Set;

    fn sets(&self, table: RateTable) -> u32 {
        self.table(table).len() as u32
    }

    fn set(&self, table: RateTable, number: u32) -> Option<&'a Set> {
        let memory: &'a Memory = self;
        memory.table(table).get(number as usize)
    }

    fn counts(&self, quantity: Quantity) -> bool {
        self.facts.counts[quantity as usize]
    }

    fn horizon_ns(&self) -> u64 {
        self.facts.horizon_ns
    }
}

/// How a lookup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Found,
    Inserted,
    Full,
    Gated,
}

/// A packet of `source`.
#[derive(Clone, Copy, Debug)]
pub struct Packet {
    pub source: Address,
    /// Index of the limit.
    pub limit: usize,
    pub is_member: bool,
    pub octets: u64,
    pub opens_connection: bool,
}

/// The gate of a limit.
struct LimitGate<'a> {
    quota: &'a Quota,
    cell: Tat<'a>,
    now_ns: u64,
}

impl Gate for LimitGate<'_> {
    fn is_open(&self) -> bool {
        !self.quota.is_limited() || charge(&self.cell, self.quota, self.now_ns, 1)
    }
}

/// Limits over the tables, as the packet stages use them.
pub struct Limiter {
    pub memory: Memory,
    pub seed: HashSeed,
    pub limits: Vec<[Quota; 3]>,
    /// By limit: three TATs of the overflow bucket and that of the gate.
    shared: Vec<[AtomicU64; 4]>,
    gates: Vec<Quota>,
}

impl Limiter {
    /// Without gates.
    pub fn new(members: usize, strangers: usize, limits: Vec<[Quota; 3]>) -> Self {
        let memory = Memory::new(members, strangers, RateFacts::of_limits(&limits));
        let shared = limits.iter().map(|_| Default::default()).collect();
        let gates = vec![Quota::default(); limits.len()];
        Self { memory, seed: Random(members as u64).seed(), limits, shared, gates }
    }

    pub fn with_gates(mut self, gates: Vec<Quota>) -> Self {
        self.gates = gates;
        self
    }

    pub fn key(packet: &Packet) -> BucketKey {
        let Address { high, low, family } = packet.source;
        BucketKey { high, low, family: family as u16, limit: packet.limit as u16 + 1, padding: 0 }
    }

    pub fn hash(&self, packet: &Packet) -> Hash {
        Hash::new(&self.seed, &Self::key(packet))
    }

    pub fn look_up(&self, packet: &Packet, now_ns: u64) -> Lookup<&Set> {
        let gate = LimitGate { quota: &self.gates[packet.limit], cell: Tat(&self.shared[packet.limit][3]), now_ns };
        lookup(&&self.memory, &self.hash(packet), packet.is_member, now_ns, &gate)
    }

    /// Whether the packet passes: every quantity is asked before the first is charged.
    pub fn judge(&self, packet: &Packet, now_ns: u64) -> (bool, Outcome) {
        let (outcome, way) = match self.look_up(packet, now_ns) {
            Lookup::Found(way) => (Outcome::Found, Some(way)),
            Lookup::Inserted(way) => (Outcome::Inserted, Some(way)),
            Lookup::Full => (Outcome::Full, None),
            Lookup::Gated => (Outcome::Gated, None),
        };
        (self.charge(packet, way, now_ns), outcome)
    }

    /// Charges the bucket, the shared one for `None`.
    pub fn charge(&self, packet: &Packet, way: Option<Way<&Set>>, now_ns: u64) -> bool {
        let cell = |quantity: usize| match way {
            Some(Way { set, way }) => Tat(&set.tat_ns[quantity][way]),
            None => Tat(&self.shared[packet.limit][quantity]),
        };
        let units = [1, packet.octets, u64::from(packet.opens_connection)];
        let wanted = || (0..3).map(|quantity| (quantity, &self.limits[packet.limit][quantity], units[quantity]));
        let mut limited = wanted().filter(|(_, quota, units)| quota.is_limited() && *units > 0);
        let may_pass =
            limited.all(|(quantity, quota, units)| quota.charge(cell(quantity).load(), now_ns, units).is_some());
        let mut limited = wanted().filter(|(_, quota, units)| quota.is_limited() && *units > 0);
        may_pass && limited.all(|(quantity, quota, units)| charge(&cell(quantity), quota, now_ns, units))
    }
}

/// A packet of an IPv4 source under the first limit.
pub fn packet(number: u32, is_member: bool) -> Packet {
    Packet { source: v4(number), limit: 0, is_member, octets: 100, opens_connection: false }
}

pub fn v4(number: u32) -> Address {
    Address { high: u64::from(number) << 32, low: 0, family: Family::Ipv4 }
}

/// A limit on packets alone.
pub fn packets(interval_ns: u64, burst: u64) -> [Quota; 3] {
    [Quota::of_events(1, interval_ns, burst).expect("can be kept"), Quota::default(), Quota::default()]
}
