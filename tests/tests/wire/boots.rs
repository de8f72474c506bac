//! Hosts that boot, lose pins, have late interfaces and broken files, in any order, under a flood of a source that is denied.

use std::{
    env, fs,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Result, anyhow, ensure};
use firewall_common::abi::ABI_VERSION;
use firewall_tests::{
    daemon::{Daemon, LIMIT, Site},
    lab::{FOE4, FRIEND4, HOST4, INTERFACE, Lab},
    random::{Random, seed},
    running::wait_until,
    traffic::{bind, receive},
    until::Until,
};

use crate::policy::{DATA, POLICY};

/// Variable that says how many things happen.
const BOOTS: &str = "PORTCULLIS_BOOTS";
const DEFAULT_BOOTS: u64 = 20;

/// Between two packets of the source that is denied: about a thousand a second.
const PAUSE: Duration = Duration::from_millis(1);

/// An interface that comes and goes.
const LATE: &str = "late0";

/// A host, its daemon, and who floods it.
struct Host<'a> {
    lab: &'a Lab,
    site: Site,
    daemon: Daemon<'a>,
    is_late: bool,
    is_file_bad: bool,
    flood: &'a Flood,
}

/// The flood of a source that is denied; it waits while the host is open by right.
#[derive(Default)]
struct Flood {
    is_held: AtomicBool,
    /// It has seen that.
    is_waiting: AtomicBool,
    is_over: AtomicBool,
    sent: AtomicU64,
}

impl Flood {
    fn run(&self, lab: &Lab) -> Result<()> {
        let sockets = [FOE4, FRIEND4].map(|source| bind(&lab.peer, source, 0));
        let [foe, friend] = sockets;
        let (foe, friend) = (foe?, friend?);
        while !self.is_over.load(Ordering::Relaxed) {
            self.is_waiting.store(self.is_held.load(Ordering::SeqCst), Ordering::SeqCst);
            if !self.is_waiting.load(Ordering::SeqCst) {
                foe.send_to(&[0], (HOST4, DATA))?;
                friend.send_to(&[0], (HOST4, DATA))?;
                self.sent.fetch_add(1, Ordering::Relaxed);
            }
            thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn hold(&self) -> Result<()> {
        self.is_held.store(true, Ordering::SeqCst);
        wait_until("a flood that waits", LIMIT, || Ok(self.is_waiting.load(Ordering::SeqCst).then_some(())))
    }

    fn go_on(&self) {
        self.is_held.store(false, Ordering::SeqCst);
    }
}

impl Host<'_> {
    fn configure(&mut self, is_bad: bool) -> Result<()> {
        self.site.configure(&policy())?;
        if is_bad {
            fs::write(&self.site.config, fs::read_to_string(&self.site.config)?.replace("allow =", "alow ="))?;
        }
        self.is_file_bad = is_bad;
        Ok(())
    }

    /// Kills the daemon and starts another one.
    fn restart(&mut self) -> Result<()> {
        self.daemon.kill()?;
        self.daemon = Daemon::start_at(self.lab, self.site.clone())?;
        Ok(())
    }

    /// The daemon is gone, and what it had pinned; another one starts on the same state folder.
    fn reboot(&mut self) -> Result<()> {
        self.flood.hold()?;
        self.daemon.kill()?;
        self.site.detach(&[])?;
        self.lab.wait_until_detached(INTERFACE)?;
        self.daemon = Daemon::launch(self.lab, self.site.clone())?;
        wait_until("the first attach", LIMIT, || self.lab.attached())?;
        self.flood.go_on();
        self.daemon.wait_until_ready()
    }

    /// Somebody removes what is pinned under the daemon, which pins it again.
    fn lose_pins(&mut self) -> Result<()> {
        fs::remove_dir_all(&self.site.pins)?;
        let links = self.site.pins.join(format!("v{ABI_VERSION}/links"));
        let is_pinned = || Ok(fs::read_dir(&links).ok().and_then(|mut names| names.next()).map(|_| ()));
        wait_until("a link that is pinned again", LIMIT, is_pinned)
    }

    fn set_late(&mut self, is_late: bool) -> Result<()> {
        if is_late != self.is_late {
            let words = if is_late {
                format!("link delete {LATE}")
            } else {
                format!("link add {LATE} type veth peer name late1")
            };
            self.lab.host.ip(&words)?;
            self.is_late = is_late;
        }
        Ok(())
    }

    fn something_happens(&mut self, random: &mut Random) -> Result<&'static str> {
        match random.below(7) {
            0 | 1 => self.reboot().map(|()| "a reboot"),
            2 => self.restart().map(|()| "a kill"),
            3 => self.configure(true).map(|()| "a broken file"),
            4 => self.configure(false).map(|()| "a file that is right"),
            5 => self.lose_pins().map(|()| "lost pins"),
            _ => {
                let is_late = !self.is_late;
                self.set_late(is_late).map(|()| "an interface that comes or goes")
            }
        }
    }

    /// What is told is so.
    fn check(&self) -> Result<()> {
        let states = self.daemon.interface_states()?;
        ensure!(states.contains(&(INTERFACE.into(), "attached".into())), "{states:?}");
        let wanted = if self.is_late { "missing" } else { "attached" };
        wait_until("the state of the other interface", LIMIT, || {
            Ok((self.daemon.interface_state(LATE)?.as_deref() == Some(wanted)).then_some(()))
        })
    }
}

/// Both interfaces, of which one is not there at the first start.
fn policy() -> String {
    format!("[[interface]]\nname = \"{INTERFACE}\"\n[[interface]]\nname = \"{LATE}\"\nmode = \"generic\"\n{POLICY}")
}

#[test]
fn whatever_happens_to_a_host_nothing_that_is_denied_passes_from_the_first_attach_on() -> Result<()> {
    let boots = env::var(BOOTS).ok().map_or(Ok(DEFAULT_BOOTS), |boots| boots.parse())?;
    let mut random = Random::new(seed());
    let lab = Lab::new()?;
    let site = Site::of(&lab.trial);
    let flood = Flood::default();
    site.configure(&policy())?;
    let daemon = Daemon::start_at(&lab, site.clone())?;
    let receiver = receive(&lab, HOST4, DATA)?;
    let arrived = thread::scope(|scope| {
        let until = Until(&flood.is_over);
        let flooding = scope.spawn(|| flood.run(&lab));
        let mut host = Host { lab: &lab, site, daemon, is_late: true, is_file_bad: false, flood: &flood };
        let result = (|| {
            let mut happened = Vec::new();
            for _ in 0..boots {
                happened.push(host.something_happens(&mut random).map_err(|error| {
                    error.context(format!("after {happened:?}, with a broken file: {}", host.is_file_bad))
                })?);
                host.check().map_err(|error| error.context(format!("after {happened:?}\n{}", host.daemon.log())))?;
            }
            host.daemon.stop()
        })();
        drop(until);
        flooding.join().map_err(|_| anyhow!("the flood panicked"))??;
        result?;
        receiver.finish()
    })?;
    let of = |source: &str| Ok::<_, anyhow::Error>(arrived.get(&source.parse()?).copied().unwrap_or_default());
    let sent = flood.sent.into_inner();
    println!("{boots} times something happened to a host; {sent} packets of each of two sources");
    assert_eq!(of(FOE4)?, 0, "of {sent} packets of a denied source");
    assert!(sent > boots && of(FRIEND4)? > 0, "{sent} were sent");
    Ok(())
}
