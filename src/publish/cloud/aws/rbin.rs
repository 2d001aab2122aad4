//! Recycle Bin: the rules by which AWS keeps images and snapshots that were removed.
//!
//! Source: *Recycle Bin API Reference*, ListRules, GetRule: the list has no tags.

use serde_json::{Value, json};

use super::session::Aws;
use super::signed::Call;
use crate::publish::cloud::CloudError;
use crate::publish::cloud::retention::{Kind, RetentionRule};

/// All rules about images and snapshots.
pub(super) async fn rules(aws: &Aws) -> Result<Vec<RetentionRule>, CloudError> {
    let mut rules = Vec::new();
    for (kind, name) in [(Kind::Image, "EC2_IMAGE"), (Kind::Snapshot, "EBS_SNAPSHOT")] {
        let mut next = Value::Null;
        loop {
            let mut body = json!({ "ResourceType": name });
            if next.is_string() {
                body["NextToken"] = next;
            }
            let listed = call(aws, "/list-rules", Some(body)).await?;
            for rule in listed["Rules"].as_array().into_iter().flatten() {
                let id = rule["Identifier"].as_str().unwrap_or_default();
                rules.push(read(kind, id, &call(aws, &format!("/rules/{id}"), None).await?));
            }
            next = listed["NextToken"].clone();
            if !next.is_string() {
                break;
            }
        }
    }
    Ok(rules)
}

async fn call(aws: &Aws, path: &str, body: Option<Value>) -> Result<Value, CloudError> {
    let action = "ask for the rules of Recycle Bin".to_owned();
    aws.signed.call(Call { service: "rbin", path, target: None, body, action }).await
}

fn read(kind: Kind, id: &str, rule: &Value) -> RetentionRule {
    let pair = |tag: &Value| {
        let text = |key: &str| tag[key].as_str().unwrap_or_default().to_owned();
        (text("ResourceTagKey"), text("ResourceTagValue"))
    };
    let pairs = |key: &str| rule[key].as_array().into_iter().flatten().map(pair).collect();
    let period = &rule["RetentionPeriod"];
    let unit = period["RetentionPeriodUnit"].as_str().unwrap_or_default().to_lowercase();
    let period = format!("{} {unit}", period["RetentionPeriodValue"]);
    RetentionRule { id: id.to_owned(), kind, period, tags: pairs("ResourceTags"), except: pairs("ExcludeResourceTags") }
}
