//! The thread that writes the log, and what it shares with those who record.

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
    log::{AuditLimits, AuditLog, OpenedLog},
    record::{AuditEvent, AuditWhat, ChainLink, OK},
    sink::{AuditHandle, AuditSink, AuditView},
};
use crate::{
    clock::Now,
    logging,
    state::{
        disk::{Disk, Folder},
        error::StoreError,
        patient::no_answer,
    },
    text::shown::counted,
};

/// How long whoever records waits for the disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// Between two syncs, two looks whether the file is still there, and two attempts to write again.
const TICK: Duration = Duration::from_secs(1);

/// Between two times that the head is told to the log of the daemon.
const TELL: Duration = Duration::from_secs(60);

/// What happened and waits to be written, at most; what is more is in the log of the daemon only.
const MOST_WAITING: usize = 4096;

/// Lines that are written at once, at most.
const AT_ONCE: usize = 256;

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
        let thread = AuditThread {
            shared: Arc::clone(&shared),
            open: Box::new(open),
            folder: folder.to_owned(),
            log: None,
            own: Vec::new(),
            ticked: None,
            told: None,
        };
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
struct AuditShared {
    queue: Mutex<WaitingEvents>,
    /// The thread has got further.
    moved: Condvar,
    /// There is something for the thread.
    woken: Condvar,
    clock: fn() -> Now,
    patience: Duration,
}

impl fmt::Debug for AuditShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditHandle").field("view", &self.view()).finish_non_exhaustive()
    }
}

/// What waits for the thread, and what it has told.
#[derive(Default)]
struct WaitingEvents {
    /// Where the log is to be.
    folder: PathBuf,
    events: VecDeque<AuditEvent>,
    /// How many there were.
    taken: u64,
    /// How many of them are written.
    written: u64,
    sums: FailureSums,
    refusing: Option<String>,
    damaged: Option<String>,
    /// Lines of what was done, and of what was refused.
    counts: [u64; 2],
    write_errors: u64,
    lost: u64,
    /// Those of them that no line tells of.
    lost_untold: u64,
    last: Option<ChainLink>,
    /// The log in the folder is open.
    is_begun: bool,
    is_stopping: bool,
    is_over: bool,
}

impl WaitingEvents {
    fn push(&mut self, event: AuditEvent) {
        if self.is_over || self.events.len() >= MOST_WAITING {
            self.lost += 1;
            self.lost_untold += 1;
            tell_late(&event, "cannot record this in the audit log");
            return;
        }
        self.events.push_back(event);
        self.taken += 1;
    }

    fn refuse(&mut self, why: String) {
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
    fn lock(&self) -> MutexGuard<'_, WaitingEvents> {
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
fn words(folder: &Path, source: io::Error) -> String {
    StoreError::Write { path: folder.to_owned(), attempt: "write the audit log in", source }.to_string()
}

type OpenFolder<D> = Box<dyn FnMut(&Path) -> Result<D, StoreError> + Send>;

/// The thread.
struct AuditThread<D: Disk> {
    shared: Arc<AuditShared>,
    open: OpenFolder<D>,
    folder: PathBuf,
    log: Option<AuditLog<D>>,
    /// What it has to record itself, before anything else.
    own: Vec<AuditEvent>,
    /// When it last looked, since boot.
    ticked: Option<Duration>,
    /// The head that it last told, and when.
    told: Option<(ChainLink, Duration)>,
}

/// What there is to do.
struct AuditWork {
    events: Vec<AuditEvent>,
    folder: PathBuf,
    is_stopping: bool,
}

impl<D: Disk> AuditThread<D> {
    fn run(mut self) {
        loop {
            let AuditWork { events, folder, is_stopping } = self.wait();
            let now = (self.shared.clock)();
            if folder != self.folder {
                self.leave();
                self.folder = folder;
            }
            let written = self.write(&events, now);
            let is_written = written.is_ok();
            self.tell(written.map(|()| events));
            if is_written {
                self.tend(now);
            }
            let is_done = self.shared.lock().events.is_empty() || !is_written;
            if is_stopping && is_done {
                self.end(now);
                return;
            }
        }
    }

    /// Waits for something to do, or until it is time to look.
    fn wait(&self) -> AuditWork {
        let is_idle = |queue: &mut WaitingEvents| {
            let has_work = !queue.events.is_empty() && queue.refusing.is_none();
            !(has_work || queue.is_stopping || queue.folder != self.folder)
        };
        let queue = self.shared.lock();
        // The first time it opens the log at once.
        let limit = if self.ticked.is_some() { TICK } else { Duration::ZERO };
        let waited = self.shared.woken.wait_timeout_while(queue, limit, is_idle);
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        let now = (self.shared.clock)();
        if let Some(sum) = queue.sums.due(now) {
            queue.push(sum);
        }
        let events = queue.events.iter().take(AT_ONCE).cloned().collect();
        AuditWork { events, folder: queue.folder.clone(), is_stopping: queue.is_stopping }
    }

    /// Appends `events` behind what it has to record itself.
    fn write(&mut self, events: &[AuditEvent], now: Now) -> Result<(), String> {
        self.ticked.get_or_insert(now.boot);
        self.be_open(now)?;
        let Some(log) = &mut self.log else { return Ok(()) };
        if self.own.is_empty() && events.is_empty() {
            return Ok(());
        }
        let appended = log.append(self.own.iter().chain(events)).map_err(|error| words(&self.folder, error));
        if let Err(why) = appended {
            self.renew(&why, now)?;
            let Some(log) = &mut self.log else { return Err(why) };
            log.append(self.own.iter().chain(events)).map_err(|error| words(&self.folder, error))?;
        }
        self.own.clear();
        Ok(())
    }

    /// Opens the log, if it is not open.
    fn be_open(&mut self, now: Now) -> Result<(), String> {
        if self.log.is_none() {
            let disk = (self.open)(&self.folder).map_err(|error| error.to_string())?;
            let opened = AuditLog::open(disk, AuditLimits::OF_DAEMON, now.wall);
            let OpenedLog { log, events, flaw } = opened.map_err(|error| words(&self.folder, error))?;
            if let Some(flaw) = &flaw {
                let folder = self.folder.display();
                tracing::error!(
                    "THE AUDIT LOG in {folder} IS NOT AS IT WAS LEFT: {flaw}\nhint: `portcullis audit verify`"
                );
            }
            self.shared.lock().damaged = flaw;
            self.own.extend(events);
            self.log = Some(log);
        }
        Ok(())
    }

    /// Goes on in another file where that of now cannot be used any more, which is `why` something failed.
    ///
    /// # Errors
    /// `why`, where it can; or why there is no other.
    fn renew(&mut self, why: &str, now: Now) -> Result<(), String> {
        let Some(log) = self.log.as_mut().filter(|log| log.is_over()) else { return Err(why.to_owned()) };
        log.renew().map_err(|error| words(&self.folder, error))?;
        let why = why.lines().next().unwrap_or_default();
        tracing::error!("the audit log goes on in another file: {why}");
        let event = AuditEvent::of_daemon(now.wall, AuditWhat::Recover, format!("goes on in another file: {why}"));
        self.own.push(AuditEvent { result: "moved".into(), ..event });
        Ok(())
    }

    /// Tells those who wait what came of it.
    fn tell(&mut self, written: Result<Vec<AuditEvent>, String>) {
        let mut queue = self.shared.lock();
        match written {
            Ok(events) => {
                queue.events.drain(..events.len());
                queue.written += events.len() as u64;
                for event in &events {
                    let [done, refused] = &mut queue.counts;
                    *(if event.result == OK { done } else { refused }) += 1;
                }
                queue.is_begun |= queue.folder == self.folder && self.log.is_some();
                queue.last = self.log.as_ref().map(AuditLog::last);
                let lost = std::mem::take(&mut queue.lost_untold);
                drop(queue);
                if lost > 0 {
                    let lost = counted(usize::try_from(lost).unwrap_or(usize::MAX), "event");
                    let summary =
                        format!("{lost} before this line could not be recorded; the log of the daemon has them");
                    let event = AuditEvent::of_daemon((self.shared.clock)().wall, AuditWhat::Recover, summary);
                    self.own.push(AuditEvent { result: "lost".into(), ..event });
                }
                events.iter().for_each(tell_log);
            }
            Err(why) => queue.refuse(why),
        }
        self.shared.moved.notify_all();
    }

    /// Makes room for the next lines; each second what was written outlives a loss of power. Changes are refused when this fails, and
    /// admitted again when it does not.
    fn tend(&mut self, now: Now) {
        let is_due = self.ticked.is_none_or(|ticked| now.boot.saturating_sub(ticked) >= TICK);
        let Some(log) = &mut self.log else { return };
        let mut tended = log.prepare(now.wall);
        if is_due || log.last().seq <= 1 {
            self.ticked = Some(now.boot);
            tended = log.look().and(tended).and_then(|()| log.settle());
        }
        let mut tended = tended.map_err(|error| words(&self.folder, error));
        if let Err(why) = &tended
            && self.log.as_ref().is_some_and(AuditLog::is_over)
        {
            let why = why.clone();
            tended = self.renew(&why, now).and_then(|()| self.write(&[], now));
        }
        let Some(log) = &self.log else { return };
        let last = log.last();
        let mut queue = self.shared.lock();
        match tended {
            Err(why) => queue.refuse(why),
            // What waits comes first.
            Ok(()) if queue.refusing.is_some() && queue.events.is_empty() && is_due => {
                queue.refusing = None;
                tracing::info!("changes are recorded again");
            }
            Ok(()) => {}
        }
        drop(queue);
        self.shared.moved.notify_all();
        self.tell_head(last, now.boot, false);
    }

    /// Tells the log of the daemon where the chain is: whoever cuts the files cannot cut that.
    fn tell_head(&mut self, last: ChainLink, now: Duration, is_end: bool) {
        let is_due = self.told.is_none_or(|(told, at)| told != last && (is_end || now.saturating_sub(at) >= TELL));
        if is_due {
            self.told = Some((last, now));
            tracing::info!(seq = last.seq, hash = %last.hash, "the head of the audit log");
        }
    }

    /// Gives the log up that it has.
    fn leave(&mut self) {
        if let Some(mut log) = self.log.take()
            && let Err(error) = log.close()
        {
            tracing::error!("{}", words(&self.folder, error));
        }
    }

    fn end(&mut self, now: Now) {
        let sum = self.shared.lock().sums.take(now.wall);
        let stop = AuditEvent::of_daemon(now.wall, AuditWhat::Stop, "the daemon stops".into());
        let events: Vec<_> = sum.into_iter().chain([stop]).collect();
        if let Err(why) = self.write(&events, now) {
            tracing::error!("{why}");
        }
        if let Some(last) = self.log.as_ref().map(AuditLog::last) {
            self.tell_head(last, now.boot, true);
        }
        self.leave();
        let mut queue = self.shared.lock();
        let waiting = queue.events.len();
        if waiting > 0 {
            let waiting = counted(waiting, "change");
            tracing::error!("{waiting} could not be recorded in the audit log before the end; this log has them");
        }
        queue.is_over = true;
        self.shared.moved.notify_all();
    }
}

/// Tells the log of the daemon what its controller does not.
fn tell_log(event: &AuditEvent) {
    let AuditEvent { who, method, peer, what, summary, result, .. } = event;
    let is_of_others = result != OK;
    if is_of_others && logging::admits("changes and attempts that were refused, which the audit log has") {
        let what = what.label();
        tracing::info!(who, method, peer, what, %result, summary, "recorded what was refused");
    }
    if matches!(what, AuditWhat::TokenCreate | AuditWhat::TokenRotate | AuditWhat::TokenRevoke) && result == OK {
        let what = what.label();
        tracing::info!(who, method, peer, what, summary, "recorded a change of a token");
    }
}
