//! Stage 3: lists and limits of the service.

use core::ops::ControlFlow::{self, Break, Continue};

use crate::{
    abi::{BucketKey, LimitRecord, ServiceRecord},
    address::Address,
    flow::Flow,
    prefix_table::Membership,
    rate::{self, Quantity, Quota, TatCell},
    tables::{Bucket, Tables},
    verdict::Verdict,
};

/// Judges a packet for `service`; `charged` becomes the limit that was asked.
#[inline(always)]
pub(crate) fn decide(
    flow: &Flow,
    membership: Membership,
    service: u16,
    tables: &impl Tables,
    charged: &mut u16,
) -> ControlFlow<Verdict, Verdict> {
    let Some(service) = tables.service_record(service) else {
        return Break(Verdict::Internal);
    };
    if membership.lists & service.deny != 0 {
        return Break(Verdict::Denied);
    }
    if service.has_allow != 0 && membership.lists & service.allow == 0 {
        return Break(Verdict::NotAllowed);
    }
    let limit = limit_of(service, membership.lists);
    if tables.has_limits() && limit != 0 {
        *charged = limit;
        charge(flow, limit, membership, tables)?;
    }
    Continue(Verdict::Accepted)
}

/// The limit that holds for a source in `lists`, 0 for none.
#[inline(always)]
fn limit_of(service: &ServiceRecord, lists: u64) -> u16 {
    if lists & service.limit_for_lists == 0 {
        return service.limit;
    }
    let mut rows = service.limit_for_count;
    for row in &service.limit_for {
        if rows == 0 {
            break;
        }
        rows -= 1;
        if lists >> (row.list & 63) & 1 != 0 {
            return row.limit;
        }
    }
    service.limit
}

/// Charges a packet to its source under `limit`; settles it when one of the quantities exceeds.
///
/// All quantities are asked before the first is charged, so a refused packet costs nothing, unless another CPU charges
/// the same source in between: then at most this one packet was charged to the quantities before the one that refused.
#[inline(always)]
fn charge(flow: &Flow, limit: u16, membership: Membership, tables: &impl Tables) -> ControlFlow<Verdict> {
    let Some(record) = tables.limit(limit) else {
        return Break(Verdict::Internal);
    };
    let is_member = membership.lists & tables.member_lists() != 0;
    let Some((bucket, now_ns)) = tables.bucket(&bucket_key(&flow.source, limit, record), record, is_member) else {
        return Break(Verdict::Internal);
    };
    let [packets, bytes, connections] = &record.quotas;
    let is_connection = flow.opens_connection;
    let octets = flow.frame_length as u64;

    let packets = ask(&bucket, Quantity::Packets, packets, now_ns, Quota::event_ns, Verdict::OverPackets)?;
    let cost_of_octets = |quota: &Quota| quota.cost_ns(octets);
    let bytes = ask(&bucket, Quantity::Bytes, bytes, now_ns, cost_of_octets, Verdict::OverBytes)?;
    let connections = if is_connection {
        ask(&bucket, Quantity::Connections, connections, now_ns, Quota::event_ns, Verdict::OverConnections)?
    } else {
        None
    };
    take(packets, now_ns, 1, Verdict::OverPackets)?;
    take(bytes, now_ns, octets, Verdict::OverBytes)?;
    take(connections, now_ns, 1, Verdict::OverConnections)
}

/// A quantity that conforms, not charged yet.
struct Asked<'a, C> {
    cell: C,
    quota: &'a Quota,
    /// Its TAT, and what that becomes.
    seen_ns: u64,
    next_ns: u64,
}

/// Settles the packet when `quantity` would exceed; changes nothing. `None`: it is not limited.
#[inline(always)]
fn ask<'a, B: Bucket>(
    bucket: &B,
    quantity: Quantity,
    quota: &'a Quota,
    now_ns: u64,
    cost_ns: impl Fn(&Quota) -> u64,
    over: Verdict,
) -> ControlFlow<Verdict, Option<Asked<'a, B::Cell>>> {
    if !quota.is_limited() {
        return Continue(None);
    }
    let cell = bucket.cell(quantity);
    let seen_ns = cell.load();
    match quota.charge_cost(seen_ns, now_ns, cost_ns(quota)) {
        Some(next_ns) => Continue(Some(Asked { cell, quota, seen_ns, next_ns })),
        None => Break(over),
    }
}

/// Charges what was asked; settles the packet when another CPU was faster and it exceeds now.
#[inline(always)]
fn take<C: TatCell>(asked: Option<Asked<'_, C>>, now_ns: u64, units: u64, over: Verdict) -> ControlFlow<Verdict> {
    let Some(Asked { cell, quota, seen_ns, next_ns }) = asked else {
        return Continue(());
    };
    if cell.compare_exchange(seen_ns, next_ns) == seen_ns || rate::charge(&cell, quota, now_ns, units) {
        return Continue(());
    }
    Break(over)
}

#[inline(always)]
fn bucket_key(source: &Address, limit: u16, record: &LimitRecord) -> BucketKey {
    let [high, low] = if source.is_v4() { [record.mask_v4, 0] } else { record.mask_v6 };
    BucketKey { high: source.high & high, low: source.low & low, family: source.family as u16, limit, padding: 0 }
}
