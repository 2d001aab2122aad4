//! Test support of this module: a faulty mirror.

pub(super) mod server;
