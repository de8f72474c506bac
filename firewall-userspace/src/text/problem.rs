//! What is wrong with a request.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::few::Few;

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// JSON pointer (RFC 6901) into the request, such as `/add/3/prefix`; empty for the whole request.
    pub pointer: String,
    /// What is wrong with it.
    pub detail: String,
}

/// Everything that is wrong with a request: ten of a kind, then a count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Few<Problem>);

impl Problems {
    /// One problem.
    pub fn one(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut problems = Self::default();
        problems.add("problems", || Problem { pointer: pointer.into(), detail: detail.into() });
        problems
    }

    /// Adds one of a kind, which is called in the plural; it is made only when it is among the first ten.
    pub fn add(&mut self, kind: &'static str, make: impl FnOnce() -> Problem) {
        self.0.add(kind, make);
    }

    /// Counts one of a kind that nobody has looked at: [`Few::count`].
    pub fn count(&mut self, kind: &'static str, make: impl FnOnce() -> Problem) {
        self.0.count(kind, make);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that are told, then a count of the others of each kind.
    pub fn told(&self) -> Vec<Problem> {
        let more = self.0.more().map(|(next, detail)| Problem { pointer: next.pointer.clone(), detail });
        self.0.first().iter().cloned().chain(more).collect()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.pointer {
            "" => f.write_str(&self.detail),
            pointer => write!(f, "{pointer}: {}", self.detail),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<String> = self.told().iter().map(Problem::to_string).collect();
        f.write_str(&told.join("; "))
    }
}
