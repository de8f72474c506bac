//! The log of the daemon: standard error, which may be closed, full or frozen, and never stops whoever logs.
//!
//! In: events of `tracing`, words of a start that is refused, panics. Out: lines on standard error, in their order, and the number of
//! those that were lost. One thread writes (`writer.rs`), and owns standard error while a daemon runs; everybody else only queues.
//!
//! The non-blocking writer of `tracing-appender` (0.2.5) bounds lines and not octets, does not count what standard error refused, and
//! panics at the end of a process whose standard output is closed.

mod queue;
mod sparing;
mod writer;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    fmt::Write as _,
    io::{self, Write as _},
    panic::{self, PanicHookInfo},
    sync::atomic::{AtomicU64, Ordering},
    thread::{self, Builder},
    time::{Duration, Instant},
};

use tracing_subscriber::{
    EnvFilter,
    fmt::{
        format::Writer as Formatted,
        time::{FormatTime, SystemTime},
    },
};

use self::{
    queue::Queue,
    sparing::Sparing,
    writer::{StandardError, Writer},
};

/// Longest wait at the end of the process for lines that are not written yet: a pipe that nobody reads takes none.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// The lines of this process that wait to be written.
static LOG: Queue = Queue::new();

/// Lines that others cause.
static SPARING: Sparing = Sparing::new();

/// Threads and tasks of this process that panicked.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Logs events and panics to standard error from now on; `PORTCULLIS_LOG` sets the level as `RUST_LOG` does elsewhere.
///
/// # Errors
/// When no thread is to be had that writes.
pub fn start() -> io::Result<()> {
    Builder::new().name("log".into()).spawn(|| Writer::new(StandardError).serve(&LOG, &SPARING))?;
    let filter = EnvFilter::try_from_env("PORTCULLIS_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // Its own errors would go to standard error directly, by a macro that panics when that is not possible.
    let subscriber = tracing_subscriber::fmt().log_internal_errors(false).with_env_filter(filter);
    let _ = subscriber.with_writer(|| Lines).with_ansi(false).try_init();
    panic::set_hook(Box::new(note_panic));
    Ok(())
}

/// Says `words` on standard error, behind what was logged before. What has no line feed at its end gets one.
pub fn say(words: &str) {
    let end = if words.ends_with('\n') { "" } else { "\n" };
    LOG.push(format!("{words}{end}").into_bytes());
}

/// Says `words` on standard error at once, for a process that has no thread to write them.
pub fn say_directly(words: &str) {
    // There is nowhere left to say that this failed.
    let _ = writeln!(io::stderr(), "{words}");
}

/// Waits until everything is written that was logged, but not for long.
pub fn drain() {
    SPARING.sums(Instant::now(), true).iter().for_each(|sum| LOG.push(line("WARN", sum).into_bytes()));
    LOG.drain(DRAIN_LIMIT);
}

/// Whether a line that others cause is to be logged: ten of a kind, which is called in the plural, within a minute. The log says
/// how many more there were.
pub fn admits(kind: &'static str) -> bool {
    SPARING.admits(kind, Instant::now())
}

/// Lines that are lost, since this process started: standard error refused them, or took too long.
pub fn lost() -> u64 {
    LOG.lost()
}

/// Threads and tasks that panicked, since this process started.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

/// Takes each event as one line.
struct Lines;

impl io::Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LOG.push(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Logs a panic without `tracing`, in which it may have happened.
fn note_panic(info: &PanicHookInfo<'_>) {
    PANICS.fetch_add(1, Ordering::Relaxed);
    let thread = thread::current();
    let (name, message) = (thread.name().unwrap_or("without a name"), info.payload_as_str().unwrap_or("without words"));
    let at = info.location().map(ToString::to_string).unwrap_or_default();
    let mut words = format!("a thread panicked: a bug worth a report thread={name:?} at={at} message={message:?}");
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        // Writing to a string cannot fail.
        let _ = write!(words, "\n{backtrace}");
    }
    LOG.push(line("ERROR", &words).into_bytes());
}

/// A line in the form of those that `tracing` makes.
fn line(level: &str, words: &str) -> String {
    let mut line = String::new();
    // Writing to a string cannot fail.
    let _ = SystemTime.format_time(&mut Formatted::new(&mut line));
    let _ = writeln!(line, " {level:>5} {}: {words}", module_path!());
    line
}
