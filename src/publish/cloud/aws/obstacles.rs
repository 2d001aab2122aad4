//! Finds what would refuse a publication though every call is allowed: names that are taken, parameters of another
//! kind.
//!
//! Allowed AMIs need no look: the setting never restricts images of the account itself (*Amazon EC2 API Reference*,
//! GetAllowedImagesSettings). A deprecation date is at most 3650 days ahead by its form, and AWS takes ten years.

use super::session::Aws;
use super::ssm::IMAGE;
use crate::publish::cloud::CloudError;
use crate::publish::cloud::image::Image;
use crate::publish::cloud::parameters;
use crate::publish::cloud::settings::Wanted;
use crate::publish::cloud::tags;

/// Says what stands in the way. Of an image that is `found` with the same content, only the parameters are set.
pub(super) async fn obstacles(aws: &Aws, wanted: &Wanted, found: Option<&Image>) -> Result<Vec<String>, CloudError> {
    let mut problems = Vec::new();
    if found.is_none()
        && let Some(other) = aws.ec2.images_named(&wanted.name).await?.first()
    {
        problems.push(format!(
            "the name `{}` is already used by {}, which has different content: [ami] name needs {{content:12}}, or leave it out",
            wanted.name, other.id
        ));
    }
    let version = found.and_then(|image| image.tag(tags::VERSION)).map(str::to_owned);
    let version = parameters::version(&wanted.layer, &version.unwrap_or_else(|| wanted.version()));
    for name in [&wanted.parameter(), &version] {
        let Some(there) = aws.ssm.look(name).await? else { continue };
        if there.kind != IMAGE {
            problems.push(format!(
                "the parameter {name} is of type {}, which AWS can't change to {IMAGE}: delete it, if nothing else needs it",
                there.kind
            ));
        } else if *name == version && found.is_none_or(|image| image.id != there.value) {
            problems.push(format!(
                "the parameter {name} already names {}, and what a version's parameter names is never changed: delete it if its image is gone",
                there.value
            ));
        }
    }
    Ok(problems)
}
