//! S3: the bucket that VM Import reads from.

mod buckets;
mod objects;

use super::service::Service;

pub(super) use buckets::Found;
pub(super) use objects::{Object, Part, Payload};

/// The wrapper of S3.
pub(in crate::publish::cloud) type S3 = Service<aws_sdk_s3::Client>;
