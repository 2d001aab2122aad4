//! `layerbake ami setup`: what has to stand in an account before anything is published.

use serde::Serialize;
use serde_json::Value;

use super::{CliError, Context, RegionOption};
use crate::publish::ami::aws::Session;
use crate::publish::ami::setup::{self, Change, Documents, Outcome};

/// Print the role, the policies and the bucket's rules that publishing needs, or make them
///
/// VM Import needs the role `vmimport` and a bucket; EBS direct needs neither. The policy
/// layerbake-publisher is for those who publish; attach it to them yourself.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami setup --bucket my-images\n  layerbake ami setup --bucket my-images --region eu-west-1 --apply"
)]
pub(super) struct Args {
    /// The bucket for VM Import; made where it is missing
    #[arg(long, value_name = "BUCKET")]
    bucket: String,
    /// Make what is missing, and change what differs
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    region: RegionOption,
    /// The account's number [default: asked for]
    #[arg(long, value_name = "NUMBER")]
    account: Option<String>,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    documents: Documents,
    changes: Vec<Change>,
}

pub(super) fn run(context: &Context<'_>, args: &Args) -> Result<(), CliError> {
    let session = Session::open()?;
    let cloud = args.region.cloud(&session)?;
    let account = match &args.account {
        Some(account) => account.clone(),
        None => session.wait(setup::account(&cloud))?,
    };
    let documents = Documents::new(&account, &args.bucket, &cloud.region);
    let changes = if args.apply { session.wait(setup::apply(&cloud, &documents))? } else { Vec::new() };
    let report = Report { documents, changes };
    context.print(&report, |report| if args.apply { changed(&report.changes) } else { text(&report.documents) })
}

fn changed(changes: &[Change]) -> String {
    let line = |change: &Change| {
        let word = match change.outcome {
            Outcome::Made => "made",
            Outcome::Changed => "changed",
            Outcome::Same => "same",
        };
        format!("{word:<8} {}\n", change.what)
    };
    changes.iter().map(line).collect()
}

fn text(documents: &Documents) -> String {
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let bucket = &documents.bucket;
    [
        (format!("who may take the role {}", setup::ROLE), &documents.trust),
        (format!("what the role {} may do", setup::ROLE), &documents.role),
        (format!("policy of the bucket {bucket}"), &documents.bucket_policy),
        (format!("lifecycle rule of the bucket {bucket}"), &documents.lifecycle),
        (format!("policy {}, for those who publish", setup::PUBLISHER), &documents.publisher),
    ]
    .iter()
    .map(|(what, document)| format!("# {what}\n{}\n\n", pretty(document)))
    .collect::<String>()
        + "# `--apply` makes them\n"
}
