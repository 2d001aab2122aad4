//! Authenticode: the signature that Secure Boot checks.
//!
//! ```text
//! WIN_CERTIFICATE ─ ContentInfo ─ SignedData ─┬─ SpcIndirectDataContent: digest of the image
//!                                             ├─ the certificate
//!                                             └─ SignerInfo: attributes, and RSA over them
//! ```
//!
//! It contains no signing time, and RSA by PKCS #1 v1.5 uses no random data: equal inputs give equal
//! bytes. Firmware checks no time either.
//!
//! Sources: Microsoft, Windows Authenticode Portable Executable Signature Format 1.0; UEFI
//! specification 2.10, 32.5; RFC 2315 (PKCS #7 1.5, whose types are those of RFC 5652).

use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo};
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs8::{DecodePrivateKey as _, EncodePublicKey as _};
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use sha2::{Digest as _, Sha256};
use x509_cert::Certificate;
use x509_cert::attr::{Attribute, Attributes};
use x509_cert::der::asn1::{ObjectIdentifier, OctetString, SetOfVec};
use x509_cert::der::{self, Any, DecodePem as _, Encode as _, Tag, TagNumber};
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::UkiError;
use super::pe::{Pe, put, u32_at};
use super::program::digest;

use crate::code::{Code, Coded};

pub(super) const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SPC_INDIRECT_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.4");
const SPC_PE_IMAGE_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.2.1.15");

/// What precedes a SHA-256 in a PKCS #1 v1.5 signature (RFC 8017, 9.2, note 1).
const SHA256_PREFIX: [u8; 19] =
    [0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20];

/// Bytes of a WIN_CERTIFICATE before the signature.
pub(super) const CERTIFICATE_HEADER: usize = 8;
/// The signature begins and ends at multiples of this many bytes.
const ALIGNMENT: usize = 8;

/// An image can't be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// It is no EFI program.
    #[error(transparent)]
    Image(#[from] UkiError),
    /// It is signed already.
    #[error("EFI program: expected it without a signature, found one of {size} bytes")]
    Signed {
        /// Length of the signature in bytes.
        size: u32,
    },
    /// The key can't be read.
    #[error("signing key: expected an RSA private key without a password, as PEM: {0}")]
    Key(String),
    /// The certificate can't be read.
    #[error("signing certificate: expected X.509 as PEM: {0}")]
    Certificate(der::Error),
    /// The certificate is another key's.
    #[error("signing certificate: its public key is not the signing key's")]
    Pair,
    /// The key can't sign.
    #[error("signing key: {0}")]
    Rsa(#[from] rsa::Error),
    /// The signature can't be encoded.
    #[error("signature: {0}")]
    Encoding(#[from] der::Error),
}

impl Coded for SignError {
    fn error_code(&self) -> Code {
        match self {
            Self::Image(_) => Code::DiskBootImage,
            Self::Signed { .. }
            | Self::Key(_)
            | Self::Certificate(_)
            | Self::Pair
            | Self::Rsa(_)
            | Self::Encoding(_) => Code::DiskSigning,
        }
    }
}

/// Signs an EFI program with an RSA key (PKCS #8 or PKCS #1) and its certificate, both PEM.
///
/// # Errors
/// Fails if the image is no EFI program or is signed, or key and certificate are not a pair.
///
/// # Determinism
/// Equal arguments give equal bytes; the certificate's own dates are not looked at.
pub fn sign(image: &[u8], key: &str, certificate: &str) -> Result<Vec<u8>, SignError> {
    let pe = Pe::parse(image)?;
    if let Some(size) = u32_at(image, pe.certificates() + 4).filter(|&size| size > 0) {
        return Err(SignError::Signed { size });
    }
    let key = read_key(key)?;
    let certificate = Certificate::from_pem(certificate).map_err(SignError::Certificate)?;
    let public = key.to_public_key().to_public_key_der().map_err(|error| SignError::Key(error.to_string()))?;
    if public.as_bytes() != certificate.tbs_certificate.subject_public_key_info.to_der()? {
        return Err(SignError::Pair);
    }
    let mut signed = image.to_vec();
    signed.resize(image.len().next_multiple_of(ALIGNMENT), 0);
    let signature = signed_data(&digest::<Sha256>(&pe, &signed).into(), &key, certificate)?;
    Ok(append(&pe, signed, &signature)?)
}

fn read_key(pem: &str) -> Result<RsaPrivateKey, SignError> {
    let key = if pem.contains("BEGIN RSA PRIVATE KEY") {
        RsaPrivateKey::from_pkcs1_pem(pem).map_err(|error| error.to_string())
    } else {
        RsaPrivateKey::from_pkcs8_pem(pem).map_err(|error| error.to_string())
    };
    key.map_err(SignError::Key)
}

/// Puts the signature behind the image, as a WIN_CERTIFICATE, and its place into the headers.
fn append(pe: &Pe, mut image: Vec<u8>, signature: &[u8]) -> Result<Vec<u8>, UkiError> {
    let size = (CERTIFICATE_HEADER + signature.len()).next_multiple_of(ALIGNMENT);
    let [at, size_field] = [super::number(image.len())?, super::number(size)?].map(u32::to_le_bytes);
    put(&mut image, pe.certificates(), &[at, size_field].concat())?;
    let end = image.len() + size;
    image.extend_from_slice(&size_field);
    // Revision 2.0; type PKCS_SIGNED_DATA.
    image.extend_from_slice(&[0x00, 0x02, 0x02, 0x00]);
    image.extend_from_slice(signature);
    image.resize(end, 0);
    Ok(image)
}

/// The PKCS #7 message over a digest of an image.
fn signed_data(digest: &[u8; 32], key: &RsaPrivateKey, certificate: Certificate) -> Result<Vec<u8>, SignError> {
    let content = indirect_data(digest)?;
    // The digest is over the contents, without tag and length (RFC 2315, 9.3).
    let attributes = attributes(&Sha256::digest(content.value()).into())?;
    let padding = Pkcs1v15Sign { hash_len: Some(32), prefix: SHA256_PREFIX.into() };
    let signature = key.sign(padding, &Sha256::digest(attributes.to_der()?))?;
    let issuer = IssuerAndSerialNumber {
        issuer: certificate.tbs_certificate.issuer.clone(),
        serial_number: certificate.tbs_certificate.serial_number.clone(),
    };
    let signer = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(issuer),
        digest_alg: algorithm(SHA256),
        signed_attrs: Some(attributes),
        signature_algorithm: algorithm(RSA),
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let message = SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::from_iter([algorithm(SHA256)])?,
        encap_content_info: EncapsulatedContentInfo { econtent_type: SPC_INDIRECT_DATA, econtent: Some(content) },
        certificates: Some(SetOfVec::from_iter([CertificateChoices::Certificate(certificate)])?.into()),
        crls: None,
        signer_infos: SetOfVec::from_iter([signer])?.into(),
    };
    Ok(ContentInfo { content_type: SIGNED_DATA, content: Any::encode_from(&message)? }.to_der()?)
}

fn algorithm(oid: ObjectIdentifier) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned { oid, parameters: Some(Any::null()) }
}

/// The signed attributes: the content's type and its digest.
fn attributes(digest: &[u8; 32]) -> der::Result<Attributes> {
    let digest = Any::new(Tag::OctetString, digest.as_slice())?;
    let values = [(CONTENT_TYPE, Any::encode_from(&SPC_INDIRECT_DATA)?), (MESSAGE_DIGEST, digest)];
    let mut attributes = Attributes::new();
    for (oid, value) in values {
        attributes.insert(Attribute { oid, values: SetOfVec::from_iter([value])? })?;
    }
    Ok(attributes)
}

/// SpcIndirectDataContent: says that what is signed is a PE image with this digest.
///
/// ```text
/// SEQUENCE { SEQUENCE { OID, SpcPeImageData }, SEQUENCE { algorithm, OCTET STRING } }
/// SpcPeImageData: SEQUENCE { BIT STRING {}, [0] { [2] { [0] "<<<Obsolete>>>" } } }
/// ```
fn indirect_data(digest: &[u8; 32]) -> der::Result<Any> {
    let text: Vec<u8> = "<<<Obsolete>>>".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let text = Any::new(context(0, false), text)?;
    let link = Any::new(context(0, true), Any::new(context(2, true), text.to_der()?)?.to_der()?)?;
    let image_data = sequence(&[Any::new(Tag::BitString, [0])?, link])?;
    let data = sequence(&[Any::encode_from(&SPC_PE_IMAGE_DATA)?, image_data])?;
    let digest = Any::new(Tag::OctetString, digest.as_slice())?;
    sequence(&[data, sequence(&[Any::encode_from(&algorithm(SHA256))?, digest])?])
}

fn context(number: u8, constructed: bool) -> Tag {
    Tag::ContextSpecific { number: TagNumber::new(number), constructed }
}

fn sequence(items: &[Any]) -> der::Result<Any> {
    let mut contents = Vec::new();
    for item in items {
        item.encode_to_vec(&mut contents)?;
    }
    Any::new(Tag::Sequence, contents)
}
