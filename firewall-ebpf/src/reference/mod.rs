//! What the reference program has in place of our tables: the kernel's own trie and hash table.
//!
//! A source comes in, or the key of its bucket; what the lists say of it goes out, or where its rate state is. The maps
//! are the kernel's, which also decides whose state is forgotten; `bench/` and tests write them.

pub(crate) mod buckets;
pub(crate) mod lists;
