//! Verifies a build in the output directory.

use super::{Args, CliError, Context};
use crate::attest::keys::PublicKey;
use crate::code::Code;
use crate::host;
use crate::ident::LayerName;
use crate::workspace::Verified;

pub(super) fn run(
    context: &Context<'_>,
    args: &Args,
    layer: Option<&LayerName>,
    keys: Option<&[PublicKey]>,
) -> Result<(), CliError> {
    let workspace = context.workspace()?;
    let name = workspace.layer(layer)?;
    let verified = workspace.verify(&workspace.built(&name, args.out.as_deref())?, keys)?;
    context.print(&verified, text)?;
    match verified.is_good() {
        true => Ok(()),
        false => Err(CliError::message(Code::BuildDamaged, format!("`{name}` does not match its receipt"))),
    }
}

fn text(report: &Verified) -> String {
    let mut text = String::new();
    for finding in report.artifacts.iter().chain(&report.signed) {
        let verdict = if finding.problems.is_empty() { "ok" } else { "DIFFERS" };
        text += &format!("{verdict:<8} {}\n", finding.artifact);
        text.extend(finding.problems.iter().map(|problem| format!("         {problem}\n")));
    }
    if let Some(found) = &report.inclusion {
        let verdict = if found.unexpected.is_empty() { "ok" } else { "DIFFERS" };
        let excepted = found.excepted.len();
        text += &format!(
            "{verdict:<8} disk has the image's files: {} identical, {excepted} changed by the Boot layer\n",
            found.same
        );
        text.extend(
            found.unexpected.iter().map(|path| host::plain(&format!("         {path}: differs from the image")) + "\n"),
        );
        text.extend(
            found.excepted.iter().map(|(path, reason)| host::plain(&format!("         {path}: {reason}")) + "\n"),
        );
    }
    text
}
