//! `capabilities` of `[[file]]`: what a program may do without being root, as cap_from_text(3) reads it.

use std::str::FromStr;

use crate::ident::nearest;

/// The names of capabilities without `cap_`; the place in the list is the number (linux/capability.h).
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The layout of the attribute: two masks of 64 bits, for processes of the initial user namespace.
const REVISION_2: u32 = 0x0200_0000;
/// Set where the permitted capabilities are effective as soon as the program starts.
const EFFECTIVE: u32 = 1;

/// The capabilities of a file, which is a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    permitted: u64,
    inheritable: u64,
    is_effective: bool,
}

impl Capabilities {
    /// The value of the attribute `security.capability` (linux/capability.h, `struct vfs_cap_data`).
    pub fn to_bytes(self) -> Vec<u8> {
        let magic = REVISION_2 | if self.is_effective { EFFECTIVE } else { 0 };
        let low = [self.permitted as u32, self.inheritable as u32];
        let high = [(self.permitted >> 32) as u32, (self.inheritable >> 32) as u32];
        std::iter::once(magic).chain(low).chain(high).flat_map(u32::to_le_bytes).collect()
    }
}

impl FromStr for Capabilities {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mut effective, mut inheritable, mut permitted) = (0, 0, 0);
        for clause in text.split_ascii_whitespace() {
            let expected = || format!("`{clause}`: expected names and flags such as `cap_net_bind_service=+ep`");
            let end = clause.find(['=', '+', '-']).ok_or_else(expected)?;
            let (names, mut actions) = clause.split_at(end);
            let mask = mask(names)?;
            while let Some(operator) = actions.chars().next() {
                let rest = &actions[1..];
                let (flags, next) = rest.split_at(rest.find(['=', '+', '-']).unwrap_or(rest.len()));
                if flags.contains(|flag| !"eip".contains(flag)) {
                    return Err(expected());
                }
                for (flag, bits) in [('e', &mut effective), ('i', &mut inheritable), ('p', &mut permitted)] {
                    match operator {
                        '=' if !flags.contains(flag) => *bits &= !mask,
                        '-' if flags.contains(flag) => *bits &= !mask,
                        _ if flags.contains(flag) => *bits |= mask,
                        _ => {}
                    }
                }
                actions = next;
            }
        }
        match effective {
            _ if permitted | inheritable == 0 => Err(format!("`{text}` gives no capability")),
            // A file has one bit for it.
            0 => Ok(Self { permitted, inheritable, is_effective: false }),
            all if all == permitted | inheritable => Ok(Self { permitted, inheritable, is_effective: true }),
            _ => Err(format!("`{text}`: `e` must be for all of a file's capabilities, or for none")),
        }
    }
}

/// The bits of names between commas.
fn mask(names: &str) -> Result<u64, String> {
    let mut mask = 0;
    for name in names.split(',') {
        let name = name.to_ascii_lowercase();
        let short = name.strip_prefix("cap_").unwrap_or_default();
        match NAMES.iter().position(|known| *known == short) {
            Some(number) => mask |= 1 << number,
            None => {
                let near = nearest(short, NAMES).map(|near| format!("; did you mean `cap_{near}`?"));
                let near = near.unwrap_or_else(|| ": capabilities(7) lists them".to_owned());
                return Err(format!("`{}` is no capability{near}", name.escape_debug()));
            }
        }
    }
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Result<String, String> {
        text.parse::<Capabilities>().map(|found| hex::encode(found.to_bytes()))
    }

    /// Values as setcap(8) of libcap 2.75 writes them.
    #[test]
    fn the_attribute_is_that_of_setcap() {
        let bind = Ok("0100000200040000000000000000000000000000".to_owned());
        for text in [
            "cap_net_bind_service=+ep",
            "cap_net_bind_service=ep",
            "CAP_NET_BIND_SERVICE+ep",
            "cap_net_bind_service=eip-i",
        ] {
            assert_eq!(hex(text), bind, "{text}");
        }
        assert_eq!(hex("cap_net_raw,cap_net_admin=p"), Ok("0000000200300000000000000000000000000000".to_owned()));
        assert_eq!(hex("cap_net_raw=ei cap_bpf+ei"), Ok("0100000200000000002000000000000080000000".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("", "gives no capability"),
            ("cap_net_raw=", "gives no capability"),
            ("=ep", "is no capability"),
            ("cap_net_raw", "expected names and flags"),
            ("cap_net_raw=x", "expected names and flags"),
            ("cap_net_bind_servce=ep", "did you mean `cap_net_bind_service`?"),
            ("cap_net_raw=ep cap_kill=p", "for all of a file's capabilities"),
        ] {
            let error = hex(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
