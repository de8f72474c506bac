//! What systemd is told (sd_notify(3)): that the daemon is up, what it does in one line, and that it lives.
//!
//! In: the state of the daemon. Out: `READY`, `STATUS`, `STOPPING`, and `WATCHDOG` as long as the controller and the runtime go on. A
//! thread of its own tells it, so that neither a file that hangs nor a busy runtime keeps it from doing so; without `NOTIFY_SOCKET`
//! there is none.

use std::{
    env,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sd_notify::NotifyState;
use tokio::time;

use crate::{
    clock::Now,
    control::Status,
    controller::{Controller, LONGEST_JOB},
    text::shown::{counted, cut},
};

/// How long a boot waits for a daemon that is still starting. What filters by then filters; nothing else is held up any longer.
const LONGEST_HOLD: Duration = Duration::from_secs(8);

/// Between two looks at the state; shorter where the watchdog wants to hear more often.
const LOOK: Duration = Duration::from_secs(1);

/// How long the runtime may show no life. It serves the API and follows interfaces.
const LONGEST_SILENCE: Duration = Duration::from_secs(30);

/// Most characters of a status; `systemctl status` has a line for it.
const MOST_OF_STATUS: usize = 300;

/// Tells systemd, from the first moment of the daemon to its last.
#[derive(Clone, Debug)]
pub(super) struct Notifier {
    told: Arc<Told>,
}

#[derive(Debug)]
struct Told {
    /// What it is at, and how often that has changed.
    phase: Mutex<(Phase, u64)>,
    changed: Condvar,
    /// Grows as long as the runtime carries out tasks.
    pulse: AtomicU64,
}

#[derive(Clone, Debug)]
enum Phase {
    Starting,
    Running(Controller),
    Stopping,
}

impl Notifier {
    /// Begins to tell, where somebody listens.
    pub(super) fn start() -> Self {
        let told = Told { phase: Mutex::new((Phase::Starting, 0)), changed: Condvar::new(), pulse: AtomicU64::new(0) };
        let notifier = Self { told: Arc::new(told) };
        if env::var_os("NOTIFY_SOCKET").is_some() {
            let told = Arc::clone(&notifier.told);
            let thread = thread::Builder::new().name("notify".into()).spawn(move || tell(&told));
            if let Err(error) = thread {
                tracing::error!(%error, "no thread to be had that tells systemd; it will end this daemon as one that never started");
            }
        }
        notifier
    }

    /// The daemon does what it is there for, by `controller`. To be called in the runtime, whose life is watched from now on.
    pub(super) fn started(&self, controller: &Controller) {
        let told = Arc::clone(&self.told);
        tokio::spawn(async move {
            loop {
                told.pulse.fetch_add(1, Ordering::Relaxed);
                time::sleep(LOOK).await;
            }
        });
        self.enter(Phase::Running(controller.clone()));
    }

    /// It stops, in order.
    pub(super) fn stopping(&self) {
        self.enter(Phase::Stopping);
    }

    fn enter(&self, phase: Phase) {
        let mut now = self.told.phase.lock().unwrap_or_else(PoisonError::into_inner);
        *now = (phase, now.1 + 1);
        self.told.changed.notify_all();
    }
}

/// Tells what is to be told, until the process ends.
fn tell(told: &Told) {
    let watchdog = sd_notify::watchdog_enabled();
    let pause = watchdog.map_or(LOOK, |limit| LOOK.min(limit / 3));
    let mut teller = SystemdLines::new(watchdog.is_some());
    let began = Instant::now();
    let mut heard = (0, began);
    loop {
        let (phase, change) = told.phase.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let pulse = told.pulse.load(Ordering::Relaxed);
        if pulse != heard.0 {
            heard = (pulse, Instant::now());
        }
        let lines = match phase {
            Phase::Starting => teller.starting(began.elapsed()),
            Phase::Running(controller) => {
                let now = Now::read();
                let is_alive = heard.1.elapsed() < LONGEST_SILENCE
                    && controller.doing(now).is_ok_and(|doing| doing.is_none_or(|doing| !doing.is_stuck()));
                teller.running(controller.status(now).ok().as_ref(), is_alive)
            }
            Phase::Stopping => teller.stopping(),
        };
        let states: Vec<NotifyState<'_>> = lines.iter().map(|line| NotifyState::Custom(line)).collect();
        // Whoever does not listen any more cannot be told, and misses it by the watchdog.
        if !states.is_empty() && sd_notify::notify(&states).is_err() {
            teller.forget();
        }
        let phase = told.phase.lock().unwrap_or_else(PoisonError::into_inner);
        drop(told.changed.wait_timeout_while(phase, pause, |(_, last)| *last == change));
    }
}

/// What has been told, and so need not be told again.
#[derive(Debug)]
struct SystemdLines {
    has_watchdog: bool,
    is_ready: bool,
    is_stopping: bool,
    status: String,
}

impl SystemdLines {
    fn new(has_watchdog: bool) -> Self {
        Self { has_watchdog, is_ready: false, is_stopping: false, status: String::new() }
    }

    /// What was sent last was not heard.
    fn forget(&mut self) {
        *self = Self::new(self.has_watchdog);
    }

    /// The daemon has been starting for so long.
    fn starting(&mut self, elapsed: Duration) -> Vec<String> {
        let mut lines = Vec::new();
        let status = match elapsed > LONGEST_HOLD {
            false => "starting",
            true => "STILL STARTING: only what filtered before filters",
        };
        self.say(&mut lines, status);
        if elapsed > LONGEST_HOLD {
            self.ready(&mut lines);
        }
        self.feed(&mut lines, elapsed < LONGEST_JOB);
        lines
    }

    /// It has started; `None`: the controller has ended, which ends the daemon.
    fn running(&mut self, status: Option<&Status>, is_alive: bool) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(status) = status {
            self.say(&mut lines, &words(status));
        }
        self.ready(&mut lines);
        self.feed(&mut lines, is_alive);
        lines
    }

    fn stopping(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        self.say(&mut lines, "stopping; the policy filters on");
        if !self.is_stopping {
            self.is_stopping = true;
            lines.push("STOPPING=1".into());
        }
        // How long a stop may take is systemd's to say.
        self.feed(&mut lines, true);
        lines
    }

    fn say(&mut self, lines: &mut Vec<String>, status: &str) {
        if self.status != status {
            status.clone_into(&mut self.status);
            lines.push(format!("STATUS={status}"));
        }
    }

    fn ready(&mut self, lines: &mut Vec<String>) {
        if !self.is_ready {
            self.is_ready = true;
            lines.push("READY=1".into());
        }
    }

    fn feed(&self, lines: &mut Vec<String>, is_alive: bool) {
        if self.has_watchdog && is_alive {
            lines.push("WATCHDOG=1".into());
        }
    }
}

/// The state in one line: what matters most comes first.
fn words(status: &Status) -> String {
    let attached = status.interfaces.iter().filter(|interface| matches!(&*interface.state, "attached" | "renamed"));
    let attached: Vec<&str> = attached.map(|interface| &*interface.name).collect();
    let does = match (&*status.mode, attached.is_empty()) {
        ("none", _) => "NOTHING IS ENFORCED".to_owned(),
        (mode, true) => format!("{mode}, but NO INTERFACE IS FILTERED"),
        ("observe", false) => format!("observing {}: nothing is dropped", attached.join(", ")),
        (_, false) => format!("enforcing at {}", attached.join(", ")),
    };
    let mut parts = vec![does];
    parts.extend(status.pending.as_ref().map(|_| "a change waits for `portcullis confirm`".to_owned()));
    match status.conditions.as_slice() {
        [] => {}
        // The rest of a report is for `portcullis status`.
        [one] => parts.push(one.message.lines().next().unwrap_or_default().to_owned()),
        many => parts.push(format!("{}: see `portcullis status`", counted(many.len(), "condition"))),
    }
    parts.extend(status.pin_failure.as_ref().map(|_| "NOT PINNED: the filter would end with this daemon".to_owned()));
    // A line of the protocol; what others have named is in it.
    cut(&parts.join("; "), MOST_OF_STATUS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{Condition, InterfaceStatus};

    fn status(mode: &str, interfaces: &[(&str, &str)]) -> Status {
        let one = |(name, state): &(&str, &str)| InterfaceStatus {
            name: (*name).into(),
            was: None,
            now: None,
            ifindex: 1,
            mode: "native".into(),
            configured: "native".into(),
            state: (*state).into(),
            cause: None,
            pinned: true,
            reattachments: 0,
        };
        let reload = serde_json::json!({ "successful": true, "last_success": null, "successes": 1, "failures": 0, "error": null });
        let empty = serde_json::json!({
            "schema": "portcullis.status/v1", "version": "0", "started": "2026-01-01T00:00:00Z", "generation": 1, "mode": mode,
            "config": "/etc/portcullis/portcullis.toml", "admin_listen": "127.0.0.1:9191", "reload": reload, "policy": null,
            "differs_from_file": false, "pending": null, "automatic_rollbacks": 0, "interfaces": [], "lists": [], "services": [],
        });
        let status: Status = serde_json::from_value(empty).unwrap();
        Status { interfaces: interfaces.iter().map(one).collect(), ..status }
    }

    fn condition(code: &str, message: &str) -> Condition {
        Condition { code: code.into(), blocks: true, message: message.into() }
    }

    #[test]
    fn the_status_says_first_whether_anything_is_enforced() {
        let enforcing = status("enforce", &[("eth0", "attached"), ("eth1", "missing"), ("eth2", "renamed")]);
        assert_eq!(words(&enforcing), "enforcing at eth0, eth2");
        assert_eq!(words(&status("observe", &[("eth0", "attached")])), "observing eth0: nothing is dropped");
        assert_eq!(words(&status("enforce", &[("eth0", "refused")])), "enforce, but NO INTERFACE IS FILTERED");
        assert_eq!(words(&status("none", &[])), "NOTHING IS ENFORCED");
        let mut faulty = enforcing.clone();
        faulty.conditions = vec![condition(Condition::NOT_THE_FILE, "the file is refused\n --> 12:1")];
        assert_eq!(words(&faulty), "enforcing at eth0, eth2; the file is refused", "it is one line");
        faulty.conditions.push(condition(Condition::INTERFACE, "eth1 is not there"));
        faulty.pin_failure = Some("no space".into());
        assert_eq!(
            words(&faulty),
            "enforcing at eth0, eth2; 2 conditions: see `portcullis status`; NOT PINNED: the filter would end with this daemon"
        );
        faulty.interfaces = (0..200).map(|_| enforcing.interfaces[0].clone()).collect();
        assert!(words(&faulty).chars().count() <= MOST_OF_STATUS + 1);
    }

    #[test]
    fn a_start_that_takes_long_holds_the_boot_no_longer_and_is_not_killed_by_the_watchdog() {
        let mut teller = SystemdLines::new(true);
        assert_eq!(teller.starting(Duration::ZERO), ["STATUS=starting", "WATCHDOG=1"]);
        assert_eq!(teller.starting(LONGEST_HOLD), ["WATCHDOG=1"]);
        let late = teller.starting(LONGEST_HOLD + Duration::from_millis(1));
        assert_eq!(late, ["STATUS=STILL STARTING: only what filtered before filters", "READY=1", "WATCHDOG=1"]);
        assert_eq!(teller.starting(LONGEST_JOB), [""; 0], "what never ends is ended");
        let status = status("enforce", &[("eth0", "attached")]);
        assert_eq!(teller.running(Some(&status), true), ["STATUS=enforcing at eth0", "WATCHDOG=1"], "it is told once");
    }

    #[test]
    fn a_daemon_is_ready_when_it_runs_and_the_watchdog_is_fed_only_while_it_lives() {
        let status = status("enforce", &[("eth0", "attached")]);
        let mut teller = SystemdLines::new(true);
        assert_eq!(teller.running(Some(&status), true), ["STATUS=enforcing at eth0", "READY=1", "WATCHDOG=1"]);
        assert_eq!(teller.running(Some(&status), false), [""; 0]);
        assert_eq!(teller.stopping(), ["STATUS=stopping; the policy filters on", "STOPPING=1", "WATCHDOG=1"]);
        assert_eq!(teller.stopping(), ["WATCHDOG=1"]);
        let mut unwatched = SystemdLines::new(false);
        assert_eq!(unwatched.running(None, true), ["READY=1"]);
        unwatched.forget();
        assert_eq!(unwatched.running(None, true), ["READY=1"], "what was not heard is said again");
    }
}
