//! What a source has left.

use std::time::Duration;

use firewall_common::{
    Quantity,
    abi::{BucketOutcome, Explanation},
};
use jiff::Timestamp;

use super::{BucketKind, LimitState, QuantityState};
use crate::policy::Limit;

/// What the source of `explanation` has left under `limit` at `now`; `None` when no bucket was looked for.
pub fn limit_state(limit: &Limit, explanation: &Explanation, now: Timestamp) -> Option<LimitState> {
    const KINDS: [(BucketOutcome, BucketKind); 4] = [
        (BucketOutcome::Found, BucketKind::Own),
        (BucketOutcome::Inserted, BucketKind::New),
        (BucketOutcome::Full, BucketKind::Crowded),
        (BucketOutcome::Gated, BucketKind::Flood),
    ];
    let (_, bucket) = KINDS.into_iter().find(|(outcome, _)| *outcome as u32 == explanation.bucket)?;
    let rates = [
        (Quantity::Packets, "packets", &limit.packets),
        (Quantity::Bytes, "bytes", &limit.bytes),
        (Quantity::Connections, "connections", &limit.connections),
    ];
    let state = |(quantity, name, rate): (Quantity, &str, &Option<crate::policy::Rate>)| {
        let rate = rate.as_ref()?;
        let tat_ns = explanation.tat_ns.get(quantity as usize).copied()?;
        let (quota, now_ns) = (rate.quota(), explanation.now_ns);
        let ahead = Duration::from_nanos(quota.ahead_ns(tat_ns, now_ns));
        Some(QuantityState {
            quantity: name.into(),
            burst: rate.burst,
            left: quota.left(tat_ns, now_ns),
            full_again: (!ahead.is_zero()).then(|| now.checked_add(ahead).unwrap_or(Timestamp::MAX)),
        })
    };
    Some(LimitState { name: limit.name.to_string(), bucket, quantities: rates.into_iter().filter_map(state).collect() })
}
