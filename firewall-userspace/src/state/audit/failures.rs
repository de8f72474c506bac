//! What others can cause as often as they like, such as wrong tokens: the first of a minute are recorded one by one, the rest in one
//! line with their number.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::record::{AuditEvent, AuditWhat};
use crate::{clock::Now, text::shown::counted};

/// Recorded one by one within a [`MINUTE`].
pub(super) const EACH: u32 = 60;

/// How long they are summed up.
pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// Sources with a reason each that are counted on their own within a minute; what comes from others is counted together.
const KINDS: usize = 256;

/// Of these, so many are named: those with the most.
const NAMED: usize = 16;

/// What was caused within a minute.
#[derive(Debug, Default)]
pub(super) struct FailureSums {
    /// When the minute began, since boot.
    since: Option<Duration>,
    recorded: u32,
    sums: BTreeMap<(AuditWhat, String, String), u64>,
    others: u64,
}

impl FailureSums {
    /// `event` if it is to be recorded on its own; otherwise it is counted. Before it comes what [`due`](Self::due) gives.
    pub(super) fn note(&mut self, event: AuditEvent, now: Now) -> [Option<AuditEvent>; 2] {
        let due = self.due(now);
        self.since.get_or_insert(now.boot);
        if self.recorded < EACH {
            self.recorded += 1;
            return [due, Some(event)];
        }
        let key = (event.what, event.peer.unwrap_or_default(), event.result.into_owned());
        let is_known = self.sums.contains_key(&key);
        match is_known || self.sums.len() < KINDS {
            true => *self.sums.entry(key).or_default() += 1,
            false => self.others += 1,
        }
        [due, None]
    }

    /// What was summed up of a minute that is over.
    pub(super) fn due(&mut self, now: Now) -> Option<AuditEvent> {
        let is_over = self.since.is_some_and(|since| now.boot.saturating_sub(since) >= MINUTE);
        is_over.then(|| self.take(now.wall)).flatten()
    }

    /// What was summed up; the next minute begins with the next one.
    pub(super) fn take(&mut self, at: Timestamp) -> Option<AuditEvent> {
        let Self { sums, others, .. } = std::mem::take(self);
        let total = sums.values().sum::<u64>() + others;
        if total == 0 {
            return None;
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let told = sums.iter().take(NAMED).map(|((what, peer, result), count)| {
            let of = if *what == AuditWhat::FailedAuthentication { "" } else { what.label() };
            format!("{count} {of}{}{result} from {peer}", if of.is_empty() { "" } else { " " })
        });
        let mut told: Vec<String> = told.collect();
        let rest = sums.iter().skip(NAMED).map(|(_, count)| count).sum::<u64>() + others;
        if rest > 0 {
            told.push(format!("{rest} others"));
        }
        let total = counted(usize::try_from(total).unwrap_or(usize::MAX), "attempt");
        let summary = format!("{total} more within a minute: {}", told.join("; "));
        let event = AuditEvent::of_daemon(at, AuditWhat::FailedAuthentication, summary);
        Some(AuditEvent { result: "summed_up".into(), ..event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(peer: &str, reason: &'static str) -> AuditEvent {
        let event = AuditEvent::of_daemon(Timestamp::UNIX_EPOCH, AuditWhat::FailedAuthentication, String::new());
        AuditEvent { peer: Some(peer.into()), result: reason.into(), ..event }
    }

    fn at(seconds: u64) -> Now {
        Now::new(Timestamp::UNIX_EPOCH, Duration::from_secs(seconds))
    }

    #[test]
    fn the_first_of_a_minute_are_recorded_and_the_rest_counted() {
        let mut sums = FailureSums::default();
        for count in 0..1000 {
            let peer = if count % 3 == 0 { "192.0.2.1" } else { "192.0.2.2" };
            let [due, own] = sums.note(failure(peer, "unknown_token"), at(5));
            assert_eq!((due, own.is_some()), (None, count < EACH), "{count}");
        }
        assert_eq!(sums.due(at(64)), None);
        let summed = sums.due(at(65)).unwrap();
        let words =
            "940 attempts more within a minute: 626 unknown_token from 192.0.2.2; 314 unknown_token from 192.0.2.1";
        assert_eq!((&*summed.summary, &*summed.result), (words, "summed_up"));
        assert_eq!(sums.due(at(1000)), None, "told once");
        let [due, own] = sums.note(failure("192.0.2.1", "expired"), at(1000));
        assert!(due.is_none() && own.is_some());
    }

    #[test]
    fn sources_without_end_take_no_memory_without_end() {
        let mut sums = FailureSums::default();
        for count in 0..1_000_000_u32 {
            sums.note(failure(&count.to_string(), "unknown_token"), at(0));
        }
        assert_eq!(sums.sums.len(), KINDS);
        let summary = sums.take(Timestamp::UNIX_EPOCH).unwrap().summary;
        assert!(summary.starts_with("999,940 attempts more within a minute: 1 unknown_token from "), "{summary}");
        assert!(summary.ends_with("; 999924 others"), "{summary}");
    }
}
