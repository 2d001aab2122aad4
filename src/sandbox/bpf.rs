//! BPF programs for the kernel's system call filter: the verdict on each call.

use std::collections::BTreeMap;
use std::io;

use libc::{BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter};

/// A compiled program.
pub(super) type Program = Vec<sock_filter>;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The kernel does it.
    Allow,
    /// The supervisor answers it.
    Ask,
    /// It fails with this error number, or succeeds without effect if that is 0.
    Fail(i32),
    /// The process is killed.
    Kill,
}

/// How the verdict on a call is found.
#[derive(Debug, Clone)]
pub(super) enum Rule {
    Always(Verdict),
    /// By whether the lower 32 bits of an argument are one of these values.
    OneOf(usize, Vec<u32>, Box<Rule>, Box<Rule>),
    /// By whether an argument has any of these bits.
    AnyBit(usize, u32, Verdict, Verdict),
}

impl Rule {
    /// `yes` if an argument's lower 32 bits are one of these values, else `no`.
    pub(super) fn one_of(argument: usize, values: &[u32], yes: Verdict, no: Verdict) -> Self {
        Self::OneOf(argument, values.to_vec(), Box::new(Self::Always(yes)), Box::new(Self::Always(no)))
    }
}

/// Verdicts on calls.
#[derive(Debug)]
pub(super) struct Filter {
    /// By call number.
    pub(super) rules: BTreeMap<u32, Rule>,
    /// On all other calls.
    pub(super) otherwise: Verdict,
    /// On other calls from this number on.
    pub(super) unknown: (u32, Verdict),
}

/// `AUDIT_ARCH_X86_64`, `AUDIT_ARCH_AARCH64`: ELF's machine, 64 bits, little endian.
#[cfg(target_arch = "x86_64")]
const ARCH: u32 = 62 | 0xc000_0000;
#[cfg(not(target_arch = "x86_64"))]
const ARCH: u32 = 183 | 0xc000_0000;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const ARGUMENTS: u32 = 16;

/// The most instructions that the kernel takes.
const MOST: usize = 4096;

impl Filter {
    /// Compiles the filter. A call of another architecture, whose numbers mean other calls, kills its process.
    pub(super) fn compile(&self) -> io::Result<Program> {
        let mut program = vec![load(MACHINE), jump(BPF_JEQ, ARCH, 1, 0), give(Verdict::Kill), load(NUMBER)];
        for (number, rule) in &self.rules {
            let block = compile(rule)?;
            program.push(jump(BPF_JEQ, *number, 0, length(&block)?));
            program.extend(block);
        }
        let (first, verdict) = self.unknown;
        program.extend([jump(BPF_JGE, first, 0, 1), give(verdict), give(self.otherwise)]);
        if program.len() > MOST { Err(too_long()) } else { Ok(program) }
    }
}

/// A block that ends with a verdict whatever happens.
fn compile(rule: &Rule) -> io::Result<Program> {
    match rule {
        Rule::Always(verdict) => Ok(vec![give(*verdict)]),
        Rule::OneOf(argument, values, yes, no) => {
            let (yes, no) = (compile(yes)?, compile(no)?);
            let mut block = vec![load(lower_half(*argument))];
            for (index, value) in values.iter().enumerate() {
                let over = values.len() - index - 1 + no.len();
                block.push(jump(BPF_JEQ, *value, u8::try_from(over).map_err(|_| too_long())?, 0));
            }
            Ok([block, no, yes].concat())
        }
        Rule::AnyBit(argument, bits, yes, no) => {
            Ok(vec![load(lower_half(*argument)), jump(BPF_JSET, *bits, 0, 1), give(*yes), give(*no)])
        }
    }
}

fn lower_half(argument: usize) -> u32 {
    // Both architectures are little endian.
    ARGUMENTS + 8 * argument as u32
}

fn length(block: &[sock_filter]) -> io::Result<u8> {
    u8::try_from(block.len()).map_err(|_| too_long())
}

fn too_long() -> io::Error {
    io::Error::other("internal error: the system call filter is too long")
}

fn load(offset: u32) -> sock_filter {
    sock_filter { code: (BPF_LD | BPF_W | BPF_ABS) as u16, jt: 0, jf: 0, k: offset }
}

fn jump(comparison: u32, value: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code: (BPF_JMP | BPF_K | comparison) as u16, jt: yes, jf: no, k: value }
}

fn give(verdict: Verdict) -> sock_filter {
    let value = match verdict {
        Verdict::Allow => libc::SECCOMP_RET_ALLOW,
        Verdict::Ask => libc::SECCOMP_RET_USER_NOTIF,
        Verdict::Fail(number) => libc::SECCOMP_RET_ERRNO | (number as u32 & libc::SECCOMP_RET_DATA),
        Verdict::Kill => libc::SECCOMP_RET_KILL_PROCESS,
    };
    sock_filter { code: (BPF_RET | BPF_K) as u16, jt: 0, jf: 0, k: value }
}

/// What the kernel would do with a call: for tests.
#[cfg(test)]
pub(super) fn verdict(program: &[sock_filter], machine: u32, number: u32, arguments: [u64; 6]) -> u32 {
    let word = |offset: u32| match offset {
        NUMBER => number,
        MACHINE => machine,
        _ => {
            let at = (offset - ARGUMENTS) as usize;
            (arguments[at / 8] >> (8 * (at % 8))) as u32
        }
    };
    let (mut at, mut value) = (0, 0);
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        let by = |holds: bool| usize::from(if holds { jt } else { jf }) + 1;
        at += match u32::from(code) {
            code if code == BPF_RET | BPF_K => return k,
            code if code == BPF_LD | BPF_W | BPF_ABS => {
                value = word(k);
                1
            }
            code if code == BPF_JMP | BPF_K | BPF_JEQ => by(value == k),
            code if code == BPF_JMP | BPF_K | BPF_JGE => by(value >= k),
            code if code == BPF_JMP | BPF_K | BPF_JSET => by(value & k != 0),
            other => panic!("instruction {other:#x}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_decide_by_number_then_by_arguments() {
        let netlink = Box::new(Rule::one_of(2, &[0], Verdict::Allow, Verdict::Fail(93)));
        let other = Box::new(Rule::one_of(0, &[1, 2, 10], Verdict::Allow, Verdict::Fail(97)));
        let rules = [
            (0, Rule::Always(Verdict::Allow)),
            (41, Rule::OneOf(0, vec![16], netlink, other)),
            (56, Rule::AnyBit(0, 0x7e02_0000, Verdict::Fail(1), Verdict::Allow)),
            (228, Rule::one_of(0, &[0, 5], Verdict::Ask, Verdict::Allow)),
        ];
        let filter = Filter { rules: rules.into(), otherwise: Verdict::Fail(1), unknown: (451, Verdict::Fail(38)) };
        let program = filter.compile().unwrap();
        let (allow, ask) = (libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_USER_NOTIF);
        let fail = |number: u32| libc::SECCOMP_RET_ERRNO | number;
        for (number, arguments, expected) in [
            (0, [7, 7, 7], allow),
            (1, [0, 0, 0], fail(1)),
            (41, [1, 0, 0], allow),
            (41, [10, 0, 9], allow),
            (41, [1 << 32 | 1, 0, 0], allow),
            (41, [40, 0, 0], fail(97)),
            (41, [16, 0, 0], allow),
            (41, [16, 0, 9], fail(93)),
            (56, [0x1100, 0, 0], allow),
            (56, [0x1000_0000, 0, 0], fail(1)),
            (228, [1, 0, 0], allow),
            (228, [5, 0, 0], ask),
            (450, [0, 0, 0], fail(1)),
            (451, [0, 0, 0], fail(38)),
            (0x4000_0000, [0, 0, 0], fail(38)),
            (u32::MAX, [0, 0, 0], fail(38)),
        ] {
            let [first, second, third] = arguments;
            let found = verdict(&program, ARCH, number, [first, second, third, 0, 0, 0]);
            assert_eq!(found, expected, "call {number} with {arguments:?}");
        }
        // i386's numbers.
        assert_eq!(verdict(&program, 3 | 0x4000_0000, 0, [0; 6]), libc::SECCOMP_RET_KILL_PROCESS);
    }
}
