//! The thread that writes the log.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::Duration,
};

use super::{
    log::{AuditLimits, AuditLog, OpenedLog},
    record::{AuditEvent, AuditWhat, ChainLink, OK},
    writer::{AuditShared, WaitingEvents, words},
};
use crate::{
    clock::Now,
    logging,
    state::{disk::Disk, error::StoreError},
    text::shown::counted,
};

/// Between two syncs, two looks whether the file is still there, and two attempts to write again.
const TICK: Duration = Duration::from_secs(1);

/// Between two times that the head is told to the log of the daemon.
const TELL: Duration = Duration::from_secs(60);

/// Lines that are written at once, at most.
const AT_ONCE: usize = 256;

/// What opens a folder.
pub type OpenFolder<D> = Box<dyn FnMut(&Path) -> Result<D, StoreError> + Send>;

/// The thread.
pub struct AuditThread<D: Disk> {
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
    /// The thread that writes what `shared` has to a log in `folder`, which `open` opens.
    pub fn new(shared: Arc<AuditShared>, folder: &Path, open: OpenFolder<D>) -> Self {
        let folder = folder.to_owned();
        Self { shared, open, folder, log: None, own: Vec::new(), ticked: None, told: None }
    }

    /// Writes until it is told to stop.
    pub fn run(mut self) {
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
