//! The one way of undoing.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::{
    clock::{Now, reckoning::Reckoning},
    config,
    lists::{
        Lists,
        change::Change,
        entry::{Holding, Layer},
        pushed::{Runtime, RuntimeEntry},
    },
    policy::{Name, Prefix},
};

const CONFIG: &str = "[[interface]]\nname = \"eth0\"\n[lists.a]\nentries = [\"192.0.2.1\"]\n[lists.b]\n";

fn now() -> Now {
    Now::new(Timestamp::from_second(1_800_000_000).unwrap(), Duration::from_secs(1000))
}

fn change(list: &str, last: u8, layer: Layer, is_added: bool) -> Change {
    let entry = Arc::new(RuntimeEntry { person: None, comment: None, created: now().wall, expires: None, era: 0 });
    let holding = Holding { prefix: format!("192.0.2.{last}").parse().unwrap(), layer, owner: "root".into() };
    Change { list: Name::parse(list).unwrap(), holding, entry: is_added.then_some(entry) }
}

#[test]
fn the_inverse_of_a_change_makes_everything_what_it_was() {
    let policy = config::load_text(Path::new("x.toml"), CONFIG, Path::new("")).unwrap().policy;
    let (pushed, own, clock) = (Runtime::default(), BTreeSet::new(), Reckoning::begin(None, None, now()).0);
    let mut lists = Lists::new(Lists::members_of(&policy, &pushed, &own, &clock), pushed, own, clock);
    lists.apply(&policy, vec![change("b", 2, Layer::Ban, true)]);
    let before = (lists.pushed().clone(), lists.members().clone());
    // One entry twice, in two layers, and one that the configuration holds too.
    let changes = vec![
        change("a", 1, Layer::Runtime, true),
        change("a", 3, Layer::Runtime, true),
        change("a", 3, Layer::Ban, true),
        change("a", 3, Layer::Runtime, false),
        change("b", 2, Layer::Ban, false),
    ];
    let applied = lists.apply(&policy, changes);
    let moved: Vec<String> = applied.moved.keys().map(Prefix::to_string).collect();
    assert_eq!(moved, ["192.0.2.2/32", "192.0.2.3/32"], "the configuration has 192.0.2.1 in `a` anyway");
    assert_eq!(lists.pushed().len(), 2);
    let undone = lists.apply(&policy, applied.inverse);
    assert_eq!((lists.pushed(), lists.members().len()), (&before.0, before.1.len()));
    for prefix in undone.moved.keys() {
        assert_eq!(lists.members().own_value(*prefix), before.1.own_value(*prefix), "{prefix}");
    }
}
