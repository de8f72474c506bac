//! Lines between those who log and the thread that writes: whoever adds one never waits.

use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Most lines that wait.
const MOST_LINES: usize = 4096;

/// Most octets that wait, unless they are one line.
const MOST_OCTETS: usize = 4 << 20;

/// Lines that wait to be written.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: Mutex<QueuedLines>,
    changed: Condvar,
    lost: AtomicU64,
}

#[derive(Debug)]
struct QueuedLines {
    lines: VecDeque<LogLine>,
    octets: usize,
    /// Lines that found no room.
    refused: u64,
    /// Whether the writer has a line in its hands.
    is_writing: bool,
}

/// What is written of one event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogRecord {
    /// A line, or several that belong together, with the line feed at the end.
    pub(super) line: Vec<u8>,
    /// The same for the journal; empty when it is for standard error.
    pub(super) datagram: Vec<u8>,
}

#[derive(Debug)]
struct LogLine {
    record: LogRecord,
    /// How many were refused before it.
    refused_before: u64,
}

/// What is to be written next.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Next {
    /// `None` when there is only something to tell.
    pub(super) line: Option<LogRecord>,
    /// How many were refused before it.
    pub(super) refused: u64,
}

impl LogRecord {
    /// Octets that it takes while it waits.
    fn len(&self) -> usize {
        self.line.len() + self.datagram.len()
    }
}

/// A line for standard error.
impl<T: Into<Vec<u8>>> From<T> for LogRecord {
    fn from(line: T) -> Self {
        Self { line: line.into(), datagram: Vec::new() }
    }
}

impl Queue {
    /// Nothing waits.
    pub(super) const fn new() -> Self {
        let waiting = QueuedLines { lines: VecDeque::new(), octets: 0, refused: 0, is_writing: false };
        Self { waiting: Mutex::new(waiting), changed: Condvar::new(), lost: AtomicU64::new(0) }
    }

    /// Adds a line, or counts it as lost when too many wait.
    pub(super) fn push(&self, record: LogRecord) {
        let mut waiting = self.lock();
        let is_full = waiting.lines.len() >= MOST_LINES
            || (!waiting.lines.is_empty() && waiting.octets + record.len() > MOST_OCTETS);
        if is_full {
            waiting.refused += 1;
            self.count_lost();
            return;
        }
        waiting.octets += record.len();
        let refused_before = waiting.refused;
        waiting.lines.push_back(LogLine { record, refused_before });
        drop(waiting);
        self.changed.notify_all();
    }

    /// Takes out the next line, when there is one. Without one it waits until there is something to tell: more than `told` were
    /// refused, or `patience` is over.
    pub(super) fn next(&self, told: u64, patience: Option<Duration>) -> Next {
        let mut waiting = self.lock();
        waiting.is_writing = false;
        self.changed.notify_all();
        let is_idle = |waiting: &mut QueuedLines| waiting.lines.is_empty() && waiting.refused <= told;
        waiting = match patience {
            None => self.changed.wait_while(waiting, is_idle).unwrap_or_else(PoisonError::into_inner),
            Some(patience) => {
                self.changed.wait_timeout_while(waiting, patience, is_idle).unwrap_or_else(PoisonError::into_inner).0
            }
        };
        waiting.is_writing = true;
        match waiting.lines.pop_front() {
            Some(LogLine { record, refused_before }) => {
                waiting.octets -= record.len();
                Next { line: Some(record), refused: refused_before }
            }
            None => Next { line: None, refused: waiting.refused },
        }
    }

    /// Counts a line that is lost.
    pub(super) fn count_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// Lines that are lost.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until nothing waits and nothing is being written, for `limit` at most.
    pub(super) fn drain(&self, limit: Duration) {
        let end = Instant::now() + limit;
        let mut waiting = self.lock();
        while !waiting.lines.is_empty() || waiting.is_writing {
            let Some(left) = end.checked_duration_since(Instant::now()) else { return };
            waiting = self.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, QueuedLines> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, refused: u64) -> Next {
        Next { line: Some(text.into()), refused }
    }

    fn nothing(refused: u64) -> Next {
        Next { line: None, refused }
    }

    #[test]
    fn lines_come_out_in_order_and_know_what_was_lost_before_them() {
        let queue = Queue::new();
        for number in 0..MOST_LINES + 3 {
            queue.push(number.to_string().into());
        }
        assert_eq!(queue.lost(), 3);
        assert_eq!(queue.next(0, None), line("0", 0));
        queue.push("late".into());
        for number in 1..MOST_LINES {
            assert_eq!(queue.next(0, None), line(&number.to_string(), 0));
        }
        assert_eq!(queue.next(0, None), line("late", 3));
        assert_eq!(queue.next(0, None), nothing(3), "there is something to tell");
        assert_eq!(queue.next(3, Some(Duration::ZERO)), nothing(3), "nothing to do and no patience");
    }

    #[test]
    fn octets_are_limited_too_but_one_long_line_has_room() {
        let queue = Queue::new();
        queue.push(vec![b'x'; 2 * MOST_OCTETS].into());
        queue.push("y".into());
        assert_eq!((queue.lost(), queue.lock().lines.len()), (1, 1));
        assert_eq!(queue.next(0, None).line.map(|line| line.len()), Some(2 * MOST_OCTETS));
        queue.push("z".into());
        assert_eq!((queue.next(1, None), queue.lock().octets), (line("z", 1), 0));
    }

    #[test]
    fn what_is_told_as_lost_never_goes_back() {
        let (queue, mut told) = (Queue::new(), 0);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..20 * MOST_LINES).for_each(|_| queue.push("x".into())));
            let mut written = 0;
            while written + told < 20 * MOST_LINES as u64 {
                let Next { line, refused } = queue.next(told, None);
                assert!(refused >= told, "{refused} after {told}");
                told = refused;
                written += u64::from(line.is_some());
            }
        });
        assert_eq!(told, queue.lost());
    }

    #[test]
    fn a_drain_waits_for_the_line_that_is_being_written_and_not_for_ever() {
        let queue = Queue::new();
        queue.drain(Duration::from_secs(600));
        let drains_in_vain = || {
            let (start, limit) = (Instant::now(), Duration::from_millis(5));
            queue.drain(limit);
            start.elapsed() >= limit
        };
        queue.push("a".into());
        assert!(drains_in_vain(), "a line waits");
        queue.next(0, None);
        assert!(drains_in_vain(), "a line is being written");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                queue.next(0, Some(Duration::ZERO));
                queue.lock().is_writing = false;
                queue.changed.notify_all();
            });
            queue.drain(Duration::from_secs(600));
        });
        assert!(!queue.lock().is_writing);
    }
}
