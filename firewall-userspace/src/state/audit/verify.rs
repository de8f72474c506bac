//! Whether a log is as it was written, and where it is not: line by line, in as much memory as a line takes.
//!
//! Nobody can change what is hashed without changing the hash, and nobody the hash without the next line telling. So the first line
//! that does not follow the one before is where somebody was; what follows it says which of the two it is.

use std::{
    fmt,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use serde::Serialize;

use super::{
    files::{HEAD, HeadFile, segment_name, segments},
    record::{AuditHash, ChainBegin, ChainLink, LinkedLine, MAX_LINE, read_line},
};
use crate::files::open_regular_at;

/// What is wrong with a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A line is not as it was written.
    Changed,
    /// Lines are missing before this one.
    Removed,
    /// This line stands at another place than it was written to.
    Reordered,
    /// Lines are missing from the end.
    Truncated,
    /// The head is not of this log, or is gone.
    ForeignHead,
}

/// The first thing that is wrong with a log, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditFault {
    /// What it is.
    pub kind: FaultKind,
    /// The file.
    pub file: String,
    /// The line in it, from 1 on.
    pub line: u64,
    /// Number of the line in the log that is there, or should be; `None` when nobody can tell.
    pub seq: Option<u64>,
    /// It in words.
    pub detail: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifiedLog {
    /// Lines that were read.
    pub lines: u64,
    /// Files that were read.
    pub files: usize,
    /// Number of the first line that is kept.
    pub first: Option<u64>,
    /// Number of the last line that is as it was written.
    pub last: Option<u64>,
    /// Its hash.
    pub last_hash: Option<AuditHash>,
    /// What the file `head` says is the last line; the daemon may have written more since.
    pub head: Option<u64>,
    /// Octets at the end that are no whole line: a daemon was killed while it wrote them, and the next one cuts them off.
    pub torn: u64,
    /// The first thing that is wrong.
    pub fault: Option<AuditFault>,
}

/// The folder of a log, or something like it.
pub(super) trait LogSource {
    /// Names of its files.
    fn names(&self) -> io::Result<Vec<String>>;

    /// One of them, to be read.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read>>;
}

/// Attempts to read a log while its daemon removes files of it.
const ATTEMPTS: usize = 3;

/// Verifies the log in `folder`. A daemon may write it meanwhile. With `wanted` one of its lines has to have this hash.
///
/// # Errors
/// When it cannot be read.
pub fn verify(folder: &Path, wanted: Option<AuditHash>) -> io::Result<VerifiedLog> {
    let folder = FolderSource(folder.to_owned());
    for _ in 1..ATTEMPTS {
        match verify_source(&folder, wanted) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            verified => return verified,
        }
    }
    verify_source(&folder, wanted)
}

struct FolderSource(PathBuf);

impl LogSource for FolderSource {
    fn names(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.0)?;
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read>> {
        let path = self.0.join(name);
        let file: File = open_regular_at(AT_FDCWD, &path, OFlag::O_RDONLY, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        Ok(Box::new(file))
    }
}

/// The same of any source.
///
/// # Errors
/// When it cannot be read.
pub(super) fn verify_source(source: &dyn LogSource, wanted: Option<AuditHash>) -> io::Result<VerifiedLog> {
    // First: what is written meanwhile comes behind it.
    let head = match source.open(HEAD) {
        Ok(file) => {
            let mut octets = Vec::new();
            file.take(MAX_LINE as u64).read_to_end(&mut octets)?;
            HeadFile::parse(&octets)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => HeadFile::Missing,
        Err(error) => return Err(error),
    };
    let mut segments = segments(&source.names()?);
    // One that was begun and given up may be there, or be back after a loss of power.
    while let Some(last) = segments.last()
        && source.open(&segment_name(*last))?.read(&mut [0])? == 0
    {
        segments.pop();
    }
    let mut verifier = Verifier::new(head, wanted);
    for (index, first) in segments.iter().enumerate() {
        let mut reader = BufReader::with_capacity(1 << 16, source.open(&segment_name(*first))?);
        let (mut line, mut is_begun) = (Vec::new(), false);
        while !verifier.is_done() {
            line.clear();
            (&mut reader).take(MAX_LINE as u64).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                break;
            }
            if !std::mem::replace(&mut is_begun, true) {
                verifier.begin_file(*first);
            }
            verifier.line(&line, index + 1 == segments.len());
        }
    }
    Ok(verifier.finish(segments.first().copied()))
}

/// Where a line stands.
#[derive(Clone, Copy, Debug)]
struct LinePlace {
    /// Of the first line of its file.
    file: u64,
    line: u64,
}

/// What is wrong, as far as it is known before the lines behind it.
enum Suspicion {
    /// The line at this place comes too early: those from `.1` on to it are missing, or come later.
    Gap(LinePlace, u64, u64),
    /// The line at this place, of this link, does not follow the one before, of this link and at this place.
    Broken { at: LinePlace, link: ChainLink, before: Option<(LinePlace, ChainLink)> },
}

struct Verifier {
    verified: VerifiedLog,
    head: HeadFile,
    /// What the line of the head is instead.
    head_is_another: Option<LinePlace>,
    wanted: Option<AuditHash>,
    place: LinePlace,
    /// Number that the next line has to have.
    expected: u64,
    last: Option<(LinePlace, ChainLink)>,
    suspicion: Option<Suspicion>,
    /// Where the chain begins, unless at its first line; until a line says that this is right.
    begin: Option<(LinePlace, ChainBegin)>,
}

impl Verifier {
    fn new(head: HeadFile, wanted: Option<AuditHash>) -> Self {
        let verified = VerifiedLog { head: head.link().map(|link| link.seq), ..VerifiedLog::default() };
        let place = LinePlace { file: 1, line: 0 };
        let (last, suspicion, begin) = (None, None, None);
        Self { verified, head, head_is_another: None, wanted, place, expected: 0, last, suspicion, begin }
    }

    /// Whether nothing that comes says more.
    fn is_done(&self) -> bool {
        self.verified.fault.is_some()
    }

    fn begin_file(&mut self, first: u64) {
        self.verified.files += 1;
        self.place = LinePlace { file: first, line: 0 };
        if self.last.is_none() && self.suspicion.is_none() {
            self.expected = first;
        }
    }

    fn fault(&mut self, kind: FaultKind, LinePlace { file, line }: LinePlace, seq: Option<u64>, detail: String) {
        let fault = AuditFault { kind, file: segment_name(file), line, seq, detail };
        self.verified.fault.get_or_insert(fault);
    }

    fn line(&mut self, octets: &[u8], is_last_file: bool) {
        self.place.line += 1;
        self.verified.lines += 1;
        if self.verified.torn > 0 {
            // A start cuts all of it off.
            self.verified.lines -= 1;
            self.verified.torn += octets.len() as u64;
            return;
        }
        let read = read_line(octets);
        if self.suspicion.is_some() {
            return self.follow_suspicion(read);
        }
        let Some(line) = read else { return self.unreadable(octets, is_last_file) };
        if self.wanted == Some(line.hash) {
            self.wanted = None;
        }
        let link = ChainLink { seq: line.seq, hash: line.hash };
        if line.seq < self.expected {
            let detail = format!("line {} stands where line {} belongs", line.seq, self.expected);
            return self.fault(FaultKind::Reordered, self.place, Some(line.seq), detail);
        }
        if line.seq > self.expected {
            self.suspicion = Some(Suspicion::Gap(self.place, self.expected, line.seq));
            return;
        }
        let prev = self.last.map(|(_, last)| last.hash).or((line.seq == 1).then_some(ChainLink::START.hash));
        if prev.is_some_and(|prev| prev != line.prev) {
            self.suspicion = Some(Suspicion::Broken { at: self.place, link, before: self.last });
            return;
        }
        if self.last.is_none() {
            self.verified.first = Some(line.seq);
            let begins = ChainBegin { seq: line.seq, after: line.prev };
            self.begin = (line.seq != 1).then_some((self.place, begins));
        }
        self.follows(line, link);
    }

    /// The next line is as it was written.
    fn follows(&mut self, line: LinkedLine, link: ChainLink) {
        if self.begin.is_some_and(|(_, begin)| line.begins == Some(begin)) {
            self.begin = None;
        }
        if self.head.link().is_some_and(|head| head.seq == link.seq && head.hash != link.hash) {
            self.head_is_another = Some(self.place);
        }
        self.last = Some((self.place, link));
        self.expected = link.seq + 1;
    }

    fn unreadable(&mut self, octets: &[u8], is_last_file: bool) {
        let has_end = octets.ends_with(b"\n");
        let is_behind_head = self.head.link().is_some_and(|head| head.seq < self.expected);
        let is_torn = !has_end && octets.len() < MAX_LINE || octets.contains(&0);
        let seq = Some(self.expected);
        if is_last_file && is_torn && is_behind_head {
            self.verified.lines -= 1;
            self.verified.torn += octets.len() as u64;
        } else if !has_end && octets.len() < MAX_LINE {
            let detail = format!("line {} ends in its middle", self.expected);
            self.fault(FaultKind::Truncated, self.place, seq, detail);
        } else {
            let detail = format!("line {} is not as it was written", self.expected);
            self.fault(FaultKind::Changed, self.place, seq, detail);
        }
    }

    /// Something was found before: this line says what it is, or the next ones do.
    fn follow_suspicion(&mut self, read: Option<LinkedLine>) {
        match (&self.suspicion, read) {
            (Some(Suspicion::Gap(at, expected, found)), Some(line)) if (*expected..*found).contains(&line.seq) => {
                let (at, seq) = (*at, *found);
                let detail = format!("line {found} stands where line {expected} belongs, which comes later");
                self.fault(FaultKind::Reordered, at, Some(seq), detail);
            }
            (Some(Suspicion::Broken { at, link, before }), read) => {
                let (at, link, before) = (*at, *link, *before);
                let is_followed = read.is_some_and(|line| line.prev == link.hash);
                self.broken(at, link, before.filter(|_| is_followed));
            }
            _ => {}
        }
    }

    /// A line was changed and hashed anew: that of `link`, or the one before it.
    fn broken(&mut self, at: LinePlace, link: ChainLink, before: Option<(LinePlace, ChainLink)>) {
        let (at, seq) = before.map_or((at, link.seq), |(place, before)| (place, before.seq));
        let detail = format!("line {seq} was changed and hashed anew: the next line follows another one");
        let detail = if before.is_some() { detail } else { format!("line {seq} does not follow the one before it") };
        self.fault(FaultKind::Changed, at, Some(seq), detail);
    }

    /// Nothing comes any more.
    fn finish(mut self, first: Option<u64>) -> VerifiedLog {
        self.verified.last = self.last.map(|(_, link)| link.seq);
        self.verified.last_hash = self.last.map(|(_, link)| link.hash);
        match self.suspicion.take() {
            Some(Suspicion::Gap(at, expected, found)) => {
                let detail = match found - expected {
                    1 => format!("line {expected} is gone"),
                    _ => format!("lines {expected} to {} are gone", found - 1),
                };
                self.fault(FaultKind::Removed, at, Some(expected), detail);
            }
            // Only the head says which of the two last lines is as it was written.
            Some(Suspicion::Broken { at, link, before }) => {
                let is_right = self.head.link() == Some(link);
                let is_changed = |(_, before): &(LinePlace, ChainLink)| {
                    self.head.link().is_some_and(|head| head.seq == before.seq && head.hash != before.hash)
                };
                let before = before.filter(|before| is_right || is_changed(before));
                self.broken(at, link, before);
            }
            None => {}
        }
        // The line that says where the chain begins may be among those that are gone from the end.
        let is_cut = self.head.link().is_some_and(|head| head.seq > self.verified.last.unwrap_or(0));
        if let Some((at, ChainBegin { seq, .. })) = self.begin.filter(|_| !is_cut) {
            let detail = format!("lines 1 to {} are gone, and no line says that the daemon removed them", seq - 1);
            self.fault(FaultKind::Removed, at, Some(1), detail);
        }
        self.against_head(first);
        self.verified
    }

    fn against_head(&mut self, first: Option<u64>) {
        let at = LinePlace { line: self.place.line + 1, ..self.place };
        let last = self.verified.last.unwrap_or(0);
        match self.head {
            HeadFile::Missing if first.is_none() => {}
            HeadFile::Missing => self.fault(FaultKind::ForeignHead, at, None, "the file `head` is gone".into()),
            HeadFile::Unreadable => {
                let detail = "the file `head` is not as it was written".into();
                self.fault(FaultKind::ForeignHead, at, None, detail);
            }
            HeadFile::Says(head) if head.seq > last => {
                let detail = format!("lines {} to {} are gone from the end", last + 1, head.seq);
                self.fault(FaultKind::Truncated, at, Some(last + 1), detail);
            }
            HeadFile::Says(head) => {
                if let Some(place) = self.head_is_another {
                    let detail = format!("line {} is another one than the file `head` says", head.seq);
                    self.fault(FaultKind::ForeignHead, place, Some(head.seq), detail);
                }
            }
        }
        if let Some(wanted) = self.wanted {
            self.fault(FaultKind::ForeignHead, at, None, format!("no line has the hash {wanted}"));
        }
    }
}

impl fmt::Display for AuditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}: {}", self.file, self.line, self.detail)
    }
}

impl FaultKind {
    /// Its name.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Reordered => "reordered",
            Self::Truncated => "truncated",
            Self::ForeignHead => "foreign_head",
        }
    }
}
