#!/bin/sh
# immutable-chunkmap 2.1.5: `Map::range(key..)` looks at every chunk before the key.
#
# The map is a balanced tree of chunks of up to 512 pairs, and `get` compares about twenty keys. One would expect a range to find its
# beginning in the same way. Its iterator goes down into each left subtree that has a right one, whatever the lower bound is, and compares
# the last key of each chunk on the way. The first pair of a range at the end of 1,000,000 keys takes thousands of comparisons, at
# the beginning a few; a loop of lookups by range is quadratic. `Map::root` and `NodeRef` allow a descent of one's own.
#
# Seen with rustc 1.95 on x86_64:
#   get at the end: 31 comparisons; range at the beginning: 13; range at the end: 2504
# The script fails when that is not so any more.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
mkdir "$folder/src"
cat > "$folder/Cargo.toml" <<'TOML'
[package]
name = "range"
version = "0.0.0"
edition = "2021"

[dependencies]
immutable-chunkmap = "=2.1.5"
TOML
cat > "$folder/src/main.rs" <<'RUST'
use std::{cell::Cell, cmp::Ordering};

use immutable_chunkmap::map::MapM;

thread_local!(static COMPARED: Cell<usize> = const { Cell::new(0) });

#[derive(Clone, Copy, PartialEq, Eq)]
struct Key(u32);

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        COMPARED.set(COMPARED.get() + 1);
        self.0.cmp(&other.0)
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn comparisons(what: impl FnOnce()) -> usize {
    COMPARED.set(0);
    what();
    COMPARED.get()
}

fn main() {
    let map = MapM::new().insert_many((0..1_000_000).map(|number| (Key(number), ())));
    let (first, last) = (Key(1), Key(999_998));
    let get = comparisons(|| assert!(map.get(&last).is_some()));
    let near = comparisons(|| assert!(map.range(first..).next().is_some()));
    let far = comparisons(|| assert!(map.range(last..).next().is_some()));
    println!("get at the end: {get} comparisons; range at the beginning: {near}; range at the end: {far}");
    assert!(get < 100 && near < 1_000 && far > 2_000, "it behaves in another way now");
}
RUST
cd "$folder"
CARGO_TARGET_DIR="$folder/target" cargo run --quiet --release
