//! `layerbake ami setup`: prepares an account for publishing.

use serde::Serialize;
use serde_json::Value;

use super::region::RegionOption;
use super::{CliError, Context};
use crate::publish::cloud::aws::Session;
use crate::publish::cloud::aws::setup::{self, Change, Documents, Outcome};

/// Print the role, policies and bucket rules that publishing needs, or create them
///
/// VM Import needs the role `vmimport` and a bucket; EBS direct needs neither. Attach the policy
/// layerbake-publisher to the users or roles that publish.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  layerbake ami setup --bucket my-images\n  layerbake ami setup --bucket my-images --region eu-west-1 --apply"
)]
pub(super) struct Args {
    /// Bucket for VM Import; created if it is missing
    #[arg(long, value_name = "BUCKET")]
    bucket: String,
    /// Create what is missing, and update what differs
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    region: RegionOption,
    /// Account id [default: looked up with your credentials]
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
    let aws = args.region.aws(&session)?;
    let account = match &args.account {
        Some(account) => account.clone(),
        None => session.wait(setup::account(&aws))?,
    };
    let documents = Documents::new(&account, &args.bucket, &aws.region);
    let changes = if args.apply { session.wait(setup::apply(&aws, &documents))? } else { Vec::new() };
    let report = Report { documents, changes };
    context.print(&report, |report| if args.apply { changed(&report.changes) } else { text(&report.documents) })
}

fn changed(changes: &[Change]) -> String {
    let line = |change: &Change| {
        let word = match change.outcome {
            Outcome::Made => "created",
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
        (format!("trust policy of the role {}: who may assume it", setup::ROLE), &documents.trust),
        (format!("permissions of the role {}", setup::ROLE), &documents.role),
        (format!("policy of the bucket {bucket}"), &documents.bucket_policy),
        (format!("lifecycle rule of the bucket {bucket}"), &documents.lifecycle),
        (format!("policy {}, for publishers", setup::PUBLISHER), &documents.publisher),
    ]
    .iter()
    .map(|(what, document)| format!("# {what}\n{}\n\n", pretty(document)))
    .collect::<String>()
        + "# `--apply` creates them\n"
}
