//! Portcullis in userspace.
