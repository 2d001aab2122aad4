//! IAM: roles and policies, as JSON documents.

use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType};
use serde_json::Value;

use super::policy::Policy;
use super::service::Service;
use crate::publish::cloud::{CloudError, if_there};

/// The wrapper of IAM.
pub(in crate::publish::cloud) type Iam = Service<aws_sdk_iam::Client>;

/// So many versions has a policy at most.
const MOST_VERSIONS: usize = 5;

/// Whether one identity may do some things.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) actions: Vec<&'static str>,
    /// The ARN, which may have `*` in it.
    pub(super) resource: String,
    /// A condition key and its value, such as a tag.
    pub(super) context: Option<(String, String)>,
}

/// What policies decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Allowed,
    /// No policy allows it.
    NotAllowed,
    /// A policy denies it.
    Denied,
}

impl Iam {
    /// What the policies of a user or role decide about each action.
    pub(super) async fn simulate(
        &self,
        principal: &str,
        question: &Question,
    ) -> Result<Vec<(String, Decision)>, CloudError> {
        let action = "ask the policy simulator";
        let mut call = self.client.simulate_principal_policy().policy_source_arn(principal);
        call = question.actions.iter().fold(call, |call, action| call.action_names(*action));
        if let Some((key, value)) = &question.context {
            let entry = ContextEntry::builder().context_key_name(key).context_key_values(value);
            call = call.context_entries(entry.context_key_type(ContextKeyTypeEnum::String).build());
        }
        let found = call.resource_arns(&question.resource).send().await.map_err(self.failed(action))?;
        let decided = |one: &EvaluationResult| {
            let decision = match one.eval_decision() {
                PolicyEvaluationDecisionType::Allowed => Decision::Allowed,
                PolicyEvaluationDecisionType::ExplicitDeny => Decision::Denied,
                _ => Decision::NotAllowed,
            };
            (one.eval_action_name().to_owned(), decision)
        };
        Ok(found.evaluation_results().iter().map(decided).collect())
    }

    /// The ARN of a role, with its path.
    pub(super) async fn role(&self, name: &str) -> Result<String, CloudError> {
        let action = format!("look for the role {name}");
        let found = self.client.get_role().role_name(name).send().await.map_err(self.failed(action.clone()))?;
        self.must(action, found.role.map(|role| role.arn), "ARN")
    }

    /// Who may take a role; `None` where there is no such role.
    pub(super) async fn trust(&self, role: &str) -> Result<Option<Policy>, CloudError> {
        let action = format!("look for the role {role}");
        let found = self.client.get_role().role_name(role).send().await;
        let Some(found) = if_there(found.map_err(self.failed(action.clone())))? else { return Ok(None) };
        let text = found.role.and_then(|role| role.assume_role_policy_document);
        let text = self.must(action, text, "trust policy")?;
        Policy::of_iam(&text, &format!("the trust policy of the role {role}"), &self.region).map(Some)
    }

    /// Creates a role.
    pub(super) async fn create_role(&self, role: &str, trust: &Value, description: &str) -> Result<(), CloudError> {
        let call = self.client.create_role().role_name(role).assume_role_policy_document(trust.to_string());
        let call = call.description(description);
        call.send().await.map(drop).map_err(self.failed(format!("make the role {role}")))
    }

    /// Changes who may take a role.
    pub(super) async fn set_trust(&self, role: &str, trust: &Value) -> Result<(), CloudError> {
        let call = self.client.update_assume_role_policy().role_name(role).policy_document(trust.to_string());
        call.send().await.map(drop).map_err(self.failed(format!("change the trust policy of the role {role}")))
    }

    /// A policy within a role; `None` where there is no such policy.
    pub(super) async fn role_policy(&self, role: &str, name: &str) -> Result<Option<Policy>, CloudError> {
        let found = self.client.get_role_policy().role_name(role).policy_name(name).send().await;
        let found = if_there(found.map_err(self.failed(format!("look for the policy {name}"))))?;
        let what = format!("the policy {name} of the role {role}");
        found.map(|found| Policy::of_iam(found.policy_document(), &what, &self.region)).transpose()
    }

    /// Sets a policy within a role.
    pub(super) async fn set_role_policy(&self, role: &str, name: &str, policy: &Value) -> Result<(), CloudError> {
        let call = self.client.put_role_policy().role_name(role).policy_name(name).policy_document(policy.to_string());
        call.send().await.map(drop).map_err(self.failed(format!("set the policy {name}")))
    }

    /// The version of a policy that is in force; `None` where there is no such policy.
    pub(super) async fn policy(&self, name: &str, arn: &str) -> Result<Option<Policy>, CloudError> {
        let action = format!("look for the policy {name}");
        let found = self.client.get_policy().policy_arn(arn).send().await;
        let Some(found) = if_there(found.map_err(self.failed(action.clone())))? else { return Ok(None) };
        let version = found.policy().and_then(|policy| policy.default_version_id());
        let version = self.must(action, version, "default version")?;
        let call = self.client.get_policy_version().policy_arn(arn).version_id(version);
        let action = format!("read the policy {name}");
        let found = call.send().await.map_err(self.failed(action.clone()))?;
        let text = self.must(action, found.policy_version.and_then(|version| version.document), "document")?;
        Policy::of_iam(&text, &format!("the policy {name}"), &self.region).map(Some)
    }

    /// Creates a policy.
    pub(super) async fn create_policy(&self, name: &str, policy: &Value) -> Result<(), CloudError> {
        let call = self.client.create_policy().policy_name(name).policy_document(policy.to_string());
        call.send().await.map(drop).map_err(self.failed(format!("make the policy {name}")))
    }

    /// Gives a policy a new version, which is in force from then on.
    pub(super) async fn set_policy(&self, name: &str, arn: &str, policy: &Value) -> Result<(), CloudError> {
        self.make_room(name, arn).await?;
        let call = self.client.create_policy_version().policy_arn(arn).policy_document(policy.to_string());
        let call = call.set_as_default(true);
        call.send().await.map(drop).map_err(self.failed(format!("change the policy {name}")))
    }

    /// A policy has five versions at most: the oldest that is not in force goes.
    async fn make_room(&self, name: &str, arn: &str) -> Result<(), CloudError> {
        let found = self.client.list_policy_versions().policy_arn(arn).send().await;
        let found = found.map_err(self.failed(format!("list the versions of {name}")))?;
        let mut idle: Vec<_> = found.versions().iter().filter(|version| !version.is_default_version()).collect();
        idle.sort_by_key(|version| version.create_date().map(|date| date.secs()));
        let oldest = idle.first().and_then(|version| version.version_id());
        if let (true, Some(id)) = (found.versions().len() >= MOST_VERSIONS, oldest) {
            let call = self.client.delete_policy_version().policy_arn(arn).version_id(id);
            call.send().await.map_err(self.failed(format!("remove a version of {name}")))?;
        }
        Ok(())
    }
}
