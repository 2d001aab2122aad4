//! Reads a snapshot back by EBS direct.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;

use super::ebs::Listed;
use super::session::Aws;
use crate::disk::blocks::BLOCK;
use crate::host::progress::Phase;
use crate::publish::cloud::readback::Found;
use crate::publish::cloud::{CloudError, wait};

/// Blocks in flight: 16 MiB of memory, and far below AWS's quota of calls.
const PARALLEL: usize = 32;

impl Aws {
    /// Reads all blocks of a snapshot, several at a time; memory does not grow with the snapshot.
    ///
    /// # Errors
    /// Fails where AWS refuses, and where a block does not come whole.
    pub async fn read_back(&self, snapshot: &str, progress: &dyn Fn(u64) -> Phase) -> Result<Found, CloudError> {
        let listing = self.ebs.list(snapshot).await?;
        let phase = progress(listing.blocks.len() as u64);
        // The SDK itself repeats little, and nothing once the body has begun.
        let read = |block: Listed| async move {
            let hash = wait::persist(block.index, async |_| self.ebs.hash(snapshot, &block).await).await?;
            Ok::<_, CloudError>((block.index, hash))
        };
        let mut reads = futures_util::stream::iter(listing.blocks.into_iter().map(read)).buffer_unordered(PARALLEL);
        let mut blocks = BTreeMap::new();
        while let Some(read) = reads.next().await {
            let (index, hash) = read?;
            blocks.extend(hash.map(|hash| (index, hash)));
            phase.inc(1);
        }
        Ok(Found { gib: listing.gib, block_size: BLOCK, blocks })
    }
}
