//! The log of the daemon: standard error, which may be closed, full or frozen, or the journal, and never stops whoever logs.
//!
//! In: events of `tracing`, words of a start that is refused, panics. Out: lines on standard error or datagrams to the journal, in their
//! order, and the number of those that were lost. One thread writes (`writer.rs`), and owns standard error while a daemon runs;
//! everybody else only queues. An event is one line and names no module.
//!
//! The non-blocking writer of `tracing-appender` (0.2.5) bounds lines and not octets, does not count what standard error refused, and
//! panics at the end of a process whose standard output is closed. `tracing-journald` (0.3) sends where an event happens, and would wait there.

mod event;
mod journal;
mod queue;
mod settings;
mod sparing;
mod writer;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    env,
    io::{self, Write as _},
    panic::{self, PanicHookInfo},
    sync::{
        OnceLock,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    thread::{self, Builder},
    time::{Duration, Instant},
};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    layer::{Context, SubscriberExt as _},
    reload::{self, Handle},
    util::SubscriberInitExt as _,
};

pub use self::settings::{LogFormat, LogLevel, LogSettings};
use self::{
    event::LogEvent,
    journal::JournalSocket,
    queue::Queue,
    settings::EventForm,
    sparing::Sparing,
    writer::{StandardError, Writer},
};

/// Longest wait at the end of the process for lines that are not written yet: a pipe that nobody reads takes none.
const DRAIN_LIMIT: Duration = Duration::from_secs(2);

/// Most characters of a level that are told.
const MOST_OF_LEVEL: usize = 40;

/// The lines of this process that wait to be written.
static LOG: Queue = Queue::new();

/// Lines that others cause.
static SPARING: Sparing = Sparing::new();

/// Threads and tasks of this process that panicked.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// How events are written now: the position in [`FORMS`].
static FORM: AtomicU8 = AtomicU8::new(0);

const FORMS: [EventForm; 3] = [EventForm::Text, EventForm::Json, EventForm::Journal];

/// Sets the level; nothing does where the environment has set it.
static LEVEL: OnceLock<Handle<EnvFilter, Registry>> = OnceLock::new();

/// Logs events and panics from now on, to the journal where standard error leads there. `PORTCULLIS_LOG` sets the level as `RUST_LOG`
/// does elsewhere; without it the configuration does.
///
/// # Errors
/// When no thread is to be had that writes.
pub fn start() -> io::Result<()> {
    let settings = LogSettings::default();
    set(settings);
    Builder::new()
        .name("log".into())
        .spawn(|| Writer::new(StandardError, JournalSocket::of_host(), form).serve(&LOG, &SPARING))?;
    let told = env::var("PORTCULLIS_LOG").ok().map(|told| told_level(&told)).transpose();
    let (told, wrong) = told.map_or_else(|error| (None, Some(error)), |told| (told, None));
    let is_told = told.is_some();
    let (filter, level) = reload::Layer::new(told.unwrap_or_else(|| EnvFilter::new(settings.level.filter())));
    if tracing_subscriber::registry().with(filter).with(Events).try_init().is_ok() && !is_told {
        let _ = LEVEL.set(level);
    }
    panic::set_hook(Box::new(note_panic));
    if let Some(error) = wrong {
        tracing::warn!(
            "cannot use PORTCULLIS_LOG: {error}; `[log] level` counts\nhint: write `error`, `warn`, `info`, `debug` or `trace`"
        );
    }
    Ok(())
}

/// The level that `told` names, or the levels of modules, as `RUST_LOG` has them. A word that is neither would be a module to
/// [`EnvFilter`], and everything else would be silent.
fn told_level(told: &str) -> Result<EnvFilter, String> {
    let told = told.trim();
    let is_level = ["error", "warn", "info", "debug", "trace"].contains(&&*told.to_ascii_lowercase());
    if !is_level && !told.contains('=') {
        return Err(format!("{:?} is no level", told.chars().take(MOST_OF_LEVEL).collect::<String>()));
    }
    EnvFilter::try_new(told).map_err(|error| error.to_string())
}

/// Logs as the configuration says from now on.
pub fn set(settings: LogSettings) {
    let form = settings.format.resolve();
    let number = FORMS.iter().position(|one| *one == form).and_then(|number| u8::try_from(number).ok());
    FORM.store(number.unwrap_or(0), Ordering::Relaxed);
    if let Some(level) = LEVEL.get() {
        // It fails when nothing is logged any more.
        let _ = level.reload(EnvFilter::new(settings.level.filter()));
    }
}

fn form() -> EventForm {
    FORMS.get(usize::from(FORM.load(Ordering::Relaxed))).copied().unwrap_or(EventForm::Text)
}

/// Says `words` on standard error, behind what was logged before; in another form than text they are an event. What has no line feed at
/// its end gets one.
pub fn say(words: &str) {
    if form() != EventForm::Text {
        LOG.push(LogEvent::new(Level::ERROR, words.trim_end()).record(form()));
        return;
    }
    let end = if words.ends_with('\n') { "" } else { "\n" };
    LOG.push(format!("{words}{end}").into());
}

/// Says `words` on standard error at once, for a process that has no thread to write them.
pub fn say_directly(words: &str) {
    // There is nowhere left to say that this failed.
    let _ = writeln!(io::stderr(), "{words}");
}

/// Waits until everything is written that was logged, but not for long.
pub fn drain() {
    let sums = SPARING.sums(Instant::now(), true);
    sums.into_iter().for_each(|sum| LOG.push(LogEvent::new(Level::WARN, sum).record(form())));
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

/// Takes each event.
struct Events;

impl<S: Subscriber> Layer<S> for Events {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        LOG.push(LogEvent::of(event).record(form()));
    }
}

/// Logs a panic without `tracing`, in which it may have happened.
fn note_panic(info: &PanicHookInfo<'_>) {
    PANICS.fetch_add(1, Ordering::Relaxed);
    let thread = thread::current();
    let (name, message) = (thread.name().unwrap_or("without a name"), info.payload_as_str().unwrap_or("without words"));
    let at = info.location().map(ToString::to_string).unwrap_or_default();
    let event = LogEvent::new(Level::ERROR, "a thread panicked: a bug worth a report");
    let mut event = event.with("thread", name).with("at", at).with("message", message);
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        event = event.with("backtrace", backtrace.to_string());
    }
    LOG.push(event.record(form()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_silences_nothing() {
        for level in ["error", "Warn", " debug ", "info,hyper=off", "firewall_userspace=trace"] {
            assert!(told_level(level).is_ok(), "{level}");
        }
        for wrong in ["", "warning", "inf", "bogus", "info;", "debug,", "2", "=,="] {
            assert!(told_level(wrong).is_err(), "{wrong}");
        }
    }
}
