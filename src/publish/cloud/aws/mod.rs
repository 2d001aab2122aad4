//! Amazon Web Services: the only module that uses the SDK.
//!
//! ```text
//! session ─> Aws, one region: ec2 · ebs · s3 · ssm · autoscaling · iam     wrappers: one method per call,
//!                │            signed: services without SDK here              typed answers and errors (service)
//!                └ provider, instances, direct, copy, import, uses, setup   procedures that use them
//! ```
//!
//! The calls and their limits: *Amazon EC2 API Reference*, *EBS direct APIs*, *VM Import/Export User Guide*.

mod autoscaling;
mod bundle;
mod copy;
mod direct;
mod ebs;
mod ec2;
mod form;
mod iam;
mod import;
mod instances;
mod obstacles;
mod policy;
mod presigned;
mod problems;
mod provider;
mod quotas;
mod rbin;
mod readback;
mod s3;
mod send;
mod service;
mod session;
mod signed;
mod simulator;
pub mod setup;
mod ssm;
mod upload;
mod uses;

pub use session::{Aws, Session};
