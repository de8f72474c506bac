//! What TLS needs: certificates and keys of this host, and whom it believes among clients.
//!
//! In: files, as the policy in force names them. Out: configurations of rustls, each made anew so that nothing goes on by a ticket of the
//! one before, and what a client has shown. `watch` owns the one in force; what cannot be used leaves it as it is.

mod der;
pub mod health;
mod load;
mod presented;
mod read;
mod revocation;
pub mod watch;

pub use self::{
    load::{ServedTls, TlsError},
    presented::PresentedCertificate,
};

#[cfg(test)]
pub mod authority;
#[cfg(test)]
mod tests;
