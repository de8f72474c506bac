//! Which lines of a table are free.

use super::TableFull;

/// Longest run of lines that a node needs: 256 entries of 4 octets.
pub const MAX_RUN: usize = 16;

/// A bump allocator with free lists by length of run.
pub struct Arena {
    capacity: u32,
    /// Lines from here on were never used.
    next: u32,
    free_runs: [Vec<u32>; MAX_RUN],
    /// Taken for the change that is under way.
    taken: Vec<Run>,
    /// Replaced by the change that is under way: still published.
    pending: Vec<Run>,
    /// Waiting for a grace period.
    retired: Vec<Run>,
    /// Lines in use, those that wait included.
    used: u32,
}

/// Lines in a row.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: u32,
    count: u32,
}

impl Arena {
    /// All of `capacity` lines free but line 0, which means "none".
    pub fn new(capacity: u32) -> Self {
        Self {
            capacity,
            next: 1,
            free_runs: Default::default(),
            taken: Vec::new(),
            pending: Vec::new(),
            retired: Vec::new(),
            used: 0,
        }
    }

    /// `count` lines in a row.
    pub fn lines(&mut self, count: u32) -> Result<u32, TableFull> {
        let first = self.take(count)?;
        self.taken.push(Run { first, count });
        Ok(first)
    }

    fn take(&mut self, count: u32) -> Result<u32, TableFull> {
        let index = (count as usize).checked_sub(1).filter(|index| *index < MAX_RUN).ok_or(TableFull)?;
        let recycled = self.free_runs.get_mut(index).and_then(Vec::pop).or_else(|| self.split(index));
        let first = match recycled {
            Some(first) => first,
            None => {
                let first = self.next;
                self.next = first.checked_add(count).filter(|end| *end <= self.capacity).ok_or(TableFull)?;
                first
            }
        };
        self.used += count;
        Ok(first)
    }

    /// The front of a longer free run, when there are no fresh lines left.
    fn split(&mut self, index: usize) -> Option<u32> {
        if self.next.checked_add(index as u32 + 1)? <= self.capacity {
            return None;
        }
        let longer =
            (index + 1..MAX_RUN).find(|longer| self.free_runs.get(*longer).is_some_and(|runs| !runs.is_empty()))?;
        let first = self.free_runs.get_mut(longer)?.pop()?;
        self.free_runs.get_mut(longer - index - 1)?.push(first + index as u32 + 1);
        Some(first)
    }

    /// Gives lines back once nothing published leads to them.
    pub fn retire_lines(&mut self, first: u32, count: u32) {
        self.pending.push(Run { first, count });
    }

    /// The change is published: what it replaced cannot be reached any more by readers that start now.
    pub fn commit(&mut self) {
        self.taken.clear();
        self.retired.append(&mut self.pending);
    }

    /// The change does not happen: what it was to replace stays, what it took is free.
    pub fn abandon(&mut self) {
        self.pending.clear();
        for run in std::mem::take(&mut self.taken) {
            self.free(run);
        }
    }

    /// A grace period is over: what was retired is free.
    pub fn reclaim(&mut self) {
        for run in std::mem::take(&mut self.retired) {
            self.free(run);
        }
    }

    fn free(&mut self, run: Run) {
        if let Some(runs) = self.free_runs.get_mut(run.count as usize - 1) {
            runs.push(run.first);
        }
        self.used -= run.count;
    }

    /// Lines in use, and lines there are.
    pub fn usage(&self) -> (u32, u32) {
        (self.used, self.capacity)
    }

    /// Runs of lines that wait for a grace period.
    pub fn retired(&self) -> u32 {
        self.retired.len() as u32
    }
}
