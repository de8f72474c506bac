//! Sizes of the control plane, with what was promised of them.

use super::{
    promise::{Promises, at_least, at_most},
    table::Table,
};
use crate::{
    cases::short,
    sizes::{BadAnswer, GuardedRates, Sizes, SyncStage, SyncTimes},
    targets::{
        SIZES_ANSWER_MIB, SIZES_CONNECTIONS, SIZES_CONNECTIONS_RATE, SIZES_ENTRIES, SIZES_ENTRIES_MIB, SIZES_ENTRIES_S,
        SIZES_KEPT_MIB, SIZES_PUSH_TIMES, SIZES_RELOAD_TIMES,
    },
};

/// Three tables, by the names that the document gives them.
pub fn sections(sizes: Option<&Sizes>, promises: &mut Promises) -> [(&'static str, Table); 3] {
    [
        ("sizes-entries", entries(sizes.map(|sizes| &sizes.entries), promises)),
        ("sizes-connections", connections(sizes.map(|sizes| &sizes.connections), promises)),
        ("sizes-answers", answers(sizes.map_or(&[], |sizes| &sizes.answers), promises)),
    ]
}

fn entries(times: Option<&SyncTimes>, promises: &mut Promises) -> Table {
    let count = times.map_or_else(String::new, |times| format!("{} ", short(times.entries)));
    let title = format!("{count}random entries, and pushes of one entry meanwhile");
    let head = ["entries", "s", "MiB at most", "pushes", "p50 ms", "p99 ms", "most ms", "of idle", "promised", "kept"];
    let mut table = Table::new(title, &head);
    let Some(times) = times else { return table };
    let idle = [("none, idle", &times.idle), ("all, idle", &times.idle_with)].map(|(name, pushes)| {
        let pushes = Some(pushes.clone());
        SyncStage { name: name.to_owned(), seconds: 0.0, peak_mib: 0.0, before_mib: None, pushes }
    });
    for (is_idle, stage) in
        idle.iter().map(|stage| (true, stage)).chain(times.stages.iter().map(|stage| (false, stage)))
    {
        let ratio = stage.pushes.as_ref().map(|pushes| pushes.p99_ms / times.idle.p99_ms);
        let mut parts = vec![at_most("s", stage.seconds, SIZES_ENTRIES_S)];
        parts.push(at_most("MiB", stage.peak_mib, SIZES_ENTRIES_MIB));
        parts.extend(
            stage.before_mib.map(|before| at_most("MiB of before", stage.peak_mib / before, SIZES_RELOAD_TIMES)),
        );
        let waits = ratio.filter(|_| stage.before_mib.is_none());
        parts.extend(waits.map(|ratio| at_most("p99 of idle", ratio, SIZES_PUSH_TIMES)));
        let name = format!("sizes: {} {}", short(times.entries), stage.name);
        let is_promised = !is_idle && times.entries == SIZES_ENTRIES;
        let (promised, kept) = if is_promised { promises.note(&name, &parts) } else { Default::default() };
        let figure = |text: String| if is_idle { String::new() } else { text };
        let ms = |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.1}"));
        let pushes = stage.pushes.as_ref();
        table.row([
            stage.name.clone(),
            figure(format!("{:.1}", stage.seconds)),
            figure(format!("{:.0}", stage.peak_mib)),
            pushes.map_or_else(String::new, |pushes| counted(pushes.count, pushes.refused)),
            ms(pushes.map(|pushes| pushes.p50_ms)),
            ms(pushes.map(|pushes| pushes.p99_ms)),
            ms(pushes.map(|pushes| pushes.most_ms)),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.1}x")),
            promised,
            kept,
        ]);
    }
    table
}

fn counted(count: usize, refused: usize) -> String {
    if refused == 0 { count.to_string() } else { format!("{count}, {refused} refused") }
}

fn connections(rates: Option<&GuardedRates>, promises: &mut Promises) -> Table {
    let count = rates.map_or_else(|| "many".to_owned(), |rates| rates.connections.to_string());
    let title = format!("pushes a second, without and with {count} established connections");
    let head = ["clients", "without", "least", "most", "with", "ratio", "promised", "kept"];
    let mut table = Table::new(title, &head);
    let Some(rates) = rates else { return table };
    for rate in &rates.rates {
        let name = format!("sizes: {} connections, clients: {}", rates.connections, rate.clients);
        let parts = [at_least("rate", rate.ratio(), SIZES_CONNECTIONS_RATE)];
        let is_promised = rates.connections == SIZES_CONNECTIONS;
        let (promised, kept) = if is_promised { promises.note(&name, &parts) } else { Default::default() };
        let whole = |value: f64| format!("{value:.0}");
        table.row([
            rate.clients.to_string(),
            whole(rate.without.median()),
            whole(rate.without.min()),
            whole(rate.without.max()),
            whole(rate.with.median()),
            format!("{:.2}x", rate.ratio()),
            promised,
            kept,
        ]);
    }
    table
}

fn answers(answers: &[BadAnswer], promises: &mut Promises) -> Table {
    let head = ["request", "MiB", "status", "s", "octets", "before", "at most", "after 10 s", "promised", "kept"];
    let mut table = Table::new("answers to bad requests, and MiB of the daemon", &head);
    for answer in answers {
        let mib = |octets: usize| octets as f64 / f64::from(1 << 20);
        let more = answer.after_mib - answer.before_mib;
        let parts = [
            at_most("answer MiB", mib(answer.octets), SIZES_ANSWER_MIB),
            at_most("more MiB after", more, SIZES_KEPT_MIB),
        ];
        let (promised, kept) = promises.note(&format!("sizes: {}", answer.name), &parts);
        let whole = |value: f64| format!("{value:.0}");
        table.row([
            answer.name.clone(),
            format!("{:.1}", mib(answer.request)),
            answer.status.to_string(),
            format!("{:.2}", answer.seconds),
            answer.octets.to_string(),
            whole(answer.before_mib),
            whole(answer.peak_mib),
            whole(answer.after_mib),
            promised,
            kept,
        ]);
    }
    table
}
