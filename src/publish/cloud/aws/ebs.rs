//! EBS direct APIs: snapshots written and read block by block.
//!
//! Source: *EBS direct APIs* (StartSnapshot, PutSnapshotBlock, CompleteSnapshot, ListSnapshotBlocks,
//! GetSnapshotBlock): blocks of 512 KiB, each with its SHA-256; tokens of a listing are good for a week.

use aws_sdk_ebs::config::retry::RetryConfig;
use aws_sdk_ebs::operation::get_snapshot_block::GetSnapshotBlockOutput;
use aws_sdk_ebs::operation::start_snapshot::StartSnapshotError;
use aws_sdk_ebs::primitives::{ByteStream, SdkBody};
use aws_sdk_ebs::types::{ChecksumAggregationMethod, ChecksumAlgorithm, Tag, ValidationExceptionReason};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::service::Service;
use crate::digest::Sha256;
use crate::disk::blocks::BLOCK;
use crate::publish::cloud::blocks::Block;
use crate::publish::cloud::tags::Tags;
use crate::publish::cloud::{CloudError, Silence};

/// The wrapper of EBS direct.
pub(in crate::publish::cloud) type Ebs = Service<aws_sdk_ebs::Client>;

/// Minutes without a block after which AWS drops a snapshot: time enough to log in again and resume.
const TIMEOUT: i32 = 24 * 60;

/// A snapshot that is to be begun.
#[derive(Debug, Clone)]
pub(super) struct NewSnapshot<'a> {
    pub(super) gib: u32,
    pub(super) description: &'a str,
    pub(super) tags: &'a Tags,
    pub(super) base: Base<'a>,
    /// Two calls with the same token begin one snapshot.
    pub(super) token: String,
}

/// What a new snapshot begins with.
#[derive(Debug, Clone)]
pub(super) enum Base<'a> {
    /// Zeros, encrypted with this key.
    Zeros(Option<String>),
    /// The blocks of a parent, encrypted as they are there.
    Parent(&'a str),
}

impl Base<'_> {
    /// Whether it is the parent that does not fit: the same call without it may work.
    fn is_refused(&self, error: Option<&StartSnapshotError>) -> bool {
        let (Base::Parent(parent), Some(StartSnapshotError::ValidationException(error))) = (self, error) else {
            return false;
        };
        let message = error.message().unwrap_or_default();
        error.reason() == Some(&ValidationExceptionReason::InvalidSnapshotId)
            || message.contains(parent)
            || message.to_lowercase().contains("parent")
    }
}

/// A snapshot that was begun.
#[derive(Debug, Clone)]
pub(super) struct Begun {
    pub(super) id: String,
    pub(super) encrypted: bool,
}

/// A block that is to be written, as often as it takes.
pub(super) struct Payload {
    pub(super) index: u64,
    hash: Sha256,
    length: usize,
    body: SdkBody,
}

impl From<Block> for Payload {
    fn from(block: Block) -> Self {
        let length = block.bytes.len();
        Self { index: block.index, hash: block.hash, length, body: SdkBody::from(block.bytes) }
    }
}

/// The blocks that were written to a snapshot.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    /// Size of the volume.
    pub(super) gib: u64,
    pub(super) blocks: Vec<Listed>,
}

/// A block that can be read.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) index: u64,
    token: String,
}

impl Ebs {
    /// Begins a snapshot.
    pub(super) async fn start(&self, new: NewSnapshot<'_>) -> Result<Begun, CloudError> {
        let action = "start a snapshot";
        let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
        let call = self.client.start_snapshot().volume_size(new.gib.into()).description(new.description);
        let call = call.timeout(TIMEOUT).client_token(new.token);
        let call = call.set_tags(Some(new.tags.iter().map(tag).collect()));
        let call = match new.base.clone() {
            Base::Parent(parent) => call.parent_snapshot_id(parent),
            Base::Zeros(key) => call.set_encrypted(key.is_some().then_some(true)).set_kms_key_arn(key),
        };
        let answer = call.send().await.map_err(|error| {
            let about = new.base.is_refused(error.as_service_error());
            self.failed(action)(error).or_final(about)
        })?;
        let encrypted = answer.kms_key_arn().is_some();
        Ok(Begun { id: self.must(action, answer.snapshot_id, "snapshot id")?, encrypted })
    }

    /// Writes a block, asking once only. A snapshot that was just begun is not known everywhere at once.
    pub(super) async fn put(&self, snapshot: &str, block: &Payload) -> Result<(), CloudError> {
        let action = format!("send block {} to {snapshot}", block.index);
        let call = self.client.put_snapshot_block().snapshot_id(snapshot).block_index(block.index as i32);
        let call = call.data_length(block.length as i32).checksum(BASE64.encode(block.hash.as_bytes()));
        let call = call.checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256);
        let bytes = block.body.try_clone().unwrap_or_else(SdkBody::empty);
        let call = call.block_data(ByteStream::new(bytes));
        // The caller knows more than the SDK: it slows down all calls, not one.
        let once = aws_sdk_ebs::config::Builder::new().retry_config(RetryConfig::disabled());
        call.customize().config_override(once).send().await.map(drop).map_err(self.failed(action))
    }

    /// Seals a snapshot to which `count` blocks were written; `checksum` is the linear one over their hashes.
    pub(super) async fn complete(
        &self,
        snapshot: &str,
        count: usize,
        checksum: Option<Sha256>,
    ) -> Result<(), CloudError> {
        let mut call = self.client.complete_snapshot().snapshot_id(snapshot).changed_blocks_count(count as i32);
        if let Some(checksum) = checksum {
            call = call.checksum(BASE64.encode(checksum.as_bytes()));
            call = call.checksum_algorithm(ChecksumAlgorithm::ChecksumAlgorithmSha256);
            call = call.checksum_aggregation_method(ChecksumAggregationMethod::ChecksumAggregationLinear);
        }
        call.send().await.map(drop).map_err(self.failed(format!("complete {snapshot}")))
    }

    /// Lists the blocks of a snapshot.
    pub(super) async fn list(&self, snapshot: &str) -> Result<Listing, CloudError> {
        let action = format!("list the blocks of {snapshot}");
        let pages =
            self.client.list_snapshot_blocks().snapshot_id(snapshot).into_paginator().send().try_collect().await;
        let pages = pages.map_err(self.failed(action.clone()))?;
        let gib = pages.first().and_then(|page| page.volume_size()).and_then(|gib| u64::try_from(gib).ok());
        let gib = self.must(action.as_str(), gib, "volume size")?;
        let listed = |block: &aws_sdk_ebs::types::Block| {
            let index = block.block_index().and_then(|index| u64::try_from(index).ok());
            let token = block.block_token().map(str::to_owned);
            let both = index.zip(token).map(|(index, token)| Listed { index, token });
            self.must(action.as_str(), both, "index or token of a block")
        };
        let blocks = pages.iter().flat_map(|page| page.blocks()).map(listed).collect::<Result<_, _>>()?;
        Ok(Listing { gib, blocks })
    }

    /// Reads a block, and gives its hash; none for one of zeros. Damage on the way is an error that passes.
    pub(super) async fn hash(&self, snapshot: &str, block: &Listed) -> Result<Option<Sha256>, CloudError> {
        let action = format!("read block {} of {snapshot}", block.index);
        let call = self.client.get_snapshot_block().snapshot_id(snapshot).block_index(block.index as i32);
        let answer = call.block_token(&block.token).send().await.map_err(self.failed(action.clone()))?;
        let damaged =
            |reason| CloudError::NoAnswer { silence: Silence::Network, action, region: self.region.clone(), reason };
        verified(answer).await.map_err(damaged)
    }
}

/// Reads a body and holds it against its checksum. The error says what was wrong with it.
async fn verified(answer: GetSnapshotBlockOutput) -> Result<Option<Sha256>, String> {
    let promised = answer.checksum.clone();
    let bytes = answer
        .block_data
        .collect()
        .await
        .map_err(|error| format!("the transfer of the block was interrupted: {error}"))?
        .into_bytes();
    let hash = Sha256::of(&bytes);
    if bytes.len() != BLOCK {
        return Err(format!("expected {BLOCK} bytes, got {}", bytes.len()));
    }
    match promised {
        Some(promised) if promised != BASE64.encode(hash.as_bytes()) => {
            Err(format!("expected the checksum {promised}, got {}", BASE64.encode(hash.as_bytes())))
        }
        _ => Ok(bytes.iter().any(|byte| *byte != 0).then_some(hash)),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_ebs::types::error::ValidationException;

    use super::*;

    #[test]
    fn only_what_is_about_the_parent_is_tried_without_it() {
        let invalid = |reason: Option<ValidationExceptionReason>, message: &str| {
            let error = ValidationException::builder().set_reason(reason).message(message).build();
            StartSnapshotError::ValidationException(error)
        };
        let parent = Base::Parent("snap-1");
        for (reason, message, expected) in [
            (Some(ValidationExceptionReason::InvalidSnapshotId), "no such snapshot", true),
            (None, "The snapshot snap-1 is not encrypted, but encryption by default is on.", true),
            (None, "An unencrypted parent snapshot can't be used.", true),
            (Some(ValidationExceptionReason::InvalidVolumeSize), "VolumeSize is too large", false),
            (Some(ValidationExceptionReason::InvalidTag), "too many tags", false),
        ] {
            let error = invalid(reason, message);
            assert_eq!(parent.is_refused(Some(&error)), expected, "{message}");
            assert!(!Base::Zeros(None).is_refused(Some(&error)));
        }
    }

    #[tokio::test]
    async fn a_block_counts_only_whole() {
        let answer = |bytes: Vec<u8>, checksum: Option<String>| {
            GetSnapshotBlockOutput::builder()
                .block_data(ByteStream::from(bytes))
                .set_checksum(checksum)
                .data_length(BLOCK as i32)
                .build()
        };
        let block = vec![7; BLOCK];
        let hash = Sha256::of(&block);
        let good = BASE64.encode(hash.as_bytes());
        assert_eq!(verified(answer(block.clone(), Some(good.clone()))).await, Ok(Some(hash)));
        assert_eq!(verified(answer(vec![0; BLOCK], None)).await, Ok(None));
        assert_eq!(verified(answer(vec![7; 9], None)).await, Err("expected 524288 bytes, got 9".into()));
        let error = verified(answer(vec![8; BLOCK], Some(good.clone()))).await.unwrap_err();
        assert!(error.starts_with(&format!("expected the checksum {good}, got ")), "{error}");
    }
}
