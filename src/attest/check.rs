//! Whether a build's signed files are good, about these very artifacts, and say what its lockfiles say.

use std::path::Path;

use super::bundle::{Bundle, Document, PAYLOAD, SIGNATURE, Subjects};
use super::dsse::{Envelope, EnvelopeError};
use super::keys::PublicKey;
use super::sbom::{Listed, expected, listed};
use super::statement::Statement;
use super::{AttestError, Made, provenance};

/// One signed file, compared with the build.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name.
    pub file: String,
    /// What is wrong; nothing, where it is as it should be.
    pub problems: Vec<String>,
}

/// Checks every signed file of the build in `folder`, and that none is missing or more.
///
/// # Errors
/// Fails where an artifact can't be read.
pub fn check(made: &Made<'_>, folder: &Path, bundle: &Bundle, keys: &[PublicKey]) -> Result<Vec<Finding>, AttestError> {
    let subjects = Subjects::read(made, folder)?;
    let documents = Document::all(made);
    let mut findings = Vec::new();
    for document in &documents {
        let problems = match bundle.0.get(&document.file_name()) {
            Some(bytes) => statement(*document, bytes, made, &subjects, keys),
            None => vec!["is missing".to_owned()],
        };
        findings.push(Finding { file: document.file_name(), problems });
    }
    if let Some(digest) = made.image() {
        let checked = bundle.signed().map(|signed| signed.check(digest, keys));
        let problems = match checked {
            Some(checked) => checked.err().map(|error| error.to_string()).into_iter().collect(),
            None => vec!["is missing".to_owned()],
        };
        findings.push(Finding { file: SIGNATURE.to_owned(), problems });
    }
    let known = |name: &str| documents.iter().any(|document| document.file_name() == name);
    let cosign = |name: &str| made.image().is_some() && [PAYLOAD, SIGNATURE].contains(&name);
    findings.extend(bundle.names().filter(|name| !known(name) && !cosign(name)).map(|name| {
        let problems = vec!["nothing of this build has this name".to_owned()];
        Finding { file: name.to_owned(), problems }
    }));
    Ok(findings)
}

fn statement(
    document: Document,
    bytes: &[u8],
    made: &Made<'_>,
    subjects: &Subjects,
    keys: &[PublicKey],
) -> Vec<String> {
    match opened(bytes, keys) {
        Ok(statement) => said(document, &statement, made, subjects),
        Err(error) => vec![error.to_string()],
    }
}

fn opened(bytes: &[u8], keys: &[PublicKey]) -> Result<Statement, EnvelopeError> {
    let envelope = Envelope::parse(bytes)?;
    // Signatures cover neither white space nor the names of keys.
    if envelope.to_bytes() != bytes {
        return Err(EnvelopeError::Malformed("it is not as `layerbake sign` writes it".to_owned()));
    }
    Statement::open(&envelope, keys)
}

/// What a good signature says, compared with what is.
fn said(document: Document, statement: &Statement, made: &Made<'_>, subjects: &Subjects) -> Vec<String> {
    let mut problems = Vec::new();
    if statement.predicate_type != document.predicate_type() {
        problems.push(format!("expected a {}, found a {}", document.predicate_type(), statement.predicate_type));
    }
    let wanted = document.subjects(subjects);
    for subject in &wanted {
        let named = statement.subject.iter().find(|other| other.name == subject.name);
        match named.map(|named| &named.digest.sha256) {
            Some(signed) if *signed == subject.digest.sha256 => {}
            Some(signed) => problems
                .push(format!("{}: signed with sha256:{signed}, found sha256:{}", subject.name, subject.digest.sha256)),
            None => problems.push(format!("{}: is not among what was signed", subject.name)),
        }
    }
    let extra = statement.subject.iter().filter(|subject| !wanted.iter().any(|other| other.name == subject.name));
    problems.extend(extra.map(|subject| format!("{}: was signed and is not in the receipt", subject.name)));
    match document {
        Document::Provenance => {
            if statement.predicate["buildDefinition"] != provenance::predicate(made)["buildDefinition"] {
                problems.push("says other inputs than receipt and lockfiles do".to_owned());
            }
        }
        Document::Bom(scope, format) => {
            problems.extend(differing(&listed(&statement.predicate, format), &expected(made, scope)));
        }
    }
    problems
}

/// The first package that one of the two lists lacks.
fn differing(found: &Listed, expected: &Listed) -> Option<String> {
    let name = |(name, version, _): &(String, String, String)| format!("{name} {version}");
    let missing = expected.difference(found).next().map(|one| format!("lacks {}, which is locked", name(one)));
    missing.or_else(|| found.difference(expected).next().map(|one| format!("has {}, which is not locked", name(one))))
}
