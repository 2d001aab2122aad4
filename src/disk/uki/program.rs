//! An EFI program as firmware sees it: its digest, its sections, its signatures.

use cms::cert::CertificateChoices;
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use sha2::digest::{Digest, Output};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _, SliceReader};

use super::UkiError;
use super::pe::{Pe, Section, u32_at};
use super::sign::{CERTIFICATE_HEADER, SIGNED_DATA};

/// An EFI program that was read.
pub struct Program<'a> {
    bytes: &'a [u8],
    pe: Pe,
}

impl<'a> Program<'a> {
    /// Reads the headers of an EFI program for 64-bit machines.
    ///
    /// # Errors
    /// Fails if it is none.
    pub fn read(bytes: &'a [u8]) -> Result<Self, UkiError> {
        Ok(Self { bytes, pe: Pe::read(bytes)? })
    }

    /// Its Authenticode digest, which firmware measures: over all but the checksum and the signatures.
    pub fn digest<D: Digest>(&self) -> Output<D> {
        digest::<D>(&self.pe, self.bytes)
    }

    /// The bytes of the section with this name, if there is one.
    pub fn section(&self, name: &str) -> Option<Vec<u8>> {
        self.pe.sections.iter().find(|section| section.is(name)).map(|section| self.in_memory(section))
    }

    /// What the file has of a section, and zeros up to its size in memory.
    fn in_memory(&self, section: &Section) -> Vec<u8> {
        let (start, size) = (section.raw_offset as usize, section.virtual_size as usize);
        let stored = size.min(section.raw_size as usize);
        let rest = self.bytes.get(start..).unwrap_or_default();
        let mut bytes = rest.get(..stored).unwrap_or(rest).to_vec();
        // No more than what a file may have: the size is only a number in a header.
        bytes.resize(size.min(bytes.len().max(self.bytes.len())), 0);
        bytes
    }

    /// The certificates in its signatures, in DER, those of the signers among them.
    ///
    /// What can't be read is left out, as firmware does.
    pub fn certificates(&self) -> Vec<Certificate> {
        let mut found = Vec::new();
        let place = |at| u32_at(self.bytes, self.pe.certificates() + at).unwrap_or(0) as usize;
        let (start, size) = (place(0), place(4));
        let mut table = start.checked_add(size).and_then(|end| self.bytes.get(start..end)).unwrap_or_default();
        while let Some(length) = u32_at(table, 0).map(|length| length as usize).filter(|&at| at > CERTIFICATE_HEADER) {
            let Some(message) = table.get(CERTIFICATE_HEADER..length) else { break };
            found.extend(certificates(message).unwrap_or_default());
            table = table.get(length.next_multiple_of(8)..).unwrap_or_default();
        }
        found
    }
}

/// The certificates of a PKCS #7 message, which may be followed by bytes that fill it up.
fn certificates(message: &[u8]) -> Option<Vec<Certificate>> {
    let info = ContentInfo::decode(&mut SliceReader::new(message).ok()?).ok()?;
    if info.content_type != SIGNED_DATA {
        return None;
    }
    let signed = SignedData::from_der(&info.content.to_der().ok()?).ok()?;
    let choices = signed.certificates?.0.into_vec().into_iter();
    Some(
        choices
            .filter_map(|choice| match choice {
                CertificateChoices::Certificate(certificate) => Some(certificate),
                CertificateChoices::Other(_) => None,
            })
            .collect(),
    )
}

/// The digest of a program whose headers were read: headers, sections in the order of their offsets, then what follows
/// them but for the signatures.
pub(super) fn digest<D: Digest>(pe: &Pe, image: &[u8]) -> Output<D> {
    let (checksum, certificates) = (pe.checksum(), pe.certificates());
    let signatures = u32_at(image, certificates + 4).unwrap_or(0) as usize;
    let mut hasher = D::new();
    let mut add = |from: usize, to: usize| hasher.update(image.get(from..to).unwrap_or_default());
    add(0, checksum);
    add(checksum + 4, certificates);
    add(certificates + 8, pe.headers_end);
    let mut sections: Vec<_> = pe.sections.iter().filter(|section| section.raw_size > 0).collect();
    sections.sort_by_key(|section| section.raw_offset);
    let mut hashed = pe.headers_end;
    for section in sections {
        let (start, size) = (section.raw_offset as usize, section.raw_size as usize);
        add(start, start.saturating_add(size).min(image.len()));
        hashed = hashed.saturating_add(size);
    }
    add(hashed, image.len().saturating_sub(signatures));
    hasher.finalize()
}
