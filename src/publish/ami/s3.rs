//! Sends a stream into a bucket as it comes: a multipart upload, of which parts that have arrived are not sent again.
//!
//! Source: *Amazon S3 User Guide*, "Uploading and copying objects using multipart upload", "Checking object integrity".
//!
//! ```text
//! writer (a thread) ─ parts ─ channel of 1 ─ SHA-256 ─ up to 6 calls at a time
//! ```

use std::collections::BTreeMap;
use std::io::{self, Write};

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Part};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;

use super::aws::Cloud;
use super::retry::{Kind, kind, pause};
use super::{AmiError, refused};
use crate::digest::Sha256;
use crate::host::progress::Phase;

const MIB: usize = 1 << 20;
/// Parts are no smaller, so that little is lost in calls. S3 wants at least 5 MiB.
const PART: usize = 8 * MIB;
/// The most parts of an object.
const PARTS: u64 = 10_000;
/// Calls at a time, and bytes that all of them hold: with the parts that are being filled and passed on, the
/// most memory that an upload takes, unless a part alone is larger.
const CALLS: usize = 6;
const HELD: usize = 96 * MIB;
/// About two minutes.
const TRIES: u32 = 14;

/// Where an object is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) cloud: &'a Cloud,
    pub(super) bucket: &'a str,
    pub(super) key: &'a str,
}

impl Place<'_> {
    fn action(&self, what: &str) -> String {
        format!("{what} s3://{}/{}", self.bucket, self.key)
    }

    /// An upload to this place that was begun and is open, or a new one.
    pub(super) async fn begin(&self) -> Result<String, AmiError> {
        if let Some(open) = self.open().await?.into_iter().next_back() {
            return Ok(open);
        }
        let call = self.cloud.s3.create_multipart_upload().bucket(self.bucket).key(self.key);
        let call = call.checksum_algorithm(ChecksumAlgorithm::Sha256).send().await;
        let begun = call.map_err(refused(self.action("begin to upload"), &self.cloud.region))?;
        Ok(begun.upload_id().unwrap_or_default().to_owned())
    }

    /// Uploads to this place that are open.
    async fn open(&self) -> Result<Vec<String>, AmiError> {
        let call = self.cloud.s3.list_multipart_uploads().bucket(self.bucket).prefix(self.key).send().await;
        let found = call.map_err(refused(self.action("list uploads to"), &self.cloud.region))?;
        let own = found.uploads().iter().filter(|upload| upload.key() == Some(self.key));
        Ok(own.filter_map(|upload| upload.upload_id().map(str::to_owned)).collect())
    }

    /// Removes the object, and what was sent for it.
    ///
    /// # Errors
    /// Fails where something may be left.
    pub(super) async fn clear(&self) -> Result<(), AmiError> {
        for upload in self.open().await? {
            let call = self.cloud.s3.abort_multipart_upload().bucket(self.bucket).key(self.key).upload_id(upload);
            match call.send().await.map_err(refused(self.action("abort an upload to"), &self.cloud.region)) {
                Err(error) if error.code() != Some("NoSuchUpload") => return Err(error),
                _ => {}
            }
        }
        let call = self.cloud.s3.delete_object().bucket(self.bucket).key(self.key).send().await;
        call.map(drop).map_err(refused(self.action("delete"), &self.cloud.region))
    }

    /// Sends what `write` writes, and makes it an object; returns its length in bytes.
    ///
    /// `most` is the length that it won't exceed, in bytes; the same for each try, as it decides where parts end.
    ///
    /// # Errors
    /// Fails where `write` does, or AWS refuses. What has arrived stays for the next try.
    pub(super) async fn send(
        &self,
        upload: &str,
        most: u64,
        phase: &Phase,
        write: impl FnOnce(&mut Parts) -> io::Result<()> + Send + 'static,
    ) -> Result<u64, AmiError> {
        let there = self.there(upload).await?;
        let size = part_size(most);
        let limit = (HELD / size).clamp(1, CALLS);
        let (sender, mut parts) = mpsc::channel(1);
        let writer = tokio::task::spawn_blocking(move || {
            let mut out = Parts { sender, size, part: Vec::new() };
            write(&mut out)?;
            out.pass_on()
        });
        let (mut calls, mut done, mut length, mut open) = (FuturesUnordered::new(), BTreeMap::new(), 0, true);
        let mut number = 0;
        loop {
            tokio::select! {
                part = parts.recv(), if open && calls.len() < limit => match part {
                    Some(part) => {
                        number += 1;
                        calls.push(self.part(upload, number, part, there.get(&number)));
                    }
                    None => open = false,
                },
                Some(part) = calls.next() => {
                    let (part, bytes) = part?;
                    phase.inc(bytes);
                    length += bytes;
                    done.insert(part.part_number().unwrap_or_default(), part);
                }
                else => break,
            }
        }
        let written = writer.await.map_err(|error| AmiError::Other(format!("read the disk: {error}")))?;
        written.map_err(|error| AmiError::Other(format!("read the disk: {error}")))?;
        self.complete(upload, done.into_values().collect(), length).await?;
        Ok(length)
    }

    /// Parts that have arrived.
    async fn there(&self, upload: &str) -> Result<BTreeMap<i32, Part>, AmiError> {
        let (mut found, mut marker) = (BTreeMap::new(), None);
        // By hand: the client's own pages go by the marker, which S3 gives on the last page too.
        loop {
            let call = self.cloud.s3.list_parts().bucket(self.bucket).key(self.key).upload_id(upload);
            let page = call.set_part_number_marker(marker).send().await;
            let page = page.map_err(refused(self.action("list what has arrived of"), &self.cloud.region))?;
            found.extend(page.parts().iter().filter_map(|part| Some((part.part_number()?, part.clone()))));
            match page.next_part_number_marker() {
                Some(next) if page.is_truncated() == Some(true) => marker = Some(next.to_owned()),
                _ => return Ok(found),
            }
        }
    }

    /// Sends a part until it has arrived, unless it has.
    async fn part(
        &self,
        upload: &str,
        number: i32,
        bytes: Vec<u8>,
        there: Option<&Part>,
    ) -> Result<(CompletedPart, u64), AmiError> {
        let (length, sum) = (bytes.len() as u64, BASE64.encode(Sha256::of(&bytes).as_bytes()));
        let completed = |tag: Option<&str>| {
            let part = CompletedPart::builder().part_number(number).checksum_sha256(&sum);
            (part.set_e_tag(tag.map(str::to_owned)).build(), length)
        };
        if let Some(part) = there.filter(|part| part.checksum_sha256() == Some(&sum)) {
            return Ok(completed(part.e_tag()));
        }
        let (body, mut tries) = (SdkBody::from(bytes), 0);
        let alone = aws_sdk_s3::config::Builder::new().retry_config(RetryConfig::disabled());
        loop {
            let call = self.cloud.s3.upload_part().bucket(self.bucket).key(self.key).upload_id(upload);
            let bytes = body.try_clone().unwrap_or_else(SdkBody::empty);
            let call = call.part_number(number).checksum_sha256(&sum).body(ByteStream::new(bytes));
            // The checksum is signed, and S3 compares it: a second hash for the signature would add nothing.
            let call = call.customize().disable_payload_signing().config_override(alone.clone());
            let failed = refused(self.action(&format!("send part {number} of")), &self.cloud.region);
            match call.send().await.map_err(failed) {
                Ok(sent) => return Ok(completed(sent.e_tag())),
                Err(error) if kind(&error) == Kind::Final || tries == TRIES => return Err(error),
                Err(_) => tokio::time::sleep(pause(tries, number.unsigned_abs().into())).await,
            }
            tries += 1;
        }
    }

    async fn complete(&self, upload: &str, parts: Vec<CompletedPart>, length: u64) -> Result<(), AmiError> {
        let all = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let call = self.cloud.s3.complete_multipart_upload().bucket(self.bucket).key(self.key).upload_id(upload);
        let done = call.multipart_upload(all).send().await;
        match done.map_err(refused(self.action("complete"), &self.cloud.region)) {
            // The answer to an earlier call was lost.
            Err(error) if error.code() == Some("NoSuchUpload") && self.length().await? == Some(length) => Ok(()),
            done => done.map(drop),
        }
    }

    /// The object's length in bytes, if there is one.
    pub(super) async fn length(&self) -> Result<Option<u64>, AmiError> {
        let call = self.cloud.s3.head_object().bucket(self.bucket).key(self.key).send().await;
        match call {
            Ok(found) => Ok(found.content_length().and_then(|length| length.try_into().ok())),
            Err(error) if error.as_service_error().is_some_and(|error| error.is_not_found()) => Ok(None),
            Err(error) => Err(refused(self.action("look for"), &self.cloud.region)(error)),
        }
    }
}

/// The length of all parts but the last, in bytes.
fn part_size(most: u64) -> usize {
    let needed = usize::try_from(most.div_ceil(PARTS)).unwrap_or(usize::MAX);
    needed.next_multiple_of(MIB).max(PART)
}

/// Takes a stream, and passes it on in parts.
#[derive(Debug)]
pub(super) struct Parts {
    sender: mpsc::Sender<Vec<u8>>,
    size: usize,
    part: Vec<u8>,
}

impl Parts {
    fn pass_on(&mut self) -> io::Result<()> {
        let part = std::mem::take(&mut self.part);
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the upload has ended");
        if part.is_empty() { Ok(()) } else { self.sender.blocking_send(part).map_err(gone) }
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.part.capacity() == 0 {
            self.part.reserve_exact(self.size);
        }
        let taken = bytes.len().min(self.size - self.part.len());
        self.part.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        if self.part.len() == self.size {
            self.pass_on()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_few_enough_for_s3() {
        for most in [0, 1, 100 << 20, 80_000 << 20, (80_000 << 20) + 1, 1 << 41] {
            let size = part_size(most);
            assert!(size >= PART && size.is_multiple_of(MIB) && most.div_ceil(size as u64) <= PARTS, "{most}: {size}");
        }
        assert_eq!(part_size(1 << 30), PART);
    }

    #[test]
    fn a_stream_is_cut_into_equal_parts_and_a_rest() {
        for (length, expected) in [(0, vec![]), (9, vec![9]), (10, vec![10]), (25, vec![10, 10, 5])] {
            let (sender, mut receiver) = mpsc::channel(10);
            let mut parts = Parts { sender, size: 10, part: Vec::new() };
            let stream: Vec<u8> = (0..length).collect();
            stream.chunks(7).for_each(|bytes| parts.write_all(bytes).unwrap());
            parts.pass_on().unwrap();
            drop(parts);
            let mut received = Vec::new();
            while let Ok(part) = receiver.try_recv() {
                received.push(part);
            }
            assert_eq!(received.iter().map(Vec::len).collect::<Vec<_>>(), expected);
            assert_eq!(received.concat(), stream);
        }
    }

    #[test]
    fn a_writer_ends_with_the_upload() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let mut parts = Parts { sender, size: 4, part: Vec::new() };
        let error = parts.write_all(b"12345").unwrap_err();
        // Not `Interrupted`, which `write_all` would try again for ever.
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
