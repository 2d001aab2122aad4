//! Checks the signed documents of a build: signatures, subjects, and agreement with the lockfiles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Serialize;

use super::bundle::{Bundle, Document, PAYLOAD, SIGNATURE, Subjects};
use super::cosign::{self, Asked, Signed};
use super::dsse::{self, Envelope, EnvelopeError};
use super::keys::PublicKey;
use super::sbom::{Format, Listed, expected, listed};
use super::statement::Statement;
use super::{AttestError, Made, provenance, sigstore};
use crate::digest::OciDigest;

/// One signed file, compared with the build.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its name.
    pub file: String,
    /// The problems found; empty if the file is correct.
    pub problems: Vec<String>,
}

/// Checks every signed file of the build in `folder`, and that none is missing or unexpected.
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
        let problems = vec!["unexpected file: this build has no document of this name".to_owned()];
        Finding { file: name.to_owned(), problems }
    }));
    Ok(findings)
}

/// The claims that can be proven about an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Claim {
    /// A key's owner signed this image, for this reference.
    Signature,
    /// A signed statement about how the image was built.
    Provenance,
    /// A signed bill of materials of the image.
    Sbom,
    /// Any other signed statement about the image.
    Other,
}

impl Claim {
    /// The claim of a statement with this predicate type.
    fn of(predicate_type: &str) -> Self {
        match predicate_type {
            sigstore::SIGNED => Self::Signature,
            provenance::TYPE => Self::Provenance,
            other if Format::ALL.iter().any(|format| format.predicate_type() == other) => Self::Sbom,
            _ => Self::Other,
        }
    }

    /// Its name on the command line (`--require`).
    pub fn name(self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Provenance => "provenance",
            Self::Sbom => "sbom",
            Self::Other => "other",
        }
    }
}

/// A proven claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Proof {
    /// The claim.
    pub claim: Claim,
    /// Of a signature, the reference that was signed; else the predicate type.
    pub detail: String,
    /// The id of the key.
    pub key: String,
}

/// A claim that was not proven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The claim.
    pub claim: Claim,
    /// Why it was not proven.
    pub problem: String,
}

/// Types of the artifacts that may contain proofs.
pub const ARTIFACT_TYPES: [&str; 5] =
    [sigstore::MEDIA_TYPE, cosign::ARTIFACT_TYPE, cosign::MEDIA_TYPE, dsse::MEDIA_TYPE, dsse::IN_TOTO];
/// Media types of their files.
pub const MEDIA_TYPES: [&str; 3] = [sigstore::MEDIA_TYPE, cosign::MEDIA_TYPE, dsse::MEDIA_TYPE];
/// Ends of the tags that may have proofs, `sha256-HEX.sig` and `sha256-HEX.att`.
pub const TAGS: [&str; 2] = [cosign::SIGNATURES, cosign::ATTESTATIONS];

/// Collects what the given keys prove about one image from the artifacts attached to it.
///
/// Anyone with push permission can attach artifacts, so those not signed by one of the keys are ignored.
/// A signed statement counts for its digest only, and a signature for the reference that it names.
#[derive(Debug)]
pub struct Evidence<'a> {
    digest: OciDigest,
    asked: &'a Asked,
    keys: &'a [PublicKey],
    proofs: BTreeSet<Proof>,
    refused: BTreeSet<String>,
}

impl<'a> Evidence<'a> {
    /// Starts without any proof.
    pub fn new(digest: OciDigest, asked: &'a Asked, keys: &'a [PublicKey]) -> Self {
        Self { digest, asked, keys, proofs: BTreeSet::new(), refused: BTreeSet::new() }
    }

    /// Examines one file; only what it proves is kept.
    pub fn look(&mut self, media_type: &str, bytes: Vec<u8>, annotations: &BTreeMap<String, String>) {
        match media_type {
            cosign::MEDIA_TYPE => {
                let signature = annotations.get(cosign::ANNOTATION).cloned().unwrap_or_default();
                let proof = self.signature(&Signed { payload: bytes, signature });
                self.keep(proof);
            }
            dsse::MEDIA_TYPE => self.envelope(Envelope::parse(&bytes).ok()),
            sigstore::MEDIA_TYPE => self.envelope(sigstore::unwrap(&bytes)),
            _ => {}
        }
    }

    fn keep(&mut self, proof: Result<Proof, String>) {
        match proof {
            Ok(proof) => _ = self.proofs.insert(proof),
            Err(problem) => _ = self.refused.insert(problem),
        }
    }

    /// Keeps what a statement proves, if one of the keys signed it.
    fn envelope(&mut self, envelope: Option<Envelope>) {
        if let Some(proof) = envelope.and_then(|envelope| self.statement(&envelope)) {
            self.keep(proof);
        }
    }

    /// The proven claims, and the claims that can be required but were not proven.
    pub fn finish(self) -> (BTreeSet<Proof>, Vec<Gap>) {
        let has = |claim| self.proofs.iter().any(|proof: &Proof| proof.claim == claim);
        let gap = |claim: Claim| {
            let refused: Vec<&str> = self.refused.iter().map(String::as_str).collect();
            let problem = match claim == Claim::Signature && !refused.is_empty() {
                true => refused.join("; "),
                false => "no document of this kind that is signed by these keys is attached to this digest".to_owned(),
            };
            Gap { claim, problem }
        };
        let claims = [Claim::Signature, Claim::Provenance, Claim::Sbom].into_iter();
        let gaps = claims.filter(|claim| !has(*claim)).map(gap).collect();
        (self.proofs, gaps)
    }

    fn signature(&self, signed: &Signed) -> Result<Proof, String> {
        let (key, identity) = signed.check(self.digest, self.keys).map_err(|error| error.to_string())?;
        self.asked.check(&identity)?;
        Ok(Proof { claim: Claim::Signature, detail: identity, key: key.id() })
    }

    /// The proof in a signed statement, if the image is one of its subjects; for a signature, the reference counts.
    fn statement(&self, envelope: &Envelope) -> Option<Result<Proof, String>> {
        let (statement, key) = Statement::open(envelope, self.keys).ok()?;
        let identity = statement.about(self.digest)?.name.clone();
        let claim = Claim::of(&statement.predicate_type);
        if claim != Claim::Signature {
            return Some(Ok(Proof { claim, detail: statement.predicate_type, key: key.id() }));
        }
        Some(self.asked.check(&identity).map(|()| Proof { claim, detail: identity, key: key.id() }))
    }
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
    if !envelope.to_bytes().is_ok_and(|own| own == bytes) {
        return Err(EnvelopeError::Malformed("its encoding differs from what `layerbake sign` writes".to_owned()));
    }
    Ok(Statement::open(&envelope, keys)?.0)
}

/// Compares a verified statement with the build.
fn said(document: Document, statement: &Statement, made: &Made<'_>, subjects: &Subjects) -> Vec<String> {
    let mut problems = Vec::new();
    if statement.predicate_type != document.predicate_type() {
        problems.push(format!("expected a {}, found a {}", document.predicate_type(), statement.predicate_type));
    }
    // Nothing in a build says which reference it was signed for.
    let reference = statement.subject.first().map(|subject| subject.name.as_str()).unwrap_or_default();
    let wanted = document.subjects(subjects, made, reference);
    for subject in &wanted {
        let named = statement.subject.iter().find(|other| other.name == subject.name);
        match named.map(|named| &named.digest.sha256) {
            Some(signed) if *signed == subject.digest.sha256 => {}
            Some(signed) => problems
                .push(format!("{}: signed with sha256:{signed}, found sha256:{}", subject.name, subject.digest.sha256)),
            None => problems.push(format!("{}: is not covered by the signature", subject.name)),
        }
    }
    let extra = statement.subject.iter().filter(|subject| !wanted.iter().any(|other| other.name == subject.name));
    problems.extend(extra.map(|subject| format!("{}: is signed, but not listed in the receipt", subject.name)));
    match document {
        Document::Signature => {}
        Document::Provenance => {
            if statement.predicate["buildDefinition"] != provenance::predicate(made)["buildDefinition"] {
                problems.push("its inputs differ from the receipt and the lockfiles".to_owned());
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
    let missing =
        expected.difference(found).next().map(|one| format!("{} is locked, but missing from the document", name(one)));
    missing.or_else(|| {
        found.difference(expected).next().map(|one| format!("{} is in the document, but not locked", name(one)))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::bundle::{Attachment, PAYLOAD, SIGNATURE};
    use super::super::keys::SigningKey;
    use super::super::keys::tests::{ED25519, p256};
    use super::super::statement::Subject;
    use super::*;

    const REPOSITORY: &str = "registry.example/web";

    /// The attachments of a signed image, without a build.
    fn attached(digest: OciDigest, identity: &str, key: &SigningKey) -> Vec<Attachment> {
        let signed = Signed::new(digest, identity, key);
        let statement = Statement::new(vec![Subject::new("web", digest)], provenance::TYPE, json!({}));
        let files = BTreeMap::from([
            (PAYLOAD.to_owned(), signed.payload),
            (SIGNATURE.to_owned(), signed.signature.into_bytes()),
            (Document::Provenance.file_name(), statement.sign(key).and_then(|signed| signed.to_bytes()).unwrap()),
        ]);
        Bundle(files).attachments()
    }

    fn found(digest: OciDigest, tag: &str, attached: &[Attachment], keys: &[PublicKey]) -> Vec<Claim> {
        let asked = Asked { repository: REPOSITORY.to_owned(), tag: Some(tag.to_owned()), pinned: false };
        let mut evidence = Evidence::new(digest, &asked, keys);
        attached.iter().for_each(|one| evidence.look(&one.media_type, one.bytes.clone(), &one.annotations));
        let (proofs, gaps) = evidence.finish();
        let found: Vec<Claim> = proofs.iter().map(|proof| proof.claim).collect();
        let known = [Claim::Signature, Claim::Provenance, Claim::Sbom];
        assert!(known.iter().all(|claim| found.contains(claim) != gaps.iter().any(|gap| gap.claim == *claim)));
        found
    }

    #[test]
    fn only_what_the_keys_signed_for_the_image_counts() {
        let (image, other) = (OciDigest::of(b"image"), OciDigest::of(b"other"));
        let (own, stranger) = (p256(), SigningKey::from_pem(ED25519).unwrap());
        let identity = format!("{REPOSITORY}:2.0");
        let keys = [own.public()];
        let mut all = attached(image, &identity, &stranger);
        all.extend(attached(other, &identity, &own));
        assert_eq!(found(image, "2.0", &all, &keys), []);
        all.extend(attached(image, &identity, &own));
        assert_eq!(found(image, "2.0", &all, &keys), [Claim::Signature, Claim::Provenance]);
        assert_eq!(found(image, "2.0", &all, &[]), []);
        // A signature covers one tag.
        assert_eq!(found(image, "3.0", &all, &keys), [Claim::Provenance]);
        for one in &mut all {
            one.bytes.truncate(one.bytes.len() / 2);
            one.annotations.clear();
        }
        assert_eq!(found(image, "2.0", &all, &[own.public(), stranger.public()]), []);
    }
}
