//! The kernel program, frame by frame through `BPF_PROG_TEST_RUN`. Needs root.

mod agreement;
mod buffers;
mod changes;
mod corpus;
mod explain;
mod internal;
mod limiter;
mod table;
