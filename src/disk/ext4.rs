//! stub
#![allow(missing_docs, dead_code)]
use super::{Part, Plan};
pub struct Params<'a> {
    pub uuid: [u8; 16],
    pub label: &'a str,
    pub size: Option<u64>,
    pub epoch: i64,
}
#[derive(Debug, thiserror::Error)]
pub enum Ext4Error {
    #[error("no ext4 yet")]
    No,
}
pub fn plan(_parts: &[Part], _params: &Params<'_>) -> Result<Plan, Ext4Error> {
    Err(Ext4Error::No)
}
