//! One thing that is wrong with a request.

use serde::{Deserialize, Serialize};

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Problem {
    /// JSON pointer (RFC 6901) into the request, such as `/add/3/prefix`.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}
