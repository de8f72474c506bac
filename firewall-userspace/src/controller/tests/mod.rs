//! The controller on a fake filter and a fake disk.
