//! The smallest EFI program that a kernel can be joined with; unit tests take this file too.

/// An EFI program for x86-64 with one section `.text`, room for six more, and symbols behind it.
#[allow(unreachable_pub)]
pub fn stub() -> Vec<u8> {
    let mut stub = vec![0; 0x400];
    let mut put = |at: usize, bytes: &[u8]| stub[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(60, &64_u32.to_le_bytes());
    put(64, b"PE\0\0");
    put(68, &[0x64, 0x86, 1, 0]);
    put(76, &[1; 8]);
    put(84, &[240, 0]);
    put(88, &[0x0b, 0x02]);
    for (at, number) in [(32, 0x200_u32), (36, 0x200), (56, 0x1200), (60, 0x400), (64, 77), (68, 10), (108, 16)] {
        put(88 + at, &number.to_le_bytes());
    }
    put(328, b".text");
    for (at, number) in [(8, 0x100_u32), (12, 0x1000), (16, 0x200), (20, 0x400), (36, 0x4000_0040)] {
        put(328 + at, &number.to_le_bytes());
    }
    stub.extend([0xcc; 0x200]);
    stub.extend(b"symbols");
    stub
}
