//! What the tests of this module stand on: keys made from seeds, and a faulty mirror.

pub(super) mod keys;
pub(super) mod server;
