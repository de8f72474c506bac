//! Scripts: what happens to a daemon, step by step, as a test that fails prints it.

use proptest::prelude::*;

use crate::{lists::entry::Layer, policy::Mode};

/// One thing that happens. Seconds, unless said otherwise.
#[derive(Clone, Debug)]
pub enum Step {
    /// Somebody pushes.
    Push(AskedPush),
    /// `undo`, of the push that many revisions before the last one.
    Undo { back: u64, confirm: Option<u32> },
    /// The configuration file is edited.
    Edit(usize),
    /// `reload`.
    Reload { confirm: Option<u32>, dry_run: bool },
    /// `reload` of a file whose file system does not answer.
    HungReload,
    /// `apply` of a configuration.
    Apply { config: usize, confirm: Option<u32> },
    /// `rollback`, to a generation that many before the last one.
    Rollback { back: Option<u64>, confirm: Option<u32> },
    /// `mode`.
    SetMode { mode: Mode, confirm: Option<u32> },
    /// `confirm`.
    Confirm,
    /// Time goes on.
    Wait(u32),
    /// The wall clock is set.
    SetClock(i32),
    /// Something keeps the wall clock right, or nothing does.
    Synchronised(bool),
    /// An interface has another index, or is gone.
    Interface { name: &'static str, index: Option<u32> },
    /// `eth0` is called `wan0`, or again what it was.
    Rename,
    /// The host has so many addresses.
    Own(u8),
    /// The kernel refuses so many calls, after so many that it does not.
    RefuseCalls { after: u64, count: u64 },
    /// The disk works again, or does not.
    Disk(Option<BadDisk>),
    /// `eth0` and `eth1` swap their names.
    SwapNames,
    /// An interface that nothing of ours is attached to refuses, or does not.
    Unwilling { name: &'static str, is_unwilling: bool },
    /// Somebody removes what is pinned.
    LosePins,
    /// The file system of the pins is there, or is not.
    Bpffs(bool),
    /// The daemon is killed and starts again.
    Kill,
    /// The host boots: the state folder is there, and no pins.
    Reboot,
}

/// What a disk does not do.
#[derive(Clone, Copy, Debug)]
pub struct BadDisk {
    /// It refuses only what needs room.
    pub is_full: bool,
    /// Operations that it still does.
    pub after: u64,
    /// Operations that it does not; `None`: any that come.
    pub count: Option<u64>,
}

/// A push.
#[derive(Clone, Debug)]
pub struct AskedPush {
    pub owner: &'static str,
    pub layer: Layer,
    pub replace: Option<&'static str>,
    /// List, last octet of the address, time to live.
    pub add: Vec<(&'static str, u8, Option<u32>)>,
    pub remove: Vec<(&'static str, u8)>,
    pub of: RemovedOf,
    pub confirm: Option<u32>,
    pub dry_run: bool,
}

/// Whose entries a push removes.
#[derive(Clone, Copy, Debug)]
pub enum RemovedOf {
    Own,
    Owner(&'static str),
    Anybody,
}

impl RemovedOf {
    /// The owner, when one is named.
    pub fn owner(&self) -> Option<&'static str> {
        match self {
            Self::Owner(owner) => Some(owner),
            Self::Own | Self::Anybody => None,
        }
    }
}

fn list() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b"])
}

fn confirm() -> impl Strategy<Value = Option<u32>> {
    prop::option::weighted(0.4, 2..20_u32)
}

fn push() -> impl Strategy<Value = AskedPush> {
    let layers = vec![Layer::Runtime, Layer::Feed, Layer::Ban];
    let add = prop::collection::vec((list(), 1..6_u8, prop::option::of(1..20_u32)), 0..4);
    let remove = prop::collection::vec((list(), 1..6_u8), 0..3);
    let replace = prop::option::weighted(0.2, list());
    let owner = prop::sample::select(vec!["ada", "ben"]);
    let of = prop_oneof![
        6 => Just(RemovedOf::Own),
        1 => prop::sample::select(vec!["ada", "ben"]).prop_map(RemovedOf::Owner),
        1 => Just(RemovedOf::Anybody),
    ];
    let parts = (owner, prop::sample::select(layers), replace, add, remove, of, confirm(), prop::bool::weighted(0.1));
    parts.prop_map(|(owner, layer, replace, add, remove, of, confirm, dry_run)| AskedPush {
        owner,
        layer,
        replace,
        add,
        remove,
        of,
        confirm,
        dry_run,
    })
}

fn bad_disk() -> impl Strategy<Value = BadDisk> {
    let parts = (any::<bool>(), 0..8_u64, prop::option::weighted(0.7, 1..5_u64));
    parts.prop_map(|(is_full, after, count)| BadDisk { is_full, after, count })
}

fn step() -> impl Strategy<Value = Step> {
    let mode = prop::sample::select(vec![Mode::Enforce, Mode::Observe]);
    let name = prop::sample::select(vec!["eth0", "eth1"]);
    prop_oneof![
        8 => push().prop_map(Step::Push),
        3 => (0..5_u64, confirm()).prop_map(|(back, confirm)| Step::Undo { back, confirm }),
        2 => (0..6_usize).prop_map(Step::Edit),
        3 => (confirm(), prop::bool::weighted(0.1)).prop_map(|(confirm, dry_run)| Step::Reload { confirm, dry_run }),
        1 => Just(Step::HungReload),
        3 => (0..6_usize, confirm()).prop_map(|(config, confirm)| Step::Apply { config, confirm }),
        3 => (prop::option::of(0..4_u64), confirm()).prop_map(|(back, confirm)| Step::Rollback { back, confirm }),
        2 => (mode, confirm()).prop_map(|(mode, confirm)| Step::SetMode { mode, confirm }),
        2 => Just(Step::Confirm),
        5 => (1..12_u32).prop_map(Step::Wait),
        1 => prop_oneof![-30..-1_i32, 2..30_i32].prop_map(Step::SetClock),
        1 => any::<bool>().prop_map(Step::Synchronised),
        2 => (name, prop::option::weighted(0.7, 2..9_u32)).prop_map(|(name, index)| Step::Interface { name, index }),
        1 => Just(Step::Rename),
        1 => Just(Step::SwapNames),
        1 => (prop::sample::select(vec!["eth0", "eth1"]), any::<bool>())
            .prop_map(|(name, is_unwilling)| Step::Unwilling { name, is_unwilling }),
        1 => Just(Step::LosePins),
        1 => any::<bool>().prop_map(Step::Bpffs),
        1 => (0..3_u8).prop_map(Step::Own),
        2 => (0..4_u64, 1..4_u64).prop_map(|(after, count)| Step::RefuseCalls { after, count }),
        2 => prop::option::weighted(0.7, bad_disk()).prop_map(Step::Disk),
        3 => Just(Step::Kill),
        2 => Just(Step::Reboot),
    ]
}

/// Which configuration a daemon begins with, and what happens then.
pub fn script() -> impl Strategy<Value = (usize, Vec<Step>)> {
    (0..3_usize, prop::collection::vec(step(), 1..24))
}
