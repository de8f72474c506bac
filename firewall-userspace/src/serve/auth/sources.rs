//! Sources that fail to show who they are: after some failures they are not checked for a while.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// One failure is forgiven so often.
const EVERY: Duration = Duration::from_secs(3);

/// So many failures at once are nothing unusual: a deployment with an old secret.
const BURST: u32 = 20;

/// Sources that are remembered, 64 KiB of them or so.
const MOST: usize = 4096;

/// The same for all sources together for which there is no room.
const REST_EVERY: Duration = Duration::from_millis(20);
const REST_BURST: u32 = 1000;

/// How often sources have failed lately.
#[derive(Debug)]
pub struct FailingSources(Mutex<FailingTable>);

#[derive(Debug)]
struct FailingTable {
    /// When all failures of a source will be forgiven: the theoretical arrival time of GCRA.
    forgiven: HashMap<IpAddr, Instant>,
    rest: Option<Instant>,
}

/// An emission interval and a burst.
#[derive(Clone, Copy)]
struct Forgiveness(Duration, u32);

const OF_ONE: Forgiveness = Forgiveness(EVERY, BURST);
const OF_REST: Forgiveness = Forgiveness(REST_EVERY, REST_BURST);

impl Forgiveness {
    /// How long nothing is checked when everything is forgiven at `forgiven`; `None` when it is.
    fn wait(self, forgiven: Instant, now: Instant) -> Option<Duration> {
        let tolerated = self.0 * self.1.saturating_sub(1);
        let wait = forgiven.saturating_duration_since(now).saturating_sub(tolerated);
        (wait > Duration::ZERO).then_some(wait)
    }

    /// When everything will be forgiven after one more failure.
    fn after(self, forgiven: Option<Instant>, now: Instant) -> Instant {
        // Failures that are answered without a check do not make it longer.
        let most = now + self.0 * self.1;
        (forgiven.map_or(now, |forgiven| forgiven.max(now)) + self.0).min(most)
    }
}

impl Default for FailingSources {
    fn default() -> Self {
        Self(Mutex::new(FailingTable { forgiven: HashMap::new(), rest: None }))
    }
}

impl FailingSources {
    /// For how long `source` is not checked; `None` when it is.
    pub fn wait(&self, source: IpAddr, now: Instant) -> Option<Duration> {
        let table = self.lock();
        match table.forgiven.get(&key(source)) {
            Some(forgiven) => OF_ONE.wait(*forgiven, now),
            None if table.forgiven.len() >= MOST => table.rest.and_then(|forgiven| OF_REST.wait(forgiven, now)),
            None => None,
        }
    }

    /// Notes a failure of `source`.
    pub fn note(&self, source: IpAddr, now: Instant) {
        let (mut table, source) = (self.lock(), key(source));
        if table.forgiven.len() >= MOST && !table.forgiven.contains_key(&source) {
            table.forgiven.retain(|_, forgiven| *forgiven > now);
        }
        if table.forgiven.len() < MOST || table.forgiven.contains_key(&source) {
            let forgiven = OF_ONE.after(table.forgiven.get(&source).copied(), now);
            table.forgiven.insert(source, forgiven);
        } else {
            table.rest = Some(OF_REST.after(table.rest, now));
        }
    }

    fn lock(&self) -> MutexGuard<'_, FailingTable> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who shares a count: an IPv4 address, or a /64 of IPv6, of which one host may have all addresses (RFC 8981).
fn key(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn fail(sources: &FailingSources, source: &str, times: u32, now: Instant) {
        (0..times).for_each(|_| sources.note(address(source), now));
    }

    #[test]
    fn a_source_that_fails_is_not_checked_until_one_failure_is_forgiven() {
        let (sources, now) = (FailingSources::default(), Instant::now());
        fail(&sources, "192.0.2.1", BURST - 1, now);
        assert_eq!(sources.wait(address("192.0.2.1"), now), None);
        fail(&sources, "192.0.2.1", 1, now);
        assert_eq!(sources.wait(address("192.0.2.1"), now), Some(EVERY));
        fail(&sources, "192.0.2.1", 1000, now);
        assert_eq!(sources.wait(address("192.0.2.1"), now), Some(EVERY), "it does not grow");
        assert_eq!(sources.wait(address("192.0.2.1"), now + EVERY), None);
        assert_eq!(sources.wait(address("192.0.2.2"), now), None);
        assert_eq!(sources.wait(address("::ffff:192.0.2.1"), now), Some(EVERY));
    }

    #[test]
    fn addresses_of_one_64_share_a_count() {
        let (sources, now) = (FailingSources::default(), Instant::now());
        fail(&sources, "2001:db8::1", BURST, now);
        assert!(sources.wait(address("2001:db8::ffff:0:1"), now).is_some());
        assert!(sources.wait(address("2001:db8:0:1::1"), now).is_none());
    }

    #[test]
    fn there_is_an_end_to_what_is_remembered() {
        let (sources, now) = (FailingSources::default(), Instant::now());
        let source =
            |number: usize| IpAddr::from(Ipv6Addr::from_bits((0x2001_0db8_u128 << 96) | ((number as u128) << 64)));
        for number in 0..MOST + REST_BURST as usize - 1 {
            sources.note(source(number), now);
        }
        assert_eq!(sources.lock().forgiven.len(), MOST);
        assert_eq!(sources.wait(source(MOST + 9), now), None);
        sources.note(source(MOST), now);
        assert!(sources.wait(source(MOST + 9), now).is_some(), "one that nobody knows");
        assert_eq!(sources.wait(source(0), now), None, "one that is known");
        // What is forgiven makes room.
        sources.note(source(MOST), now + EVERY + EVERY);
        assert_eq!(sources.lock().forgiven.len(), 1);
    }
}
