//! What others connect to.
//!
//! In: requests of the API's socket and of whoever scrapes metrics. Out: what the controller answers, or has published. Nobody owns
//! anything here but the listeners.

pub mod admin;
pub mod api;
pub mod http;
pub mod metrics;
