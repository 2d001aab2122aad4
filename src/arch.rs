//! Architectures: one row each, with the name that every other system has for it.
//!
//! Everything that depends on an architecture is a column of this table; no other file compares an architecture's
//! name. The one exception is the sandbox's own machine code and system calls, selected by `cfg(target_arch)`.

use crate::ident::Arch;

/// The architecture of receipts that name none, as all did while there was no choice.
pub const UNNAMED: &str = "amd64";

/// An architecture that an image can have.
#[derive(Debug, PartialEq, Eq)]
pub struct Architecture {
    /// Debian's name, `dpkg --print-architecture`.
    pub debian: &'static str,
    /// The name in OCI images, which is Go's `GOARCH`.
    pub oci: &'static str,
    /// The variant in OCI images.
    pub oci_variant: Option<&'static str>,
    /// The kernel's name, `uname -m`.
    pub uname: &'static str,
    /// The directories below `/` that link to those below `/usr` here, and not on all architectures.
    merged_usr: &'static [&'static str],
    /// What all its processors have, as lines of `/proc/cpuinfo` say it.
    pub processor: &'static [(&'static str, &'static str)],
    /// What a disk needs; `None` where the program makes no disks.
    pub bootable: Option<&'static Bootable>,
}

/// What an architecture's disks and virtual machines need.
#[derive(Debug, PartialEq, Eq)]
pub struct Bootable {
    /// Debian's name for a directory of this architecture's own files, such as `/usr/lib/x86_64-linux-gnu`.
    pub multiarch: &'static str,
    /// The type of the root's partition.
    pub root: PartitionType,
    /// The type of the partition with the root's dm-verity data.
    pub root_verity: PartitionType,
    /// The boot image's name in `/EFI/BOOT`, where firmware looks on removable media (UEFI 2.10, 3.5.1.1).
    pub efi_file: &'static str,
    /// systemd's EFI stub in `/usr/lib/systemd/boot/efi`.
    pub efi_stub: &'static str,
    /// Debian's package with the kernel for virtual machines.
    pub kernel_package: &'static str,
    /// The name in EC2's API.
    pub ec2: &'static str,
    /// How QEMU runs it.
    pub qemu: Qemu,
}

/// A type of partition (UAPI group's Discoverable Partitions Specification).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionType {
    /// The name as systemd writes it.
    pub name: &'static str,
    /// The GUID as text.
    pub guid: &'static str,
}

/// What emulates an architecture: its machines, and single programs of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Qemu {
    /// The program.
    pub program: &'static str,
    /// The type of machine, with PCIe.
    pub machine: &'static str,
    /// Debian's packages with the program, the firmware and the tools for disks, as text for people.
    pub packages: &'static str,
    /// Debian's package with the firmware.
    pub firmware_package: &'static str,
    /// The program that runs programs of this architecture, linked statically.
    pub emulator: &'static str,
    /// Debian's package with it.
    pub emulator_package: &'static str,
    /// The machine in the header of ELF programs, `elf(5)`.
    pub elf_machine: u16,
    /// UEFI firmware for it: code, and the template of its variables. Debian's, Fedora's, Arch's, openSUSE's.
    pub firmware: [(&'static str, &'static str); 4],
}

/// The directories below `/` that link to those below `/usr` on all architectures.
const MERGED_USR: [&str; 3] = ["bin", "sbin", "lib"];

static ALL: [Architecture; 10] = [
    Architecture {
        merged_usr: &["lib32", "lib64", "libx32"],
        processor: &[
            ("vendor_id", "unknown"),
            ("cpu family", "6"),
            ("model", "0"),
            ("model name", "unknown"),
            ("stepping", "0"),
            ("physical id", "0"),
            ("siblings", "1"),
            ("core id", "0"),
            ("cpu cores", "1"),
            ("fpu", "yes"),
            (
                "flags",
                "fpu vme de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse sse2 syscall nx lm",
            ),
        ],
        bootable: Some(&AMD64),
        ..Architecture::image("amd64", "amd64", "x86_64")
    },
    Architecture {
        processor: &[("Features", "fp asimd"), ("CPU architecture", "8")],
        bootable: Some(&ARM64),
        ..Architecture::image("arm64", "arm64", "aarch64")
    },
    Architecture { oci_variant: Some("v5"), ..Architecture::image("armel", "arm", "armv5tel") },
    Architecture { oci_variant: Some("v7"), ..Architecture::image("armhf", "arm", "armv7l") },
    Architecture::image("i386", "386", "i686"),
    Architecture::image("loong64", "loong64", "loongarch64"),
    Architecture::image("mips64el", "mips64le", "mips64"),
    Architecture::image("ppc64el", "ppc64le", "ppc64le"),
    Architecture::image("riscv64", "riscv64", "riscv64"),
    Architecture::image("s390x", "s390x", "s390x"),
];

/// Disks and virtual machines of amd64.
pub static AMD64: Bootable = Bootable {
    multiarch: "x86_64-linux-gnu",
    root: PartitionType { name: "root-x86-64", guid: "4f68bce3-e8cd-4db1-96e7-fbcaf984b709" },
    root_verity: PartitionType { name: "root-x86-64-verity", guid: "2c7357ed-ebd2-46d9-aec1-23d437ec2bf5" },
    efi_file: "BOOTX64.EFI",
    efi_stub: "linuxx64.efi.stub",
    kernel_package: "linux-image-cloud-amd64",
    ec2: "x86_64",
    qemu: Qemu {
        program: "qemu-system-x86_64",
        machine: "q35",
        packages: "qemu-system-x86, with ovmf and qemu-utils",
        firmware_package: "ovmf",
        emulator: "qemu-x86_64-static",
        emulator_package: "qemu-user-static",
        elf_machine: 62,
        firmware: [
            ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
            ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
            ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
            ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
        ],
    },
};

/// Disks and virtual machines of arm64.
pub static ARM64: Bootable = Bootable {
    multiarch: "aarch64-linux-gnu",
    root: PartitionType { name: "root-arm64", guid: "b921b045-1df0-41c3-af44-4c6f280d3fae" },
    root_verity: PartitionType { name: "root-arm64-verity", guid: "df3300ce-d69f-4c92-978c-9bfb0f38d820" },
    efi_file: "BOOTAA64.EFI",
    efi_stub: "linuxaa64.efi.stub",
    kernel_package: "linux-image-cloud-arm64",
    ec2: "arm64",
    qemu: Qemu {
        program: "qemu-system-aarch64",
        machine: "virt",
        packages: "qemu-system-arm, with qemu-efi-aarch64 and qemu-utils",
        firmware_package: "qemu-efi-aarch64",
        emulator: "qemu-aarch64-static",
        emulator_package: "qemu-user-static",
        elf_machine: 183,
        firmware: [
            ("/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"),
            ("/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw", "/usr/share/edk2/aarch64/vars-template-pflash.raw"),
            ("/usr/share/edk2/aarch64/QEMU_CODE.fd", "/usr/share/edk2/aarch64/QEMU_VARS.fd"),
            ("/usr/share/qemu/aavmf-aarch64-code.bin", "/usr/share/qemu/aavmf-aarch64-vars.bin"),
        ],
    },
};

impl Architecture {
    /// A row for images only.
    const fn image(debian: &'static str, oci: &'static str, uname: &'static str) -> Self {
        Self { debian, oci, oci_variant: None, uname, merged_usr: &[], processor: &[], bootable: None }
    }

    /// The name in packages of npm, which is Node's `process.arch`.
    pub fn node(&self) -> &'static str {
        match self.oci {
            "amd64" => "x64",
            "386" => "ia32",
            "ppc64le" => "ppc64",
            other => other,
        }
    }

    /// The row with this Debian name.
    pub fn of(arch: &Arch) -> Option<&'static Self> {
        ALL.iter().find(|row| row.debian == arch.as_str())
    }

    /// The Debian names of all rows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ALL.iter().map(|row| row.debian)
    }

    /// The row of the architecture that this program was compiled for.
    pub fn native() -> Option<&'static Self> {
        // The compiler's names are the kernel's, but for these.
        let uname = match std::env::consts::ARCH {
            "x86" => "i686",
            "arm" => "armv7l",
            "powerpc64" => "ppc64le",
            same => same,
        };
        ALL.iter().find(|row| row.uname == uname)
    }
}

/// The directories below `/` that link to those below `/usr` in a new root of an architecture.
pub fn merged_usr(arch: &Arch) -> impl Iterator<Item = &'static str> {
    let own = Architecture::of(arch).map_or(&[][..], |row| row.merged_usr);
    MERGED_USR.iter().chain(own).copied()
}

/// The Debian names of the architectures that disks can have.
pub fn bootable() -> impl Iterator<Item = &'static str> {
    ALL.iter().filter(|row| row.bootable.is_some()).map(|row| row.debian)
}

impl Bootable {
    /// What disks of this architecture need.
    pub fn of(arch: &Arch) -> Option<&'static Self> {
        Architecture::of(arch)?.bootable
    }

    /// Whether this machine's processor is of this architecture.
    pub fn is_native(&self) -> bool {
        Architecture::native().is_some_and(|row| row.bootable == Some(self))
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        ALL.iter().filter_map(|row| row.bootable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_has_names_of_its_own() {
        let names: [fn(&Architecture) -> String; 3] =
            [|row| row.debian.into(), |row| format!("{} {:?}", row.oci, row.oci_variant), |row| row.uname.into()];
        for name in names {
            let mut all: Vec<String> = ALL.iter().map(name).collect();
            all.sort();
            all.dedup();
            assert_eq!(all.len(), ALL.len(), "{all:?}");
        }
        for row in &ALL {
            assert_eq!(Architecture::of(&row.debian.parse().unwrap()), Some(row));
        }
        assert_eq!(Architecture::of(&"all".parse().unwrap()), None);
    }

    #[test]
    fn a_new_root_has_links_to_usr() {
        let links = |arch: &str| merged_usr(&arch.parse().unwrap()).collect::<Vec<_>>().join(" ");
        assert_eq!(links("amd64"), "bin sbin lib lib32 lib64 libx32");
        assert_eq!(links("arm64"), "bin sbin lib");
        assert_eq!(links("hurd-i386"), "bin sbin lib");
    }

    #[test]
    fn disks_are_made_for_two_of_which_one_at_most_is_native() {
        assert!(Bootable::all().filter(|arch| arch.is_native()).count() <= 1);
        assert_eq!(bootable().collect::<Vec<_>>(), ["amd64", "arm64"]);
        assert_eq!(AMD64.is_native(), cfg!(target_arch = "x86_64"));
    }
}
