//! Harness of the root-only tests.
