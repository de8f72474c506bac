//! A loaded program with the tables of one policy.

use std::{
    os::fd::{AsFd as _, BorrowedFd},
    path::PathBuf,
    sync::Arc,
};

use aya::{
    Ebpf,
    maps::{Array, HashMap, Map},
    programs::{TestRun, TestRunOptions, Xdp},
};
use firewall_common::abi::{self, Explanation, maps};

use super::{
    DatapathError, OBJECT, PinFolder, adopt,
    audit::{PolicyMaps, PolicyTables, Step, plain_row},
    explain::{Explanations, LiveMaps},
    facts::Facts,
    floor,
    lists::{ListMaps, ListSize, ListTable, TableError},
    plain::Plain,
    rate_base, trace,
};
use crate::{
    lists::members::Members,
    policy::{
        Prefix,
        compile::{Compiled, Identities},
    },
};

/// A loaded program and the tables of its policy. Dropping it frees the tables once no packet can use them.
pub struct LoadedPolicy {
    pub(super) ebpf: Ebpf,
    lists: ListTable,
    tables: PolicyTables,
    explanations: Arc<Explanations>,
}

/// What does not come from the policy.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Interface indices, by their position in the counters.
    pub interfaces: Vec<u32>,
    /// Log every packet; for debugging only.
    pub trace_packets: bool,
}

impl LoadedPolicy {
    /// Loads the program for `compiled` beside whatever is live, and fills its tables. Nothing is attached.
    ///
    /// # Errors
    /// When the kernel refuses the program, a map or an entry.
    pub fn load(
        compiled: &Compiled,
        members: &Members,
        pins: &PinFolder,
        options: &LoadOptions,
    ) -> Result<Self, DatapathError> {
        floor::check()?;
        if OBJECT.is_empty() {
            return Err(DatapathError::NoObject);
        }
        let mut size = ListSize::of(members);
        loop {
            let facts = Facts::of(compiled, pins, options, size);
            let (mut ebpf, tables, live) = load(OBJECT, &facts, compiled, pins)?;
            let maps = ListMaps {
                root_v4: take(&mut ebpf, maps::ROOT_V4)?,
                root_v6: take(&mut ebpf, maps::ROOT_V6)?,
                lines: take(&mut ebpf, maps::LINES)?,
                places: take(&mut ebpf, maps::PLACES)?,
                classes: take(&mut ebpf, maps::CLASSES)?,
            };
            let mut lists = ListTable::open(maps, size)?;
            match (lists.fill(members), size.larger()) {
                (Ok(()), _) => {
                    let explanations = Arc::new(Explanations::on(live, &facts, pins));
                    return Ok(Self { ebpf, lists, tables, explanations });
                }
                // Prefixes that share little need more lines than most do.
                (Err(TableError::Full), Some(larger)) => size = larger,
                (Err(error), _) => return Err(error.into()),
            }
        }
    }

    /// Brings the list tables in line with `members` after `prefixes` have changed, while packets flow. Each address goes
    /// from its old answer to its new one in one step.
    ///
    /// # Errors
    /// [`TableError::Full`] when only a new generation has room for the change, of which a part may have happened.
    pub fn update(&mut self, members: &Members, prefixes: impl Iterator<Item = Prefix>) -> Result<(), TableError> {
        self.lists.update(members, prefixes)
    }

    /// Everything that can be looked at, in parts that take a moment each.
    pub fn steps(&self) -> Vec<Step> {
        self.lists.steps().into_iter().chain(self.tables.steps()).collect()
    }

    /// Compares a part of the kernel's tables with what was written there, and puts right what is wrong; which entries.
    ///
    /// # Errors
    /// When a map cannot be read or written.
    pub fn repair(&mut self, step: &Step) -> Result<Vec<usize>, DatapathError> {
        let mut wrong = self.lists.repair(step)?;
        wrong.extend(self.tables.repair(step)?);
        Ok(wrong)
    }

    /// Octets of the list tables: in use, and reserved.
    pub fn list_memory(&self) -> [u64; 2] {
        self.lists.memory()
    }

    /// Classes of the list tables.
    pub fn list_classes(&self) -> u64 {
        self.lists.classes()
    }

    /// Runs the program on `frame` as if it had come in on the first interface; the XDP action. Counters and rate state
    /// change as for a real frame.
    ///
    /// # Errors
    /// When the kernel refuses, such as for frames shorter than 14 octets.
    pub fn test_run(&self, frame: &[u8]) -> Result<u32, DatapathError> {
        let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::default() };
        self.test_run_with(options).map(|result| result.return_value)
    }

    /// What the program would do with `frame` now: the XDP action, and why. Nothing changes: no counter, no rate state.
    ///
    /// An instance of the program that explains runs on the tables of this one; the first call loads it.
    ///
    /// # Errors
    /// When the kernel refuses the instance or the frame.
    pub fn explain(&self, frame: &[u8]) -> Result<(u32, Explanation), DatapathError> {
        self.explanations.load()?;
        self.explanations.explain(frame)
    }

    /// The instance that explains.
    pub(super) fn explanations(&self) -> &Arc<Explanations> {
        &self.explanations
    }

    /// Runs the program with any options of aya.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn test_run_with(&self, options: TestRunOptions<'_>) -> Result<aya::programs::TestRunResult, DatapathError> {
        self.program()?.test_run(options).map_err(|error| DatapathError::Map {
            what: "run the packet program on a frame".into(),
            cause: error.to_string(),
            errno: None,
        })
    }

    /// The program, for what this crate does not do with it: benchmarks put others in front of it.
    ///
    /// # Errors
    /// When it is not loaded.
    pub fn descriptor(&self) -> Result<BorrowedFd<'_>, DatapathError> {
        Ok(self.program()?.fd().map_err(DatapathError::program)?.as_fd())
    }

    /// Instructions the verifier went through, and bytes of machine code.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn size(&self) -> Result<(Option<u32>, u32), DatapathError> {
        let info = self.program()?.info().map_err(DatapathError::program)?;
        Ok((info.verified_instruction_count(), info.size_jitted()))
    }

    /// Sends what `--trace-packets` logs to our log, with the names of `ids`. Must be called inside a tokio runtime.
    pub fn follow_trace(&mut self, ids: &Identities) {
        trace::follow(self, ids);
    }

    fn program(&self) -> Result<&Xdp, DatapathError> {
        let program = self.ebpf.program(abi::PROGRAM).ok_or_else(no_program)?;
        program.try_into().map_err(DatapathError::program)
    }
}

/// Loads `object` for `compiled` and fills the tables of the policy, but not the lists, for which it makes room. The reference program, which benchmarks compare with, is loaded like the real one.
///
/// # Errors
/// When the kernel refuses the program, a map or an entry.
pub fn load_policy(
    object: &[u8],
    compiled: &Compiled,
    pins: &PinFolder,
    options: &LoadOptions,
    size: ListSize,
) -> Result<Ebpf, DatapathError> {
    load(object, &Facts::of(compiled, pins, options, size), compiled, pins).map(|(ebpf, ..)| ebpf)
}

fn load(
    object: &[u8],
    facts: &Facts,
    compiled: &Compiled,
    pins: &PinFolder,
) -> Result<(Ebpf, PolicyTables, LiveMaps), DatapathError> {
    // The loader takes what is pinned for what the object declares.
    adopt::require_same(pins, object)?;
    let shared: Vec<(&str, PathBuf)> = maps::SHARED.iter().map(|name| (*name, pins.map(name))).collect();
    let mut ebpf = facts.open(object, &shared, false)?;
    let live = LiveMaps::of(&ebpf)?;
    // The program keeps its maps alive from here on; taking one below closes only our handle.
    program_of(&mut ebpf)?.load().map_err(DatapathError::program)?;
    let tables = fill_policy(&mut ebpf, compiled)?;
    rate_base::lay(&mut ebpf)?;
    Ok((ebpf, tables, live))
}

fn fill_policy(ebpf: &mut Ebpf, compiled: &Compiled) -> Result<PolicyTables, DatapathError> {
    let fail = |what: &'static str| move |error| DatapathError::map(what, error);
    let mut maps = PolicyMaps {
        addresses: HashMap::try_from(take(ebpf, maps::ADDRESSES)?).map_err(fail("open the address table"))?,
        ports: Array::try_from(take(ebpf, maps::PORTS)?).map_err(fail("open the port table"))?,
        fragments: Array::try_from(take(ebpf, maps::FRAGMENTS)?).map_err(fail("open the fragment table"))?,
        services: Array::try_from(take(ebpf, maps::SERVICES)?).map_err(fail("open the service table"))?,
        limits: Array::try_from(take(ebpf, maps::LIMITS)?).map_err(fail("open the limit table"))?,
        caps: Array::try_from(take(ebpf, maps::ESSENTIAL_CAPS)?).map_err(fail("open the table of caps"))?,
    };
    for (key, block) in &compiled.addresses {
        maps.addresses.insert(Plain(*key), block, 0).map_err(fail("fill the address table"))?;
    }
    for (index, row) in (0u32..).zip(&compiled.ports) {
        maps.ports.set(index, plain_row(row), 0).map_err(fail("fill the port table"))?;
    }
    for (index, rule) in (0u32..).zip(&compiled.fragments) {
        maps.fragments.set(index, Plain(*rule), 0).map_err(fail("fill the fragment table"))?;
    }
    for (id, record) in &compiled.services {
        maps.services.set(u32::from(*id), Plain(*record), 0).map_err(fail("fill the service table"))?;
    }
    for (id, record) in &compiled.limits {
        maps.limits.set(u32::from(*id), Plain(*record), 0).map_err(fail("fill the limit table"))?;
    }
    for (index, quota) in (0u32..).zip(&compiled.caps) {
        maps.caps.set(index, Plain(*quota), 0).map_err(fail("fill the table of caps"))?;
    }
    Ok(PolicyTables::new(maps, compiled))
}

pub(super) fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map, DatapathError> {
    ebpf.take_map(name)
        .ok_or_else(|| DatapathError::Load { cause: format!("the object has no map {name}"), errno: None })
}

pub(super) fn program_of(ebpf: &mut Ebpf) -> Result<&mut Xdp, DatapathError> {
    let program = ebpf.program_mut(abi::PROGRAM).ok_or_else(no_program)?;
    program.try_into().map_err(DatapathError::program)
}

fn no_program() -> DatapathError {
    DatapathError::Load { cause: format!("the object has no program {}", abi::PROGRAM), errno: None }
}
