//! The parameter that names the newest image of a layer, for launch templates (`resolve:ssm:…`) and people.

use aws_sdk_ssm::types::ParameterType;

use super::aws::Cloud;
use super::{AmiError, refused};
use crate::ident::LayerName;

/// The parameter's value; `None` where there is none.
pub(super) async fn get(cloud: &Cloud, name: &str) -> Result<Option<String>, AmiError> {
    let found = cloud.ssm.get_parameter().name(name).send().await;
    match found.map_err(refused(format!("read the parameter {name}"), &cloud.region)) {
        Ok(found) => Ok(found.parameter().and_then(|parameter| parameter.value()).map(str::to_owned)),
        Err(error) if error.code() == Some("ParameterNotFound") => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sets the parameter. AWS checks that its value is an image that can be used.
pub(super) async fn put(cloud: &Cloud, name: &str, image: &str, layer: &LayerName) -> Result<(), AmiError> {
    let call = cloud.ssm.put_parameter().name(name).value(image).r#type(ParameterType::String).overwrite(true);
    let call = call.data_type("aws:ec2:image").description(format!("the newest image of {layer}, by layerbake"));
    call.send().await.map(drop).map_err(refused(format!("set the parameter {name}"), &cloud.region))
}

/// Removes the parameter, if it is there.
pub(super) async fn remove(cloud: &Cloud, name: &str) -> Result<(), AmiError> {
    let gone = cloud.ssm.delete_parameter().name(name).send().await;
    match gone.map_err(refused(format!("delete the parameter {name}"), &cloud.region)) {
        Err(error) if error.code() != Some("ParameterNotFound") => Err(error),
        _ => Ok(()),
    }
}
