//! `[guard]`: when a change is refused unless the caller insists.

use std::ops::RangeInclusive;

/// `[guard]`: when a change is refused unless the caller insists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// A reload may remove this percentage of the entries that a list has in the configuration.
    pub shrink_percent: u8,
    /// It may always remove so many.
    pub shrink_entries: usize,
    /// Local ports whose established connections must not be cut off, sorted and disjoint. `None`: all, but for entries that deny
    /// those of running sshd, port 22 where none is found.
    pub ports: Option<Vec<RangeInclusive<u16>>>,
}

/// The port of SSH (RFC 4253 section 4.1).
const SSH: u16 = 22;

impl Default for Guard {
    fn default() -> Self {
        Self { shrink_percent: 50, shrink_entries: 20, ports: None }
    }
}

impl Guard {
    /// Whether an established connection to `port` must not be cut off.
    pub fn protects(&self, port: u16) -> bool {
        self.ports.as_ref().is_none_or(|ports| ports.iter().any(|range| range.contains(&port)))
    }

    /// Whether not even an entry that denies may cut it off; `sshd` tells the ports of running sshd.
    pub fn protects_from_denial<'a>(&self, port: u16, sshd: impl FnOnce() -> &'a [u16]) -> bool {
        if self.ports.is_some() {
            return self.protects(port);
        }
        match sshd() {
            [] => port == SSH,
            ports => ports.contains(&port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_denials_may_cut_off_everything_but_ssh_and_nothing_else_may_cut_off_anything() {
        let guard = Guard::default();
        assert!([22, 80].iter().all(|port| guard.protects(*port)));
        let protected = |guard: &Guard, sshd: &[u16]| {
            [22, 80, 2222].into_iter().filter(|port| guard.protects_from_denial(*port, || sshd)).collect::<Vec<u16>>()
        };
        assert_eq!(protected(&guard, &[2222]), [2222]);
        assert_eq!(protected(&guard, &[]), [22], "where no sshd is found");
        let set = Guard { ports: Some(vec![80..=80]), ..Guard::default() };
        assert_eq!(protected(&set, &[2222]), [80]);
        assert!(set.protects(80) && !set.protects(22));
        assert_eq!(protected(&Guard { ports: Some(Vec::new()), ..Guard::default() }, &[22]), [0_u16; 0]);
    }
}
