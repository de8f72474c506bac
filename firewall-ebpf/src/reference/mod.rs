//! What the reference program has in place of our tables: the kernel's own trie and hash table.
//!
//! - In: a source, or the key of its bucket.
//! - Out: what the lists say about the source, or where its rate state is.
//! - Owner: `bench/` and tests write the lists; the kernel decides whose rate state it forgets.

pub(crate) mod buckets;
pub(crate) mod lists;
