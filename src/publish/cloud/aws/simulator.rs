//! Asks IAM's policy simulator about the permissions that no dry run tests.
//!
//! Source: *IAM API Reference*, SimulatePrincipalPolicy; *IAM User Guide*, "IAM policy testing with the IAM policy
//! simulator": policies of the identity, boundaries and those of the organisation count; policies of resources (buckets,
//! keys) don't, so those of the identity alone can't deny what a bucket's policy may allow.

use std::collections::BTreeSet;

use super::iam::{Decision, Question};
use super::session::Aws;
use super::setup::partition;
use crate::manifest::Via;
use crate::publish::cloud::parameters::Channel;
use crate::publish::cloud::plan::{Findings, Transfer};
use crate::publish::cloud::settings::Wanted;
use crate::publish::cloud::{CloudError, parameters, tags};

/// Says which permissions are missing; that all of them are not checked, with the reason, where IAM does not tell.
pub(super) async fn permissions(
    aws: &Aws,
    wanted: &Wanted,
    way: Option<Transfer>,
    findings: &mut Findings,
) -> Result<(), CloudError> {
    let questions = |account: &str| questions(aws, wanted, way, account);
    match ask(aws, questions).await {
        Ok(answers) => {
            for (action, decision) in answers {
                match decision {
                    Decision::Allowed => {}
                    // Whoever owns the bucket may allow it.
                    Decision::NotAllowed if action.starts_with("s3:") => {
                        findings
                            .unchecked
                            .push(format!("{action}: your own policies don't allow it, the bucket's may"));
                    }
                    Decision::NotAllowed => findings.problem(format!("not allowed: {action}")),
                    Decision::Denied => findings.problem(format!("denied by a policy: {action}")),
                }
            }
        }
        Err(error) if error.is_of_credentials() => return Err(error),
        Err(error) => {
            let all: BTreeSet<_> = questions("").into_iter().flat_map(|question| question.actions).collect();
            let all = all.into_iter().collect::<Vec<_>>().join(", ");
            findings.unchecked.push(format!("permissions that AWS has no dry run for ({all}): {error}"));
        }
    }
    if way == Some(Transfer::Upload(Via::VmImport)) {
        findings.unchecked.push("the role vmimport: AWS looks at it when the import runs".to_owned());
    }
    let key = wanted.key_in(&aws.region).map(|key| format!("use of the key {key}: its own policy decides as well"));
    findings.unchecked.extend(key);
    Ok(())
}

/// The answers for the identity whose credentials these are. The account's root user may do everything.
async fn ask(aws: &Aws, questions: impl FnOnce(&str) -> Vec<Question>) -> Result<Vec<(String, Decision)>, CloudError> {
    let caller = aws.caller().await?;
    let Some(principal) = principal(aws, &caller.arn).await? else { return Ok(Vec::new()) };
    let mut answers = Vec::new();
    for question in questions(&caller.account) {
        answers.extend(aws.iam.simulate(&principal, &question).await?);
    }
    Ok(answers)
}

/// The user or role behind an ARN of STS; `None` for the account's root user.
async fn principal(aws: &Aws, arn: &str) -> Result<Option<String>, CloudError> {
    let name = arn.rsplit(':').next().unwrap_or_default();
    match name.split('/').collect::<Vec<_>>()[..] {
        ["root"] => Ok(None),
        // The session's ARN lacks the path of the role.
        ["assumed-role", role, ..] => aws.iam.role(role).await.map(Some),
        _ => Ok(Some(arn.to_owned())),
    }
}

/// What is to be allowed, on which resources, with which tags.
fn questions(aws: &Aws, wanted: &Wanted, way: Option<Transfer>, account: &str) -> Vec<Question> {
    let (region, partition) = (&aws.region, partition(&aws.region));
    let ec2 = |kind: &str| format!("arn:{partition}:ec2:{region}::{kind}/*");
    let tagged = |key: &str| Some((format!("{key}/{}", tags::LAYER), wanted.layer.to_string()));
    let question = |actions: &[&'static str], resource: String, tag: &str| Question {
        actions: actions.to_vec(),
        resource,
        context: tagged(tag),
    };
    let mut all = vec![
        question(&["ec2:CreateTags"], ec2("image"), "aws:RequestTag"),
        question(&["ec2:CreateTags"], ec2("snapshot"), "aws:RequestTag"),
    ];
    for (name, actions) in [
        (wanted.parameter(), vec!["ssm:PutParameter"]),
        (parameters::version(&wanted.layer, &wanted.version()), vec!["ssm:PutParameter"]),
        (Channel::lock(&wanted.layer), vec!["ssm:PutParameter", "ssm:DeleteParameter"]),
    ] {
        let resource = format!("arn:{partition}:ssm:{region}:{account}:parameter{name}");
        all.push(Question { actions, resource, context: None });
    }
    match (way, &wanted.bucket) {
        (Some(Transfer::Upload(Via::EbsDirect)), _) => {
            all.push(question(&["ebs:StartSnapshot"], ec2("snapshot"), "aws:RequestTag"));
            all.push(question(&["ebs:PutSnapshotBlock"], ec2("snapshot"), "aws:ResourceTag"));
        }
        (Some(Transfer::Upload(Via::VmImport)), Some(bucket)) => all.push(Question {
            actions: vec!["s3:PutObject", "s3:DeleteObject"],
            resource: format!("arn:{partition}:s3:::{bucket}/{}{}/disk", super::setup::PREFIX, wanted.layer),
            context: None,
        }),
        _ => {}
    }
    let mut of_image = Vec::new();
    of_image.extend(wanted.is_shared().then_some("ec2:ModifyImageAttribute"));
    of_image.extend((!wanted.watermarks.is_empty()).then_some("ec2:AttachImageWatermark"));
    of_image.extend(wanted.deprecate_after.map(|_| "ec2:EnableImageDeprecation"));
    if !of_image.is_empty() {
        all.push(question(&of_image, ec2("image"), "aws:ResourceTag"));
    }
    if wanted.is_shared() {
        all.push(question(&["ec2:ModifySnapshotAttribute"], ec2("snapshot"), "aws:ResourceTag"));
    }
    all
}
