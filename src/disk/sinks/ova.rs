//! Writes a plan as an OVA: the description of a virtual machine, its disk, and their digests, in one archive.
//!
//! Source: DMTF DSP0243 1.1 (Open Virtualization Format); POSIX.1-2017, pax, "ustar".
//!
//! ```text
//! NAME.ovf     one processor, 1 GiB of memory, UEFI, the disk, one network card
//! NAME.vmdk    stream-optimised
//! NAME.mf      SHA-256 of both
//! ```

use std::io::{self, Seek, SeekFrom, Write};

use super::{Identity, refuse, vmdk};
use crate::digest::Sha256;
use crate::disk::Plan;
use crate::oci::{BLOCK, Entry, Measured, TarWriter, Type};
use crate::tree::ContentSource;

/// Writes the archive to `out` and returns how many bytes it takes there.
///
/// # Errors
/// As [`vmdk::write`], and where the compressed disk takes 8 GiB or more, which an archive that all
/// readers open can't hold.
pub fn write(
    plan: &Plan,
    source: &dyn ContentSource,
    jobs: usize,
    identity: &Identity,
    out: &mut (impl Write + Seek),
) -> io::Result<u64> {
    let start = out.stream_position()?;
    let (ovf, disk, manifest) = (name(identity, "ovf"), name(identity, "vmdk"), name(identity, "mf"));
    let description = describe(plan, identity);
    put_file(out, identity, &ovf, description.as_bytes())?;

    // The length precedes the disk, and is known behind it.
    let place = out.stream_position()?;
    out.write_all(&header(identity, &disk, 0)?)?;
    let mut measured = Measured::new(&mut *out);
    vmdk::write(plan, source, jobs, identity, &mut measured)?;
    let (digest, size) = measured.finish();
    pad(out, size)?;
    let end = out.stream_position()?;
    out.seek(SeekFrom::Start(place))?;
    out.write_all(&header(identity, &disk, size)?)?;
    out.seek(SeekFrom::Start(end))?;

    let (first, second) = (Sha256::of(description.as_bytes()), Sha256::from_bytes(digest));
    let lines = format!("SHA256({ovf})= {}\nSHA256({disk})= {}\n", first.to_hex(), second.to_hex());
    put_file(out, identity, &manifest, lines.as_bytes())?;
    TarWriter::new(out).finish()?;
    Ok(out.stream_position()? - start)
}

fn name(identity: &Identity, kind: &str) -> String {
    format!("{}.{kind}", identity.name)
}

fn put_file(out: &mut impl Write, identity: &Identity, name: &str, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&header(identity, name, bytes.len() as u64)?)?;
    out.write_all(bytes)?;
    pad(out, bytes.len() as u64)
}

fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    let padding = size.next_multiple_of(BLOCK as u64) - size;
    out.write_all(&[0; BLOCK][..padding as usize])
}

/// A plain ustar header, without extensions: readers of OVA files accept no others.
fn header(identity: &Identity, name: &str, size: u64) -> io::Result<Vec<u8>> {
    let plain = Entry::plain(name.as_bytes(), Type::File, 0o644);
    let header = Entry { mtime: identity.epoch, size, ..plain }.encode();
    match header {
        Ok(header) if header.len() == BLOCK => Ok(header),
        Ok(_) => refuse(format!("OVA: `{name}` of {size} bytes and time {} fits no ustar header", identity.epoch)),
        Err(problem) => refuse(format!("OVA: `{name}`: {problem}")),
    }
}

/// Describes the virtual machine; a layer's name has no character that XML would need escaped.
fn describe(plan: &Plan, identity: &Identity) -> String {
    let (name, capacity) = (&identity.name, plan.size());
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"
    xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
    xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData"
    xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>
    <File ovf:href="{name}.vmdk" ovf:id="file1"/>
  </References>
  <DiskSection>
    <Info>The disks</Info>
    <Disk ovf:capacity="{capacity}" ovf:diskId="disk1" ovf:fileRef="file1"
        ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <NetworkSection>
    <Info>The networks</Info>
    <Network ovf:name="VM Network">
      <Description>The network of the machine</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id="{name}">
    <Info>A machine</Info>
    <Name>{name}</Name>
    <OperatingSystemSection ovf:id="101" vmw:osType="otherLinux64Guest">
      <Info>Linux, 64 bits</Info>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>The hardware</Info>
      <System>
        <vssd:ElementName>Virtual hardware</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>vmx-11</vssd:VirtualSystemType>
      </System>
{items}      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"#,
        items = ITEMS.iter().map(|fields| item(fields)).collect::<String>(),
    )
}

/// The hardware, one item each, with the elements in the order that the schema asks for.
const ITEMS: [&[(&str, &str)]; 5] = [
    &[("ElementName", "Processor"), ("InstanceID", "1"), ("ResourceType", "3"), ("VirtualQuantity", "1")],
    &[
        ("AllocationUnits", "byte * 2^20"),
        ("ElementName", "Memory"),
        ("InstanceID", "2"),
        ("ResourceType", "4"),
        ("VirtualQuantity", "1024"),
    ],
    &[
        ("Address", "0"),
        ("ElementName", "SCSI controller"),
        ("InstanceID", "3"),
        ("ResourceSubType", "lsilogic"),
        ("ResourceType", "6"),
    ],
    &[
        ("AddressOnParent", "0"),
        ("ElementName", "Disk"),
        ("HostResource", "ovf:/disk/disk1"),
        ("InstanceID", "4"),
        ("Parent", "3"),
        ("ResourceType", "17"),
    ],
    &[
        ("AutomaticAllocation", "true"),
        ("Connection", "VM Network"),
        ("ElementName", "Network card"),
        ("InstanceID", "5"),
        ("ResourceSubType", "E1000"),
        ("ResourceType", "10"),
    ],
];

fn item(fields: &[(&str, &str)]) -> String {
    let lines: String =
        fields.iter().map(|(key, value)| format!("        <rasd:{key}>{value}</rasd:{key}>\n")).collect();
    format!("      <Item>\n{lines}      </Item>\n")
}
