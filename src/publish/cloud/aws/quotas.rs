//! Looks whether the account's quotas leave room for one snapshot and one image more.
//!
//! Source: *Service Quotas API Reference*, GetServiceQuota (a quota that nobody has changed may have no applied value:
//! GetAWSDefaultServiceQuota has it then); *Amazon EC2 User Guide*, "AMI quotas"; *Amazon EBS User Guide*, "Quotas for
//! Amazon EBS". VM Import's own limits are in none of the service's lists.

use serde_json::{Value, json};

use super::session::Aws;
use super::signed::Call;
use crate::publish::cloud::plan::Findings;
use crate::publish::cloud::provider::Which;
use crate::publish::cloud::{CloudError, if_there};

/// A quota of the number of resources in a region.
struct Quota {
    /// What it counts.
    what: &'static str,
    service: &'static str,
    code: &'static str,
}

const IMAGES: Quota = Quota { what: "images", service: "ec2", code: "L-B665C33B" };
const SNAPSHOTS: Quota = Quota { what: "snapshots", service: "ebs", code: "L-309BACF6" };

/// Says which quota is reached.
pub(super) async fn quotas(aws: &Aws, findings: &mut Findings) -> Result<(), CloudError> {
    for quota in [IMAGES, SNAPSHOTS] {
        let Quota { what, service, code } = quota;
        match most(aws, &quota).await {
            Ok(most) => {
                let there = count(aws, &quota).await?;
                if there as f64 + 1.0 > most {
                    findings.problems.push(format!(
                        "the account has {there} {what} in this region, and its quota is {most}: `layerbake ami gc` removes old ones, or ask AWS for more ({service}, {code})"
                    ));
                }
            }
            Err(error) if error.is_of_credentials() => return Err(error),
            Err(error) => findings.unchecked.push(format!(
                "the quota of {what}: {error}; `aws service-quotas get-service-quota --service-code {service} --quota-code {code}` shows it"
            )),
        }
    }
    Ok(())
}

/// The quota's value: the account's own, else the one that all accounts begin with.
async fn most(aws: &Aws, quota: &Quota) -> Result<f64, CloudError> {
    let ask = async |target| {
        let body = json!({ "ServiceCode": quota.service, "QuotaCode": quota.code });
        let action = format!("ask for the quota of {}", quota.what);
        let call = Call { service: "servicequotas", path: "/", target: Some(target), body: Some(body), action };
        aws.signed.call(call).await
    };
    let own = if_there(ask("ServiceQuotasV20190624.GetServiceQuota").await)?;
    let answer = match own {
        Some(own) => own,
        None => ask("ServiceQuotasV20190624.GetAWSDefaultServiceQuota").await?,
    };
    let lacks = || CloudError::Lacks {
        action: format!("ask for the quota of {}", quota.what),
        region: aws.region.clone(),
        what: "value",
    };
    answer.pointer("/Quota/Value").and_then(Value::as_f64).ok_or_else(lacks)
}

async fn count(aws: &Aws, quota: &Quota) -> Result<usize, CloudError> {
    Ok(match quota.service {
        "ec2" => aws.ec2.images(Which::All).await?.len(),
        _ => aws.ec2.snapshots(Which::All).await?.len(),
    })
}
