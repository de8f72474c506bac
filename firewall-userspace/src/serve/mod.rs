//! What others connect to.
//!
//! In: requests of the API's socket and of whoever scrapes metrics. Out: answers of the controller. Nobody owns anything here.

pub mod admin;
pub mod api;
pub mod http;
pub mod metrics;
