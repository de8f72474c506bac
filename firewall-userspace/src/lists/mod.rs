//! What every prefix is in.
//!
//! In: the policy's lists and changes of pushed entries. Out: members by prefix, and the lines of the kernel's prefix table.
//! `pushed` owns pushed entries, `members` what each prefix is in, `table` the table's lines.

pub mod change;
pub mod entry;
pub mod layers;
pub mod members;
pub mod pushed;
pub mod table;
