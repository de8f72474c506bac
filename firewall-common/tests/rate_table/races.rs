//! What two CPUs do to each other, one interleaving at a time.

use std::{
    cell::{Cell, RefCell},
    sync::atomic::Ordering::SeqCst,
};

use firewall_common::{
    Quantity,
    rate_table::{Gate, Hash, Lookup, MAX_TRIES, RateMemory, RateTable, SetMemory, WAYS, Way, lookup},
};

use crate::memory::{DAY, Limiter, Memory, Outcome, Packet, SECOND, Set, YEAR, packet, packets};

/// Memory that lets another CPU run around an exchange of a tag.
struct Interrupted<'a> {
    memory: &'a Memory,
    before: RefCell<Box<dyn FnMut() + 'a>>,
    after: RefCell<Box<dyn FnMut() + 'a>>,
    exchanges: Cell<usize>,
}

#[derive(Clone, Copy)]
struct InterruptedSet<'a, 'b> {
    set: &'a Set,
    cpu: &'a Interrupted<'b>,
}

impl SetMemory for InterruptedSet<'_, '_> {
    fn tag(&self, way: usize) -> u64 {
        self.set.tag(way)
    }

    fn exchange_tag(&self, way: usize, current: u64, new: u64) -> u64 {
        self.cpu.exchanges.set(self.cpu.exchanges.get() + 1);
        self.cpu.before.borrow_mut()();
        let seen = self.set.exchange_tag(way, current, new);
        self.cpu.after.borrow_mut()();
        seen
    }

    fn tat_ns(&self, quantity: Quantity, way: usize) -> u64 {
        self.set.tat_ns(quantity, way)
    }
}

impl<'a, 'b> RateMemory for &'a Interrupted<'b> {
    type Set = InterruptedSet<'a, 'b>;

    fn sets(&self, table: RateTable) -> u32 {
        self.memory.sets(table)
    }

    fn set(&self, table: RateTable, number: u32) -> Option<InterruptedSet<'a, 'b>> {
        let set = self.memory.table(table).get(number as usize)?;
        Some(InterruptedSet { set, cpu: self })
    }

    fn counts(&self, quantity: Quantity) -> bool {
        self.memory.counts(quantity)
    }

    fn horizon_ns(&self) -> u64 {
        self.memory.horizon_ns()
    }
}

/// One set in each table; a packet is a debt of a second.
fn limiter() -> Limiter {
    Limiter::new(1, 1, vec![packets(SECOND, 10), packets(DAY, 10)])
}

/// The same after eight sources were seen and have paid their debts; in the order of the ways.
fn limiter_with_idle_sources() -> Limiter {
    let limiter = limiter();
    for number in 0..WAYS as u32 {
        limiter.judge(&packet(number, true), YEAR - 100 * SECOND + u64::from(number));
    }
    limiter
}

fn once<'a>(action: impl FnOnce() + 'a) -> Box<dyn FnMut() + 'a> {
    let mut action = Some(action);
    Box::new(move || {
        if let Some(action) = action.take() {
            action();
        }
    })
}

fn nothing<'a>() -> Box<dyn FnMut() + 'a> {
    Box::new(|| ())
}

/// A gate that never shuts.
struct Open;

impl Gate for Open {
    fn is_open(&self) -> bool {
        true
    }
}

/// Looks `packet` up while another CPU does things `before` and `after` an exchange; also the exchanges this took.
fn look_up<'a>(
    limiter: &'a Limiter,
    packet: &Packet,
    before: Box<dyn FnMut() + 'a>,
    after: Box<dyn FnMut() + 'a>,
) -> (Outcome, Option<usize>, usize) {
    let cpu = Interrupted {
        memory: &limiter.memory,
        before: RefCell::new(before),
        after: RefCell::new(after),
        exchanges: Cell::new(0),
    };
    let hash = Hash::new(&limiter.seed, &Limiter::key(packet));
    let (outcome, way) = match lookup(&&cpu, &hash, packet.is_member, YEAR, &Open) {
        Lookup::Found(Way { way, .. }) => (Outcome::Found, Some(way)),
        Lookup::Inserted(Way { way, .. }) => (Outcome::Inserted, Some(way)),
        Lookup::Full => (Outcome::Full, None),
        Lookup::Gated => (Outcome::Gated, None),
    };
    (outcome, way, cpu.exchanges.get())
}

/// Ways of both tables that have the source.
fn ways_of(limiter: &Limiter, packet: &Packet) -> usize {
    let tag = limiter.hash(packet).tag();
    let sets = limiter.memory.members.iter().chain(&limiter.memory.strangers);
    sets.flat_map(|set| &set.tags).filter(|other| other.load(SeqCst) == tag).count()
}

fn set_tag(limiter: &Limiter, way: usize, packet: &Packet) {
    limiter.memory.members[0].tags[way].store(limiter.hash(packet).tag(), SeqCst);
}

#[test]
fn two_cpus_that_bring_the_same_source_share_its_way() {
    let limiter = limiter();
    let source = packet(1, true);
    let other_cpu = once(|| assert_eq!(limiter.judge(&source, YEAR).1, Outcome::Inserted));
    assert_eq!(look_up(&limiter, &source, other_cpu, nothing()), (Outcome::Found, Some(0), 2));
    assert_eq!(ways_of(&limiter, &source), 1);
}

#[test]
fn two_cpus_that_bring_different_sources_take_different_ways() {
    let limiter = limiter();
    let (source, other) = (packet(1, true), packet(2, true));
    let other_cpu = once(|| assert_eq!(limiter.judge(&other, YEAR).1, Outcome::Inserted));
    assert_eq!(look_up(&limiter, &source, other_cpu, nothing()), (Outcome::Inserted, Some(1), 3));
    assert_eq!((ways_of(&limiter, &source), ways_of(&limiter, &other)), (1, 1));
}

#[test]
fn a_way_that_is_charged_before_it_is_taken_is_given_back() {
    let limiter = limiter_with_idle_sources();
    let (source, owner) = (packet(100, true), packet(0, true));
    let other_cpu = once(|| assert_eq!(limiter.judge(&owner, YEAR), (true, Outcome::Found)));
    // Claimed, given back, and the next one claimed and made a bucket.
    assert_eq!(look_up(&limiter, &source, other_cpu, nothing()), (Outcome::Inserted, Some(1), 4));
    for _ in 0..9 {
        assert_eq!(limiter.judge(&owner, YEAR), (true, Outcome::Found));
    }
    assert_eq!(limiter.judge(&owner, YEAR), (false, Outcome::Found), "the tenth was the one in between");
}

#[test]
fn a_way_that_is_charged_right_after_it_is_taken_is_given_back() {
    let limiter = limiter_with_idle_sources();
    let (source, owner) = (packet(100, true), packet(0, true));
    let Lookup::Found(way) = limiter.look_up(&owner, YEAR) else { panic!("the owner is known") };
    let other_cpu = once(|| assert!(limiter.charge(&owner, Some(way), YEAR)));
    assert_eq!(look_up(&limiter, &source, nothing(), other_cpu), (Outcome::Inserted, Some(1), 4));
    let rest = (0..100).take_while(|_| limiter.judge(&owner, YEAR) == (true, Outcome::Found)).count();
    assert_eq!(rest, 9);
}

#[test]
fn when_everybody_comes_back_at_once_nobody_is_thrown_out() {
    let limiter = limiter_with_idle_sources();
    let other_cpu = once(|| {
        for number in 0..WAYS as u32 {
            assert_eq!(limiter.judge(&packet(number, true), YEAR), (true, Outcome::Found));
        }
    });
    assert_eq!(look_up(&limiter, &packet(100, true), other_cpu, nothing()), (Outcome::Full, None, 2));
    for number in 0..WAYS as u32 {
        assert_eq!(limiter.judge(&packet(number, true), YEAR), (true, Outcome::Found));
    }
}

#[test]
fn of_two_ways_with_the_same_source_one_stays() {
    let source = packet(100, true);
    // This CPU takes way 3; the twin is on either side.
    for twin in [1, 5] {
        let limiter = limiter_with_idle_sources();
        for number in 0..3 {
            limiter.judge(&packet(number, true), YEAR);
        }
        let other_cpu = once(|| set_tag(&limiter, twin, &source));
        assert_eq!(look_up(&limiter, &source, other_cpu, nothing()), (Outcome::Found, Some(twin), 3));
        assert_eq!(ways_of(&limiter, &source), 1, "its own way is left");
        assert_eq!(look_up(&limiter, &source, nothing(), nothing()), (Outcome::Found, Some(twin), 0));
    }
}

#[test]
fn a_way_that_is_only_claimed_is_not_charged() {
    let limiter = limiter_with_idle_sources();
    let source = packet(100, true);
    let passed = Cell::new(0);
    // Between the claim and the look for a twin, one CPU makes a bucket above it and another one brings a packet.
    let other_cpus = once(|| {
        set_tag(&limiter, 5, &source);
        passed.set(usize::from(limiter.judge(&source, YEAR).0));
    });
    assert_eq!(look_up(&limiter, &source, nothing(), other_cpus).0, Outcome::Found);
    let rest = (0..100).take_while(|_| limiter.judge(&source, YEAR).0).count();
    assert_eq!(passed.get() + rest, 10);
}

#[test]
fn of_two_claims_for_the_same_source_the_later_look_wins() {
    let limiter = limiter_with_idle_sources();
    let source = packet(100, true);
    let claim = limiter.hash(&source).tag() | 1 << 63;
    // A CPU that stopped after its claim, in the same set and in the other table.
    for set in [&limiter.memory.members[0], &limiter.memory.strangers[0]] {
        set.tags[6].store(claim, SeqCst);
        assert_eq!(look_up(&limiter, &source, nothing(), nothing()).0, Outcome::Inserted);
        assert_eq!(set.tags[6].load(SeqCst), 0, "its claim will not become a bucket");
        assert_eq!(ways_of(&limiter, &source), 1);
        for way in &limiter.memory.members[0].tags {
            way.store(0, SeqCst);
        }
    }
}

#[test]
fn of_several_ways_with_the_same_source_all_cpus_use_the_lowest() {
    let limiter = limiter_with_idle_sources();
    let source = packet(100, true);
    let other_cpus = once(|| [2, 3, 6].into_iter().for_each(|way| set_tag(&limiter, way, &source)));
    assert_eq!(look_up(&limiter, &source, other_cpus, nothing()), (Outcome::Found, Some(2), 3));
    assert_eq!(look_up(&limiter, &source, nothing(), nothing()), (Outcome::Found, Some(2), 0));
}

#[test]
fn of_two_tables_with_the_same_source_one_stays() {
    for is_member in [false, true] {
        let limiter = limiter();
        let (source, same) = (packet(1, is_member), packet(1, !is_member));
        let other_cpu = once(|| assert_eq!(limiter.judge(&same, YEAR).1, Outcome::Inserted));
        assert_eq!(look_up(&limiter, &source, other_cpu, nothing()), (Outcome::Found, Some(0), 3));
        assert_eq!(ways_of(&limiter, &source), 1);
        assert_eq!(limiter.judge(&source, YEAR).1, Outcome::Found);
    }
}

#[test]
fn a_cpu_that_always_loses_gives_up_and_takes_nothing() {
    let limiter = limiter();
    let mut number = 0;
    // Somebody else takes the way before each exchange and pays at once.
    let other_cpu = Box::new(|| {
        number += 1;
        set_tag(&limiter, 0, &packet(1000 + number, true));
    });
    let source = packet(1, true);
    assert_eq!(look_up(&limiter, &source, other_cpu, nothing()), (Outcome::Full, None, MAX_TRIES));
    assert_eq!(ways_of(&limiter, &source), 0);
}

#[test]
fn a_packet_in_flight_is_charged_to_the_newcomer_and_no_more_than_that() {
    let limiter = limiter_with_idle_sources();
    let (source, owner) = (packet(100, true), packet(0, true));
    let Lookup::Found(way) = limiter.look_up(&owner, YEAR) else { panic!("the owner is known") };
    assert!(matches!(limiter.look_up(&source, YEAR), Lookup::Inserted(new) if new.way == way.way));
    assert!(limiter.charge(&owner, Some(way), YEAR));
    let passes = |packet| (0..100).take_while(|_| limiter.judge(packet, YEAR).0).count();
    assert_eq!(passes(&source), 9);
    assert_eq!(passes(&owner), 10);
}

#[test]
fn a_packet_in_flight_of_a_slow_limit_does_not_shut_out_a_source_of_a_fast_one() {
    let limiter = limiter();
    let owner = Packet { limit: 1, ..packet(0, true) };
    limiter.judge(&owner, YEAR - 100 * DAY);
    for number in 1..WAYS as u32 {
        limiter.judge(&packet(number, true), YEAR - SECOND);
    }
    let Lookup::Found(way) = limiter.look_up(&owner, YEAR) else { panic!("the owner is known") };
    let source = packet(100, true);
    assert!(matches!(limiter.look_up(&source, YEAR), Lookup::Inserted(new) if new.way == way.way));
    assert!(limiter.charge(&owner, Some(way), YEAR), "a day of debt");
    assert_eq!((0..100).take_while(|_| limiter.judge(&source, YEAR).0).count(), 10);
}
