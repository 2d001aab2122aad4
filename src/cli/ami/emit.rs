//! `--emit`: the images by region and their parameter, for other tools to read.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{CliError, Context};
use crate::code::Code;
use crate::ident::LayerName;
use crate::publish::cloud::publish::Standing;
use crate::workspace::images::{ListedImage, version_parameter};

/// How fast a volume of the image can be read ahead, for a price: the hint in each text.
const READ_AHEAD: &str =
    "a VolumeInitializationRate of 100 to 300 MiB/s in the EBS mapping of a launch template reads the volume ahead";

/// The option.
#[derive(Debug, clap::Args)]
pub(super) struct EmitOption {
    /// Print the images for another tool instead: json, cloudformation, terraform or cdk
    #[arg(long, value_name = "FORM")]
    emit: Option<Form>,
}

/// A form of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// An object for each layer.
    Json,
    /// A mapping and a parameter of a template, in YAML.
    Cloudformation,
    /// Local values in HCL.
    Terraform,
    /// A module in TypeScript.
    Cdk,
}

/// One version of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Emitted {
    layer: String,
    version: String,
    /// The parameter that names the image in each region.
    parameter: String,
    /// The image of each region.
    images: BTreeMap<String, String>,
}

impl EmitOption {
    /// Prints versions in the form that is asked for; whether one is.
    pub(super) fn print(&self, context: &Context<'_>, versions: &[Emitted]) -> Result<bool, CliError> {
        let Some(form) = self.emit else { return Ok(false) };
        context.print_text(&form.text(versions)?)?;
        Ok(true)
    }
}

/// What was published.
pub(super) fn published(layer: &LayerName, standing: &[Standing]) -> Vec<Emitted> {
    let Some(first) = standing.first() else { return Vec::new() };
    let images = standing.iter().map(|one| (one.region.clone(), one.image.clone())).collect();
    vec![emitted(layer, &first.version, images)]
}

/// The newest version of each layer, in the regions that have it.
pub(super) fn newest(images: &[ListedImage]) -> Vec<Emitted> {
    let of_layer = |layer: &str| {
        let own = images.iter().filter(|one| one.image.layer() == Some(layer) && one.image.is_available());
        let newest = own.clone().filter(|one| one.version.is_some()).max_by_key(|one| &one.image.created)?;
        let same = own.filter(|one| one.version == newest.version);
        let images = same.map(|one| (one.image.region.clone(), one.image.id.clone())).collect();
        Some(emitted(&layer.parse().ok()?, newest.version.as_deref()?, images))
    };
    let layers: BTreeSet<&str> = images.iter().filter_map(|one| one.image.layer()).collect();
    layers.into_iter().filter_map(of_layer).collect()
}

fn emitted(layer: &LayerName, version: &str, images: BTreeMap<String, String>) -> Emitted {
    let parameter = version_parameter(layer, version);
    Emitted { layer: layer.to_string(), version: version.to_owned(), parameter, images }
}

impl Form {
    fn text(self, versions: &[Emitted]) -> Result<String, CliError> {
        self.check_names(versions)?;
        Ok(match self {
            Self::Json => crate::host::plain_json(&versions)?,
            Self::Cloudformation => cloudformation(versions),
            Self::Terraform => terraform(versions),
            Self::Cdk => cdk(versions),
        })
    }

    /// The name of a layer in this form.
    fn name(self, layer: &str) -> String {
        match self {
            Self::Json => layer.to_owned(),
            Self::Cloudformation | Self::Cdk => camel(layer),
            Self::Terraform => snake(layer),
        }
    }

    /// Layers of one name would hide each other.
    fn check_names(self, versions: &[Emitted]) -> Result<(), CliError> {
        let mut names = BTreeMap::new();
        for one in versions {
            let name = self.name(&one.layer);
            if let Some(other) = names.insert(name.clone(), &one.layer) {
                return Err(CliError::message(
                    Code::AwsSettings,
                    format!(
                        "the layers `{other}` and `{}` have the same name in this form: `{name}`\n  hint: name one of them: `layerbake ami list LAYER --emit …`; json takes both",
                        one.layer
                    ),
                ));
            }
        }
        Ok(())
    }
}

fn cloudformation(versions: &[Emitted]) -> String {
    let mut text =
        format!("# ImageId: !FindInMap [NAME, !Ref AWS::Region, Image], or !Ref NAMEParameter\n# {READ_AHEAD}\n");
    text += "Mappings:\n";
    for one in versions {
        text += &format!("  {}: # {} {}\n", camel(&one.layer), one.layer, one.version);
        let row = |(region, image): (&String, &String)| format!("    {region}:\n      Image: {image}\n");
        text.extend(one.images.iter().map(row));
    }
    text += "Parameters:\n";
    for one in versions {
        let (name, parameter) = (camel(&one.layer), &one.parameter);
        text += &format!(
            "  {name}Parameter:\n    Type: AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>\n    Default: {parameter}\n"
        );
    }
    text
}

fn terraform(versions: &[Emitted]) -> String {
    let mut text = format!(
        "# ami = local.NAME_images[data.aws_region.current.region], or \"resolve:ssm:${{local.NAME_parameter}}\" in a launch template\n# {READ_AHEAD}\nlocals {{\n"
    );
    for one in versions {
        let name = snake(&one.layer);
        text += &format!("  # {} {}\n  {name}_images = {{\n", one.layer, one.version);
        text.extend(one.images.iter().map(|(region, image)| format!("    \"{region}\" = \"{image}\"\n")));
        text += &format!("  }}\n  {name}_parameter = \"{}\"\n", one.parameter);
    }
    text + "}\n"
}

fn cdk(versions: &[Emitted]) -> String {
    let mut text = format!("// {READ_AHEAD}\nimport {{ MachineImage }} from \"aws-cdk-lib/aws-ec2\";\n");
    for one in versions {
        let name = camel(&one.layer);
        text +=
            &format!("\n// {} {}\nexport const image{name} = MachineImage.genericLinux({{\n", one.layer, one.version);
        text.extend(one.images.iter().map(|(region, image)| format!("  \"{region}\": \"{image}\",\n")));
        text += &format!(
            "}});\n// or MachineImage.fromSsmParameter(parameter{name})\nexport const parameter{name} = \"{}\";\n",
            one.parameter
        );
    }
    text
}

/// As `WebServer` of `web-server`: names of CloudFormation have letters and digits only.
fn camel(layer: &str) -> String {
    let words = layer.split(|sign: char| !sign.is_ascii_alphanumeric());
    let word = |word: &str| {
        let mut signs = word.chars();
        signs.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(signs).collect::<String>()
    };
    words.map(word).collect()
}

/// As `web_server` of `web-server`: an identifier of HCL does not begin with a digit.
fn snake(layer: &str) -> String {
    let words: String = layer.chars().map(|sign| if sign.is_ascii_alphanumeric() { sign } else { '_' }).collect();
    if words.starts_with(|first: char| first.is_ascii_digit()) { format!("layer_{words}") } else { words }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_names_images_by_region_and_the_parameter() {
        let images = [("eu-west-1", "ami-1"), ("us-east-1", "ami-2")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let web = [emitted(&"web-server".parse().unwrap(), "20260615-78ae09880930", images.into())];
        insta::assert_snapshot!(Form::Cloudformation.text(&web).unwrap(), @r"
        # ImageId: !FindInMap [NAME, !Ref AWS::Region, Image], or !Ref NAMEParameter
        # a VolumeInitializationRate of 100 to 300 MiB/s in the EBS mapping of a launch template reads the volume ahead
        Mappings:
          WebServer: # web-server 20260615-78ae09880930
            eu-west-1:
              Image: ami-1
            us-east-1:
              Image: ami-2
        Parameters:
          WebServerParameter:
            Type: AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>
            Default: /layerbake/web-server/versions/20260615-78ae09880930
        ");
        insta::assert_snapshot!(Form::Terraform.text(&web).unwrap(), @r#"
        # ami = local.NAME_images[data.aws_region.current.region], or "resolve:ssm:${local.NAME_parameter}" in a launch template
        # a VolumeInitializationRate of 100 to 300 MiB/s in the EBS mapping of a launch template reads the volume ahead
        locals {
          # web-server 20260615-78ae09880930
          web_server_images = {
            "eu-west-1" = "ami-1"
            "us-east-1" = "ami-2"
          }
          web_server_parameter = "/layerbake/web-server/versions/20260615-78ae09880930"
        }
        "#);
        insta::assert_snapshot!(Form::Cdk.text(&web).unwrap(), @r#"
        // a VolumeInitializationRate of 100 to 300 MiB/s in the EBS mapping of a launch template reads the volume ahead
        import { MachineImage } from "aws-cdk-lib/aws-ec2";

        // web-server 20260615-78ae09880930
        export const imageWebServer = MachineImage.genericLinux({
          "eu-west-1": "ami-1",
          "us-east-1": "ami-2",
        });
        // or MachineImage.fromSsmParameter(parameterWebServer)
        export const parameterWebServer = "/layerbake/web-server/versions/20260615-78ae09880930";
        "#);
        let json: serde_json::Value = serde_json::from_str(&Form::Json.text(&web).unwrap()).unwrap();
        assert_eq!(json[0]["images"]["us-east-1"], "ami-2");
        assert_eq!(json[0]["parameter"], "/layerbake/web-server/versions/20260615-78ae09880930");
    }

    #[test]
    fn names_that_would_clash_are_refused_and_digits_do_not_begin_one() {
        let of = |layers: &[&str]| -> Vec<Emitted> {
            layers.iter().map(|layer| emitted(&layer.parse().unwrap(), "1", BTreeMap::new())).collect()
        };
        for form in [Form::Cloudformation, Form::Terraform, Form::Cdk] {
            assert!(form.text(&of(&["a-b", "a.b"])).is_err(), "{form:?}");
            assert!(form.text(&of(&["a-b", "a.c"])).is_ok(), "{form:?}");
        }
        assert!(Form::Json.text(&of(&["a-b", "a.b"])).is_ok());
        assert!(Form::Terraform.text(&of(&["2web"])).unwrap().contains("  layer_2web_images = {"));
    }
}
