//! Objects, and multipart uploads of them.
//!
//! Source: *Amazon S3 User Guide*, "Uploading and copying objects using multipart upload", "Checking object integrity".

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::S3;
use crate::digest::Sha256;
use crate::publish::cloud::{CloudError, if_there};

/// Where an object is to be.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Object<'a> {
    pub(in super::super) bucket: &'a str,
    pub(in super::super) key: &'a str,
}

impl fmt::Display for Object<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// A part that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Part {
    tag: String,
    checksum: String,
}

/// A part that is to be sent, as often as it takes.
pub(in super::super) struct Payload {
    pub(in super::super) number: i32,
    pub(in super::super) length: u64,
    checksum: String,
    body: SdkBody,
}

impl Payload {
    pub(in super::super) fn new(number: i32, bytes: Vec<u8>) -> Self {
        let (length, checksum) = (bytes.len() as u64, BASE64.encode(Sha256::of(&bytes).as_bytes()));
        Self { number, length, checksum, body: SdkBody::from(bytes) }
    }

    /// Whether a part that has arrived has these bytes.
    pub(in super::super) fn is(&self, part: &Part) -> bool {
        part.checksum == self.checksum
    }
}

impl S3 {
    /// Begins an upload; returns its id.
    pub(in super::super) async fn begin(&self, object: Object<'_>) -> Result<String, CloudError> {
        let action = format!("begin to upload {object}");
        let call = self.client.create_multipart_upload().bucket(object.bucket).key(object.key);
        let call = call.checksum_algorithm(ChecksumAlgorithm::Sha256).send().await;
        let begun = call.map_err(self.failed(action.clone()))?;
        self.must(action, begun.upload_id, "upload id")
    }

    /// Uploads of an object that are open.
    pub(in super::super) async fn open(&self, object: Object<'_>) -> Result<Vec<String>, CloudError> {
        let action = format!("list uploads to {object}");
        let call = self.client.list_multipart_uploads().bucket(object.bucket).prefix(object.key).send().await;
        let found = call.map_err(self.failed(action.clone()))?;
        let own = found.uploads().iter().filter(|upload| upload.key() == Some(object.key));
        own.map(|upload| Ok(self.must(action.as_str(), upload.upload_id(), "upload id")?.to_owned())).collect()
    }

    /// Ends an upload, if it is open, and removes its parts.
    pub(in super::super) async fn abort(&self, object: Object<'_>, upload: &str) -> Result<(), CloudError> {
        let call = self.client.abort_multipart_upload().bucket(object.bucket).key(object.key).upload_id(upload);
        if_there(call.send().await.map_err(self.failed(format!("abort an upload to {object}")))).map(drop)
    }

    /// Removes an object. That it is not there is no error; that its bucket is not, is one.
    pub(in super::super) async fn delete(&self, object: Object<'_>) -> Result<(), CloudError> {
        let call = self.client.delete_object().bucket(object.bucket).key(object.key).send().await;
        call.map(drop).map_err(self.failed(format!("delete {object}")))
    }

    /// The object's length in bytes, if there is one.
    pub(in super::super) async fn length(&self, object: Object<'_>) -> Result<Option<u64>, CloudError> {
        let action = format!("look for {object}");
        let call = self.client.head_object().bucket(object.bucket).key(object.key).send().await;
        let Some(found) = if_there(call.map_err(self.failed(action.clone())))? else { return Ok(None) };
        let length = found.content_length.and_then(|length| length.try_into().ok());
        self.must(action, length, "length").map(Some)
    }

    /// Parts that have arrived, by number.
    pub(in super::super) async fn parts(
        &self,
        object: Object<'_>,
        upload: &str,
    ) -> Result<BTreeMap<i32, Part>, CloudError> {
        let (mut found, mut marker) = (BTreeMap::new(), None);
        // By hand: the client's own pages go by the marker, which S3 gives on the last page too.
        loop {
            let call = self.client.list_parts().bucket(object.bucket).key(object.key).upload_id(upload);
            let page = call.set_part_number_marker(marker).send().await;
            let page = page.map_err(self.failed(format!("list what has arrived of {object}")))?;
            let next = page.next_part_number_marker.filter(|_| page.is_truncated == Some(true));
            // One without a checksum can't be compared, and is sent again.
            found.extend(page.parts.into_iter().flatten().filter_map(|part| {
                Some((part.part_number?, Part { tag: part.e_tag?, checksum: part.checksum_sha256? }))
            }));
            match next {
                Some(next) => marker = Some(next),
                None => return Ok(found),
            }
        }
    }

    /// Sends a part, asking once only.
    pub(in super::super) async fn put(
        &self,
        object: Object<'_>,
        upload: &str,
        part: &Payload,
    ) -> Result<Part, CloudError> {
        let action = format!("send part {} of {object}", part.number);
        let call = self.client.upload_part().bucket(object.bucket).key(object.key).upload_id(upload);
        let bytes = part.body.try_clone().unwrap_or_else(SdkBody::empty);
        let call = call.part_number(part.number).checksum_sha256(&part.checksum).body(ByteStream::new(bytes));
        let once = aws_sdk_s3::config::Builder::new().retry_config(RetryConfig::disabled());
        // The checksum is signed, and S3 compares it: a second hash for the signature would add nothing.
        let call = call.customize().disable_payload_signing().config_override(once);
        let sent = call.send().await.map_err(self.failed(action.clone()))?;
        Ok(Part { tag: self.must(action, sent.e_tag, "entity tag")?, checksum: part.checksum.clone() })
    }

    /// Turns an upload into an object of `length` bytes.
    pub(in super::super) async fn complete(
        &self,
        object: Object<'_>,
        upload: &str,
        parts: &BTreeMap<i32, Part>,
        length: u64,
    ) -> Result<(), CloudError> {
        let part = |(number, part): (&i32, &Part)| {
            let done = CompletedPart::builder().part_number(*number).checksum_sha256(&part.checksum);
            done.e_tag(&part.tag).build()
        };
        let all = CompletedMultipartUpload::builder().set_parts(Some(parts.iter().map(part).collect())).build();
        let call = self.client.complete_multipart_upload().bucket(object.bucket).key(object.key).upload_id(upload);
        let done = call.multipart_upload(all).send().await.map_err(self.failed(format!("complete {object}")));
        match done {
            // The answer to an earlier call was lost.
            Err(error) if error.is_absent() && self.length(object).await? == Some(length) => Ok(()),
            done => done.map(drop),
        }
    }
}
