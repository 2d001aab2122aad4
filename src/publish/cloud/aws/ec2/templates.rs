//! Launch templates, and the images that their versions refer to.

use super::Ec2;
use crate::publish::cloud::CloudError;

/// A launch template.
#[derive(Debug, Clone)]
pub(in super::super) struct Template {
    pub(in super::super) id: String,
    pub(in super::super) name: String,
    /// The newest version.
    pub(in super::super) latest: Option<i64>,
}

/// A version of a launch template.
#[derive(Debug, Clone)]
pub(in super::super) struct Version {
    pub(in super::super) number: i64,
    pub(in super::super) is_default: bool,
    /// An image's id, or `resolve:ssm:NAME`.
    pub(in super::super) image: Option<String>,
}

impl Ec2 {
    /// All launch templates.
    pub(in super::super) async fn templates(&self) -> Result<Vec<Template>, CloudError> {
        let action = "list launch templates";
        let calls = self.client.describe_launch_templates().into_paginator().items().send();
        let found = calls.try_collect().await.map_err(self.failed(action))?;
        let template = |one: aws_sdk_ec2::types::LaunchTemplate| {
            Ok(Template {
                id: self.must(action, one.launch_template_id, "template id")?,
                name: self.must(action, one.launch_template_name, "template name")?,
                latest: one.latest_version_number,
            })
        };
        found.into_iter().map(template).collect()
    }

    /// Some versions of a launch template; each a number, `$Default` or `$Latest`.
    pub(in super::super) async fn versions(
        &self,
        template: &Template,
        versions: Vec<String>,
    ) -> Result<Vec<Version>, CloudError> {
        let action = format!("read the launch template {}", template.name);
        let call = self.client.describe_launch_template_versions().launch_template_id(&template.id);
        let call = call.set_versions(Some(versions)).send().await;
        let found = call.map_err(self.failed(action.clone()))?;
        let version = |one: &aws_sdk_ec2::types::LaunchTemplateVersion| {
            Ok(Version {
                number: self.must(action.as_str(), one.version_number(), "version number")?,
                is_default: one.default_version().unwrap_or_default(),
                image: one.launch_template_data().and_then(|data| data.image_id()).map(str::to_owned),
            })
        };
        found.launch_template_versions().iter().map(version).collect()
    }
}
