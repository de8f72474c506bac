//! What all listeners share: a server with limits, HTTP/1.1 with one exchange for each connection, and how it says no.
//!
//! In: connections of a listener. Out: requests with their limits of size and time, answers and problems (RFC 9457). The server owns
//! its connections, and ends them at a shutdown.

pub mod connection;
pub mod crowd;
pub mod host;
pub mod origin;
pub mod problem;
pub mod requests;
pub mod room;
pub mod server;

pub use problem::ProblemDetails;

#[cfg(test)]
mod tests;
