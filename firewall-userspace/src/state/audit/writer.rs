//! What those who record share with the thread that writes the log.

use std::{
    collections::VecDeque,
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::Builder,
    time::Duration,
};

use super::{
    failures::FailureSums,
    record::{AuditEvent, ChainLink},
    sink::{AuditHandle, AuditSink, AuditView},
    thread::AuditThread,
};
use crate::{
    clock::Now,
    state::{
        disk::{Disk, Folder},
        error::StoreError,
        patient::no_answer,
    },
};

/// How long whoever records waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// What happened and waits to be written, at most; what is more is in the log of the daemon only.
const MOST_WAITING: usize = 4096;

/// The log of a daemon; clones are the same.
#[derive(Clone)]
pub struct AuditWriter(Arc<AuditShared>);

impl AuditWriter {
    /// Begins to write the log in `folder`, which is made when it is not there. When that is not possible, it is tried again each second,
    /// and nothing is [admitted](AuditSink::admit) meanwhile. `clock` reads the clocks.
    ///
    /// # Errors
    /// When there is no thread to be had.
    pub fn start(folder: &Path, clock: fn() -> Now) -> io::Result<Self> {
        Self::start_with(folder, clock, PATIENCE, |folder: &Path| Folder::open(folder))
    }

    pub(super) fn start_with<D: Disk>(
        folder: &Path,
        clock: fn() -> Now,
        patience: Duration,
        open: impl FnMut(&Path) -> Result<D, StoreError> + Send + 'static,
    ) -> io::Result<Self> {
        let queue = WaitingEvents { folder: folder.to_owned(), ..WaitingEvents::default() };
        let (queue, moved, woken) = (Mutex::new(queue), Condvar::new(), Condvar::new());
        let shared = Arc::new(AuditShared { queue, moved, woken, clock, patience });
        let thread = AuditThread::new(Arc::clone(&shared), folder, Box::new(open));
        Builder::new().name("audit".into()).spawn(move || thread.run())?;
        // Whoever begins with a log that cannot be written is told so.
        drop(shared.wait(shared.lock(), |queue| queue.is_begun || queue.refusing.is_some()));
        Ok(Self(shared))
    }

    /// A handle on it.
    pub fn handle(&self) -> AuditHandle {
        Arc::<AuditShared>::clone(&self.0)
    }

    /// The log goes on in another folder.
    pub fn move_to(&self, folder: &Path) {
        let mut queue = self.0.lock();
        if queue.folder != folder {
            folder.clone_into(&mut queue.folder);
            queue.is_begun = false;
            self.0.woken.notify_one();
            drop(self.0.wait(queue, |queue| queue.is_begun || queue.refusing.is_some()));
        }
    }

    /// Writes what waits, and ends the log; whether that was done in time.
    pub fn stop(&self) -> bool {
        let mut queue = self.0.lock();
        queue.is_stopping = true;
        self.0.woken.notify_one();
        let is_over = self.0.wait(queue, |queue| queue.is_over).is_over;
        if !is_over {
            tracing::error!("the audit log could not be ended in order: its disk does not answer");
        }
        is_over
    }
}

/// What the thread shares.
pub struct AuditShared {
    pub queue: Mutex<WaitingEvents>,
    /// The thread has got further.
    pub moved: Condvar,
    /// There is something for the thread.
    pub woken: Condvar,
    pub clock: fn() -> Now,
    pub patience: Duration,
}

impl fmt::Debug for AuditShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditHandle").field("view", &self.view()).finish_non_exhaustive()
    }
}

/// What waits for the thread, and what it has told.
#[derive(Default)]
pub struct WaitingEvents {
    /// Where the log is to be.
    pub folder: PathBuf,
    pub events: VecDeque<AuditEvent>,
    /// How many there were.
    pub taken: u64,
    /// How many of them are written.
    pub written: u64,
    pub sums: FailureSums,
    pub refusing: Option<String>,
    pub damaged: Option<String>,
    /// Lines of what was done, and of what was refused.
    pub counts: [u64; 2],
    pub write_errors: u64,
    pub lost: u64,
    /// Those of them that no line tells of.
    pub lost_untold: u64,
    pub last: Option<ChainLink>,
    /// The log in the folder is open.
    pub is_begun: bool,
    pub is_stopping: bool,
    pub is_over: bool,
}

impl WaitingEvents {
    /// Adds what happened, where there is room.
    pub fn push(&mut self, event: AuditEvent) {
        if self.is_over || self.events.len() >= MOST_WAITING {
            self.lost += 1;
            self.lost_untold += 1;
            tell_late(&event, "cannot record this in the audit log");
            return;
        }
        self.events.push_back(event);
        self.taken += 1;
    }

    /// Changes are refused from now on.
    pub fn refuse(&mut self, why: String) {
        self.write_errors += 1;
        if self.refusing.as_ref() != Some(&why) {
            tracing::error!("CHANGES ARE REFUSED, but those of local root, because they cannot be recorded: {why}");
            self.refusing = Some(why);
        }
    }
}

/// Tells the log of the daemon what is not in the audit log yet.
fn tell_late(event: &AuditEvent, words: &str) {
    let AuditEvent { who, method, peer, what, summary, result, .. } = event;
    let what = what.label();
    tracing::error!(who, method, peer, what, %result, summary, "{words}");
}

impl AuditShared {
    /// What waits.
    pub fn lock(&self) -> MutexGuard<'_, WaitingEvents> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `is_done`, but not for long.
    fn wait<'a>(
        &self,
        queue: MutexGuard<'a, WaitingEvents>,
        is_done: impl Fn(&WaitingEvents) -> bool,
    ) -> MutexGuard<'a, WaitingEvents> {
        let waited = self.moved.wait_timeout_while(queue, self.patience, |queue| !is_done(queue));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

impl AuditSink for AuditShared {
    fn admit(&self) -> Result<(), String> {
        let queue = self.lock();
        match &queue.refusing {
            Some(why) => Err(why.clone()),
            None if !queue.is_begun => Err(words(&queue.folder, no_answer())),
            None => Ok(()),
        }
    }

    fn record(&self, events: Vec<AuditEvent>) {
        let mut queue = self.lock();
        let first = queue.taken;
        events.into_iter().for_each(|event| queue.push(event));
        let target = queue.taken;
        self.woken.notify_one();
        if queue.refusing.is_none() {
            queue = self.wait(queue, |queue| queue.written >= target || queue.refusing.is_some());
            if queue.written < target && queue.refusing.is_none() {
                let why = words(&queue.folder, no_answer());
                queue.refuse(why);
            }
        }
        // Those that wait are the last of the queue.
        let late = usize::try_from(target.saturating_sub(queue.written.max(first))).unwrap_or(usize::MAX);
        let begin = queue.events.len().saturating_sub(late);
        queue.events.range(begin..).for_each(|event| tell_late(event, "this is not in the audit log yet"));
    }

    fn note(&self, event: AuditEvent) {
        self.lock().push(event);
        self.woken.notify_one();
    }

    fn note_failure(&self, event: AuditEvent) {
        let mut queue = self.lock();
        let events = queue.sums.note(event, (self.clock)());
        events.into_iter().flatten().for_each(|event| queue.push(event));
        self.woken.notify_one();
    }

    fn view(&self) -> AuditView {
        let refusing = self.admit().err();
        let queue = self.lock();
        let [done, refused] = queue.counts;
        AuditView {
            folder: Some(queue.folder.clone()),
            refusing,
            damaged: queue.damaged.clone(),
            done,
            refused,
            write_errors: queue.write_errors,
            waiting: queue.events.len(),
            lost: queue.lost,
            last: queue.last,
        }
    }
}

/// Why the log in `folder` cannot be written.
pub fn words(folder: &Path, source: io::Error) -> String {
    StoreError::Write { path: folder.to_owned(), attempt: "write the audit log in", source }.to_string()
}
