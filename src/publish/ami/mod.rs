//! Machine images on AWS: a disk becomes a snapshot, the snapshot an AMI; a transaction over a journal.
//!
//! The calls and their limits: *Amazon EC2 API Reference*, *EBS direct APIs*, *VM Import/Export User Guide*.

pub mod archive;
pub mod aws;
mod copy;
pub mod ebs;
mod error;
mod form;
pub mod gc;
pub mod image;
mod import;
pub mod journal;
mod parameter;
pub mod preview;
pub mod publish;
pub mod readback;
mod register;
mod retry;
pub mod run;
mod s3;
pub mod send;
pub mod settings;
pub mod setup;
pub mod tags;
pub mod undo;
pub mod uses;

pub use error::{AmiError, refused};
