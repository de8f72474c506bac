//! Times for people: the time itself, and how far it is from now.

use jiff::Timestamp;

/// Units with their length in seconds, and up to how many of a unit are told before the next one is.
const UNITS: [(&str, u64, u64); 4] = [("s", 1, 120), ("m", 60, 120), ("h", 3600, 48), ("d", 86_400, u64::MAX)];

/// `2026-11-27T20:00:00Z (in 3h)` or `2026-11-27T20:00:00Z (2d ago)`.
pub fn told(at: Timestamp, now: Timestamp) -> String {
    format!("{at:.0} ({})", from_now(at, now))
}

/// How far `at` is from `now`: `in 3h`, `2d ago` or `now`, rounded to the nearest whole number of its unit.
fn from_now(at: Timestamp, now: Timestamp) -> String {
    let milliseconds = at.as_millisecond().saturating_sub(now.as_millisecond());
    let seconds = milliseconds.unsigned_abs().saturating_add(500) / 1000;
    match length(seconds) {
        _ if seconds == 0 => "now".to_owned(),
        length if milliseconds > 0 => format!("in {length}"),
        length => format!("{length} ago"),
    }
}

/// So many seconds in the largest unit of which there are at least two, as `90s`, `3h` or `2d`.
fn length(seconds: u64) -> String {
    for (unit, of_unit, most) in UNITS {
        let count = seconds.saturating_add(of_unit / 2) / of_unit;
        if count < most {
            return format!("{count}{unit}");
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_says_how_far_from_now_it_is() {
        let now: Timestamp = "2026-11-27T17:00:00Z".parse().unwrap();
        for (at, wanted) in [
            ("2026-11-27T20:00:00Z", "2026-11-27T20:00:00Z (in 3h)"),
            ("2026-11-27T19:59:58.4Z", "2026-11-27T19:59:58Z (in 3h)"),
            ("2026-11-25T17:00:00Z", "2026-11-25T17:00:00Z (2d ago)"),
            ("2026-11-27T17:00:00.4Z", "2026-11-27T17:00:00Z (now)"),
            ("2026-11-27T17:01:30Z", "2026-11-27T17:01:30Z (in 90s)"),
            ("2026-11-27T15:30:00Z", "2026-11-27T15:30:00Z (90m ago)"),
            ("2027-11-27T17:00:00Z", "2027-11-27T17:00:00Z (in 365d)"),
        ] {
            assert_eq!(told(at.parse().unwrap(), now), wanted);
        }
        assert!(from_now(Timestamp::MAX, now).starts_with("in ") && from_now(Timestamp::MIN, now).ends_with("d ago"));
    }

    #[test]
    fn of_a_unit_there_are_at_least_two() {
        let told: Vec<String> = [1, 119, 120, 7169, 7170, 172_799, 172_800].map(length).into();
        assert_eq!(told, ["1s", "119s", "2m", "119m", "2h", "2d", "2d"]);
    }
}
