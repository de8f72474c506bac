//! The maps, and [`Tables`] over them.

use aya_ebpf::{
    Global,
    bindings::BPF_F_NO_PREALLOC,
    btf_maps::{Array, HashMap, PerCpuArray},
    macros::btf_map,
};
use firewall_common::{
    Address, Bucket, Essential, FragmentPolicy, HostDefault, Membership, Quantity, Quota, Tables, Transport,
    abi::{self, AddressKey, BucketKey, Count, FragmentRule, LimitRecord, PortRow, ServiceRecord},
    rate::TatCell,
    verifier::index_16,
};

use crate::{buckets, explain, lists};

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

// Facts of the policy, set when the generation is loaded: the verifier removes what they make unreachable.
#[unsafe(no_mangle)]
pub(crate) static OBSERVE: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static OBSERVED_SERVICES: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static HOST_DEFAULT_DROP: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static FRAGMENTS_BY_SOURCE: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static HAS_TCP: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static HAS_UDP: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static MEMBER_LISTS: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static COUNTED: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
static HAS_ADDRESSES: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static INTERFACE_COUNT: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static INTERFACES: Global<[u32; abi::MAX_INTERFACES]> = Global::new([0; abi::MAX_INTERFACES]);

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

/// Rate state of one source in a map: where its first TAT is, and how many TATs further the next one is.
pub(crate) struct StatePointer {
    pub(crate) first: *mut u64,
    pub(crate) stride: usize,
}

impl Bucket for StatePointer {
    type Cell = TatPointer;

    #[inline(always)]
    fn cell(&self, quantity: Quantity) -> TatPointer {
        // SAFETY: the state has one TAT for each quantity at this distance, so the result stays inside it.
        TatPointer(unsafe { self.first.add(quantity as usize * self.stride) })
    }
}

/// A TAT in a map.
pub(crate) struct TatPointer(pub(crate) *mut u64);

impl TatCell for TatPointer {
    #[inline(always)]
    fn load(&self) -> u64 {
        // SAFETY: a map value is valid for the whole run of the program. Other CPUs change it only by aligned 64-bit
        // compare-exchange, so the read is never torn.
        unsafe { self.0.read_volatile() }
    }

    #[inline(always)]
    fn compare_exchange(&self, current: u64, new: u64) -> u64 {
        // SAFETY: the map value is aligned and valid for the whole run.
        unsafe { compare_exchange(self.0, current, new) }
    }
}

/// Replaces a number by `new` if it is `current`; returns what it was, and changes nothing when this instance
/// [explains](explain). `core` has no compare-exchange for BPF.
///
/// # Safety
/// `cell` must point to an aligned number in a map value.
#[inline(always)]
pub(crate) unsafe fn compare_exchange(cell: *mut u64, current: u64, new: u64) -> u64 {
    if explain::is_on() {
        return current;
    }
    let seen: u64;
    // SAFETY: one BPF_CMPXCHG on what the caller answers for.
    unsafe {
        core::arch::asm!(
            "r0 = cmpxchg_64({cell} + 0, r0, {new})",
            cell = in(reg) cell,
            new = in(reg) new,
            inout("r0") current => seen,
        );
    }
    seen
}
