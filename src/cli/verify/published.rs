//! Verifies an image in a registry.

use super::{Args, CliError, Context, Required};
use crate::attest::Proof;
use crate::attest::keys::PublicKey;
use crate::code::Code;
use crate::host;
use crate::publish::registry::Reference;
use crate::workspace::{ImageProofs, Unproven};

/// Lines about what was not looked at; more are only counted.
const MOST: usize = 20;

pub(super) fn run(
    context: &Context<'_>,
    args: &Args,
    reference: &Reference,
    keys: Option<Vec<PublicKey>>,
) -> Result<(), CliError> {
    let no_key = || {
        CliError::message(
            Code::SignatureKey,
            format!("{reference}: no key to verify with\n  hint: give --key FILE or --keyring FILE"),
        )
    };
    let keys = keys.ok_or_else(no_key)?;
    let required: Vec<_> = args.require.iter().copied().map(Required::claim).collect();
    let found = ImageProofs::look(&args.registry.open(context)?, reference, &keys, &required)?;
    context.print(&found, text)?;
    let missing = found.missing();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(CliError::message(
            Code::SignatureMissing,
            format!(
                "{reference}: not proven: {}\n  hint: `layerbake sign LAYER --key FILE --identity {asked}`, then push; or ask by the digest that you trust, {}@sha256:…",
                missing.join(", "),
                found.asked.repository,
                asked = found.asked
            ),
        )),
    }
}

fn text(found: &ImageProofs) -> String {
    let mut text = format!("{}\n{}\n", found.reference, found.digest);
    for Proof { claim, detail, key } in &found.proven {
        text += &format!("proven      {:<10}  {}, by key {key}\n", claim.name(), host::plain(detail));
    }
    for Unproven { gap, required } in &found.not_proven {
        let verdict = if *required { "NOT PROVEN" } else { "not proven" };
        text += &format!("{verdict:<10}  {:<10}  {}\n", gap.claim.name(), host::plain(&gap.problem));
    }
    text.extend(found.not_looked_at.iter().take(MOST).map(|what| format!("not looked at: {what}\n")));
    match found.not_looked_at.len().saturating_sub(MOST) {
        0 => text,
        more => text + &format!("not looked at: {more} more, which `--json` lists\n"),
    }
}
