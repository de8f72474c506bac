//! What was before: pushes and generations.

use firewall_userspace::{
    config::{Bundle, BundledFile},
    control::{KeptGeneration, PushSummary, Refusal},
    state::history::{Generation, How},
};

use super::time;

pub(super) fn pushed_before(revision: u64) -> PushSummary {
    PushSummary {
        revision,
        at: time(),
        owner: "root".into(),
        person: Some("ada\u{1b}".into()),
        lists: vec!["blocked".into()],
        added: 14,
        refreshed: 0,
        removed: 0,
        undoes: (revision == 6).then_some(4),
    }
}

/// A generation that somebody applied.
pub(super) fn generation(number: u64) -> Generation {
    Generation {
        how: How::Apply,
        source: "/root/new.toml".into(),
        summary: "1 setting changed".into(),
        ..Generation::new(number, time(), "root")
    }
}

/// Knows generations 3 and 4, of which 4 is live and serves another port; and 5, which it cannot use.
pub(super) fn kept(number: u64) -> Result<KeptGeneration, Refusal> {
    let text = |port: u16| {
        format!(
            "# Ours\ninclude = [\"/root/conf.d/*.toml\"]\n[[interface]]\nname = \"eth0\"\n\n[services.api]\nprotocol = \"tcp\"\nports = [{port}]\n"
        )
    };
    let config = match number {
        3 => text(443),
        4 => text(8443),
        5 => "mode = 7\n".into(),
        _ => return Err(Refusal::NoGeneration { wanted: Some(number), kept: vec![3, 4, 5] }),
    };
    let list: String = (1..=12).map(|last| format!("192.0.2.{last}\n")).collect();
    let file = BundledFile { path: "/root/conf.d/a.toml".into(), text: "[drift]\ninterval = \"11s\"\n".into() };
    let included = if number == 5 { Vec::new() } else { vec![file] };
    let files = vec![BundledFile { path: "/root/list.txt".into(), text: list }];
    let bundle = Bundle { name: "/root/new.toml".into(), config, included, files };
    Ok(KeptGeneration { generation: generation(number), is_active: number == 4, bundle })
}
