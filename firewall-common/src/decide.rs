//! Stage 3: lists and limits of the service.

use core::ops::ControlFlow::{self, Break, Continue};

use crate::{
    abi::{BucketKey, LimitRecord, ServiceRecord},
    address::Address,
    parse::Flow,
    rate::{self, Quantity, Quota, TatCell},
    tables::{Bucket, Membership, Tables},
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
    let now_ns = tables.now_ns();
    let is_member = membership.lists & tables.member_lists() != 0;
    let Some(bucket) = tables.bucket(&bucket_key(&flow.source, limit, record), record, is_member, now_ns) else {
        return Break(Verdict::Internal);
    };
    let [packets, bytes, connections] = &record.quotas;
    let is_connection = flow.opens_connection;
    let octets = flow.frame_length as u64;

    ask(&bucket, Quantity::Packets, packets, now_ns, 1, Verdict::OverPackets)?;
    ask(&bucket, Quantity::Bytes, bytes, now_ns, octets, Verdict::OverBytes)?;
    if is_connection {
        ask(&bucket, Quantity::Connections, connections, now_ns, 1, Verdict::OverConnections)?;
    }

    take(&bucket, Quantity::Packets, packets, now_ns, 1, Verdict::OverPackets)?;
    take(&bucket, Quantity::Bytes, bytes, now_ns, octets, Verdict::OverBytes)?;
    if is_connection {
        take(&bucket, Quantity::Connections, connections, now_ns, 1, Verdict::OverConnections)?;
    }
    Continue(())
}

/// Settles the packet when `quantity` would exceed; changes nothing.
#[inline(always)]
fn ask(
    bucket: &impl Bucket,
    quantity: Quantity,
    quota: &Quota,
    now_ns: u64,
    units: u64,
    over: Verdict,
) -> ControlFlow<Verdict> {
    if quota.is_limited() && quota.charge(bucket.cell(quantity).load(), now_ns, units).is_none() {
        return Break(over);
    }
    Continue(())
}

/// Charges `quantity`; settles the packet when another CPU was faster and it exceeds now.
#[inline(always)]
fn take(
    bucket: &impl Bucket,
    quantity: Quantity,
    quota: &Quota,
    now_ns: u64,
    units: u64,
    over: Verdict,
) -> ControlFlow<Verdict> {
    if quota.is_limited() && !rate::charge(&bucket.cell(quantity), quota, now_ns, units) {
        return Break(over);
    }
    Continue(())
}

#[inline(always)]
fn bucket_key(source: &Address, limit: u16, record: &LimitRecord) -> BucketKey {
    let [high, low] = if source.is_v4() { [record.mask_v4, 0] } else { record.mask_v6 };
    BucketKey { high: source.high & high, low: source.low & low, family: source.family as u16, limit, padding: 0 }
}
