//! The real program in the kernel, for one policy, run frame by frame without an interface.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
    process,
    sync::atomic::{AtomicU32, Ordering},
    thread,
};

use anyhow::{Context, Result, anyhow, bail};
use aya::{
    maps::{Array, Map, MapData, PerCpuArray},
    programs::TestRunOptions,
};
use firewall_common::{
    Action, Family, Verdict,
    abi::{BucketState, COUNTERS, Explanation, MAX_LIMITS, MAX_SERVICES, RateEvent, counter_index, maps},
    rate_table::RateSet,
};
use firewall_userspace::{
    datapath::{Attachments, LoadOptions, LoadedPolicy, PinFolder, SharedMaps},
    lists::members::{Member, Members},
    policy::{
        AttachMode, Ids, Interface, Mode, Name, Policy, Prefix,
        compile::{Compiled, Identities, compile},
    },
};

use crate::cases::Wanted;

/// XDP actions (linux/bpf.h).
pub mod action {
    /// The kernel would report the frame to its tracepoint.
    pub const ABORTED: u32 = 0;
    /// The frame ends.
    pub const DROP: u32 = 1;
    /// The frame goes on.
    pub const PASS: u32 = 2;
}

/// Shortest frame that the kernel runs a program on (`ETH_HLEN`, net/bpf/test_run.c).
pub const SHORTEST_FRAME: usize = 14;

/// A loaded program, pinned in a folder of its own; everything is removed on drop.
pub struct Kernel {
    generation: LoadedPolicy,
    counters: [Counters; 3],
    members: Members,
    ids: Identities,
    observes: bool,
    /// Services that only count.
    observed: BTreeSet<String>,
    options: LoadOptions,
    attachments: Attachments,
    pins: PinFolder,
    folder: PathBuf,
}

type Counters = PerCpuArray<MapData, [u64; 2]>;

/// What was counted, packets and octets, summed over CPUs; only what is not zero.
pub type Snapshot = BTreeMap<Counter, [u64; 2]>;

/// One counter of the data plane.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Counter {
    /// Of a verdict: the index in the map `COUNTERS`, and what it means on the first interface.
    Verdict(u32, Option<(&'static str, Verdict)>),
    /// Of a service: identifier, dropped.
    Service(u16, bool),
    /// Of a limit: identifier, exceeding.
    Limit(u16, bool),
}

impl Counter {
    /// The verdict that it counts, on the first interface.
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::Verdict(_, meaning) => meaning.map(|(_, verdict)| verdict),
            Self::Service(..) | Self::Limit(..) => None,
        }
    }
}

impl Kernel {
    /// Loads the program for `policy` on a host with the addresses `own`.
    ///
    /// # Errors
    /// When this is not root, or the kernel refuses.
    pub fn load(policy: &Policy, own: &[Prefix]) -> Result<Self> {
        Self::load_changed(policy, own, &LoadOptions::default(), |_| {})
    }

    /// The same, with the compiled policy changed before it is loaded.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    pub fn load_changed(
        policy: &Policy,
        own: &[Prefix],
        options: &LoadOptions,
        change: impl FnOnce(&mut Compiled),
    ) -> Result<Self> {
        require_root()?;
        let mut ids = Identities::new();
        ids.assign(policy);
        let mut compiled = compile(policy, &ids);
        change(&mut compiled);
        let folder = fresh_folder();
        let pins = PinFolder::open(&folder)?;
        let members = members(policy, own);
        let loaded = LoadedPolicy::load(&compiled, &members, &pins, options).map_err(anyhow::Error::from).and_then(
            |generation| {
                let open = |name| open(&pins, name);
                Ok((generation, [open(maps::COUNTERS)?, open(maps::SERVICE_COUNTERS)?, open(maps::LIMIT_COUNTERS)?]))
            },
        );
        match loaded {
            Ok((generation, counters)) => Ok(Self {
                generation,
                counters,
                members,
                ids,
                observes: policy.mode == Mode::Observe,
                observed: observed(policy),
                options: options.clone(),
                attachments: Attachments::default(),
                pins,
                folder,
            }),
            Err(error) => {
                remove(&pins, &folder);
                Err(error)
            }
        }
    }

    /// Loads a generation for another policy beside this one and takes its place, as a reload does.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn replace(&mut self, policy: &Policy, own: &[Prefix]) -> Result<()> {
        self.replace_changed(policy, own, |_| {})
    }

    /// The same, with the compiled policy changed before it is loaded. Where the program is attached, it is swapped.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn replace_changed(
        &mut self,
        policy: &Policy,
        own: &[Prefix],
        change: impl FnOnce(&mut Compiled),
    ) -> Result<()> {
        self.ids.assign(policy);
        let members = members(policy, own);
        let mut compiled = compile(policy, &self.ids);
        change(&mut compiled);
        let next = LoadedPolicy::load(&compiled, &members, &self.pins, &self.options)?;
        let native = |name| Interface { name, mode: AttachMode::Native, required: false };
        let wanted: Vec<_> = self.attachments.interfaces().into_iter().map(native).collect();
        self.attachments.switch(next.descriptor()?, &wanted, &self.pins)?;
        self.members = members;
        self.observes = policy.mode == Mode::Observe;
        self.observed = observed(policy);
        self.generation = next;
        Ok(())
    }

    /// Attaches the program to an interface, in its driver.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn attach(&mut self, interface: &str) -> Result<()> {
        let wanted = [Interface { name: interface.to_owned(), mode: AttachMode::Native, required: false }];
        Ok(self.attachments.switch(self.generation.descriptor()?, &wanted, &self.pins)?)
    }

    /// Gives the caps of essential traffic their whole burst again.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn forget_caps(&mut self) -> Result<()> {
        let data = MapData::from_pin(self.pins.map(maps::ESSENTIAL_STATE))?;
        let mut state: Array<_, u64> = Array::try_from(Map::from_map_data(data)?)?;
        (0..state.len()).try_for_each(|index| state.set(index, 0, 0)).context("cannot reset a cap")
    }

    /// Instructions that the verifier went through, and bytes of machine code.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn size(&self) -> Result<(Option<u32>, u32)> {
        Ok(self.generation.size()?)
    }

    /// Changes what prefixes are in by themselves, in the live tables, as a push does.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn push(&mut self, changes: &[(Prefix, Member)]) -> Result<()> {
        for (prefix, member) in changes {
            self.members.set(*prefix, member.clone());
        }
        self.generation
            .update(&self.members, changes.iter().map(|(prefix, _)| *prefix))
            .map_err(|error| anyhow!("cannot change the lists: {error}"))?;
        Ok(())
    }

    /// Runs the program on `frame`: the XDP action.
    ///
    /// # Errors
    /// When the kernel refuses, such as for less than [`SHORTEST_FRAME`] octets.
    pub fn run(&self, frame: &[u8]) -> Result<u32> {
        self.generation.test_run(frame).with_context(|| format!("a frame of {} octets", frame.len()))
    }

    /// What the program would do with `frame`: the action, and why.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn explain(&mut self, frame: &[u8]) -> Result<(u32, Explanation)> {
        self.generation.explain(frame).with_context(|| format!("a frame of {} octets", frame.len()))
    }

    /// The rate state that the program keeps, octet for octet, by map.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn rate_state(&self) -> Result<BTreeMap<&'static str, Vec<u8>>> {
        const SET: usize = size_of::<RateSet>();
        Ok(BTreeMap::from([
            (maps::MEMBERS, octets::<SET>(&self.pins, maps::MEMBERS)?),
            (maps::STRANGERS, octets::<SET>(&self.pins, maps::STRANGERS)?),
            (maps::OVERFLOW, octets::<{ size_of::<BucketState>() }>(&self.pins, maps::OVERFLOW)?),
            (maps::GATES, octets::<8>(&self.pins, maps::GATES)?),
            (maps::ESSENTIAL_STATE, octets::<8>(&self.pins, maps::ESSENTIAL_STATE)?),
        ]))
    }

    /// Newcomers to the rate tables, by what became of them.
    ///
    /// # Errors
    /// When the map cannot be read.
    pub fn newcomers(&self) -> Result<[u64; 3]> {
        let shared = SharedMaps::open(&self.pins)?;
        let [one, two, three] = RateEvent::ALL.map(|event| shared.newcomers(event));
        Ok([one?, two?, three?])
    }

    /// Runs the program `repeat` times on `frame`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn run_repeatedly(&self, frame: &[u8], repeat: u32) -> Result<()> {
        let options = TestRunOptions { data_in: Some(frame), repeat, ..TestRunOptions::default() };
        self.generation.test_run_with(options)?;
        Ok(())
    }

    /// Runs the program on `frame` of which the first buffer holds only `first_buffer` octets, on an interface.
    ///
    /// # Errors
    /// When the kernel refuses: those before 6.18 know no first buffer of a chosen size.
    pub fn run_in_context(&self, frame: &[u8], first_buffer: usize, interface: u32) -> Result<u32> {
        // struct xdp_md of linux/bpf.h: data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex.
        let context: Vec<u8> =
            [0, first_buffer as u32, 0, interface, 0, 0].iter().flat_map(|word| word.to_ne_bytes()).collect();
        let options = TestRunOptions { data_in: Some(frame), ctx_in: Some(&context), ..TestRunOptions::default() };
        Ok(self.generation.test_run_with(options)?.return_value)
    }

    /// Every counter of the program.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot> {
        let mut all = Snapshot::new();
        let lengths = [COUNTERS, 2 * (MAX_SERVICES as u32 + 1), 2 * (MAX_LIMITS as u32 + 1)];
        for (kind, (counters, length)) in self.counters.iter().zip(lengths).enumerate() {
            for index in 0..length {
                let values = counters.get(&index, 0).context("cannot read a counter")?;
                let sum = values.iter().fold([0, 0], |[packets, octets], one| [packets + one[0], octets + one[1]]);
                if sum != [0, 0] {
                    all.insert(counter(kind, index), sum);
                }
            }
        }
        Ok(all)
    }

    /// The counters that one frame of `octets` with this judgement moves.
    pub fn moved_by(&self, wanted: &Wanted<'_>, octets: usize) -> Snapshot {
        let dropped = wanted.verdict.action() == Action::Drop;
        let mut moved = vec![verdict_counter(0, wanted.family, wanted.verdict)];
        moved.extend(wanted.service.map(|name| Counter::Service(self.service_id(Some(name)), dropped)));
        moved.extend(wanted.limit.map(|name| Counter::Limit(self.limit_id(Some(name)), dropped)));
        moved.into_iter().map(|counter| (counter, [1, octets as u64])).collect()
    }

    /// The identifier of a service, 0 for none.
    pub fn service_id(&self, name: Option<&str>) -> u16 {
        id_of(&self.ids.services, name)
    }

    /// The identifier of a limit, 0 for none.
    pub fn limit_id(&self, name: Option<&str>) -> u16 {
        id_of(&self.ids.limits, name)
    }

    /// The action that this verdict of a service has under its mode and that of the policy.
    pub fn action_of(&self, verdict: Verdict, service: Option<&str>) -> u32 {
        match verdict.action() {
            _ if self.observes || service.is_some_and(|service| self.observed.contains(service)) => action::PASS,
            Action::Pass => action::PASS,
            Action::Drop if verdict == Verdict::Internal => action::ABORTED,
            Action::Drop => action::DROP,
        }
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        remove(&self.pins, &self.folder);
    }
}

fn octets<const N: usize>(pins: &PinFolder, name: &str) -> Result<Vec<u8>> {
    let data = MapData::from_pin(pins.map(name))?;
    let array: Array<_, [u8; N]> = Array::try_from(Map::from_map_data(data)?)?;
    let values = array.iter().collect::<std::result::Result<Vec<_>, _>>();
    Ok(values.with_context(|| format!("cannot read {name}"))?.concat())
}

fn id_of(ids: &Ids<Name>, name: Option<&str>) -> u16 {
    ids.iter().find(|(known, _)| name == Some(&***known)).map_or(0, |(_, id)| id)
}

fn observed(policy: &Policy) -> BTreeSet<String> {
    let observed = policy.services.iter().filter(|service| service.mode == Mode::Observe);
    observed.map(|service| service.name.to_string()).collect()
}

/// What is in `after` and not in `before`.
pub fn difference(before: &Snapshot, after: &Snapshot) -> Snapshot {
    let mut all = Snapshot::new();
    for (counter, [packets, octets]) in after {
        let [packets_before, octets_before] = before.get(counter).copied().unwrap_or_default();
        let moved = [packets.wrapping_sub(packets_before), octets.wrapping_sub(octets_before)];
        if moved != [0, 0] {
            all.insert(counter.clone(), moved);
        }
    }
    all
}

/// Adds `moved` to `sum`.
pub fn add(sum: &mut Snapshot, moved: Snapshot) {
    for (counter, [packets, octets]) in moved {
        let entry = sum.entry(counter).or_default();
        *entry = [entry[0] + packets, entry[1] + octets];
    }
}

/// The counter of a verdict on the interface at `position`.
pub fn verdict_counter(position: u32, family: Family, verdict: Verdict) -> Counter {
    counter(0, counter_index(position, family, verdict))
}

/// Runs `work` on a thread with a network namespace of its own, which goes with the thread.
///
/// # Errors
/// When this is not root, or `work` fails.
pub fn in_new_namespace<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    require_root()?;
    let inside = || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")?;
        work()
    };
    thread::scope(|scope| scope.spawn(inside).join()).map_err(|_| anyhow!("the thread in the namespace failed"))?
}

/// Says so when the tests are not run as root: they would tell nothing.
///
/// # Errors
/// When this is not root.
pub fn require_root() -> Result<()> {
    if !nix::unistd::geteuid().is_root() {
        bail!("this test loads programs into the kernel and needs root\nhint: run `cargo xtask test`, which asks sudo");
    }
    Ok(())
}

fn counter(kind: usize, index: u32) -> Counter {
    let (id, second) = ((index / 2) as u16, index % 2 == 1);
    match kind {
        0 => {
            let meaning =
                Family::ALL.into_iter().flat_map(|family| Verdict::ALL.iter().map(move |verdict| (family, *verdict)));
            let meaning = meaning.into_iter().find(|(family, verdict)| counter_index(0, *family, *verdict) == index);
            Counter::Verdict(index, meaning.map(|(family, verdict)| (family.label(), verdict)))
        }
        1 => Counter::Service(id, second),
        _ => Counter::Limit(id, second),
    }
}

/// The members of all lists of `policy`.
fn members(policy: &Policy, own: &[Prefix]) -> Members {
    let mut all = Vec::new();
    for (position, list) in policy.lists.iter().enumerate() {
        let member = Member { lists: 1 << position, ..Member::default() };
        all.extend(list.entries.iter().map(|prefix| (*prefix, member.clone())));
    }
    let management = Member { management: true, ..Member::default() };
    all.extend(policy.management.iter().map(|prefix| (*prefix, management.clone())));
    let ours = Member { own: true, ..Member::default() };
    all.extend(own.iter().map(|prefix| (*prefix, ours.clone())));
    Members::from_all(all.into_iter())
}

fn open(pins: &PinFolder, name: &str) -> Result<Counters> {
    let data = MapData::from_pin(pins.map(name)).with_context(|| format!("cannot open the pinned map {name}"))?;
    Ok(PerCpuArray::try_from(Map::from_map_data(data)?)?)
}

fn fresh_folder() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // As `trial::sweep` knows it.
    format!("/sys/fs/bpf/pct-{}-kernel-{number}", process::id()).into()
}

fn remove(pins: &PinFolder, folder: &PathBuf) {
    let _ = pins.clear();
    let _ = fs::remove_dir(folder);
}
