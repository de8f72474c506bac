//! Real traffic between network namespaces, with the daemon as an operator runs it. Needs root.

mod attach;
mod commands;
mod doctor;
mod dry_run;
mod durable;
mod entries;
mod explain;
mod fail_static;
mod fragments;
mod guard;
mod interfaces;
mod jumbo;
mod kills;
mod layers;
mod limits;
mod metrics;
mod neighbours;
mod observe;
mod own;
mod policy;
mod push;
mod refusals;
mod reload;
mod restart;
mod state;
mod tags;
