//! What a run came to, section by section, with what was promised.

use super::{
    promise::{Promises, at_least, at_most},
    sizes,
    table::Table,
};
use crate::{
    cases::{SIZES, short},
    frame::Family,
    kept::Kept,
    load::Load,
    memory::Memory,
    packets::{Contender, Measured},
    push::Pushes,
    readers::{Beside, Readers},
    results::Results,
    rounds::Sample,
    targets::{
        self, KEPT_PUSH_S, KEPT_RESTART_S, LOAD_NFT, LOAD_S, MEMORY_MIB, PUSH_US, READERS_TIMES, WIRE_BARE,
        WIRE_NFTABLES, WIRE_REFERENCE,
    },
    wire::{FilterKind, Wire},
};

/// Every section, by the name that the document gives it; without rows where nothing was measured.
pub fn sections(results: &Results, promises: &mut Promises) -> Vec<(&'static str, Table)> {
    let mut all: Vec<_> = Family::ALL
        .into_iter()
        .map(|family| {
            let of_family = results.packets.iter().filter(|measured| measured.case.family == family);
            (packets_name(family), packets(family, of_family, promises))
        })
        .collect();
    all.push(("wire", wire(results.wire.as_ref(), promises)));
    all.push(("load", load(&results.load, promises)));
    all.push(("kept", kept(results.kept.as_ref(), promises)));
    all.push(("memory", memory(&results.memory, promises)));
    all.push(("push", push(results.pushes.as_ref(), promises)));
    all.push(("readers", readers(results.readers.as_ref(), promises)));
    all.extend(sizes::sections(results.sizes.as_ref(), promises));
    all
}

fn packets_name(family: Family) -> &'static str {
    match family {
        Family::V4 => "packets-v4",
        Family::V6 => "packets-v6",
    }
}

fn packets<'a>(family: Family, measured: impl Iterator<Item = &'a Measured>, promises: &mut Promises) -> Table {
    let title = format!("ns per frame above a bare XDP_DROP behind the same scrambler, IP{}", family.name());
    let head = ["case", "bare", "Portcullis", "least", "most", "reference", "ratio", "passed", "promised", "kept"];
    let mut table = Table::new(title, &head);
    for one in measured {
        let bare = one.ns.get(&Contender::BareDrop).map_or(0.0, |sample| sample.median());
        let Some(ours) = one.ns.get(&Contender::Portcullis) else { continue };
        let net = ours.median() - bare;
        let reference = one.net(Contender::Reference).unwrap_or_default();
        let ratio = reference / net;
        let target = targets::target(one.case);
        let (promised, kept) = match target {
            None => (String::new(), String::new()),
            Some(target) => {
                let mut parts = vec![at_most("ns", net, target.net_ns)];
                parts.extend(target.ratio.map(|wanted| at_least("ratio", ratio, wanted)));
                promises.note(&one.name, &parts)
            }
        };
        table.row([
            one.name.clone(),
            whole(bare),
            whole(net),
            whole(ours.min() - bare),
            whole(ours.max() - bare),
            whole(reference),
            times(ratio),
            passed(one),
            promised,
            kept,
        ]);
    }
    table
}

/// `0 %`; of both programs when they differ.
fn passed(measured: &Measured) -> String {
    let percent = |contender| measured.passed_percent.get(&contender).map_or(0.0, Sample::median).round();
    let (ours, reference) = (percent(Contender::Portcullis), percent(Contender::Reference));
    if ours == reference { format!("{ours} %") } else { format!("{ours} %, {reference} %") }
}

fn wire(wire: Option<&Wire>, promises: &mut Promises) -> Table {
    let count = wire.map_or_else(String::new, |wire| format!(", {} prefixes", short(wire.prefixes)));
    let title = format!("end to end through a veth pair on one CPU, unlisted IPv4 sources dropped{count}");
    let mut table =
        Table::new(title, &["filter", "Mpps", "least", "most", "of bare", "Portcullis is", "promised", "kept"]);
    let Some(wire) = wire else { return table };
    for (kind, rate) in &wire.rates {
        let name = format!("wire: against {kind}");
        let factor = wire.ratio(FilterKind::Portcullis, *kind).unwrap_or_default();
        let wanted = match kind {
            FilterKind::BareDrop => Some(WIRE_BARE),
            FilterKind::Reference => Some(WIRE_REFERENCE),
            FilterKind::Nftables => Some(WIRE_NFTABLES),
            FilterKind::Portcullis | FilterKind::Ipset => None,
        };
        let wanted = wanted.filter(|_| is_whole(wire.prefixes));
        let kept = wanted.map(|wanted| promises.note(&name, &[at_least("rate", factor, wanted)]));
        let (promised, kept) = kept.unwrap_or_default();
        let mpps = |rate: f64| format!("{:.2}", rate / 1e6);
        table.row([
            kind.to_string(),
            mpps(rate.median()),
            mpps(rate.min()),
            mpps(rate.max()),
            format!("{:.2}", wire.ratio(*kind, FilterKind::BareDrop).unwrap_or_default()),
            format!("{factor:.2}x"),
            promised,
            kept,
        ]);
    }
    table
}

fn load(loads: &[Load], promises: &mut Promises) -> Table {
    let head = ["list", "portcullis run", "reload", "nft -f", "run / nft", "reload / nft", "promised", "kept"];
    let mut table = Table::new("seconds from a file to the first frame judged by it", &head);
    for load in loads {
        let [start, reload, nft] = [&load.start_s, &load.reload_s, &load.nft_s].map(|sample| sample.median());
        let name = format!("load/{}/{}", load.family.name(), short(load.prefixes));
        let slower = start.max(reload);
        let kept = is_whole(load.prefixes)
            .then(|| promises.note(&name, &[at_most("s", slower, LOAD_S), at_most("of nft", slower / nft, LOAD_NFT)]));
        let (promised, kept) = kept.unwrap_or_default();
        let seconds = |value: f64| format!("{value:.2}");
        table.row([
            name,
            seconds(start),
            seconds(reload),
            seconds(nft),
            seconds(start / nft),
            seconds(reload / nft),
            promised,
            kept,
        ]);
    }
    table
}

fn kept(kept: Option<&Kept>, promises: &mut Promises) -> Table {
    let head = ["pushed entries", "push", "most", "promised", "kept", "restart", "most", "promised", "kept"];
    let mut table = Table::new("seconds of one push, and from a start to the first frame judged by it", &head);
    if let Some(kept) = kept {
        let [push, restart] = [&kept.push_s, &kept.restart_s].map(|sample| (sample.median(), sample.max()));
        let name = format!("kept/{}", short(kept.entries));
        let (push_promised, push_kept) = promises.note(&name, &[at_most("push s", push.0, KEPT_PUSH_S)]);
        let (promised, is_kept) = promises.note(&name, &[at_most("restart s", restart.0, KEPT_RESTART_S)]);
        let seconds = |value: f64| format!("{value:.2}");
        table.row([
            short(kept.entries),
            seconds(push.0),
            seconds(push.1),
            push_promised,
            push_kept,
            seconds(restart.0),
            seconds(restart.1),
            promised,
            is_kept,
        ]);
    }
    table
}

fn memory(memories: &[Memory], promises: &mut Promises) -> Table {
    let mut table =
        Table::new("MiB of the maps of one policy", &["program and list", "MiB", "the largest", "promised", "kept"]);
    for memory in memories {
        let name = format!("memory/{}/{}", memory.family.name(), short(memory.prefixes));
        let is_promised = memory.contender == Contender::Portcullis && memory.family == Family::V4;
        let is_promised = is_promised && is_whole(memory.prefixes);
        let kept = is_promised.then(|| promises.note(&name, &[at_most("MiB", memory.total_mib(), MEMORY_MIB)]));
        let (promised, kept) = kept.unwrap_or_default();
        let mut largest: Vec<_> = memory.maps.iter().filter(|(_, octets)| *octets >= 1 << 20).collect();
        largest.sort_by_key(|(_, octets)| std::cmp::Reverse(*octets));
        let largest: Vec<_> =
            largest.iter().map(|(name, octets)| format!("{name} {:.1}", *octets as f64 / f64::from(1 << 20))).collect();
        let name = format!("{} {}", memory.contender, name.trim_start_matches("memory/"));
        table.row([name, format!("{:.1}", memory.total_mib()), largest.join(", "), promised, kept]);
    }
    table
}

fn push(pushes: Option<&Pushes>, promises: &mut Promises) -> Table {
    let head = ["pushes of one prefix", "median", "p99", "most", "write alone", "promised", "kept"];
    let mut table = Table::new("microseconds until another CPU judges by a push", &head);
    let Some(pushes) = pushes else { return table };
    let (visible, write) = (&pushes.visible_us, &pushes.write_us);
    let (promised, kept) = promises.note("push", &[at_most("us", visible.percentile(99), PUSH_US)]);
    let us = |value: f64| format!("{value:.1}");
    table.row([
        format!("{} into {} prefixes", visible.count(), short(pushes.prefixes)),
        us(visible.median()),
        us(visible.percentile(99)),
        us(visible.max()),
        us(write.median()),
        promised,
        kept,
    ]);
    table
}

fn readers(readers: Option<&Readers>, promises: &mut Promises) -> Table {
    let head = ["call", "beside", "p50 of idle", "p99 of idle", "least", "most", "promised", "kept"];
    let mut table = Table::new("what readers wait beside work, in times of what they wait beside nothing", &head);
    let Some(readers) = readers else { return table };
    for (question, waits) in &readers.waits {
        let idle = waits.get(&Beside::Nothing).map_or(0.0, |wait| wait.p50_us.median());
        for (beside, wait) in waits.iter().filter(|(beside, _)| **beside != Beside::Nothing) {
            let name = format!("readers: {} beside {}", question.name(), beside.name());
            let ratio = wait.p99_times.median();
            let kept =
                is_whole(readers.prefixes).then(|| promises.note(&name, &[at_most("p99", ratio, READERS_TIMES)]));
            let (promised, kept) = kept.unwrap_or_default();
            table.row([
                question.name().to_owned(),
                beside.name().to_owned(),
                times(wait.p50_us.median() / idle),
                times(ratio),
                times(wait.p99_times.min()),
                times(wait.p99_times.max()),
                promised,
                kept,
            ]);
        }
    }
    table
}

/// Whether a list is the longest: of shorter ones, which `--quick` makes do with, nothing is promised here.
fn is_whole(prefixes: usize) -> bool {
    SIZES.last() == Some(&prefixes)
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

fn times(value: f64) -> String {
    if value.is_finite() && value >= 0.0 { format!("{value:.1}x") } else { "-".to_owned() }
}
