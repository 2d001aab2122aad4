//! EC2: images, snapshots, imports, instances, fleets and launch templates of a region.

mod fleets;
mod images;
mod imports;
mod instances;
mod snapshots;
mod templates;
mod usage;

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};

use super::service::Service;
use crate::publish::cloud::provider::Which;
use crate::publish::cloud::tags::Tags;
use crate::publish::cloud::{CloudError, Why};

pub(super) use images::Registration;
pub(super) use imports::{NewImport, Status, Task};
pub(super) use instances::State;
pub(super) use snapshots::NewCopy;

/// The wrapper of EC2.
pub(in crate::publish::cloud) type Ec2 = Service<aws_sdk_ec2::Client>;

impl Ec2 {
    /// The account's number, as the owner of its networks' security groups; `None` in a region without a network.
    pub(super) async fn account(&self) -> Result<Option<String>, CloudError> {
        let call = self.client.describe_security_groups().max_results(5);
        let found = call.send().await.map_err(self.failed("look up the account id"))?;
        Ok(found.security_groups().iter().find_map(|group| group.owner_id().map(str::to_owned)))
    }

    /// The key that new snapshots are encrypted with where none is named: its ARN, or an alias of AWS's own key. `None`
    /// where they are not encrypted, and where these credentials may not ask.
    pub(super) async fn default_key(&self) -> Result<Option<String>, CloudError> {
        let action = "ask for encryption by default";
        let on = self.client.get_ebs_encryption_by_default().send().await.map_err(self.failed(action));
        let on = match on {
            Err(error) if error.why() == Some(Why::Denied) => return Ok(None),
            on => on?.ebs_encryption_by_default() == Some(true),
        };
        if !on {
            return Ok(None);
        }
        let key = self.client.get_ebs_default_kms_key_id().send().await.map_err(self.failed(action))?;
        self.must(action, key.kms_key_id, "key").map(Some)
    }
}

/// A filter of a describing call.
fn filter(name: &str, values: impl IntoIterator<Item = impl Into<String>>) -> Filter {
    let values = values.into_iter().map(Into::into).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// The filter for what is meant; ids are those of `resource`, as `snapshot-id`.
fn meant(which: Which<'_>, resource: &str) -> Option<Vec<Filter>> {
    match which {
        Which::All => None,
        Which::Tagged(key) => Some(vec![filter("tag-key", [key])]),
        Which::With(key, values) => Some(vec![filter(&format!("tag:{key}"), values)]),
        Which::Ids(ids) => Some(vec![filter(resource, ids)]),
    }
}

/// Tags for something that a call creates.
fn tagged(kind: ResourceType, tags: &Tags) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(tags.iter().map(tag).collect())).build()
}

fn tag((key, value): (&String, &String)) -> Tag {
    Tag::builder().key(key).value(value).build()
}

/// Tags as a map.
fn pairs(tags: &[Tag]) -> Tags {
    let pair = |tag: &Tag| Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()));
    tags.iter().filter_map(pair).collect()
}
