//! Two runs side by side.

use super::table::Table;
use crate::{
    packets::{Contender, Measured},
    results::Results,
    wire::FilterKind,
};

/// What changed from `then` to `now`, for what both measured. Ratios are to programs of the same run, so they hold when
/// the machine was busier in one of them.
pub fn compare(then: &Results, now: &Results) -> Table {
    let head = ["case", "ns then", "ns now", "change", "ratio then", "ratio now", "change"];
    let title = format!("Portcullis since {} ({})", then.machine.date, then.machine.cpu);
    let mut table = Table::new(title, &head);
    for now in &now.packets {
        let Some(then) = then.packets.iter().find(|then| then.case == now.case) else { continue };
        let ns = [then, now].map(|one| one.net(Contender::Portcullis).unwrap_or_default());
        let ratios = [then, now].map(ratio);
        table.row([
            now.name.clone(),
            format!("{:.0}", ns[0]),
            format!("{:.0}", ns[1]),
            change(ns),
            format!("{:.1}x", ratios[0]),
            format!("{:.1}x", ratios[1]),
            change(ratios),
        ]);
    }
    if let (Some(then), Some(now)) = (&then.wire, &now.wire) {
        for kind in FilterKind::ALL {
            let ratios = [then, now].map(|one| one.ratio(FilterKind::Portcullis, kind).unwrap_or_default());
            let ns = [then, now].map(|one| one.rates.get(&kind).map_or(0.0, |rate| 1e9 / rate.median()));
            table.row([
                format!("wire: {kind}"),
                format!("{:.0}", ns[0]),
                format!("{:.0}", ns[1]),
                change(ns),
                format!("{:.2}x", ratios[0]),
                format!("{:.2}x", ratios[1]),
                change(ratios),
            ]);
        }
    }
    table
}

fn ratio(measured: &Measured) -> f64 {
    let net = |contender| measured.net(contender).unwrap_or_default();
    net(Contender::Reference) / net(Contender::Portcullis)
}

fn change([then, now]: [f64; 2]) -> String {
    let percent = (now / then - 1.0) * 100.0;
    if percent.is_finite() { format!("{percent:+.0} %") } else { "-".to_owned() }
}
