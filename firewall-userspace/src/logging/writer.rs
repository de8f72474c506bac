//! The thread that writes the log, whatever becomes of what it writes to.

use std::{
    io::{self, ErrorKind, Write},
    os::fd::AsFd as _,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use tracing::Level;

use super::{
    event::LogEvent,
    journal::JournalSocket,
    queue::{LogRecord, Next, Queue},
    settings::EventForm,
    sparing::Sparing,
};

/// How long nothing is logged before the thread looks whether it can say now how many lines are lost.
const RETRY: Duration = Duration::from_secs(5);

/// Standard error without the lock and the panics of the standard library.
#[derive(Debug)]
pub(super) struct StandardError;

impl Write for StandardError {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        loop {
            match nix::unistd::write(io::stderr(), octets) {
                // Somebody has made it such that a write does not wait: `O_NONBLOCK` belongs to the open file, which others may share.
                Err(Errno::EAGAIN) => wait_for_room()?,
                written => return Ok(written?),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until standard error takes something, or refuses it.
fn wait_for_room() -> nix::Result<()> {
    let error = io::stderr();
    match poll(&mut [PollFd::new(error.as_fd(), PollFlags::POLLOUT)], PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes lines and remembers which are lost.
#[derive(Debug)]
pub(super) struct Writer<W> {
    out: W,
    journal: JournalSocket,
    /// How its own words are written.
    form: fn() -> EventForm,
    /// Lines that were refused by the queue and that are told, or to be told with those that failed.
    told: u64,
    /// Lines that could not be written, and are not told.
    failed: u64,
    /// The last line broke off.
    is_torn: bool,
}

impl<W: Write> Writer<W> {
    /// Writes to `out`, and to `journal` what is for that; its own words have this form.
    pub(super) fn new(out: W, journal: JournalSocket, form: fn() -> EventForm) -> Self {
        Self { out, journal, form, told: 0, failed: 0, is_torn: false }
    }

    /// Writes what `queue` has, and how many lines `sparing` has left out, for ever.
    pub(super) fn serve(mut self, queue: &Queue, sparing: &Sparing) {
        loop {
            let now = Instant::now();
            let sums = sparing.sums(now, false);
            sums.into_iter().for_each(|sum| queue.push(LogEvent::new(Level::WARN, sum).record((self.form)())));
            self.step(queue, sparing.time_until_sums(now));
        }
    }

    /// Writes the next line, or tells what is lost; waits for it until `patience` is over.
    fn step(&mut self, queue: &Queue, patience: Option<Duration>) {
        let retry = (self.failed > 0).then_some(RETRY);
        let Next { line, refused } = queue.next(self.told, [retry, patience].into_iter().flatten().min());
        self.failed += refused - self.told;
        self.told = refused;
        let is_told = self.tell();
        if let Some(line) = line
            && !(is_told && self.write(&line))
        {
            self.failed += 1;
            queue.count_lost();
        }
    }

    /// Says how many lines are lost since it was said last; whether that was possible.
    fn tell(&mut self) -> bool {
        let words = match self.failed {
            0 => return true,
            1 => "1 line of this log is lost: it could not be written".to_owned(),
            lost => format!("{lost} lines of this log are lost: they could not be written"),
        };
        let record = LogEvent::new(Level::WARN, words).record((self.form)());
        let is_told = self.write(&record);
        if is_told {
            self.failed = 0;
        }
        is_told
    }

    /// Hands a record to the journal when it is for that; what the journal does not take is written.
    fn write(&mut self, record: &LogRecord) -> bool {
        (!record.datagram.is_empty() && self.journal.send(&record.datagram)) || self.put(&record.line)
    }

    /// Writes all of `octets`, on a line of their own; whether that was possible.
    fn put(&mut self, octets: &[u8]) -> bool {
        if self.is_torn && !self.put_all(b"\n") {
            return false;
        }
        self.is_torn = false;
        self.put_all(octets)
    }

    fn put_all(&mut self, mut octets: &[u8]) -> bool {
        while !octets.is_empty() {
            match self.out.write(octets) {
                Ok(0) => return false,
                Ok(count) => {
                    octets = octets.get(count..).unwrap_or_default();
                    self.is_torn = !octets.is_empty();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::net::UnixDatagram, path::Path};

    use super::*;

    /// Takes `room` octets and refuses the rest with an error of the kernel.
    #[derive(Debug)]
    struct Disk {
        written: Vec<u8>,
        room: usize,
        errno: Errno,
    }

    impl Write for Disk {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let count = octets.len().min(self.room);
            if count == 0 {
                return Err(self.errno.into());
            }
            self.room -= count;
            self.written.extend(octets.iter().take(count));
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn writer(errno: Errno) -> Writer<Disk> {
        let disk = Disk { written: Vec::new(), room: usize::MAX, errno };
        Writer::new(disk, JournalSocket::at(Path::new("/nonexistent/journal")), || EventForm::Text)
    }

    /// What is written, without the time of each line.
    fn lines(writer: &Writer<Disk>) -> Vec<String> {
        let text = String::from_utf8(writer.out.written.clone()).unwrap();
        text.lines().map(|line| line.split_once("WARN ").map_or(line, |(_, words)| words).to_owned()).collect()
    }

    #[test]
    fn what_cannot_be_written_is_counted_and_told_once_it_can() {
        use nix::errno::Errno::{EBADF, EFBIG, EIO, ENOSPC, EPIPE};
        for errno in [EPIPE, ENOSPC, EIO, EFBIG, EBADF] {
            let (queue, mut writer) = (Queue::new(), writer(errno));
            let say = |writer: &mut Writer<Disk>, text: &str| {
                queue.push(format!("{text}\n").into());
                writer.step(&queue, None);
            };
            say(&mut writer, "one");
            writer.out.room = 0;
            say(&mut writer, "two");
            writer.out.room = 3;
            say(&mut writer, "three");
            writer.out.room = usize::MAX;
            say(&mut writer, "four");
            say(&mut writer, "five");
            let told = "2 lines of this log are lost: they could not be written";
            let seen = lines(&writer);
            assert_eq!(seen.iter().map(String::as_str).collect::<Vec<_>>()[2..], [told, "four", "five"], "{errno}");
            assert_eq!((&*seen[0], seen[1].len()), ("one", 3), "what broke off has a line of its own: {seen:?}");
            assert_eq!(queue.lost(), 2, "{errno}");
        }
    }

    #[test]
    fn what_found_no_room_is_told_where_it_is_missing() {
        let (queue, mut writer) = (Queue::new(), writer(Errno::EIO));
        let long = "x".repeat(5 << 20);
        for text in [&*long, "lost", "lost"] {
            queue.push(format!("{text}\n").into());
        }
        writer.step(&queue, None);
        queue.push("behind\n".into());
        writer.step(&queue, None);
        let told = "2 lines of this log are lost: they could not be written";
        assert_eq!(lines(&writer), [&*long, told, "behind"]);
    }

    #[test]
    fn the_journal_gets_datagrams_and_standard_error_what_the_journal_does_not_take() {
        let path = std::env::temp_dir().join(format!("portcullis-journal-{}", std::process::id()));
        let (queue, mut writer) = (Queue::new(), writer(Errno::EIO));
        writer.journal = JournalSocket::at(&path);
        writer.form = || EventForm::Journal;
        let log = |writer: &mut Writer<Disk>, words: &str| {
            queue.push(LogEvent::new(Level::WARN, words).with("owner", "x\ny").record(EventForm::Journal));
            writer.step(&queue, None);
        };
        log(&mut writer, "nobody listens yet");
        let journal = UnixDatagram::bind(&path).unwrap();
        let heard = |journal: &UnixDatagram| {
            let mut octets = vec![0; 4096];
            let count = journal.recv(&mut octets).unwrap();
            String::from_utf8(octets[..count].to_vec()).unwrap()
        };
        log(&mut writer, "one\ntwo");
        assert_eq!(
            heard(&journal),
            "MESSAGE\n\u{14}\0\0\0\0\0\0\0one\ntwo owner=\"x\\ny\"\nPRIORITY=4\nSYSLOG_IDENTIFIER=portcullis\nPORTCULLIS_OWNER\n\u{3}\0\0\0\0\0\0\0x\ny\n"
        );
        // Longer than a datagram may be.
        log(&mut writer, &"x".repeat(8 << 20));
        drop(journal);
        fs::remove_file(&path).unwrap();
        log(&mut writer, "gone");
        let journal = UnixDatagram::bind(&path).unwrap();
        writer.failed = 2;
        log(&mut writer, "again");
        assert!(heard(&journal).starts_with("MESSAGE=2 lines of this log are lost"));
        assert!(heard(&journal).starts_with("MESSAGE=again owner=\"x\\ny\"\nPRIORITY=4\n"));
        fs::remove_file(&path).unwrap();
        let seen = lines(&writer);
        assert_eq!(
            (seen.len(), &*seen[0], &*seen[2]),
            (3, "nobody listens yet owner=\"x\\ny\"", "gone owner=\"x\\ny\"")
        );
        assert_eq!(queue.lost(), 0);
    }

    #[test]
    fn losses_are_told_also_when_nothing_more_is_logged() {
        let (queue, mut writer) = (Queue::new(), writer(Errno::EIO));
        for text in ["x".repeat(5 << 20), "lost".into()] {
            queue.push(format!("{text}\n").into());
        }
        writer.step(&queue, None);
        writer.step(&queue, None);
        assert_eq!(lines(&writer).len(), 2);
        assert!(lines(&writer)[1].ends_with("1 line of this log is lost: it could not be written"));
    }
}
