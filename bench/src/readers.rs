//! Readers beside work: how long `status` and `/metrics` take while nothing else happens, while a push waits for a disk that
//! does not answer, and while a long list is loaded again and again.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use firewall_tests::{
    api,
    daemon::{Daemon, Site},
    frozen::FreezableDisk,
    lab::{FRIEND4, Lab, STRANGER4},
    random::Random,
    running::wait_until,
    scrape::Answer,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{cases::short, effort::Effort, frame::Family, interrupt, prefixes::Prefixes, rounds::Sample};

/// What readers waited.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Readers {
    /// Prefixes in the list.
    pub prefixes: usize,
    /// Calls of each kind in each situation of a round.
    pub calls: usize,
    /// Reloads that were answered beside the calls, by round.
    pub reloads: Sample,
    /// By question and situation.
    pub waits: BTreeMap<ReaderQuestion, BTreeMap<Beside, Wait>>,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReaderQuestion {
    /// `GET /v1/status` over the Unix socket, as `portcullis status` asks.
    Status,
    /// `GET /metrics` over loopback, as Prometheus asks.
    Metrics,
}

/// What happens beside the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Beside {
    /// Nothing.
    Nothing,
    /// A push waits for a disk that takes no writes.
    FrozenPush,
    /// One reload of the list after the other, and the first `explain` of each generation.
    Reloads,
}

/// How long calls took, one value a round.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Wait {
    /// Microseconds of the middle call.
    pub p50_us: Sample,
    /// Microseconds that 99 calls of 100 did not exceed.
    pub p99_us: Sample,
    /// The latter relative to that of the same round beside nothing.
    pub p99_times: Sample,
}

const WHOLE: (usize, usize) = (5, 1000);
const QUICK: (usize, usize) = (2, 300);

/// Between two calls: a thousand last longer than a reload.
const PAUSE: Duration = Duration::from_millis(1);

/// After which the daemon has cleared away what came before.
const SETTLED: Duration = Duration::from_millis(500);

/// How long the controller may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longer than anything that the controller does by itself, in milliseconds.
const CHORE_MS: u64 = 50;

const ADMIN: ([u8; 4], u16) = ([127, 0, 0, 1], 9191);

/// The policy of `cargo xtask lab`, with its list of partners from a file.
const POLICY: &str = r#"[[interface]]
name = "eth0"
mode = "native"

[policy]
mode = "enforce"

[lists.partners]
file = "partners.txt"

[lists.blocked]
entries = []

[limits.requests]
packets = { rate = 5000, per = "1s", burst = 5000 }

[limits.telemetry]
packets = { rate = 1000, per = "1s", burst = 200 }

[services.web]
protocol = "tcp"
ports = [80]
allow = ["partners"]
deny = ["blocked"]
limit = "requests"

[services.telemetry]
protocol = "udp"
ports = [9000]
limit = "telemetry"

[guard]
shrink_percent = 100
"#;

impl Beside {
    /// All, the quiet one first.
    pub const ALL: [Self; 3] = [Self::Nothing, Self::FrozenPush, Self::Reloads];

    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::FrozenPush => "a push that waits for a frozen disk",
            Self::Reloads => "reloads and first explains",
        }
    }
}

impl ReaderQuestion {
    const ALL: [Self; 2] = [Self::Status, Self::Metrics];

    /// As an operator writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Metrics => "/metrics",
        }
    }
}

impl fmt::Display for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "readers/{}", short(self.prefixes))?;
        for (question, waits) in &self.waits {
            for (beside, wait) in waits {
                let (p50, p99) = (wait.p50_us.median(), wait.p99_us.median());
                write!(f, "\n  {} beside {}: p50 {p50:.0} us, p99 {p99:.0} us", question.name(), beside.name())?;
                write!(f, ", {:.1} times as long as beside nothing", wait.p99_times.median())?;
            }
        }
        Ok(())
    }
}

/// Asks in every situation in turn, in another order each round.
///
/// # Errors
/// When something is refused, is not answered, or is over before the calls are.
pub fn measure(effort: Effort) -> Result<Readers> {
    let (rounds, calls) = if effort == Effort::QUICK { QUICK } else { WHOLE };
    let lab = Lab::new()?;
    let disk = FreezableDisk::mount(&lab.trial)?;
    let lists = Lists::write(&lab, effort)?;
    let site = Site { state: disk.path().join("state"), ..Site::of(&lab.trial) };
    site.configure(&format!("{POLICY}[state]\ndirectory = \"{}\"\ngenerations = 2\n", site.state.display()))?;
    let daemon = Daemon::start_at(&lab, site)?;
    let bench = ReadersBench { lab: &lab, disk: &disk, lists, socket: &daemon.site().socket, calls };

    let mut readers = Readers { prefixes: effort.longest, calls, reloads: Sample::default(), waits: BTreeMap::new() };
    let mut random = Random::part(effort.seed, 4);
    for _ in 0..rounds {
        let mut order = Beside::ALL;
        (1..order.len()).rev().for_each(|index| order.swap(index, random.below(index + 1)));
        let mut round = BTreeMap::new();
        for beside in order {
            let (calls, reloads) = bench.beside(beside).with_context(|| format!("beside {}", beside.name()))?;
            if beside == Beside::Reloads {
                readers.reloads.push(reloads as f64);
            }
            round.insert(beside, calls);
        }
        note(&mut readers.waits, &round);
    }
    Ok(readers)
}

/// Microseconds of each call, by what was asked.
type Calls = BTreeMap<ReaderQuestion, Sample>;

fn note(waits: &mut BTreeMap<ReaderQuestion, BTreeMap<Beside, Wait>>, round: &BTreeMap<Beside, Calls>) {
    let p99 = |beside, question| {
        let calls = round.get(&beside).and_then(|calls| calls.get(&question));
        calls.map_or(0.0, |sample| sample.percentile(99))
    };
    for (beside, calls) in round {
        for (question, sample) in calls {
            let wait = waits.entry(*question).or_default().entry(*beside).or_default();
            wait.p50_us.push(sample.median());
            wait.p99_us.push(p99(*beside, *question));
            wait.p99_times.push(p99(*beside, *question) / p99(Beside::Nothing, *question));
        }
    }
}

/// Two lists of the same length, of which one at a time is the file that the configuration names.
struct Lists<'a> {
    folder: &'a Path,
    next: AtomicUsize,
}

impl<'a> Lists<'a> {
    fn write(lab: &'a Lab, effort: Effort) -> Result<Self> {
        for (index, name) in Self::NAMES.into_iter().enumerate() {
            let prefixes = Prefixes::new(Family::V4, effort.longest, effort.seed + index as u64);
            lab.trial.write(name, &prefixes.text())?;
        }
        let lists = Self { folder: lab.trial.folder(), next: AtomicUsize::new(0) };
        lists.turn()?;
        Ok(lists)
    }

    const NAMES: [&'static str; 2] = ["first.txt", "second.txt"];

    /// The other one is the list now.
    fn turn(&self) -> Result<()> {
        let index = self.next.fetch_xor(1, Ordering::Relaxed);
        let name = Self::NAMES.get(index).copied().unwrap_or_default();
        let (link, list) = (self.folder.join("link"), self.folder.join("partners.txt"));
        fs::hard_link(self.folder.join(name), &link).with_context(|| format!("cannot link {name}"))?;
        fs::rename(link, list).with_context(|| format!("cannot make {name} the list"))
    }
}

struct ReadersBench<'a> {
    lab: &'a Lab,
    disk: &'a FreezableDisk,
    lists: Lists<'a>,
    socket: &'a Path,
    calls: usize,
}

impl ReadersBench<'_> {
    /// The calls, and how many reloads were answered meanwhile.
    fn beside(&self, beside: Beside) -> Result<(Calls, usize)> {
        interrupt::check()?;
        wait_until("a controller at rest", PATIENCE, || Ok((self.age_ms()? == 0).then_some(())))?;
        thread::sleep(SETTLED);
        match beside {
            Beside::Nothing => Ok((self.ask()?, 0)),
            Beside::FrozenPush => Ok((self.beside_a_frozen_push()?, 0)),
            Beside::Reloads => self.beside_reloads(),
        }
    }

    fn beside_a_frozen_push(&self) -> Result<Calls> {
        let push = json!({"add": [{"list": "blocked", "prefix": STRANGER4}]}).to_string();
        let undo = json!({"remove": [{"list": "blocked", "prefix": STRANGER4}]}).to_string();
        let calls = thread::scope(|scope| {
            let frozen = self.disk.freeze()?;
            let push = scope.spawn(|| self.post("/v1/entries", &push));
            self.wait_for_work()?;
            let calls = self.ask()?;
            ensure!(!push.is_finished(), "the push did not wait for the disk");
            frozen.thaw()?;
            joined(push)?;
            anyhow::Ok(calls)
        })?;
        self.post("/v1/entries", &undo)?;
        Ok(calls)
    }

    fn beside_reloads(&self) -> Result<(Calls, usize)> {
        let over = AtomicBool::new(false);
        let question = json!({"source": FRIEND4, "protocol": "tcp", "port": 80}).to_string();
        // Asked again while it is loaded, because the policy has changed: it may be given up.
        let explain = || api::ask(self.socket, "/v1/explain", Some(&question)).map(drop);
        let (calls, reloads) = thread::scope(|scope| {
            let reloads = scope.spawn(|| {
                self.again_and_again(&over, || {
                    self.lists.turn()?;
                    self.post("/v1/reload", "{}")
                })
            });
            let explains = scope.spawn(|| self.again_and_again(&over, explain));
            let calls = self.wait_for_work().and_then(|()| self.ask());
            over.store(true, Ordering::Relaxed);
            let reloads = joined(reloads)?;
            joined(explains)?;
            anyhow::Ok((calls?, reloads))
        })?;
        ensure!(reloads > 1, "only {reloads} reload beside the calls");
        self.post("/v1/explain", &question)?;
        Ok((calls, reloads))
    }

    /// How often `work` was done until it is `over`.
    fn again_and_again(&self, over: &AtomicBool, work: impl Fn() -> Result<()>) -> Result<usize> {
        let mut times = 0;
        while !over.load(Ordering::Relaxed) {
            work()?;
            times += 1;
        }
        Ok(times)
    }

    /// Until the controller is at something that it does not do by itself.
    fn wait_for_work(&self) -> Result<()> {
        wait_until("a controller at work", PATIENCE, || Ok((self.age_ms()? > CHORE_MS).then_some(())))
    }

    fn age_ms(&self) -> Result<u64> {
        let status: Value = serde_json::from_str(&accepted(api::ask(self.socket, "/v1/status", None)?)?.body)?;
        status["age_ms"].as_u64().context("the status has no age")
    }

    fn post(&self, path: &str, body: &str) -> Result<()> {
        accepted(api::ask(self.socket, path, Some(body))?).map(drop)
    }

    /// Asks one thing after the other, as many times each as there are calls.
    fn ask(&self) -> Result<Calls> {
        let mut calls = Calls::new();
        let asking = || {
            for _ in 0..self.calls {
                interrupt::check()?;
                for question in ReaderQuestion::ALL {
                    thread::sleep(PAUSE);
                    let begin = Instant::now();
                    self.call(question)?;
                    calls.entry(question).or_default().push(begin.elapsed().as_secs_f64() * 1e6);
                }
            }
            anyhow::Ok(())
        };
        self.lab.host.enter(asking)??;
        Ok(calls)
    }

    /// One connection, one answer: the daemon ends the connection after it.
    fn call(&self, question: ReaderQuestion) -> Result<()> {
        let answer = match question {
            ReaderQuestion::Status => exchange(UnixStream::connect(self.socket)?, "/v1/status", "portcullis")?,
            ReaderQuestion::Metrics => {
                let address = SocketAddr::from(ADMIN);
                exchange(TcpStream::connect(address)?, "/metrics", &address.to_string())?
            }
        };
        ensure!(answer.starts_with(b"HTTP/1.1 200 "), "{}: {}", question.name(), String::from_utf8_lossy(&answer));
        Ok(())
    }
}

fn exchange(mut stream: impl Read + Write, path: &str, host: &str) -> Result<Vec<u8>> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::with_capacity(64 << 10);
    stream.read_to_end(&mut answer)?;
    Ok(answer)
}

fn accepted(answer: Answer) -> Result<Answer> {
    ensure!(answer.status == 200, "{answer:?}");
    Ok(answer)
}

fn joined<T>(asking: ScopedJoinHandle<'_, Result<T>>) -> Result<T> {
    asking.join().map_err(|_| anyhow!("a thread that asked panicked"))?
}
