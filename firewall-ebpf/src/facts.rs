//! Facts of the policy, set when the generation is loaded: the verifier removes what they make unreachable.

use aya_ebpf::Global;
use firewall_common::abi;

#[unsafe(no_mangle)]
pub(crate) static OBSERVE: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static OBSERVED_SERVICES: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static HOST_DEFAULT_DROP: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static FRAGMENTS_BY_SOURCE: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static HAS_TCP: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static HAS_UDP: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static MEMBER_LISTS: Global<u64> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static COUNTED: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static HAS_ADDRESSES: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static INTERFACE_COUNT: Global<u32> = Global::new(0);
#[unsafe(no_mangle)]
pub(crate) static INTERFACES: Global<[u32; abi::MAX_INTERFACES]> = Global::new([0; abi::MAX_INTERFACES]);
