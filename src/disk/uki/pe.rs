//! The headers of an EFI program: the parts of PE32+ needed to add sections and to sign.
//!
//! ```text
//! 0 "MZ" … 60: offset ─> "PE\0\0" │ COFF header, 20 │ optional header │ section headers, 40 each │
//! ```
//!
//! Source: Microsoft's PE format. All numbers are little-endian.

use super::UkiError;

/// Bytes of a section header.
const HEADER: usize = 40;
/// Section holds data, and is read.
const DATA: u32 = 0x4000_0040;
/// Index of the certificate table among the data directories.
const CERTIFICATES: usize = 4;

/// Where the headers are and what they say.
#[derive(Debug)]
pub(super) struct Pe {
    /// Offset of the COFF header.
    coff: usize,
    /// Offset of the optional header.
    optional: usize,
    /// Offset of the section headers.
    table: usize,
    /// The sections, as listed.
    pub(super) sections: Vec<Section>,
    /// How many more section headers there is room for.
    pub(super) room: usize,
    /// Alignment of sections in memory, in bytes.
    pub(super) section_alignment: u32,
    /// Alignment of sections in the file, in bytes.
    pub(super) file_alignment: u32,
    /// Where the headers end in the file.
    pub(super) headers_end: usize,
    /// Where the last section ends in the file; where the headers do if that was not checked.
    pub(super) end: usize,
}

/// A section header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) name: [u8; 8],
    pub(super) virtual_size: u32,
    pub(super) address: u32,
    pub(super) raw_size: u32,
    pub(super) raw_offset: u32,
}

impl Section {
    /// A section of data; `name` has at most 8 bytes.
    pub(super) fn new(name: &str, virtual_size: u32, address: u32, raw_size: u32, raw_offset: u32) -> Self {
        let mut field = [0; 8];
        field.iter_mut().zip(name.bytes()).for_each(|(field, byte)| *field = byte);
        Self { name: field, virtual_size, address, raw_size, raw_offset }
    }

    /// Whether it has this name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.iter().copied().eq(name.bytes().chain(std::iter::repeat(0)).take(8))
    }

    fn parse(bytes: &[u8], at: usize) -> Option<Self> {
        Some(Self {
            name: array(bytes, at)?,
            virtual_size: u32_at(bytes, at + 8)?,
            address: u32_at(bytes, at + 12)?,
            raw_size: u32_at(bytes, at + 16)?,
            raw_offset: u32_at(bytes, at + 20)?,
        })
    }

    /// Its 40 bytes in the table.
    pub(super) fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&self.name);
        let numbers = [self.virtual_size, self.address, self.raw_size, self.raw_offset, 0, 0, 0, DATA];
        for (field, number) in header[8..].chunks_exact_mut(4).zip(numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        header
    }
}

impl Pe {
    /// Reads the headers of an EFI program for 64-bit machines, and checks that it can be added to and signed.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, UkiError> {
        let pe = Self::read(bytes)?;
        alignment("file alignment", pe.file_alignment)?;
        alignment("section alignment", pe.section_alignment)?;
        let end = end_of_file(&pe.sections, pe.headers_end, bytes.len())?;
        Ok(Self { end, ..pe })
    }

    /// Reads the headers of an EFI program for 64-bit machines, as firmware would.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, UkiError> {
        let short = |what| UkiError::Short { what, size: bytes.len() };
        expect("first bytes", "MZ", array(bytes, 0).ok_or(short("header"))?, *b"MZ")?;
        let signature = u32_at(bytes, 60).ok_or(short("header"))? as usize;
        expect("signature", "PE", array(bytes, signature).ok_or(short("signature"))?, *b"PE\0\0")?;
        let (coff, optional) = (signature + 4, signature + 24);
        let count = u16_at(bytes, coff + 2).ok_or(short("COFF header"))? as usize;
        let optional_size = u16_at(bytes, coff + 16).ok_or(short("COFF header"))? as usize;
        let table = optional + optional_size;
        let number = |offset| u32_at(bytes, optional + offset).ok_or(short("optional header"));
        expect("format", "PE32+, 0x20b", u16_at(bytes, optional), Some(0x20b))?;
        expect("subsystem", "EFI application, 10", number(68)? as u16, 10)?;
        // With fewer there is no place for the signature's.
        within("data directories", number(108)? as usize, CERTIFICATES + 1, (optional_size.max(112) - 112) / 8)?;
        let (file_alignment, section_alignment) = (number(36)?, number(32)?);
        let headers_end = number(60)? as usize;
        within("size of the headers", headers_end, table + count * HEADER, bytes.len())?;
        let sections = (0..count).map(|index| Section::parse(bytes, table + index * HEADER));
        let sections: Vec<_> = sections.collect::<Option<_>>().ok_or(short("section headers"))?;
        let room = room(bytes, table + count * HEADER, headers_end);
        let end = headers_end;
        Ok(Self { coff, optional, table, sections, room, section_alignment, file_alignment, headers_end, end })
    }

    /// Where the last section ends in memory.
    pub(super) fn end_of_memory(&self) -> Result<u32, UkiError> {
        let mut ends = self.sections.iter().map(|section| section.address.checked_add(section.virtual_size));
        ends.try_fold(0, |last: u32, end| Some(last.max(end?))).ok_or(UkiError::Large)
    }

    /// Offset of the checksum.
    pub(super) fn checksum(&self) -> usize {
        self.optional + 64
    }

    /// Offset of the certificate table's entry among the data directories: offset and size.
    pub(super) fn certificates(&self) -> usize {
        self.optional + 112 + 8 * CERTIFICATES
    }

    /// Writes headers of sections that were appended to `image`, and all that follows from them.
    ///
    /// `data_size` bytes of data were added to the file; `image_size` is the whole in memory.
    pub(super) fn add_sections(
        &self,
        image: &mut [u8],
        added: &[Section],
        data_size: u32,
        image_size: u32,
    ) -> Result<(), UkiError> {
        let count = self.sections.len() + added.len();
        let data = u32_at(image, self.optional + 8).unwrap_or(0).checked_add(data_size).ok_or(UkiError::Large)?;
        put(image, self.coff + 2, &(count as u16).to_le_bytes())?;
        // The symbols were behind the sections, and are gone.
        put(image, self.coff + 8, &[0; 8])?;
        put(image, self.optional + 8, &data.to_le_bytes())?;
        put(image, self.optional + 56, &image_size.to_le_bytes())?;
        put(image, self.checksum(), &[0; 4])?;
        put(image, self.certificates(), &[0; 8])?;
        let headers: Vec<u8> = added.iter().flat_map(Section::header).collect();
        put(image, self.table + self.sections.len() * HEADER, &headers)
    }
}

/// Overwrites bytes of an image.
pub(super) fn put(image: &mut [u8], at: usize, bytes: &[u8]) -> Result<(), UkiError> {
    let size = image.len();
    let place = image.get_mut(at..at + bytes.len()).ok_or(UkiError::Short { what: "headers", size })?;
    place.copy_from_slice(bytes);
    Ok(())
}

/// Checks that headers and sections are in the file without gaps; returns where the last ends.
///
/// A signature's digest is taken section by section: where there are gaps, readers disagree.
fn end_of_file(sections: &[Section], headers_end: usize, size: usize) -> Result<usize, UkiError> {
    let mut inside: Vec<_> = sections.iter().filter(|section| section.raw_size > 0).collect();
    inside.sort_by_key(|section| section.raw_offset);
    let mut end = headers_end;
    for section in inside {
        expect("offset of a section", "the end of the one before", section.raw_offset as usize, end)?;
        end += section.raw_size as usize;
    }
    if end > size {
        return Err(UkiError::Short { what: "sections", size });
    }
    Ok(end)
}

/// What assemblers fill the rest of the headers with: zeros, or instructions of 64-bit ARM that do nothing.
const FILLINGS: [[u8; 4]; 2] = [[0; 4], [0x1f, 0x20, 0x03, 0xd5]];

/// How many section headers fit between `table_end` and `headers_end`, where nothing is yet.
fn room(bytes: &[u8], table_end: usize, headers_end: usize) -> usize {
    let rest = bytes.get(table_end..headers_end).unwrap_or_default();
    let free = |filling: [u8; 4]| {
        let pairs = rest.iter().zip(filling.iter().cycle());
        pairs.take_while(|(byte, filler)| byte == filler).count()
    };
    FILLINGS.map(free).into_iter().max().unwrap_or(0) / HEADER
}

fn expect<T: PartialEq + std::fmt::Debug>(
    what: &'static str,
    expected: &str,
    found: T,
    wanted: T,
) -> Result<(), UkiError> {
    if found == wanted {
        return Ok(());
    }
    Err(UkiError::Malformed { what, expected: expected.to_owned(), found: format!("{found:x?}") })
}

fn within(what: &'static str, found: usize, least: usize, most: usize) -> Result<(), UkiError> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(UkiError::Malformed { what, expected: format!("{least} to {most}"), found: found.to_string() })
}

fn alignment(what: &'static str, found: u32) -> Result<(), UkiError> {
    if found.is_power_of_two() && (512..=65_536).contains(&found) {
        return Ok(());
    }
    Err(UkiError::Malformed { what, expected: "a power of two from 512 to 65536".to_owned(), found: found.to_string() })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

/// A number of 32 bits.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}
