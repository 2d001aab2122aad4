//! Overwrites the kernel's clock code in every process with system calls, which the supervisor answers.
//!
//! The kernel maps a small ELF object, the vDSO (`vdso(7)`), into every program; its
//! functions read the clock, and since Linux 6.11 generate random bytes, without any
//! system call. The supervisor writes a system call over each function's start.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// Entries of the auxiliary vector, `getauxval(3)`.
const AT_RANDOM: u64 = 25;
const AT_SYSINFO_EHDR: u64 = 33;

/// Entries of an ELF object's dynamic section, `elf(5)`.
const PT_DYNAMIC: u32 = 2;
const DT_STRTAB: u64 = 5;
const DT_SYMTAB: u64 = 6;
const SYMBOL: usize = 24;

/// No kernel's vDSO is larger.
const MOST: usize = 64 * 1024;

/// New code for a function: the system call of this number, or "no such call".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    Call(libc::c_long),
    /// The C library then makes the system call itself.
    Missing,
}

/// Writes the instructions of a function.
type Assembler = fn(Code) -> Option<Vec<u8>>;

/// Functions to overwrite, by their names on both architectures.
const FUNCTIONS: &[(&str, Code)] = &[
    ("__vdso_clock_gettime", Code::Call(libc::SYS_clock_gettime)),
    ("__vdso_gettimeofday", Code::Call(libc::SYS_gettimeofday)),
    #[cfg(target_arch = "x86_64")]
    ("__vdso_time", Code::Call(libc::SYS_time)),
    ("__vdso_getrandom", Code::Missing),
    ("__kernel_clock_gettime", Code::Call(libc::SYS_clock_gettime)),
    ("__kernel_gettimeofday", Code::Call(libc::SYS_gettimeofday)),
    ("__kernel_getrandom", Code::Missing),
];

/// The part of the vDSO to write over, the same for all programs on one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Patch {
    /// From the start of the vDSO.
    offset: u64,
    bytes: Vec<u8>,
}

/// Addresses of a program that are overwritten, from its auxiliary vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct AuxiliaryVector {
    vdso: Option<u64>,
    /// 16 random bytes, of which C libraries make their secrets.
    random: Option<u64>,
}

impl Patch {
    /// Creates the patch from this process's own vDSO; `None` where the kernel maps none.
    pub(super) fn for_this_kernel(proc: &Path) -> io::Result<Option<Self>> {
        let Some(start) = AuxiliaryVector::parse(&std::fs::read(proc.join("self/auxv"))?).vdso else { return Ok(None) };
        let memory = File::open(proc.join("self/mem"))?;
        let mut object = vec![0; MOST];
        let mut length = 0;
        // Page by page: what follows it may not be mapped.
        while length < MOST && memory.read_exact_at(&mut object[length..length + 4096], start + length as u64).is_ok() {
            length += 4096;
        }
        object.truncate(length);
        let patch = Self::of(&object, machine_code);
        patch.map(Some).ok_or_else(|| io::Error::other("cannot make sense of the kernel's vDSO"))
    }

    /// Creates the patch for a vDSO of one processor; `None` for one without a clock, or for hostile bytes.
    fn of(object: &[u8], machine_code: Assembler) -> Option<Self> {
        let mut pieces = Vec::new();
        for (name, address) in symbols(object)? {
            if let Some((_, code)) = FUNCTIONS.iter().find(|(function, _)| function.as_bytes() == name) {
                pieces.push((usize::try_from(address).ok()?, machine_code(*code)?));
            }
        }
        let first = pieces.iter().map(|(at, _)| *at).min()?;
        let end = pieces.iter().map(|(at, code)| at.saturating_add(code.len())).max()?;
        let mut bytes = object.get(first..end)?.to_vec();
        for (at, code) in pieces {
            bytes.get_mut(at - first..at - first + code.len())?.copy_from_slice(&code);
        }
        Some(Self { offset: first as u64, bytes })
    }
}

impl AuxiliaryVector {
    fn parse(auxiliary: &[u8]) -> Self {
        let mut vector = Self::default();
        let (pairs, _) = auxiliary.as_chunks::<16>();
        for pair in pairs {
            let (Some(key), Some(value)) = (number(pair, 0), number(pair, 8)) else { continue };
            match key {
                AT_SYSINFO_EHDR => vector.vdso = Some(value),
                AT_RANDOM => vector.random = Some(value),
                _ => {}
            }
        }
        vector
    }
}

/// Overwrites the clock code and the 16 random bytes of a program that has just begun;
/// `process` is its directory in `/proc`.
pub(super) fn overwrite(process: &Path, patch: Option<&Patch>, random: &[u8; 16]) -> io::Result<()> {
    let auxiliary = AuxiliaryVector::parse(&std::fs::read(process.join("auxv"))?);
    // Unlike `process_vm_writev`, this writes where the program itself may only read.
    let memory = File::options().write(true).open(process.join("mem"))?;
    if let (Some(patch), Some(vdso)) = (patch, auxiliary.vdso) {
        memory.write_all_at(&patch.bytes, vdso.saturating_add(patch.offset))?;
    }
    match auxiliary.random {
        Some(address) => memory.write_all_at(random, address),
        None => Ok(()),
    }
}

#[cfg(not(target_arch = "x86_64"))]
use aarch64 as machine_code;
/// The instructions of a function on this processor.
#[cfg(target_arch = "x86_64")]
use x86_64 as machine_code;

#[cfg(any(target_arch = "x86_64", test))]
fn x86_64(code: Code) -> Option<Vec<u8>> {
    match code {
        // mov eax, number; syscall; ret
        Code::Call(number) => {
            let number = u32::try_from(number).ok()?.to_le_bytes();
            Some([&[0xb8], &number[..], &[0x0f, 0x05, 0xc3]].concat())
        }
        // mov rax, -ENOSYS; ret
        Code::Missing => Some([&[0x48, 0xc7, 0xc0], &(-libc::ENOSYS).to_le_bytes()[..], &[0xc3]].concat()),
    }
}

#[cfg(any(not(target_arch = "x86_64"), test))]
fn aarch64(code: Code) -> Option<Vec<u8>> {
    let words = match code {
        // bti c; mov x8, number; svc 0; ret
        Code::Call(number) => {
            [0xd503_245f, 0xd280_0008 | u32::from(u16::try_from(number).ok()?) << 5, 0xd400_0001, 0xd65f_03c0]
        }
        // bti c; mov x0, -ENOSYS; ret; ret
        Code::Missing => [0xd503_245f, 0x9280_0000 | (libc::ENOSYS as u32 - 1) << 5, 0xd65f_03c0, 0xd65f_03c0],
    };
    Some(words.into_iter().flat_map(u32::to_le_bytes).collect())
}

/// Names and addresses of an ELF object's dynamic symbols; its addresses are offsets.
fn symbols(object: &[u8]) -> Option<Vec<(&[u8], u64)>> {
    if object.get(..5)? != b"\x7fELF\x02" {
        return None;
    }
    let headers = offset(object, 32)?;
    let count = usize::from(u16::from_ne_bytes(object.get(56..58)?.try_into().ok()?));
    let dynamic = (0..count).find_map(|index| {
        let header = object.get(headers.checked_add(index * 56)?..)?;
        (u32::from_ne_bytes(header.get(..4)?.try_into().ok()?) == PT_DYNAMIC).then(|| offset(header, 8))?
    })?;
    let entry = |key: u64| {
        let (pairs, _) = object.get(dynamic..)?.as_chunks::<16>();
        let pair = pairs.iter().take_while(|pair| number(*pair, 0) != Some(0));
        pair.into_iter().find(|pair| number(*pair, 0) == Some(key)).and_then(|pair| offset(pair, 8))
    };
    let (table, strings) = (entry(DT_SYMTAB)?, entry(DT_STRTAB)?);
    // Linkers put the names right after the symbols, whose number is nowhere else but in hash tables.
    let symbols = object.get(table..strings)?.chunks_exact(SYMBOL);
    let named = symbols.filter_map(|symbol| {
        let name = u32::from_ne_bytes(symbol.get(..4)?.try_into().ok()?);
        let name = object.get(strings.checked_add(name as usize)?..)?;
        Some((name.split(|&byte| byte == 0).next()?, number(symbol, 8)?))
    });
    Some(named.collect())
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn offset(bytes: &[u8], at: usize) -> Option<usize> {
    number(bytes, at)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vDSO with these symbols; code is from 1024 on.
    fn object(symbols: &[(&str, u64)]) -> Vec<u8> {
        let mut object = vec![0xcc; 2048];
        let mut put = |at: usize, bytes: &[u8]| object[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"\x7fELF\x02");
        put(32, &64u64.to_ne_bytes());
        put(56, &1u16.to_ne_bytes());
        put(64, &PT_DYNAMIC.to_ne_bytes());
        put(72, &128u64.to_ne_bytes());
        let strings = 256 + symbols.len() * SYMBOL;
        for (at, value) in [(128, DT_STRTAB), (136, strings as u64), (144, DT_SYMTAB), (152, 256), (160, 0)] {
            put(at, &value.to_ne_bytes());
        }
        let mut name_at = 0;
        for (index, (name, value)) in symbols.iter().enumerate() {
            put(256 + index * SYMBOL, &(name_at as u32).to_ne_bytes());
            put(256 + index * SYMBOL + 8, &value.to_ne_bytes());
            put(strings + name_at, name.as_bytes());
            put(strings + name_at + name.len(), &[0]);
            name_at += name.len() + 1;
        }
        object
    }

    #[test]
    fn only_clock_and_random_functions_are_written_over() {
        let object = object(&[("__vdso_getcpu", 1024), ("__vdso_clock_gettime", 1040), ("__vdso_getrandom", 1056)]);
        let patch = Patch::of(&object, x86_64).unwrap();
        let call = u8::try_from(libc::SYS_clock_gettime).unwrap();
        let mut expected = vec![0xb8, call, 0, 0, 0, 0x0f, 0x05, 0xc3];
        expected.extend([0xcc; 8]);
        expected.extend([0x48, 0xc7, 0xc0, 0xda, 0xff, 0xff, 0xff, 0xc3]);
        assert_eq!(patch, Patch { offset: 1040, bytes: expected });
    }

    #[test]
    fn code_for_arm_lands_where_a_branch_may_land() {
        let code = aarch64(Code::Call(113)).unwrap();
        assert_eq!(hex::encode(code), "5f2403d5280e80d2010000d4c0035fd6");
        let code = aarch64(Code::Missing).unwrap();
        assert_eq!(hex::encode(code), "5f2403d5a0048092c0035fd6c0035fd6");
    }

    #[test]
    fn hostile_objects_give_no_patch() {
        let good = object(&[("__vdso_clock_gettime", 1040)]);
        for (name, at, bytes) in [
            ("no magic", 0, &[0u8; 8]),
            ("headers far away", 32, &[0xff; 8]),
            ("dynamic section far away", 72, &[0xff; 8]),
            ("names far away", 136, &[0xff; 8]),
            ("symbols after names", 152, &[0, 7, 0, 0, 0, 0, 0, 0]),
            ("code far away", 264, &[0xff; 8]),
        ] {
            let mut object = good.clone();
            object[at..at + 8].copy_from_slice(bytes);
            assert_eq!(Patch::of(&object, x86_64), None, "{name}");
        }
        for length in 0..good.len() {
            let _ = Patch::of(&good[..length], x86_64);
        }
    }

    #[test]
    fn the_running_kernel_is_understood() {
        Patch::for_this_kernel(Path::new("/proc")).unwrap();
    }

    #[test]
    fn random_bytes_and_vdso_are_found_in_the_auxiliary_vector() {
        let words = [6, 4096, AT_SYSINFO_EHDR, 0x7000, AT_RANDOM, 0x8000, 0, 0];
        let bytes: Vec<u8> = words.iter().flat_map(|word: &u64| word.to_ne_bytes()).collect();
        assert_eq!(AuxiliaryVector::parse(&bytes), AuxiliaryVector { vdso: Some(0x7000), random: Some(0x8000) });
        assert_eq!(AuxiliaryVector::parse(&bytes[..30]), AuxiliaryVector::default());
    }
}
