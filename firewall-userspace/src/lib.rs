//! Portcullis in userspace.

pub mod admin;
pub mod api;
pub mod cli;
mod clock;
pub mod config;
pub mod control;
pub mod controller;
pub mod daemon;
pub mod datapath;
pub mod diff;
pub mod doctor;
pub mod explain;
pub mod guard;
pub mod history;
pub mod host;
pub mod http;
pub mod layers;
pub mod members;
pub mod metrics;
pub mod model;
pub mod policy;
pub mod policy_tests;
mod push;
pub mod start;
pub mod store;
pub mod table;
pub mod text;
