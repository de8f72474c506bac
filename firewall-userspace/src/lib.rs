//! Portcullis in userspace.

pub mod admin;
pub mod api;
pub mod cli;
pub mod metrics;
pub mod http;
pub mod config;
pub mod control;
pub mod daemon;
pub mod datapath;
pub mod members;
pub mod policy;
pub mod controller;
mod layers;
mod push;
mod netlink;
