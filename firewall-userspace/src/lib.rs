//! Portcullis in userspace.

pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod controller;
pub mod daemon;
pub mod datapath;
pub mod doctor;
pub mod host;
pub mod lists;
pub mod policy;
pub mod preview;
pub mod serve;
pub mod state;
pub mod text;
