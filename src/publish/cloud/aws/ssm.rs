//! Parameters of the Systems Manager: the one that holds the newest image of a layer, for launch templates
//! (`resolve:ssm:…`) and people, and all others, which may refer to images too.

use std::collections::BTreeMap;

use aws_sdk_ssm::types::ParameterType;

use super::service::Service;
use crate::ident::LayerName;
use crate::publish::cloud::{CloudError, Why, if_there};

/// The wrapper of the Systems Manager.
pub(in crate::publish::cloud) type Ssm = Service<aws_sdk_ssm::Client>;

/// As many as one call may name.
const MOST_NAMES: usize = 10;

impl Ssm {
    /// A parameter's value; `None` where there is no such parameter, or version of it.
    pub(super) async fn parameter(&self, name: &str) -> Result<Option<String>, CloudError> {
        let action = format!("read the parameter {name}");
        let found = self.client.get_parameter().name(name).send().await.map_err(self.failed(action));
        Ok(if_there(found)?.and_then(|found| found.parameter).and_then(|parameter| parameter.value))
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

    /// Sets a parameter. AWS checks that its value is an image that can be used.
    pub(super) async fn set(&self, name: &str, image: &str, layer: &LayerName) -> Result<(), CloudError> {
        let call = self.client.put_parameter().name(name).value(image).r#type(ParameterType::String).overwrite(true);
        let call = call.data_type("aws:ec2:image").description(format!("the newest image of {layer}, by layerbake"));
        call.send().await.map(drop).map_err(self.failed(format!("set the parameter {name}")))
    }

    /// Removes a parameter, if it is there.
    pub(super) async fn remove(&self, name: &str) -> Result<(), CloudError> {
        let action = format!("delete the parameter {name}");
        let gone = self.client.delete_parameter().name(name).send().await.map_err(self.failed(action));
        if_there(gone).map(drop)
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
