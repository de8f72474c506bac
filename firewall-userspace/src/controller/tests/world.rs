//! A daemon on a fake kernel and a fake disk, with hands on both.

use std::{
    collections::BTreeSet,
    io,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::{oneshot, watch};

use super::{audit::FakeAudit, script::BadDisk};
use crate::{
    clock::Now,
    config::{self, Loaded, Report},
    control::Refusal,
    controller::{Core, Host, Message, Readings, Reply, Setup},
    datapath::fake::{FakeFilter, FakeKernel},
    host::{connections::Established, memory::MemoryRoom, reach::Reach, surroundings::Surroundings},
    lists::{entry::Layer, pushed::Runtime, tally::Happening},
    policy::{Name, Prefix},
    state::{
        audit::AuditHandle,
        fake::{FakeDisk, Fault},
        history::{History, start},
        journal::{Opened, Store},
    },
};

/// Configurations that the file, or a caller, may say. One of them is no configuration.
pub const CONFIGS: [&str; 8] = [
    "[[interface]]\nname = \"eth0\"\n[policy]\nmanagement = [\"198.51.100.0/24\"]\n[lists.a]\nentries = [\"192.0.2.1\"]\n[lists.b]\n\
     [services.s]\nprotocol = \"tcp\"\nports = [443]\nallow = [\"a\"]\ndeny = [\"b\"]\n",
    "[[interface]]\nname = \"eth0\"\n[[interface]]\nname = \"eth1\"\n[policy]\nmanagement = [\"198.51.100.0/24\"]\n[lists.a]\nentries = [\"192.0.2.9\"]\n[lists.b]\nentries = [\"192.0.2.2\"]\n\
     [services.s]\nprotocol = \"tcp\"\nports = [443]\nallow = [\"a\"]\ndeny = [\"b\"]\n",
    "[[interface]]\nname = \"eth0\"\n[policy]\nmanagement = [\"198.51.100.0/24\"]\n[lists.b]\nentries = [\"192.0.2.3\"]\n",
    "[[interface]]\nnane = \"eth0\"\n",
    "[[interface]]\nname = \"eth0\"\n[policy]\nmode = \"observe\"\nmanagement = [\"198.51.100.0/24\"]\n[lists.a]\n[lists.b]\n",
    "[[interface]]\nname = \"eth0\"\n[lists.a]\nentries = [\"192.0.2.1\"]\n[lists.b]\n\
     [services.s]\nprotocol = \"tcp\"\nports = [443]\nallow = [\"a\"]\ndeny = [\"b\"]\n",
    "[[interface]]\nname = \"eth0\"\n[policy]\nmanagement = [\"198.51.100.0/24\"]\n[lists.a]\n[lists.b]\n\
     [services.s]\nprotocol = \"tcp\"\nports = [443]\nallow = [\"a\"]\ndeny = [\"b\"]\n",
    "[[interface]]\nname = \"eth0\"\n[policy]\nmanagement = [\"198.51.100.0/24\"]\n[lists.a]\nentries = [\"192.0.2.1\"]\n[lists.b]\n[lists.c]\n\
     [services.s]\nprotocol = \"tcp\"\nports = [443]\nallow = [\"a\", \"c\"]\ndeny = [\"b\"]\n",
];

/// The one of [`CONFIGS`] in which a list that admits has no entry; no script comes to it.
pub const EMPTY: usize = 6;

/// The one of [`CONFIGS`] whose service admits two lists; no script comes to it.
pub const TWO_LISTS: usize = 7;

/// The one of [`CONFIGS`] that locks the management prefix of the others out.
pub const LOCKS_OUT: usize = 5;

/// Generations that are kept.
pub const KEEP: usize = 4;

/// Octets of a journal after which a snapshot is due.
const SNAPSHOT_AFTER: u64 = 300;

/// Everything outside of the daemon, and the daemon.
pub struct World {
    pub now: Now,
    pub kernel: FakeKernel,
    pub disk: FakeDisk,
    pub host: FakeHost,
    pub own: Vec<Prefix>,
    pub audit: FakeAudit,
    /// Which of [`CONFIGS`] the configuration file says.
    pub file: Arc<Mutex<usize>>,
    pub core: Core<FakeFilter, FakeDisk>,
    pub told: watch::Receiver<Arc<dyn Readings>>,
    /// The entries with which the daemon has started.
    begun: Runtime,
}

/// What the host is like beside the kernel's filter, and how often each thing was asked.
#[derive(Default)]
pub struct Outside {
    pub connections: Vec<Established>,
    pub sshd: BTreeSet<u16>,
    pub around: Surroundings,
    pub memory: Option<MemoryRoom>,
    /// The sources that connections were asked for, each time.
    pub asked: Vec<Option<Vec<Prefix>>>,
    /// How often it was asked for the ports of sshd, and for what is around.
    pub asked_more: [usize; 2],
}

/// A host as it was told to be; clones are the same. It answers 203.0.113.0/24 from 192.0.2.9, has no other route, and takes
/// 198.51.100.77 for its own.
#[derive(Clone, Default)]
pub struct FakeHost(Arc<Mutex<Outside>>);

impl FakeHost {
    pub fn outside(&self) -> MutexGuard<'_, Outside> {
        self.0.lock().unwrap()
    }
}

impl Host for FakeHost {
    fn connections(&self, sources: Option<&[Prefix]>) -> io::Result<Vec<Established>> {
        let mut outside = self.outside();
        outside.asked.push(sources.map(<[Prefix]>::to_vec));
        let is_wanted = |one: &&Established| {
            sources.is_none_or(|all| all.iter().any(|source| source.contains(one.connection.source.ip())))
        };
        Ok(outside.connections.iter().filter(is_wanted).copied().collect())
    }

    fn sshd_ports(&self) -> io::Result<BTreeSet<u16>> {
        let mut outside = self.outside();
        let [sshd, _] = &mut outside.asked_more;
        *sshd += 1;
        Ok(outside.sshd.clone())
    }

    fn surroundings(&self) -> io::Result<Surroundings> {
        let mut outside = self.outside();
        let [_, around] = &mut outside.asked_more;
        *around += 1;
        Ok(outside.around.clone())
    }

    fn reach(&self, address: IpAddr) -> io::Result<Reach> {
        match address.to_string() {
            here if here == "198.51.100.77" => Ok(Reach { is_here: true, from: Some(address) }),
            routed if routed.starts_with("203.0.113.") => {
                Ok(Reach { is_here: false, from: Some(Ipv4Addr::new(192, 0, 2, 9).into()) })
            }
            _ => Err(io::Error::from_raw_os_error(libc::ENETUNREACH)),
        }
    }

    fn longest_packet(&self, _: &[&str]) -> Option<u32> {
        Some(1500)
    }

    fn memory(&self) -> Option<MemoryRoom> {
        self.outside().memory.clone()
    }
}

/// The file of the daemon.
pub const PATH: &str = "/etc/portcullis/portcullis.toml";

/// Configuration `index`, as the file says it.
pub fn load(index: usize) -> Result<Loaded, Report> {
    config::load_text(Path::new(PATH), CONFIGS[index], Path::new(""))
}

impl World {
    /// A host whose daemon starts for the first time, with configuration `file`.
    pub fn new(file: usize) -> Self {
        let wall = Timestamp::from_second(1_800_000_000).unwrap();
        let now = Now { boot_id: 1, ..Now::new(wall, Duration::from_secs(100_000)) };
        let (kernel, disk, host, own) = (FakeKernel::default(), FakeDisk::default(), FakeHost::default(), Vec::new());
        kernel.set_interface("eth0", Some(2));
        kernel.set_interface("eth1", Some(3));
        let (file, audit) = (Arc::new(Mutex::new(file)), FakeAudit::default());
        let (core, told) = start(now, &kernel, &disk, (&host, &own), &audit, &file).unwrap();
        let begun = core.lists.pushed().clone();
        Self { now, kernel, disk, host, own, audit, file, core, told, begun }
    }

    /// Kills the daemon and starts another one on what is on disk; an error when it does not start.
    pub fn restart(&mut self) -> Result<(), String> {
        // A thread that writes a snapshot dies with its daemon; here it has ended before.
        self.core.keeper.finish();
        self.disk = self.disk.after_kill();
        let (core, told) = start(self.now, &self.kernel, &self.disk, (&self.host, &self.own), &self.audit, &self.file)?;
        (self.core, self.told) = (core, told);
        self.begun = self.core.lists.pushed().clone();
        Ok(())
    }

    /// Time goes on.
    pub fn wait(&mut self, seconds: u32) {
        let length = Duration::from_secs(seconds.into());
        self.now.wall = self.now.wall.checked_add(length).unwrap();
        self.now.boot += length;
    }

    /// The wall clock is set.
    pub fn set_clock(&mut self, by: i32) {
        self.now.wall = self.now.wall.checked_add(SignedDuration::from_secs(by.into())).unwrap();
    }

    /// The disk works, or does not.
    pub fn set_fault(&mut self, bad: Option<BadDisk>) {
        let next = self.disk.operations() + 1;
        let fault = bad.map(|BadDisk { is_full, after, count }| {
            let (from, to) = (next + after, count.map_or(u64::MAX, |count| next + after + count - 1));
            if is_full { Fault::Full(from, to) } else { Fault::Broken(from, to) }
        });
        self.disk.set_fault(fault);
    }

    /// Asks the daemon as others do.
    pub fn ask<T>(&mut self, message: impl FnOnce(Reply<T>) -> Message) -> T {
        let (reply, mut answer) = oneshot::channel();
        let reply = Reply::from(reply);
        self.core.handle(message(reply), self.now);
        answer.try_recv().expect("the controller answers")
    }

    /// There are as many entries as what happened to them since the start makes of those that there were.
    pub fn check_tally(&self) {
        let (tally, pushed) = (self.core.lists.tally(), self.core.lists.pushed());
        for list in ["a", "b", "c"].map(|name| Name::parse(name).unwrap()) {
            let layers = Layer::ALL.into_iter().zip(self.begun.counts(&list)).zip(pushed.counts(&list));
            for ((layer, begun), there) in layers {
                let of = |what| tally.of(&list, layer, what);
                let come = begun.iter().sum::<u64>() + of(Happening::Added);
                let gone = of(Happening::Removed) + of(Happening::Expired);
                assert_eq!(come, there.iter().sum::<u64>() + gone, "entries of {list} in {layer:?}: {tally:?}");
            }
        }
    }

    /// What the thread of the controller does between messages.
    pub fn tend(&mut self) {
        self.core.keeper.finish();
        self.core.tend(self.now);
    }
}

type Started = (Core<FakeFilter, FakeDisk>, watch::Receiver<Arc<dyn Readings>>);

/// Starts a daemon as `daemon::serve` does.
fn start(
    now: Now,
    kernel: &FakeKernel,
    disk: &FakeDisk,
    (host, own): (&FakeHost, &[Prefix]),
    audit: &FakeAudit,
    file: &Arc<Mutex<usize>>,
) -> Result<Started, String> {
    let loaded = load(*file.lock().unwrap()).map_err(|report| report.render(false));
    let history = History::open_tolerant(disk.clone(), KEEP);
    let opened = Store::open_tolerant(disk.clone(), now, SNAPSHOT_AFTER).map_err(|error| error.to_string())?;
    let Opened { store, runtime, .. } = opened;
    let start = start::start(Path::new(PATH), loaded, &history, now)?;
    let (config, own) = (PathBuf::from(PATH), own.iter().copied().collect());
    let audit: AuditHandle = Arc::new(audit.clone());
    let setup = Setup { config, start, history, own, store, runtime, host: Arc::new(host.clone()), audit };
    let mut filter = |policy: &_, members: &_, unwilling| FakeFilter::start(kernel, policy, members, unwilling);
    let mut core = Core::start(setup, &mut filter, now).map_err(|error| error.to_string())?;
    let told = core.publish();
    Ok((core, told))
}

/// Whether a refusal comes from a fault that was injected.
pub fn is_injected(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::NotKept { .. } => true,
        Refusal::Datapath { message } => message.contains("refused as told"),
        _ => false,
    }
}
