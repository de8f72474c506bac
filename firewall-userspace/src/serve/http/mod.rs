//! What the API and the admin listener share: an HTTP/1.1 server with limits, and how it says no.
//!
//! In: connections of a listener. Out: requests with their limits of size and time, answers and problems (RFC 9457). The server owns
//! its connections, and ends them at a shutdown.

pub mod host;
pub mod problem;
pub mod requests;
pub mod room;
pub mod server;

mod connection;

pub use problem::ProblemDetails;

#[cfg(test)]
mod tests;
