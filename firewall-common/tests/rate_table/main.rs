//! The rate table: facts, laws against an exact model, races, floods.

mod facts;
mod flood;
mod hash;
mod laws;
mod memory;
mod races;
mod threads;
