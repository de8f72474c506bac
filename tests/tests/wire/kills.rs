//! Daemons that are killed at random moments while pushes stream in.

use std::{
    collections::BTreeMap,
    env, fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use firewall_tests::{
    api::ask,
    daemon::{Daemon, LIMIT, Site},
    lab::{FOE4, FRIEND4, HOST4, Lab, STRANGER4},
    random::{Random, seed},
    running::wait_until,
    traffic::{bind, receive},
    until::Until,
};
use serde_json::{Value, json};

use crate::policy::DATA;

/// Everyone on the cable is a friend by the configuration but the stranger; who is not, and that the stranger is, was pushed.
const POLICY: &str = r#"
[lists.friends]
entries = ["192.0.2.2", "192.0.2.66"]
[lists.foes]
[services.data]
protocol = "udp"
ports = [9000]
allow = ["friends"]
deny = ["foes"]
"#;

/// Variable that says how often to kill.
const KILLS: &str = "PORTCULLIS_KILLS";
const DEFAULT_KILLS: u64 = 24;

/// Threads that push, each one prefixes of its own.
const PUSHERS: u64 = 3;

/// A daemon dies after less than so many answers, and so many microseconds.
const ANSWERS: usize = 12;
const LONGEST: usize = 20_000;

/// What is pushed: comments by list and prefix.
type Entries = BTreeMap<(String, String), String>;

#[test]
fn kills_at_random_moments_lose_no_acknowledged_push() -> Result<()> {
    kill_again_and_again("snapshot_after = \"1GiB\"", |files| assert_eq!(files, ["journal-0000000001"]))
}

#[test]
fn kills_at_random_moments_lose_no_acknowledged_push_while_snapshots_are_written() -> Result<()> {
    kill_again_and_again("snapshot_after = \"1kB\"", |files| {
        assert!(files.iter().any(|file| file.starts_with("snapshot-")), "{files:?}");
        assert!(files.len() <= 8, "old files go: {files:?}");
    })
}

fn kill_again_and_again(setting: &str, check_files: impl Fn(&[String])) -> Result<()> {
    let kills = env::var(KILLS).ok().map_or(Ok(DEFAULT_KILLS), |kills| kills.parse())? / 2;
    let seed = seed();
    let mut random = Random::new(seed);
    let lab = Lab::new()?;
    let site = Site::of(&lab.trial);
    site.configure(&format!("{POLICY}[state]\ndirectory = \"{}\"\n{setting}\n", site.state.display()))?;
    let mut daemon = Daemon::start_at(&lab, site.clone())?;
    daemon.ok(&["deny", "add", "foes", FOE4, "--comment", "fixed"])?;
    daemon.ok(&["allow", "add", "friends", STRANGER4, "--comment", "fixed"])?;

    let receiver = receive(&lab, HOST4, DATA)?;
    let over = AtomicBool::new(false);
    let sent = [FRIEND4, STRANGER4, FOE4].map(|source| (source, AtomicU64::new(0)));
    let acknowledged = thread::scope(|scope| {
        let until = Until(&over);
        let senders: Vec<_> =
            sent.iter().map(|(source, count)| scope.spawn(|| send(&lab, source, count, &over))).collect();
        let result = (|| {
            let mut pushers: Vec<Pusher> = (0..PUSHERS).map(|number| Pusher::new(seed, number)).collect();
            for kill in 0..kills {
                let moment = Duration::from_micros(random.below(LONGEST) as u64);
                // Every fourth one dies while it starts, or soon after.
                if kill % 4 == 3 {
                    thread::sleep(moment * 3);
                    daemon.kill()?;
                } else {
                    push_until_killed(&mut daemon, &mut pushers, random.below(ANSWERS) as u64, moment)?;
                }
                for sender in &senders {
                    ensure!(!sender.is_finished(), "a sender has ended");
                }
                if kill % 4 == 2 {
                    daemon = Daemon::launch(&lab, site.clone())?;
                    continue;
                }
                daemon = Daemon::start_at(&lab, site.clone())?;
                compare(&site, &mut pushers).with_context(|| format!("after kill {kill}:\n{}", daemon.log()))?;
            }
            anyhow::Ok(pushers.iter().map(|pusher| pusher.acknowledged).sum::<u64>())
        })();
        drop(until);
        for sender in senders {
            sender.join().map_err(|_| anyhow!("a sender panicked"))??;
        }
        result
    })?;
    println!("{kills} kills, {acknowledged} pushes acknowledged");
    let arrived = receiver.finish()?;
    for (source, count) in sent {
        let count = if source == FOE4 { 0 } else { count.into_inner() };
        let arrived = arrived.get(&source.parse()?).copied().unwrap_or_default();
        assert_eq!(arrived, count, "packets of {source} that arrived");
        assert!(source == FOE4 || count > 1000, "{source} sent {count}");
    }
    assert!(acknowledged > kills, "{acknowledged} pushes were acknowledged");
    let mut files: Vec<String> = fs::read_dir(&site.state)?
        .map(|file| Ok(file?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_>>()?;
    // Those of pushes: the generations of the policy, the audit log, and what is known of the time, are kept there too.
    files.retain(|file| !matches!(&**file, "audit" | "history" | "clock" | "stopped") && !file.starts_with("policy-"));
    files.sort();
    check_files(&files);
    Ok(())
}

/// Pushes from several threads, and kills the daemon after so many `answers` and `moment`.
fn push_until_killed(daemon: &mut Daemon<'_>, pushers: &mut [Pusher], answers: u64, moment: Duration) -> Result<()> {
    let site = daemon.site().clone();
    let answered = AtomicU64::new(0);
    thread::scope(|scope| {
        let pushing: Vec<_> =
            pushers.iter_mut().map(|pusher| scope.spawn(|| pusher.push_until_killed(&site, &answered))).collect();
        let enough = || Ok((answered.load(Ordering::Relaxed) >= answers).then_some(()));
        let waited = wait_until("answers", LIMIT, enough);
        thread::sleep(moment);
        daemon.kill()?;
        waited?;
        pushing.into_iter().try_for_each(|one| one.join().map_err(|_| anyhow!("a pusher panicked"))?)
    })
}

/// What one thread has pushed.
struct Pusher {
    random: Random,
    number: u64,
    pushes: u64,
    acknowledged: u64,
    entries: Entries,
    /// What is there if the last push was kept though nobody said so.
    doubtful: Option<Entries>,
}

impl Pusher {
    fn new(seed: u64, number: u64) -> Self {
        let random = Random::part(seed, number);
        Self { random, number, pushes: 0, acknowledged: 0, entries: Entries::new(), doubtful: None }
    }

    /// Pushes until nobody answers.
    fn push_until_killed(&mut self, site: &Site, answered: &AtomicU64) -> Result<()> {
        loop {
            let (push, after) = self.next();
            match ask(&site.socket, "/v1/entries", Some(&push.to_string())) {
                Ok(answer) => {
                    ensure!(answer.status == 200, "{answer:?}");
                    self.acknowledged += 1;
                    answered.fetch_add(1, Ordering::Relaxed);
                    self.entries = after;
                }
                Err(_) => {
                    self.doubtful = Some(after);
                    return Ok(());
                }
            }
        }
    }

    /// Some changes, and what is there afterwards.
    fn next(&mut self) -> (Value, Entries) {
        self.pushes += 1;
        let comment = self.pushes.to_string();
        let mut after = self.entries.clone();
        let (mut add, mut remove) = (Vec::new(), Vec::new());
        let mut touched = Vec::new();
        for _ in 0..=self.random.below(30) {
            let list = *self.random.pick(&["friends", "foes"]);
            let octet = self.random.below(40);
            let prefix = match self.random.below(3) {
                0 => format!("10.{}.{octet}.0/24", self.number),
                1 => format!("10.{}.{octet}.7/32", self.number),
                _ => format!("2001:db8:{}:{octet:x}::/64", self.number + 1),
            };
            let key = (list.to_owned(), prefix.replace(":0::", "::"));
            if touched.contains(&key) || key.1.contains("::/64") && octet == 0 {
                continue;
            }
            if self.random.once_in(3) {
                remove.push(json!({ "list": list, "prefix": prefix }));
                after.remove(&key);
            } else {
                add.push(json!({ "list": list, "prefix": prefix, "comment": comment }));
                after.insert(key.clone(), comment.clone());
            }
            touched.push(key);
        }
        (json!({ "add": add, "remove": remove }), after)
    }

    /// Whether an entry is one of its own.
    fn owns(&self, prefix: &str) -> bool {
        prefix.starts_with(&format!("10.{}.", self.number))
            || prefix.starts_with(&format!("2001:db8:{}:", self.number + 1))
    }
}

/// The live set is exactly what was acknowledged, and of a push that was not all or nothing.
fn compare(site: &Site, pushers: &mut [Pusher]) -> Result<()> {
    let answer = ask(&site.socket, "/v1/entries", None)?;
    let listed: Value = serde_json::from_str(&answer.body)?;
    let mut live = Entries::new();
    for entry in listed["entries"].as_array().context("there is no list of entries")? {
        if entry["layer"] == "runtime" {
            let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
            live.insert((text("list"), text("prefix")), text("comment"));
        }
    }
    for (list, prefix) in [("foes", FOE4), ("friends", STRANGER4)] {
        let comment = live.remove(&(list.to_owned(), format!("{prefix}/32")));
        ensure!(comment.as_deref() == Some("fixed"), "{prefix} is not in {list} any more");
    }
    for pusher in pushers {
        let own: Entries =
            live.iter().filter(|((_, prefix), _)| pusher.owns(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect();
        live.retain(|key, _| !own.contains_key(key));
        let doubtful = pusher.doubtful.take();
        ensure!(
            own == pusher.entries || Some(&own) == doubtful.as_ref(),
            "live: {own:?}\nacknowledged: {:?}\nor: {doubtful:?}",
            pusher.entries
        );
        pusher.entries = own;
    }
    ensure!(live.is_empty(), "nobody has pushed {live:?}");
    Ok(())
}

/// Sends until `over`.
fn send(lab: &Lab, source: &str, count: &AtomicU64, over: &AtomicBool) -> Result<()> {
    let socket = bind(&lab.peer, source, 0)?;
    while !over.load(Ordering::Relaxed) {
        socket.send_to(&[0x5a; 32], (HOST4, DATA)).context("cannot send")?;
        count.fetch_add(1, Ordering::Relaxed);
        // Leaves the CPU to those who restart.
        thread::sleep(Duration::from_micros(500));
    }
    Ok(())
}
