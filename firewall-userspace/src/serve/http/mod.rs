//! What the API and the admin listener share: an HTTP/1.1 server with limits, and how it says no.

pub mod host;
pub mod problem;
pub mod requests;
pub mod server;

mod connection;

pub use problem::ProblemDetails;

#[cfg(test)]
mod tests;
