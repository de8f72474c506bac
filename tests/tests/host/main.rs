//! The contract on the host: `firewall_common::judge` over the model. Neither root nor a kernel program is needed.

mod corpus;
mod policy;
mod properties;
mod table;
