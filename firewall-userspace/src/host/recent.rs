//! Connections of this host as they were less than a second ago, where it has very many.
//!
//! The kernel walks through its whole table of sockets for each question, whatever is asked for (net/ipv4/inet_diag.c,
//! `inet_diag_dump_icsk`): the filter makes the answer short, and not the walk.

use std::{
    fs, io,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::connections::{self, Established};
use crate::policy::Prefix;

/// TCP sockets from which on a look is used again.
const MANY: u64 = 10_000;

/// For how long.
const AGE: Duration = Duration::from_secs(1);

/// The last look at all connections, by their sources.
#[derive(Debug, Default)]
pub struct RecentConnections(Mutex<Option<(Instant, Vec<Established>)>>);

impl RecentConnections {
    /// As [`connections::established`]. On a host with very many sockets a connection that is younger than a second may be missing when
    /// `sources` are named.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub fn established(&self, sources: Option<&[Prefix]>) -> io::Result<Vec<Established>> {
        match sources {
            Some(sources) if in_use() >= MANY => self.recent(sources, || connections::established(None)),
            _ => connections::established(sources),
        }
    }

    /// Those from `sources`, of the last look, or of one that `look` takes.
    fn recent(
        &self,
        sources: &[Prefix],
        look: impl FnOnce() -> io::Result<Vec<Established>>,
    ) -> io::Result<Vec<Established>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, all) = match last.take().filter(|(at, _)| at.elapsed() < AGE) {
            Some(recent) => last.insert(recent),
            None => {
                // It may miss what comes while it is taken.
                let begun = Instant::now();
                let mut all = look()?;
                all.sort_unstable();
                last.insert((begun, all))
            }
        };
        let mut from: Vec<Established> = Vec::new();
        sources.iter().for_each(|source| from.extend(connections::within(all, *source)));
        Ok(from)
    }
}

/// TCP sockets that are open in the network namespace of this thread; 0 when the kernel does not tell.
fn in_use() -> u64 {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    in_use_of(&read("/proc/thread-self/net/sockstat")) + in_use_of(&read("/proc/thread-self/net/sockstat6"))
}

/// What such a file says (net/ipv4/proc.c, `sockstat_seq_show`).
fn in_use_of(text: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix("TCP: inuse ").or(line.strip_prefix("TCP6: inuse ")));
    line.and_then(|line| line.split(' ').next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(source: &str) -> Established {
        let connection = connections::of_ssh(&format!("{source} 40000 192.0.2.1 22")).unwrap();
        Established { connection, is_outgoing: false }
    }

    #[test]
    fn a_look_is_used_again_for_whatever_sources_are_asked_for() {
        let recent = RecentConnections::default();
        let all = [from("203.0.113.9"), from("198.51.100.7"), from("2001:db8::1"), from("203.0.113.1")];
        let prefixes = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Prefix>>();
        let first = recent.recent(&prefixes(&["203.0.113.0/24"]), || Ok(all.to_vec())).unwrap();
        assert_eq!(first, [from("203.0.113.1"), from("203.0.113.9")]);
        for (sources, wanted) in [
            (&["198.51.100.7", "2001:db8::/32"][..], &[from("198.51.100.7"), from("2001:db8::1")][..]),
            (&["192.0.2.0/24"], &[]),
        ] {
            let found = recent.recent(&prefixes(sources), || panic!("it was looked at just now")).unwrap();
            assert_eq!(found, wanted);
        }
    }

    #[test]
    fn a_look_that_fails_is_no_look() {
        let recent = RecentConnections::default();
        let source = ["0.0.0.0/0".parse().unwrap()];
        assert!(recent.recent(&source, || Err(io::ErrorKind::NotFound.into())).is_err());
        assert_eq!(recent.recent(&source, || Ok(vec![from("203.0.113.9")])).unwrap().len(), 1);
    }

    #[test]
    fn the_kernels_count_of_sockets_is_read() {
        let text = "sockets: used 307\nTCP: inuse 30005 orphan 0 tw 12 alloc 30123 mem 7\nUDP: inuse 4 mem 2\n";
        assert_eq!((in_use_of(text), in_use_of("TCP6: inuse 17\nUDP6: inuse 3\n"), in_use_of("")), (30_005, 17, 0));
    }
}
