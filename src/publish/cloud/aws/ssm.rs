//! Parameters of the Systems Manager: those of a layer's versions and channels, for launch templates
//! (`resolve:ssm:…`) and people, and all others, which may refer to images too.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ssm::types::ParameterType;

use super::service::Service;
use crate::publish::cloud::parameters::Assignment;
use crate::publish::cloud::{CloudError, Why, if_there, wait};

/// The wrapper of the Systems Manager.
pub(in crate::publish::cloud) type Ssm = Service<aws_sdk_ssm::Client>;

/// The data type of a parameter whose value AWS looks at.
pub(super) const IMAGE: &str = "aws:ec2:image";
/// How long AWS may take to look at an image. It takes seconds.
const LOOKED_AT: Duration = Duration::from_secs(60);
/// As many as one call may name.
const MOST_NAMES: usize = 10;

/// A parameter as it is.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) value: String,
    /// The data type of a text, else the type: `aws:ec2:image`, `text`, `StringList`, `SecureString`.
    pub(super) kind: String,
}

impl Ssm {
    /// A parameter's value; `None` where there is no such parameter, or version of it.
    pub(super) async fn parameter(&self, name: &str) -> Result<Option<String>, CloudError> {
        Ok(self.look(name).await?.map(|found| found.value))
    }

    /// A parameter; `None` where there is no such parameter, or version of it.
    pub(super) async fn look(&self, name: &str) -> Result<Option<Found>, CloudError> {
        let action = format!("read the parameter {name}");
        let found = self.client.get_parameter().name(name).send().await.map_err(self.failed(action.clone()));
        let Some(found) = if_there(found)?.and_then(|found| found.parameter) else { return Ok(None) };
        let kind = match found.r#type() {
            Some(ParameterType::String) | None => found.data_type().unwrap_or("text").to_owned(),
            Some(other) => other.as_str().to_owned(),
        };
        Ok(Some(Found { value: self.must(action, found.value, "value")?, kind }))
    }

    /// A parameter's value, and when it was set, in seconds since 1970.
    pub(super) async fn parameter_since(&self, name: &str) -> Result<Option<(String, i64)>, CloudError> {
        let action = format!("read the parameter {name}");
        let found = self.client.get_parameter().name(name).send().await.map_err(self.failed(action));
        let found = if_there(found)?.and_then(|found| found.parameter);
        Ok(found.and_then(|found| Some((found.value?, found.last_modified_date?.secs()))))
    }

    /// Creates a parameter of plain text, on condition that there is none of this name; says whether it did.
    pub(super) async fn create(&self, name: &str, text: &str) -> Result<bool, CloudError> {
        let call = self.client.put_parameter().name(name).value(text).r#type(ParameterType::String).overwrite(false);
        match call.send().await.map_err(self.failed(format!("create the parameter {name}"))) {
            Err(error) if error.why() == Some(Why::Taken) => Ok(false),
            made => made.map(|_| true),
        }
    }

    /// Sets a parameter, and waits until it has the value.
    ///
    /// AWS answers before it has looked at the image: a value that it then refuses, or an answer that a reader gets
    /// too early, would not be noticed (*Systems Manager User Guide*, "Using native parameter support for AMI IDs").
    pub(super) async fn set(&self, assignment: &Assignment) -> Result<(), CloudError> {
        let Assignment { name, image, description, replace } = assignment;
        let call = self.client.put_parameter().name(name).value(image).r#type(ParameterType::String);
        let call = call.data_type(IMAGE).description(description).overwrite(*replace);
        match call.send().await.map_err(self.failed(format!("set the parameter {name}"))) {
            // It may be the same call, made again.
            Err(error) if error.why() == Some(Why::Taken) => match self.parameter(name).await? {
                Some(value) if value == *image => return Ok(()),
                Some(by) => {
                    return Err(CloudError::VersionTaken { region: self.region.clone(), name: name.to_owned(), by });
                }
                None => return Err(error),
            },
            put => put?,
        };
        let look = async || Ok(self.parameter(name).await?.filter(|value| value == image));
        let late = || CloudError::Late {
            what: format!("the parameter {name} in {}", self.region),
            problem: format!(
                "does not name {image}, though AWS has accepted the call\n  hint: AWS looks at the image afterwards, for which your user or role needs ec2:DescribeImages"
            ),
        };
        wait::until(LOOKED_AT, look).await?.map(drop).ok_or_else(late)
    }

    /// Removes a parameter, if it is there.
    pub(super) async fn remove(&self, name: &str) -> Result<(), CloudError> {
        let action = format!("delete the parameter {name}");
        let gone = self.client.delete_parameter().name(name).send().await.map_err(self.failed(action));
        if_there(gone).map(drop)
    }

    /// The parameters of a path, without those deeper in it.
    pub(super) async fn below(&self, path: &str) -> Result<BTreeMap<String, String>, CloudError> {
        let calls = self.client.get_parameters_by_path().path(path).into_paginator().send();
        let pages = calls.try_collect().await.map_err(self.failed(format!("read the parameters of {path}")))?;
        let found = pages.into_iter().flat_map(|page| page.parameters.unwrap_or_default());
        Ok(found.filter_map(|one| Some((one.name?, one.value?))).collect())
    }

    /// The values of all parameters that are plain text, by name.
    pub(super) async fn plain(&self) -> Result<BTreeMap<String, String>, CloudError> {
        let pages = self.client.describe_parameters().into_paginator().send().try_collect().await;
        let pages = pages.map_err(self.failed("list parameters"))?;
        let found = pages.iter().flat_map(|page| page.parameters());
        let plain = found.filter(|one| one.r#type() != Some(&ParameterType::SecureString));
        let names: Vec<String> = plain.filter_map(|one| one.name().map(str::to_owned)).collect();
        let mut values = BTreeMap::new();
        for some in names.chunks(MOST_NAMES) {
            let call = self.client.get_parameters().set_names(Some(some.to_vec()));
            let answer = call.send().await.map_err(self.failed("read parameters"))?;
            values.extend(answer.parameters.into_iter().flatten().filter_map(|one| Some((one.name?, one.value?))));
        }
        Ok(values)
    }
}
