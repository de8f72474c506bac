//! The table of hosts: every single IPv4 address of the lists and its class, changed in place.

use std::sync::atomic::{AtomicU64, Ordering};

use firewall_common::prefix_table::{HOST, HOST_GONE, HOSTS_LINES, HostsHash, WORDS};

use super::TableFull;

/// Where the hosts go.
pub struct Hosts {
    hash: HostsHash,
    /// Hosts that are in the table.
    live: usize,
}

impl Hosts {
    pub fn new(hash: HostsHash) -> Self {
        Self { hash, live: 0 }
    }

    /// Hosts that are in the table.
    pub fn live(&self) -> usize {
        self.live
    }

    /// Adds the host `bits`, or gives it another class: one store.
    pub fn set(&mut self, words: &[AtomicU64], bits: u32, class: u32) -> Result<(), TableFull> {
        let mut free = None;
        for place in self.places(words, bits) {
            let word = place.load(Ordering::Relaxed);
            if is_host(word, bits) {
                place.store(host(bits, class), Ordering::Release);
                return Ok(());
            }
            if word & HOST == 0 {
                free = free.or(Some(place));
            }
            if word == 0 {
                break;
            }
        }
        free.ok_or(TableFull)?.store(host(bits, class), Ordering::Release);
        self.live += 1;
        Ok(())
    }

    /// Removes the host `bits`, if it is there: one store.
    pub fn remove(&mut self, words: &[AtomicU64], bits: u32) {
        for place in self.places(words, bits) {
            let word = place.load(Ordering::Relaxed);
            if is_host(word, bits) {
                // Not zero: the search for others goes on behind it.
                place.store(u64::from(bits) << 32 | HOST_GONE, Ordering::Release);
                self.live -= 1;
                return;
            }
            if word == 0 {
                return;
            }
        }
    }

    /// Where the host may be, in the order of the search.
    fn places<'a>(&self, words: &'a [AtomicU64], bits: u32) -> impl Iterator<Item = &'a AtomicU64> + use<'a> {
        let lines = words.len() / WORDS;
        let first = self.hash.line(bits) as usize;
        (0..HOSTS_LINES as usize)
            .flat_map(move |place| words.get(((first + place) & (lines - 1)) * WORDS..).into_iter())
            .flat_map(|line| line.iter().take(WORDS))
    }
}

fn host(bits: u32, class: u32) -> u64 {
    u64::from(bits) << 32 | HOST | u64::from(class)
}

fn is_host(word: u64, bits: u32) -> bool {
    word & HOST != 0 && word >> 32 == u64::from(bits)
}
