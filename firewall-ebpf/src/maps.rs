//! The maps, and [`Tables`] over them.

use aya_ebpf::{
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, HashMap, PerCpuArray},
    macros::btf_map,
};
use firewall_common::{
    Address, Essential, FragmentPolicy, HostDefault, Membership, Quota, Tables, Transport,
    abi::{self, AddressKey, BucketKey, Count, FragmentRule, LimitRecord, PortRow, ServiceRecord},
    verifier::index_16,
};

use crate::{
    buckets,
    cells::{StatePointer, TatPointer},
    explain,
    facts::{
        COUNTED, FRAGMENTS_BY_SOURCE, HAS_ADDRESSES, HAS_TCP, HAS_UDP, HOST_DEFAULT_DROP, MEMBER_LISTS,
        OBSERVED_SERVICES,
    },
    lists,
};

const FLAGS: usize = BPF_F_NO_PREALLOC as usize;

// Policy: fresh in each generation, written by the controller only.
#[btf_map]
static ADDRESSES: HashMap<AddressKey, u32, { abi::MAX_LOCAL_ADDRESSES }, FLAGS> = HashMap::new();
#[btf_map]
static PORTS: Array<PortRow, 2> = Array::new(); // the loader makes room for the blocks of the policy
#[btf_map]
static FRAGMENTS: Array<FragmentRule, 4> = Array::new(); // likewise
#[btf_map]
static SERVICES: Array<ServiceRecord, { abi::MAX_SERVICES + 1 }> = Array::new();
#[btf_map]
static LIMITS: Array<LimitRecord, { abi::MAX_LIMITS + 1 }> = Array::new();
#[btf_map]
static ESSENTIAL_CAPS: Array<Quota, { Essential::ALL.len() }> = Array::new();

// Shared by all generations, written by the kernel.
#[btf_map]
static ESSENTIAL_STATE: Array<u64, { Essential::ALL.len() }> = Array::new();
#[btf_map]
pub(crate) static COUNTERS: PerCpuArray<Count, { abi::COUNTERS as usize }> = PerCpuArray::new();
#[btf_map]
pub(crate) static SERVICE_COUNTERS: PerCpuArray<Count, { 2 * (abi::MAX_SERVICES + 1) }> = PerCpuArray::new();
#[btf_map]
pub(crate) static LIMIT_COUNTERS: PerCpuArray<Count, { 2 * (abi::MAX_LIMITS + 1) }> = PerCpuArray::new();

/// The tables of the live generation.
pub(crate) struct Maps;

impl Tables for Maps {
    type Bucket = StatePointer;
    type Cap = TatPointer;

    #[inline(always)]
    fn membership(&self, source: &Address) -> Membership {
        let membership = lists::membership(source);
        explain::note_membership(membership);
        membership
    }

    #[inline(always)]
    fn service(&self, destination: &Address, protocol: Transport, port: u16) -> u16 {
        let row = block_of(destination) * abi::PORT_ROWS_PER_BLOCK + u32::from(!matches!(protocol, Transport::Tcp));
        let Some(row) = PORTS.get_ptr(row) else {
            return 0;
        };
        // SAFETY: the kernel gave a whole row for as long as the program runs, and every port is an index into its
        // 65,536 services. The controller writes a row before the generation goes live and never after.
        let service = unsafe { row.cast::<u16>().add(index_16(port)) };
        // SAFETY: as above.
        unsafe { service.read() }
    }

    #[inline(always)]
    fn service_record(&self, service: u16) -> Option<&ServiceRecord> {
        SERVICES.get(u32::from(service))
    }

    #[inline(always)]
    fn has_service(&self, protocol: Transport) -> bool {
        match protocol {
            Transport::Tcp => HAS_TCP.load() != 0,
            Transport::Udp => HAS_UDP.load() != 0,
            _ => HAS_TCP.load() | HAS_UDP.load() != 0,
        }
    }

    #[inline(always)]
    fn fragment_rule(&self, destination: &Address, protocol: Transport) -> FragmentRule {
        let index = block_of(destination) * abi::FRAGMENT_RULES_PER_BLOCK + abi::fragment_rule_index(protocol);
        match FRAGMENTS.get(index) {
            Some(rule) => *rule,
            None => FragmentRule { deny: 0, allow: 0, services: 0, open: 0 },
        }
    }

    #[inline(always)]
    fn limit(&self, limit: u16) -> Option<&LimitRecord> {
        LIMITS.get(u32::from(limit))
    }

    #[inline(always)]
    fn has_limits(&self) -> bool {
        COUNTED.load() != 0
    }

    #[inline(always)]
    fn member_lists(&self) -> u64 {
        MEMBER_LISTS.load()
    }

    #[inline(always)]
    fn bucket(&self, key: &BucketKey, limit: &LimitRecord, is_member: bool) -> Option<(StatePointer, u64)> {
        buckets::bucket(key, limit, is_member)
    }

    #[inline(always)]
    fn cap(&self, essential: Essential) -> Option<(Quota, TatPointer)> {
        let quota = ESSENTIAL_CAPS.get(essential as u32)?;
        let state = ESSENTIAL_STATE.get_ptr_mut(essential as u32)?;
        Some((*quota, TatPointer(state)))
    }

    #[inline(always)]
    fn now_ns(&self) -> u64 {
        buckets::now_ns()
    }

    #[inline(always)]
    fn host_default(&self) -> HostDefault {
        if HOST_DEFAULT_DROP.load() != 0 { HostDefault::Drop } else { HostDefault::Pass }
    }

    #[inline(always)]
    fn fragments(&self) -> FragmentPolicy {
        if FRAGMENTS_BY_SOURCE.load() != 0 { FragmentPolicy::Source } else { FragmentPolicy::Drop }
    }
}

/// Whether drops of `service` are only counted.
#[inline(always)]
pub(crate) fn observes(service: u16) -> bool {
    OBSERVED_SERVICES.load() != 0
        && match SERVICES.get(u32::from(service)) {
            Some(record) => record.observe != 0,
            None => false,
        }
}

/// The block of rows for a destination: 0 for an address that no service names.
#[inline(always)]
fn block_of(destination: &Address) -> u32 {
    if HAS_ADDRESSES.load() == 0 {
        return 0;
    }
    let key =
        AddressKey { high: destination.high, low: destination.low, family: destination.family as u32, padding: 0 };
    // SAFETY: the controller writes this map before the generation goes live and never after.
    match unsafe { ADDRESSES.get(key) } {
        Some(block) => *block,
        None => 0,
    }
}
