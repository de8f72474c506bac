//! The prefix table of a generation, in maps that are mapped into our memory: changes are plain stores.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU32, AtomicU64},
};

use aya::maps::{Array, Map, MapData};
use firewall_common::{
    abi::{ClassRecord, LIST_CLASSES, MAX_CLASSES, MAX_MEMBER_SETS, MIN_MEMBER_SETS},
    prefix_table::{PLACES_RUN, PlacesHash, ROOT_SLOTS, WORDS},
};

use super::{
    DatapathError,
    audit::{self, Part, Step},
    mapped::Mirrored,
    plain::Plain,
};
use crate::{
    lists::{
        members::{Member, Members},
        table::{Classes, Memory, Table, TableFull, count_places},
    },
    policy::Prefix,
};

/// The prefix table of one generation.
pub(super) struct ListTable {
    table: Table<Mirrored<AtomicU32>, Mirrored<AtomicU64>>,
    classes: ClassTable,
}

/// How large the maps of a prefix table are, and how places are spread over them.
#[derive(Clone, Copy, Debug)]
pub struct ListSize {
    /// Lines of summaries, nodes and leaves.
    pub lines: u32,
    /// Lines of places.
    pub places: u32,
    /// Random and odd.
    pub multiplier: u64,
    /// Sets of the rate table of members, if it is not there yet.
    pub member_sets: u32,
}

impl ListSize {
    /// Most lines of a table: 4 GiB.
    const MAX_LINES: u32 = 1 << 26;

    /// Enough for `members` and some change, unless their prefixes share very little.
    pub fn of(members: &Members) -> Self {
        let [v4, v6] = members.len();
        let [places, crowded] = count_places(members);
        let lines = 8192 + crowded * 3 / 2 + v6 * 3 / 2;
        // Four places in a line of seven: few have to go on into the next one.
        let places = places / 4 + 1024;
        let narrow = |lines: usize| u32::try_from(lines).unwrap_or(Self::MAX_LINES).min(Self::MAX_LINES);
        // Half full at most when each prefix is one source, with eight of them in a set.
        let sets = narrow((v4 + v6) / 4).next_power_of_two();
        Self {
            lines: narrow(lines),
            places: narrow(places),
            multiplier: RandomState::new().hash_one(0u8) | 1,
            member_sets: sets.clamp(MIN_MEMBER_SETS, MAX_MEMBER_SETS),
        }
    }

    /// Twice as large; `None` when that is too large.
    pub(super) fn larger(self) -> Option<Self> {
        let double = |lines: u32| (lines < Self::MAX_LINES).then_some(lines * 2);
        Some(Self { lines: double(self.lines)?, places: double(self.places)?, ..self })
    }

    /// How an address finds its line of places.
    pub(super) fn hash(self) -> PlacesHash {
        PlacesHash { multiplier: self.multiplier, lines: self.places - (PLACES_RUN - 1) }
    }
}

/// Why a change of the prefix table did not happen, or not all of it.
#[derive(Debug)]
pub enum TableError {
    /// Only a new generation has room for it.
    Full,
    /// The kernel refused.
    Datapath(DatapathError),
}

/// Words and classes that are looked at in one step.
const WORDS_OF_STEP: usize = 1 << 15;
const CLASSES_OF_STEP: usize = 256;

/// A grace period is worth its wait when so much of the table waits for it: one part in this many.
const RETIRED_PART: u32 = 8;

impl ListTable {
    /// Maps the maps of a fresh generation, which have `size`.
    pub(super) fn open(maps: ListMaps, size: ListSize) -> Result<Self, DatapathError> {
        Ok(Self {
            table: Table::new(
                Memory {
                    root_v4: Mirrored::new(maps.root_v4, 2 * ROOT_SLOTS)?,
                    root_v6: Mirrored::new(maps.root_v6, ROOT_SLOTS)?,
                    lines: Mirrored::new(maps.lines, size.lines as usize * WORDS)?,
                    places: Mirrored::new(maps.places, size.places as usize * WORDS)?,
                },
                size.hash(),
            ),
            classes: ClassTable::open(maps.classes)?,
        })
    }

    /// Octets in use, and reserved.
    pub(super) fn memory(&self) -> [u64; 2] {
        let line = (WORDS * size_of::<u64>()) as u64;
        let roots = (ROOT_SLOTS * (2 * size_of::<u64>() + size_of::<u32>())) as u64;
        let class = size_of::<ClassRecord>() as u64;
        let (lines, reserved) = self.table.usage();
        let places = (self.table.places() * size_of::<u64>()) as u64;
        let place_lines = (self.table.memory().places.len() * size_of::<u64>()) as u64;
        [
            roots + u64::from(lines) * line + places + self.classes.known.len() as u64 * class,
            roots + u64::from(reserved) * line + place_lines + u64::from(MAX_CLASSES) * class,
        ]
    }

    /// Classes in use; there is room for [`MAX_CLASSES`].
    pub(super) fn classes(&self) -> u64 {
        self.classes.known.len() as u64
    }

    /// Parts of the table that are to be looked at, each in a moment.
    pub(super) fn steps(&self) -> Vec<Step> {
        let memory = self.table.memory();
        let words = [
            (Part::RootV4, memory.root_v4.len()),
            (Part::RootV6, memory.root_v6.len()),
            (Part::Lines, memory.lines.len()),
            (Part::Places, memory.places.len()),
        ];
        let words = words.into_iter().flat_map(|(part, count)| audit::slices(part, count, WORDS_OF_STEP));
        words.chain(audit::slices(Part::Classes, self.classes.records.len(), CLASSES_OF_STEP)).collect()
    }

    /// Looks at a part and puts right what is wrong; what it was.
    pub(super) fn repair(&mut self, step: &Step) -> Result<Vec<usize>, DatapathError> {
        let memory = self.table.memory();
        let range = step.range.clone();
        Ok(match step.part {
            Part::RootV4 => memory.root_v4.repair(range),
            Part::RootV6 => memory.root_v6.repair(range),
            Part::Lines => memory.lines.repair(range),
            Part::Places => memory.places.repair(range),
            Part::Classes => {
                let records = self.classes.records.iter().enumerate().skip(range.start).take(range.len());
                let wanted = records.map(|(class, record)| (class as u32, Plain(*record)));
                return audit::repair_array(&mut self.classes.map, wanted);
            }
            _ => Vec::new(),
        })
    }

    /// Fills an empty table.
    pub(super) fn fill(&mut self, members: &Members) -> Result<(), TableError> {
        let result = self.table.fill(members, &mut self.classes);
        self.explain(result)
    }

    /// See [`LoadedPolicy::update`](super::LoadedPolicy::update).
    pub(super) fn update(
        &mut self,
        members: &Members,
        prefixes: impl Iterator<Item = Prefix>,
    ) -> Result<(), TableError> {
        for prefix in prefixes {
            let mut result = self.table.update(members, prefix, &mut self.classes, order);
            if result.is_err() && self.table.retired() > 0 {
                self.reclaim();
                result = self.table.update(members, prefix, &mut self.classes, order);
            }
            self.explain(result)?;
        }
        if self.table.retired() > self.table.usage().1 / RETIRED_PART {
            self.reclaim();
        }
        Ok(())
    }

    /// Waits until no program can still see what was replaced, and uses it again.
    fn reclaim(&mut self) {
        // Refused with `nohz_full` CPUs: the lines stay unused until the next generation.
        if wait_for_grace_period() {
            self.table.reclaim();
        }
    }

    fn explain(&mut self, result: Result<(), TableFull>) -> Result<(), TableError> {
        match (result, self.classes.failed.take()) {
            (Ok(()), _) => Ok(()),
            (Err(TableFull), Some(error)) => Err(TableError::Datapath(error)),
            (Err(TableFull), None) => Err(TableError::Full),
        }
    }
}

/// Classes by what they are in.
struct ClassTable {
    map: Array<MapData, Plain<ClassRecord>>,
    known: HashMap<Member, u32>,
    /// By class.
    records: Vec<ClassRecord>,
    /// The member asked for last: neighbours are often in the same lists.
    last: (Member, u32),
    failed: Option<DatapathError>,
}

impl Classes for ClassTable {
    fn class_of(&mut self, member: &Member) -> Result<u32, TableFull> {
        if self.last.0 == *member {
            return Ok(self.last.1);
        }
        let class = match self.known.get(member) {
            Some(class) => *class,
            None => self.add(member)?,
        };
        self.last = (member.clone(), class);
        Ok(class)
    }
}

impl ClassTable {
    /// A table of the classes that every generation has.
    fn open(map: Map) -> Result<Self, DatapathError> {
        let map = Array::try_from(map).map_err(|error| DatapathError::map("open the table of classes", error))?;
        let nothing = Member::default();
        let known = HashMap::from([(nothing.clone(), 0)]);
        let mut table = Self { map, known, records: vec![ClassRecord::default()], last: (nothing, 0), failed: None };
        for list in 0..LIST_CLASSES {
            let member = Member { lists: 1 << list, ..Member::default() };
            if let (Err(TableFull), Some(error)) = (table.add(&member), table.failed.take()) {
                return Err(error);
            }
        }
        Ok(table)
    }

    fn add(&mut self, member: &Member) -> Result<u32, TableFull> {
        let (ends, next) = match member.next() {
            Some((second, then)) => (second, self.class_of(&then)?),
            None => (0, 0),
        };
        let class = self.known.len() as u32;
        if class >= MAX_CLASSES {
            return Err(TableFull);
        }
        let record = ClassRecord { lists: member.all_lists(), flags: member.flags(), ends, next, padding: 0 };
        // The class is written before any entry that names it is published.
        if let Err(error) = self.map.set(class, Plain(record), 0) {
            self.failed = Some(DatapathError::map("add a class to the list table", error));
            return Err(TableFull);
        }
        self.known.insert(member.clone(), class);
        self.records.push(record);
        Ok(class)
    }
}

/// The maps of a prefix table.
pub(super) struct ListMaps {
    pub root_v4: Map,
    pub root_v6: Map,
    pub lines: Map,
    pub places: Map,
    pub classes: Map,
}

/// Waits until every program that runs now has ended; whether the kernel does that.
fn wait_for_grace_period() -> bool {
    // SAFETY: membarrier(2) takes numbers and touches no memory. `MEMBARRIER_CMD_GLOBAL` waits for an RCU grace
    // period (kernel/sched/membarrier.c), which XDP programs run inside of.
    unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) == 0 }
}

/// Between slots and the groups that lead to them, see [`Table::update`]: x86 loads in order.
fn order() {
    if cfg!(not(any(target_arch = "x86_64", target_arch = "x86"))) {
        wait_for_grace_period();
    }
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the list table is full"),
            Self::Datapath(error) => error.fmt(f),
        }
    }
}

impl From<TableError> for DatapathError {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Full => {
                Self::Map { what: "fill the list table".into(), cause: "it is full".into(), errno: Some(libc::ENOSPC) }
            }
            TableError::Datapath(error) => error,
        }
    }
}
