//! What goes through the filter, and how fast: what the kernel has counted, compared with what it had when somebody asked before.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use firewall_common::{Action, Verdict, abi::Count};

use super::work::milliseconds;
use crate::{
    control::{ReasonTraffic, ServiceTraffic, TrafficCounts, TrafficStatus},
    datapath::FrameCounters,
};

/// Shortest interval over which a rate is told: below it a few packets more or less are a different rate.
const SHORTEST: Duration = Duration::from_millis(400);

/// Longest interval over which a rate is told as that of now.
const LONGEST: Duration = Duration::from_secs(60);

/// Most samples that are kept.
const SAMPLES: usize = 4;

/// What was counted when somebody asked; the oldest first. Times are since boot.
#[derive(Debug, Default)]
pub(super) struct TrafficSamples(Mutex<VecDeque<(Duration, FrameCounters)>>);

impl TrafficSamples {
    /// What `counters`, read at the time `boot` since boot, mean; with rates since the newest sample that is old enough.
    pub(super) fn compare(&self, counters: FrameCounters, boot: Duration) -> TrafficStatus {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        samples.retain(|(at, _)| boot.saturating_sub(*at) <= LONGEST);
        let base = samples.iter().rev().find(|(at, _)| boot.saturating_sub(*at) >= SHORTEST);
        let told = traffic(&counters, base.map(|(at, before)| (boot.saturating_sub(*at), before)));
        // Those who ask all the time do not push out what is old enough.
        if samples.back().is_none_or(|(at, _)| boot.saturating_sub(*at) >= SHORTEST / 2) {
            if samples.len() == SAMPLES {
                samples.pop_front();
            }
            samples.push_back((boot, counters));
        }
        told
    }
}

fn traffic(now: &FrameCounters, base: Option<(Duration, &FrameCounters)>) -> TrafficStatus {
    let none = FrameCounters::default();
    let (interval, before) = base.map_or((None, &none), |(interval, before)| (Some(interval), before));
    let counts = |Tally { all, more }: Tally| TrafficCounts {
        packets: all.packets,
        bytes: all.bytes,
        packets_per_second: interval.map(|interval| rate(more.packets, interval)),
        bytes_per_second: interval.map(|interval| rate(more.bytes, interval)),
    };
    let of = |counts: &dyn Fn(Verdict) -> bool| {
        let its = now.verdicts.iter().filter(|((.., verdict), _)| counts(*verdict));
        its.fold(Tally::default(), |tally, (key, one)| {
            tally.with(*one, before.verdicts.get(key).copied().unwrap_or_default())
        })
    };
    let by_action = |action| counts(of(&|verdict| verdict.action() == action));
    let reasons = Verdict::ALL.iter().map(|verdict| ReasonTraffic {
        reason: verdict.label().into(),
        verdict: verdict.action().label().into(),
        counts: counts(of(&|one| one == *verdict)),
    });
    let services = now.services.iter().map(|(name, [passed, dropped])| {
        let [passed_before, dropped_before] = before.services.get(name).copied().unwrap_or_default();
        ServiceTraffic {
            service: name.clone(),
            passed: counts(Tally::default().with(*passed, passed_before)),
            dropped: counts(Tally::default().with(*dropped, dropped_before)),
        }
    });
    TrafficStatus {
        interval_ms: interval.map(milliseconds),
        passed: by_action(Action::Pass),
        dropped: by_action(Action::Drop),
        reasons: reasons.collect(),
        services: services.collect(),
    }
}

/// Counters together, and how much more each has than it had before.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    all: Count,
    more: Count,
}

impl Tally {
    /// With another counter, and what it was before; one that is new has begun at zero, and one that has less began again.
    fn with(self, now: Count, before: Count) -> Self {
        let sum = |all: Count, packets: u64, bytes: u64| Count {
            packets: all.packets.wrapping_add(packets),
            bytes: all.bytes.wrapping_add(bytes),
        };
        let more = [now.packets.saturating_sub(before.packets), now.bytes.saturating_sub(before.bytes)];
        Self { all: sum(self.all, now.packets, now.bytes), more: sum(self.more, more[0], more[1]) }
    }
}

/// How many a second; three digits behind the point, because what is below is noise.
fn rate(more: u64, interval: Duration) -> f64 {
    (more as f64 / interval.as_secs_f64() * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests {
    use firewall_common::Family;

    use super::*;

    fn counters(accepted: u64, denied: u64) -> FrameCounters {
        let count = |packets| Count { packets, bytes: packets * 100 };
        let mut counters = FrameCounters::default();
        for (interface, packets) in [("eth0", accepted), ("eth1", 1)] {
            counters.verdicts.insert((interface.into(), Family::Ipv4 as u8, Verdict::Accepted), count(packets));
        }
        counters.verdicts.insert(("eth0".into(), Family::Ipv6 as u8, Verdict::Denied), count(denied));
        counters.services.insert("api".into(), [count(accepted), count(denied)]);
        counters
    }

    fn reason(told: &TrafficStatus, label: &str) -> TrafficCounts {
        told.reasons.iter().find(|one| one.reason == label).unwrap().counts.clone()
    }

    #[test]
    fn numbers_are_sums_and_rates_are_since_the_sample_before() {
        let samples = TrafficSamples::default();
        let at = Duration::from_millis;
        let first = samples.compare(counters(3, 2), at(1000));
        assert_eq!((first.interval_ms, reason(&first, "accepted").packets), (None, 4));
        assert_eq!((first.dropped.packets, first.dropped.packets_per_second), (2, None));
        assert_eq!(samples.compare(counters(4, 2), at(1100)).interval_ms, None, "too soon");
        let second = samples.compare(counters(13, 2), at(1500));
        assert_eq!(second.interval_ms, Some(500));
        assert_eq!(reason(&second, "accepted").packets_per_second, Some(20.0));
        assert_eq!(reason(&second, "accepted").bytes_per_second, Some(2000.0));
        assert_eq!(reason(&second, "denied").packets_per_second, Some(0.0));
        assert_eq!(
            reason(&second, "not_allowed"),
            TrafficCounts { packets_per_second: Some(0.0), bytes_per_second: Some(0.0), ..TrafficCounts::default() }
        );
        let service = &second.services[0];
        assert_eq!(
            (&*service.service, service.passed.packets_per_second, service.dropped.packets),
            ("api", Some(20.0), 2)
        );
        assert_eq!(second.reasons.len(), Verdict::ALL.len());
    }

    #[test]
    fn an_interface_that_has_left_the_policy_takes_nothing_from_the_rates_of_the_others() {
        let samples = TrafficSamples::default();
        let before = counters(1000, 500);
        let mut after = counters(1020, 500);
        samples.compare(before, Duration::from_secs(1));
        after.verdicts.retain(|(interface, ..), _| interface == "eth0");
        after.verdicts.insert(("eth1".into(), Family::Ipv6 as u8, Verdict::Denied), Count { packets: 7, bytes: 70 });
        after.verdicts.remove(&("eth0".into(), Family::Ipv6 as u8, Verdict::Denied));
        let told = samples.compare(after, Duration::from_secs(2));
        let [accepted, denied] = ["accepted", "denied"].map(|label| reason(&told, label));
        assert_eq!((accepted.packets_per_second, accepted.packets), (Some(20.0), 1020));
        assert_eq!((denied.packets_per_second, denied.packets), (Some(7.0), 7));
        assert_eq!((told.passed.bytes_per_second, told.dropped.bytes_per_second), (Some(2000.0), Some(70.0)));
    }

    #[test]
    fn a_rate_of_long_ago_is_none_of_now_and_counters_that_begin_again_have_none_below_zero() {
        let samples = TrafficSamples::default();
        samples.compare(counters(100, 0), Duration::from_secs(1));
        let again = samples.compare(counters(3, 0), Duration::from_secs(2));
        assert_eq!(reason(&again, "accepted").packets_per_second, Some(0.0));
        assert_eq!(samples.compare(counters(4, 0), Duration::from_secs(100)).interval_ms, None);
    }

    #[test]
    fn who_asks_all_the_time_has_rates() {
        let samples = TrafficSamples::default();
        let told: Vec<_> =
            (0..1000).map(|step| samples.compare(counters(step, 0), Duration::from_millis(step * 10))).collect();
        let late = told.get(41..).unwrap();
        assert!(late.iter().all(|told| told.interval_ms.is_some_and(|interval| (400..600).contains(&interval))));
        assert!(late.iter().all(|told| told.passed.packets_per_second == Some(100.0)));
    }
}
