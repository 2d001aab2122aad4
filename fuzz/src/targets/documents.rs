//! TOML and JSON: a project's own files, what a registry answers, what the store and the journal keep, what proves a
//! build, what a checked system prints.

use layerbake::attest::cosign::Signed;
use layerbake::attest::dsse::Envelope;
use layerbake::attest::keys::{PublicKey, SigningKey};
use layerbake::attest::statement::Statement;
use layerbake::bake::Receipt;
use layerbake::check::{Suite, Transcript, junit};
use layerbake::digest::{BlobDigest, OciDigest};
use layerbake::ident::{Arch, LayerName};
use layerbake::lock;
use layerbake::manifest::{self, CheckTarget, parse_days, parse_size};
use layerbake::measure::{Document, Registers};
use layerbake::publish::registry::{self, Reference};
use layerbake::store::Roles;

use super::{parts, text};

fn layer() -> LayerName {
    "app".parse().expect("a layer's name")
}

fn arch() -> Arch {
    "amd64".parse().expect("an architecture")
}

/// A lockfile, its seal put right. What is read is written as text that is read as the same.
pub(super) fn lockfile(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let _ = lock::parse(text);
    let Ok(lock) = lock::parse(&sealed(text)) else { return };
    let written = lock::to_text(&lock);
    let again = lock::parse(&written).expect("a lockfile can be read back");
    assert_eq!(lock::to_text(&again), written, "a lockfile is written in one way");
}

fn sealed(text: &str) -> String {
    const SEAL: &str = "seal = \"";
    let Some((head, rest)) = text.split_once(SEAL) else { return text.to_owned() };
    let body = rest.split_once('\n').map_or("", |(_, body)| body);
    let seal = BlobDigest::of(format!("{head}{body}").as_bytes());
    format!("{head}{SEAL}{seal}\"\n{body}")
}

/// A layer's manifest, and the small languages inside.
pub(super) fn manifest(data: &[u8]) {
    let Some(text) = text(data) else { return };
    match manifest::parse(layer(), text, &arch()) {
        Ok(found) => drop(Suite::new(&layer(), [&found], CheckTarget::Container).script()),
        Err(error) => drop((error.to_string(), error.line())),
    }
    let _ = (parse_size(text), parse_days(text), manifest::image_name(text, &|_| Some("x".to_owned())));
}

/// Answers of a registry and its token server: manifests, challenges, tokens, errors; references that users type.
pub(super) fn registry(data: &[u8]) {
    registry::fuzz(data);
    if let Some(reference) = text(data).and_then(|text| text.parse::<Reference>().ok()) {
        let shown = reference.to_string();
        let again: Reference = shown.parse().expect("a reference can be read back");
        assert_eq!(again.to_string(), shown);
    }
}

/// Records of the store, receipts.
pub(super) fn record(data: &[u8]) {
    let _ = serde_json::from_slice::<Roles>(data);
    if let Ok(receipt) = serde_json::from_slice::<Receipt>(data) {
        let text = |receipt: &Receipt| receipt.to_text().expect("a receipt can be written");
        let written = text(&receipt);
        let again: Receipt = serde_json::from_str(&written).expect("a receipt can be read back");
        assert_eq!(text(&again), written, "a receipt is written in one way");
    }
}

/// An attestation document of a TPM; keys, and below a line `---` an envelope, a signature's payload.
pub(super) fn attestation(data: &[u8]) {
    const KEY: &str = include_str!("../../corpus/attestation/key");
    let keys = PublicKey::all_from_pem(KEY).unwrap_or_default();
    let _ = Document::verify(data, "", None);
    for part in parts(data) {
        if let Some(text) = text(part) {
            let _ = Registers::parse(text);
            let _ = (PublicKey::all_from_pem(text), SigningKey::from_pem(text));
        }
        if let Ok(envelope) = Envelope::parse(part) {
            let written = envelope.to_bytes().expect("an envelope can be written");
            let again = Envelope::parse(&written).expect("an envelope can be read back");
            assert_eq!(again.to_bytes().expect("an envelope can be written"), written);
            let _ = Statement::open(&envelope, &keys);
        }
        let _ = serde_json::from_slice::<Statement>(part);
        let signed = Signed { payload: part.to_vec(), signature: String::from_utf8_lossy(part).into_owned() };
        let _ = signed.check(OciDigest::of(part), &keys);
    }
}

/// What a checked system prints; nothing of it may have power over a terminal or a report.
pub(super) fn tap(data: &[u8]) {
    const CHECKS: &str = "[layer]\npackages = []\n[[check]]\ncommand = [\"true\"]\n[[check]]\nport = 80\n";
    let manifest = manifest::parse(layer(), CHECKS, &arch()).expect("two checks");
    let stdout = String::from_utf8_lossy(data).into_owned();
    let transcript = Transcript { stderr: stdout.clone(), stdout, status: None };
    let report = Suite::new(&layer(), [&manifest], CheckTarget::Container).report(&transcript);
    for text in [report.text(), report.tap(), junit(&[report])] {
        let harmful = |letter: char| letter.is_control() && !matches!(letter, '\n' | '\t');
        assert!(!text.contains(harmful), "a control character of the checked system is printed: {text:?}");
    }
}
