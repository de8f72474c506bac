//! What others connect to.
//!
//! In: requests of the API's socket, of networks and of whoever scrapes metrics. Out: what the controller answers, or has published. Nobody owns
//! anything here but the listeners.

pub mod admin;
pub mod api;
pub mod auth;
pub mod http;
pub mod https;
pub mod metrics;
pub mod network;
pub mod tls;
