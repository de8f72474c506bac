//! One generation: a loaded program with the tables of one policy.

use std::{net::IpAddr, path::PathBuf};

use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap, LpmTrie, Map, MapData, lpm_trie::Key},
    programs::{TestRun, TestRunOptions, Xdp},
};
use firewall_common::Quota;
use firewall_common::abi::{
    self, AddressKey, FragmentRule, LimitRecord, MAX_INTERFACES, MembershipValue, PortRow, ServiceRecord, globals, maps,
};

use super::{DatapathError, OBJECT, PinFolder, plain::Plain, trace};
use crate::{
    members::{Member, Members},
    policy::{Prefix, compile::Compiled},
};

/// A loaded program and the tables of its policy. Dropping it frees the tables once no packet can use them.
pub struct Generation {
    pub(super) ebpf: Ebpf,
    v4: LpmTrie<MapData, [u8; 4], Plain<MembershipValue>>,
    v6: LpmTrie<MapData, [u8; 16], Plain<MembershipValue>>,
}

/// What does not come from the policy.
#[derive(Clone, Debug, Default)]
pub struct LoadOptions {
    /// Interface indices, by their position in the counters.
    pub interfaces: Vec<u32>,
    /// Log every packet; for debugging only.
    pub trace_packets: bool,
}

/// One change of the list tables: a prefix and its value, `None` to remove it.
pub type TableWrite = (Prefix, Option<Member>);

impl Generation {
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
        if OBJECT.is_empty() {
            return Err(DatapathError::NoObject);
        }
        let mut ebpf = load_object(compiled, pins, options)?;
        // The program keeps its maps alive from here on; taking one below closes only our handle.
        program_of(&mut ebpf)?.load().map_err(DatapathError::program)?;
        fill_policy(&mut ebpf, compiled)?;
        let mut generation = Self {
            v4: LpmTrie::try_from(take(&mut ebpf, maps::LISTS_V4)?)
                .map_err(|error| DatapathError::map("open the IPv4 list table", error))?,
            v6: LpmTrie::try_from(take(&mut ebpf, maps::LISTS_V6)?)
                .map_err(|error| DatapathError::map("open the IPv6 list table", error))?,
            ebpf,
        };
        let mut result = Ok(());
        members.unions(|prefix, member| {
            if result.is_ok() {
                result = generation.write(prefix, Some(member));
            }
        });
        result?;
        Ok(generation)
    }

    /// Changes the list tables while packets flow. Each address goes from its old value to its new one in one step.
    ///
    /// # Errors
    /// When the kernel refuses a change; the ones before it are undone with the values in `undo`.
    pub fn apply(&mut self, writes: &[TableWrite], undo: &[TableWrite]) -> Result<(), DatapathError> {
        for (position, (prefix, member)) in writes.iter().enumerate() {
            if let Err(error) = self.write(*prefix, *member) {
                for (prefix, member) in undo.iter().take(position).rev() {
                    // An undo that fails too leaves the entry as the push wanted it; the error below says that the
                    // push failed, and the next reload fills fresh tables.
                    let _ = self.write(*prefix, *member);
                }
                return Err(error);
            }
        }
        Ok(())
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

    /// Instructions the verifier went through, and bytes of machine code.
    ///
    /// # Errors
    /// When the kernel does not tell.
    pub fn size(&self) -> Result<(Option<u32>, u32), DatapathError> {
        let info = self.program()?.info().map_err(DatapathError::program)?;
        Ok((info.verified_instruction_count(), info.size_jitted()))
    }

    /// Sends what `--trace-packets` logs to our log. Must be called inside a tokio runtime.
    pub fn follow_trace(&mut self) {
        trace::follow(self);
    }

    pub(super) fn program_mut(&mut self) -> Result<&mut Xdp, DatapathError> {
        program_of(&mut self.ebpf)
    }

    fn program(&self) -> Result<&Xdp, DatapathError> {
        let program = self.ebpf.program(abi::PROGRAM).ok_or_else(no_program)?;
        program.try_into().map_err(DatapathError::program)
    }

    fn write(&mut self, prefix: Prefix, member: Option<Member>) -> Result<(), DatapathError> {
        let length = u32::from(prefix.length());
        let value = member.map(|member| Plain(member.value()));
        let result = match prefix.address() {
            IpAddr::V4(address) => write(&mut self.v4, &Key::new(length, address.octets()), value),
            IpAddr::V6(address) => write(&mut self.v6, &Key::new(length, address.octets()), value),
        };
        result.map_err(|error| {
            let what = if member.is_some() { "add" } else { "remove" };
            DatapathError::map(format!("{what} {prefix} in the list table"), error)
        })
    }
}

fn write<K: aya::Pod>(
    trie: &mut LpmTrie<MapData, K, Plain<MembershipValue>>,
    key: &Key<K>,
    value: Option<Plain<MembershipValue>>,
) -> Result<(), aya::maps::MapError> {
    match value {
        Some(value) => trie.insert(key, value, 0),
        None => trie.remove(key),
    }
}

fn load_object(compiled: &Compiled, pins: &PinFolder, options: &LoadOptions) -> Result<Ebpf, DatapathError> {
    let flag = |set: bool| u32::from(set);
    let observe = flag(compiled.observe);
    let host_default_drop = flag(compiled.host_default_drop);
    let fragments_by_source = flag(compiled.fragments_by_source);
    let (has_tcp, has_udp) = (flag(compiled.has_tcp), flag(compiled.has_udp));
    let has_addresses = flag(!compiled.addresses.is_empty());
    let mut interfaces = [0u32; MAX_INTERFACES];
    for (slot, interface) in interfaces.iter_mut().zip(&options.interfaces) {
        *slot = *interface;
    }
    let log_level: u8 = if options.trace_packets { aya_log::Level::Debug as u8 } else { 0 };
    let paths: Vec<(&str, PathBuf)> = maps::SHARED.iter().map(|name| (*name, pins.map(name))).collect();

    let mut loader = EbpfLoader::new();
    loader
        .btf(None)
        .override_global(globals::OBSERVE, &observe, true)
        .override_global(globals::HOST_DEFAULT_DROP, &host_default_drop, true)
        .override_global(globals::FRAGMENTS_BY_SOURCE, &fragments_by_source, true)
        .override_global(globals::HAS_TCP, &has_tcp, true)
        .override_global(globals::HAS_UDP, &has_udp, true)
        .override_global(globals::HAS_ADDRESSES, &has_addresses, true)
        .override_global(globals::INTERFACES, &interfaces, true)
        .override_global(aya_log::LEVEL, &log_level, true)
        .map_max_entries(maps::PORTS, compiled.ports.len() as u32)
        .map_max_entries(maps::FRAGMENTS, compiled.fragments.len() as u32);
    for (name, path) in &paths {
        loader.map_pin_path(name, path.as_path());
    }
    loader.load(OBJECT).map_err(DatapathError::load)
}

fn fill_policy(ebpf: &mut Ebpf, compiled: &Compiled) -> Result<(), DatapathError> {
    let fail = |what: &'static str| move |error| DatapathError::map(what, error);
    let mut addresses: HashMap<_, Plain<AddressKey>, u32> =
        HashMap::try_from(take(ebpf, maps::ADDRESSES)?).map_err(fail("open the address table"))?;
    for (key, block) in &compiled.addresses {
        addresses.insert(Plain(*key), block, 0).map_err(fail("fill the address table"))?;
    }
    let mut ports: Array<_, Plain<PortRow>> =
        Array::try_from(take(ebpf, maps::PORTS)?).map_err(fail("open the port table"))?;
    for (index, row) in (0u32..).zip(&compiled.ports) {
        // SAFETY: `Plain` is transparent, so a reference to a row is one to a plain row.
        let row: &Plain<PortRow> = unsafe { &*std::ptr::from_ref::<PortRow>(row).cast() };
        ports.set(index, row, 0).map_err(fail("fill the port table"))?;
    }
    let mut fragments: Array<_, Plain<FragmentRule>> =
        Array::try_from(take(ebpf, maps::FRAGMENTS)?).map_err(fail("open the fragment table"))?;
    for (index, rule) in (0u32..).zip(&compiled.fragments) {
        fragments.set(index, Plain(*rule), 0).map_err(fail("fill the fragment table"))?;
    }
    let mut services: Array<_, Plain<ServiceRecord>> =
        Array::try_from(take(ebpf, maps::SERVICES)?).map_err(fail("open the service table"))?;
    for (id, record) in &compiled.services {
        services.set(u32::from(*id), Plain(*record), 0).map_err(fail("fill the service table"))?;
    }
    let mut limits: Array<_, Plain<LimitRecord>> =
        Array::try_from(take(ebpf, maps::LIMITS)?).map_err(fail("open the limit table"))?;
    for (id, record) in &compiled.limits {
        limits.set(u32::from(*id), Plain(*record), 0).map_err(fail("fill the limit table"))?;
    }
    let mut caps: Array<_, Plain<Quota>> =
        Array::try_from(take(ebpf, maps::ESSENTIAL_CAPS)?).map_err(fail("open the table of caps"))?;
    for (index, quota) in (0u32..).zip(&compiled.caps) {
        caps.set(index, Plain(*quota), 0).map_err(fail("fill the table of caps"))?;
    }
    Ok(())
}

fn take(ebpf: &mut Ebpf, name: &str) -> Result<Map, DatapathError> {
    ebpf.take_map(name)
        .ok_or_else(|| DatapathError::Load { cause: format!("the object has no map {name}"), errno: None })
}

fn program_of(ebpf: &mut Ebpf) -> Result<&mut Xdp, DatapathError> {
    let program = ebpf.program_mut(abi::PROGRAM).ok_or_else(no_program)?;
    program.try_into().map_err(DatapathError::program)
}

fn no_program() -> DatapathError {
    DatapathError::Load { cause: format!("the object has no program {}", abi::PROGRAM), errno: None }
}
