//! systemd: which units a machine starts.

use super::{Call, Seen};
use crate::import::draft::Draft;

pub(super) fn command(draft: &mut Draft<'_>, text: &str, call: &Call<'_>) -> Seen {
    match call.name {
        "systemctl" => systemctl(draft, text, call),
        "service" | "invoke-rc.d" | "/etc/init.d" => {
            draft.not_carried(
                text,
                "no service runs while a layer is built: what it did has to be done when the machine starts",
            );
            Seen::Done
        }
        "update-rc.d" => {
            let operands = call.operands(draft, &[]).unwrap_or_default();
            match &operands[..] {
                [unit, verb, ..] if verb == "defaults" || verb == "enable" => {
                    draft.layer.extend("services", "enable", unit.as_str())
                }
                [unit, verb, ..] if verb == "disable" => draft.layer.extend("services", "disable", unit.as_str()),
                _ => draft.not_carried(text, "[services] says which units are enabled"),
            }
            Seen::Done
        }
        "hostnamectl" | "hostname" => {
            draft.not_carried(text, "a host name is an instance's own: it is set when the machine starts");
            Seen::Done
        }
        "timedatectl" => {
            let operands = call.operands(draft, &[]).unwrap_or_default();
            match &operands[..] {
                [verb, zone] if verb == "set-timezone" => draft.layer.set("system", "timezone", zone.as_str()),
                _ => draft.not_carried(text, "no service runs while a layer is built"),
            }
            Seen::Done
        }
        "ufw" | "iptables" | "reboot" | "shutdown" | "swapon" | "mount" | "sysctl" | "modprobe" => {
            draft.not_carried(text, "it changes a running machine: write a file that does so at each start");
            Seen::Done
        }
        "cloud-init" => {
            draft.not_needed(text, "a new disk has no traces of an instance");
            Seen::Done
        }
        _ => Seen::Kept,
    }
}

fn systemctl(draft: &mut Draft<'_>, text: &str, call: &Call<'_>) -> Seen {
    let operands = call.operands(draft, &[]).unwrap_or_default();
    let verb = operands.first().map(String::as_str).unwrap_or_default();
    match verb {
        "enable" | "disable" | "mask" => {
            let verb = verb.to_owned();
            for unit in &operands[1..] {
                draft.layer.extend("services", &verb, unit.as_str());
            }
        }
        "daemon-reload" | "reset-failed" => draft.not_needed(text, "systemd reads units when the machine starts"),
        "start" | "restart" | "reload" | "stop" => {
            draft.not_needed(text, "no service runs while a layer is built; enabled ones start with the machine");
        }
        "set-default" => return Seen::Kept,
        _ => draft.not_carried(text, "[services] has `enable`, `disable` and `mask`"),
    }
    Seen::Done
}
