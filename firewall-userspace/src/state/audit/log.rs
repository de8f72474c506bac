//! The files of the log: lines are appended to the last one, and room for them is set aside before.

use std::io;

use jiff::Timestamp;

use super::{
    files::{HeadFile, segment_name, segments, write_head},
    found::{FoundEnd, find},
    record::{AuditEvent, AuditWhat, ChainBegin, ChainLink, push_line, read_line},
};
use crate::{
    state::{
        disk::{Disk, DiskFile},
        error::Strayed,
    },
    text::shown::counted,
};

/// How large the log may become.
#[derive(Clone, Copy, Debug)]
pub(super) struct AuditLimits {
    /// Octets of a file from which on the next one is begun.
    pub(super) segment: u64,
    /// Files that are kept.
    pub(super) segments: usize,
    /// Octets that are set aside at once.
    pub(super) step: u64,
    /// Octets that are set aside at least while changes are admitted.
    pub(super) least: u64,
}

impl AuditLimits {
    /// Those of a daemon: 16 files of 16 MiB, which are about half a million lines.
    pub(super) const OF_DAEMON: Self = Self { segment: 16 << 20, segments: 16, step: 1 << 20, least: 512 << 10 };
}

/// The log of a folder.
pub(super) struct AuditLog<D: Disk> {
    disk: D,
    limits: AuditLimits,
    segment: LogFile<D::File>,
    last: ChainLink,
    /// What the file `head` says; `None` when nobody knows.
    head: Option<ChainLink>,
}

/// The file that lines are appended to.
struct LogFile<F> {
    file: F,
    /// Number of its first line.
    first: u64,
    /// Octets that are written, all of them whole lines.
    length: u64,
    /// Octets that there is room for.
    reserved: u64,
    /// More than whole lines may be there.
    is_torn: bool,
    is_synced: bool,
    /// Why it is not used any more: the next line goes into another file.
    over: Option<Over>,
}

/// Why a file is not used any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    /// It is not what its name leads to, or somebody else has changed it.
    Strayed,
    /// What was written to it could not be synced.
    Unsynced,
}

impl<F: DiskFile> LogFile<F> {
    /// # Errors
    /// When the disk refuses to be asked for it again.
    fn mend(&mut self) -> io::Result<()> {
        if self.is_torn {
            self.file.cut(self.length)?;
            (self.is_torn, self.is_synced, self.reserved) = (false, false, self.length);
        }
        Ok(())
    }
}

/// A log that was opened, and what has to be recorded of that.
pub(super) struct OpenedLog<D: Disk> {
    pub(super) log: AuditLog<D>,
    pub(super) events: Vec<AuditEvent>,
    /// What is not as it was left.
    pub(super) flaw: Option<String>,
}

impl<D: Disk> AuditLog<D> {
    /// Opens the log in the folder `disk`, or begins it. What a kill has left of lines is cut off.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn open(disk: D, limits: AuditLimits, now: Timestamp) -> io::Result<OpenedLog<D>> {
        let segments = segments(&disk.names()?);
        let head = HeadFile::read(&disk)?;
        if head == HeadFile::Missing && segments.is_empty() {
            // From now on whoever removes the files leaves the head behind, or removes it too.
            write_head(&disk, ChainLink::START)?;
            disk.sync()?;
        }
        let FoundEnd { last, segment, whole, torn, empty, flaw } = find(&disk, &segments, head)?;
        let last = last.unwrap_or(ChainLink::START);
        for first in empty.iter().filter(|_| flaw.is_none()) {
            disk.remove(&segment_name(*first))?;
        }
        let event = |what, summary| AuditEvent::of_daemon(now, what, summary);
        let mut events = Vec::new();
        let segment = match segment.filter(|_| flaw.is_none()) {
            Some(first) => {
                let mut file = disk.open(&segment_name(first))?;
                if torn > 0 {
                    file.cut(whole)?;
                    file.sync()?;
                    let octets = counted(usize::try_from(torn).unwrap_or(usize::MAX), "octet");
                    let words = format!("cut off {octets} behind line {}, which are no whole line", last.seq);
                    events.push(event(AuditWhat::Recover, words));
                }
                LogFile { file, first, length: whole, reserved: whole, is_torn: false, is_synced: true, over: None }
            }
            None => begin(&disk, last.seq + 1, limits)?,
        };
        let mut start = event(AuditWhat::Start, format!("goes on behind line {}", last.seq));
        if let Some(flaw) = &flaw {
            let summary = format!("the log is not as it was left: {flaw}");
            events.push(AuditEvent { result: "damaged".into(), ..event(AuditWhat::Recover, summary) });
        } else if last == ChainLink::START {
            start.summary = "the log begins".into();
        }
        events.push(start);
        let log = Self { disk, limits, segment, last, head: head.link().filter(|_| flaw.is_none()) };
        Ok(OpenedLog { log, events, flaw })
    }

    /// The last line.
    pub(super) fn last(&self) -> ChainLink {
        self.last
    }

    /// Appends lines by one write.
    ///
    /// # Errors
    /// When the disk refuses, or the file is not there any more. Nothing of them counts then.
    pub(super) fn append<'a>(&mut self, events: impl IntoIterator<Item = &'a AuditEvent>) -> io::Result<()> {
        self.write(events.into_iter().map(|event| (event, None)))
    }

    fn write<'a>(&mut self, events: impl IntoIterator<Item = (&'a AuditEvent, Option<ChainBegin>)>) -> io::Result<()> {
        let (mut octets, mut last) = (Vec::new(), self.last);
        for (event, begins) in events {
            last = push_line(&mut octets, event, begins, last);
        }
        let segment = &mut self.segment;
        if segment.over.is_some() {
            return Err(io::Error::other("its file is not used any more"));
        }
        segment.mend()?;
        let looked = self.disk.look(&segment_name(segment.first), &mut segment.file, segment.length);
        looked.inspect_err(|error| segment.over = Strayed::of(error).map(|_| Over::Strayed))?;
        if let Err(error) = segment.file.append(&octets) {
            segment.is_torn = true;
            // What cannot be cut off now is before the next line.
            let _ = segment.mend();
            return Err(error);
        }
        segment.length += octets.len() as u64;
        segment.is_synced &= octets.is_empty();
        self.last = last;
        Ok(())
    }

    /// Looks whether the file is still there, and is as long as it was written.
    ///
    /// # Errors
    /// When it is not, or nobody can tell.
    pub(super) fn look(&mut self) -> io::Result<()> {
        self.write([])
    }

    /// Makes sure that there is room for the next lines, in the next file when this one is full.
    ///
    /// # Errors
    /// When the disk refuses. Lines can still be appended as long as there is room.
    pub(super) fn prepare(&mut self, now: Timestamp) -> io::Result<()> {
        if self.segment.length >= self.limits.segment {
            self.rotate(now)?;
        }
        let segment = &mut self.segment;
        if segment.reserved < segment.length + self.limits.least {
            let wanted = segment.length + self.limits.step;
            segment.file.reserve(wanted)?;
            segment.reserved = wanted;
        }
        Ok(())
    }

    /// Makes what was appended outlive a loss of power, and says so in the file `head`.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        self.sync()?;
        if self.head != Some(self.last) {
            write_head(&self.disk, self.last)?;
            self.head = Some(self.last);
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.segment.mend()?;
        if !self.segment.is_synced {
            // Nobody knows what is on the disk of what could not be synced: fsync(2) says so once.
            self.segment.file.sync().inspect_err(|_| self.segment.over = Some(Over::Unsynced))?;
            self.segment.is_synced = true;
        }
        Ok(())
    }

    /// The daemon stops: room that was set aside is given back.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn close(&mut self) -> io::Result<()> {
        self.settle()?;
        self.segment.file.cut(self.segment.length)
    }

    /// Whether lines can only go on in another file.
    pub(super) fn is_over(&self) -> bool {
        self.segment.over.is_some()
    }

    /// Goes on in another file, behind the last line; the folder is made anew when it is gone.
    ///
    /// # Errors
    /// When the disk refuses; nothing has changed then.
    pub(super) fn renew(&mut self) -> io::Result<()> {
        let segment = &mut self.segment;
        let mended = segment.mend().and_then(|()| segment.file.sync());
        // Of one that was moved away as much as can be is there when somebody brings it back.
        if segment.over != Some(Over::Strayed) {
            mended?;
        }
        self.disk.remake().map_err(io::Error::other)?;
        self.segment = begin(&self.disk, self.last.seq + 1, self.limits)?;
        self.head = None;
        Ok(())
    }

    /// Begins the next file, and removes those that are too many.
    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        self.sync()?;
        let next = begin(&self.disk, self.last.seq + 1, self.limits)?;
        let mut full = std::mem::replace(&mut self.segment, next);
        let _ = full.file.cut(full.length);
        let summary = format!("behind {}", segment_name(full.first));
        self.append([&AuditEvent::of_daemon(now, AuditWhat::Rotate, summary)])?;
        self.settle()?;
        self.remove_old(now)
    }

    fn remove_old(&mut self, now: Timestamp) -> io::Result<()> {
        let all = segments(&self.disk.names()?);
        let many = all.len().saturating_sub(self.limits.segments.max(1));
        for (first, next) in all.iter().zip(all.iter().skip(1)).take(many) {
            let octets = self.disk.read(&segment_name(*next))?;
            if octets.is_empty() {
                // It was begun and given up.
                return self.disk.remove(&segment_name(*next));
            }
            let line = octets.split_inclusive(|octet| *octet == b'\n').next().and_then(read_line);
            // Without it the next file is damaged, and stays so.
            let begins = line.map(|line| ChainBegin { seq: line.seq, after: line.prev });
            let summary = format!("{}: lines {first} to {}", segment_name(*first), next - 1);
            self.write([(&AuditEvent::of_daemon(now, AuditWhat::Remove, summary), begins)])?;
            self.settle()?;
            self.disk.remove(&segment_name(*first))?;
        }
        Ok(())
    }
}

/// An empty file with room, whose first line will have the number `first`.
fn begin<D: Disk>(disk: &D, first: u64, limits: AuditLimits) -> io::Result<LogFile<D::File>> {
    let name = segment_name(first);
    let mut file = disk.create(&name)?;
    let made = file.reserve(limits.step).and_then(|()| disk.sync());
    if let Err(error) = made {
        let _ = disk.remove(&name);
        return Err(error);
    }
    let (is_torn, is_synced, over) = (false, true, None);
    Ok(LogFile { file, first, length: 0, reserved: limits.step, is_torn, is_synced, over })
}
