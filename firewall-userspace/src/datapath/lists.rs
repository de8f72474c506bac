//! The prefix table of a generation, in maps that are mapped into our memory: changes are plain stores.

use std::{
    collections::HashMap,
    fmt,
    sync::atomic::{AtomicU32, AtomicU64},
};

use aya::maps::{Array, Map, MapData};
use firewall_common::{
    abi::{ClassRecord, MAX_CLASSES},
    prefix_table::{ROOT_SLOTS, WORDS},
};

use super::{DatapathError, mapped::Mapped, plain::Plain};
use crate::{
    members::{Member, Members},
    policy::Prefix,
    table::{Classes, Memory, Table, TableFull},
};

/// The prefix table of one generation.
pub(super) struct ListTable {
    table: Table<Mapped<AtomicU32>, Mapped<AtomicU64>>,
    classes: ClassTable,
}

/// Why a change of the prefix table did not happen, or not all of it.
#[derive(Debug)]
pub enum TableError {
    /// Only a new generation has room for it.
    Full,
    /// The kernel refused.
    Datapath(DatapathError),
}

/// A grace period is worth its wait when so much of the table waits for it: one part in this many.
const RETIRED_PART: u32 = 8;

impl ListTable {
    /// Most lines of a table: 4 GiB.
    pub(super) const MAX_LINES: u32 = 1 << 26;

    /// Lines that are enough for `members` and some change, unless their prefixes share very little.
    pub(super) fn lines_for(members: &Members) -> u32 {
        let [v4, v6] = members.len();
        let lines = 8192 + v4 * 5 / 8 + v6 * 3 / 2;
        u32::try_from(lines).unwrap_or(Self::MAX_LINES).min(Self::MAX_LINES)
    }

    /// Maps the maps of a fresh generation.
    pub(super) fn open(root_v4: Map, root_v6: Map, lines: Map, classes: Map) -> Result<Self, DatapathError> {
        let line_count = lines_of(&lines)?;
        Ok(Self {
            table: Table::new(Memory {
                root_v4: Mapped::new(root_v4, ROOT_SLOTS)?,
                root_v6: Mapped::new(root_v6, ROOT_SLOTS)?,
                lines: Mapped::new(lines, line_count * WORDS)?,
            }),
            classes: ClassTable {
                map: Array::try_from(classes)
                    .map_err(|error| DatapathError::map("open the table of classes", error))?,
                known: HashMap::from([(Member::default(), 0)]),
                last: (Member::default(), 0),
                failed: None,
            },
        })
    }

    /// Fills an empty table.
    pub(super) fn fill(&mut self, members: &Members) -> Result<(), TableError> {
        let result = self.table.fill(members, &mut self.classes);
        self.explain(result)
    }

    /// See [`Generation::update`](super::Generation::update).
    pub(super) fn update(
        &mut self,
        members: &Members,
        prefixes: impl Iterator<Item = Prefix>,
    ) -> Result<(), TableError> {
        for prefix in prefixes {
            let mut result = self.table.update(members, prefix, &mut self.classes);
            if result.is_err() && self.table.retired() > 0 {
                self.reclaim();
                result = self.table.update(members, prefix, &mut self.classes);
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
        // SAFETY: membarrier(2) takes numbers and touches no memory. `MEMBARRIER_CMD_GLOBAL` waits for an RCU grace
        // period (kernel/sched/membarrier.c), which XDP programs run inside of.
        let result = unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
        // Refused with `nohz_full` CPUs: the lines stay unused until the next generation.
        if result == 0 {
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
        Ok(class)
    }
}

fn lines_of(map: &Map) -> Result<usize, DatapathError> {
    let Map::Array(data) = map else {
        return Err(DatapathError::Load { cause: "the lines of the list table are no array".into(), errno: None });
    };
    let info = data.info().map_err(|error| DatapathError::map("measure the list table", error))?;
    Ok(info.max_entries() as usize)
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
