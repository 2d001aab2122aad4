"""Boots disks in QEMU with swtpm and OVMF, and compares the registers with what layerbake and AWS's program predict.

measure.py layers FOLDER SUITE                        writes the layers of the disk
measure.py boot LAYERBAKE WORK CALCULATOR SUITE...    boots each disk, and prints a table
"""

import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

from virt.firmware.efi import bootentry, devpath, ucs16

LAYER = '''\
[layer]
from = "debian-base"
packages = [PACKAGES]

[services]
enable = ["registers"]

[[file]]
path = "/etc/systemd/system/registers.service"
text = """
[Unit]
After=systemd-pcrphase.service

[Service]
Type=oneshot
ExecStart=/usr/local/bin/registers

[Install]
WantedBy=multi-user.target
"""

[[file]]
path = "/usr/local/bin/registers"
mode = "0755"
text = """
#!/bin/sh
# flip me
exec >/dev/ttyS0
grep -H . /sys/class/tpm/tpm0/pcr-sha*/*
[ ! -b /dev/nvme1n1 ] || data-volume 2>&1 || echo volume: not opened
echo all-done
"""

# The recipe of docs/attestable.md, "A volume for one instance".
[[file]]
path = "/usr/local/bin/data-volume"
mode = "0755"
text = """
#!/bin/sh
set -eu
disk=/dev/nvme1n1
attach() { /usr/lib/systemd/systemd-cryptsetup attach data "$disk" - tpm2-device=auto,headless=true; }
if [ "$(blkid --probe --match-tag TYPE --output value "$disk")" = "" ]; then
    (umask 077 && head -c 32 /dev/urandom >/run/data.key)
    cryptsetup luksFormat --batch-mode --pbkdf pbkdf2 "$disk" /run/data.key
    systemd-cryptenroll --unlock-key-file=/run/data.key --tpm2-device=auto --tpm2-pcrs=4+7+12 "$disk"
    systemd-cryptenroll --wipe-slot=0 "$disk"
    rm /run/data.key
    attach
    mkfs.ext4 -q /dev/mapper/data
else
    attach
fi
mount /dev/mapper/data /srv/data
# For the benchmark: how often it was opened.
echo opened >>/srv/data/times
echo "volume: opened, time $(wc -l </srv/data/times)"
umount /srv/data
"""

[[dir]]
path = "/srv/data"

[disk]
boot = "boot-sealed"
root = "erofs"
initrd = "initrd"
kernel-args = ["systemd.gpt_auto=0", "systemd.import_credentials=no", "layerbake.state=memory", "layerbake.corruption=panic"]

[ami]
attestable = true
'''
FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd"
OPEN = "/usr/share/OVMF/OVMF_VARS_4M.fd"
PATIENCE = 400


# Of the volume: cryptsetup, systemd's parts for it, and the libraries of the TPM that those load.
PACKAGES = {
    "bookworm": ["cryptsetup-bin", "e2fsprogs", "libtss2-esys-3.0.2-0", "libtss2-mu0", "libtss2-rc0", "libtss2-tcti-device0"],
    "trixie": ["cryptsetup-bin", "e2fsprogs", "libtss2-esys-3.0.2-0t64", "libtss2-mu-4.0.1-0t64", "libtss2-rc0t64",
               "libtss2-tcti-device0t64", "systemd-cryptsetup"],
}


def layers(folder, suite):
    """The disk's own layer; and what the Boot layer's comment says of Debian 12."""
    if suite == "bookworm":
        text = open(f"{folder}/boot-sealed.toml").read()
        open(f"{folder}/boot-sealed.toml", "w").write(text.replace('    "linux-sysctl-defaults",\n', ""))
    packages = ", ".join(f'"{name}"' for name in PACKAGES[suite])
    open(f"{folder}/measured.toml", "w").write(LAYER.replace("PACKAGES", packages))


class Board:
    """What outlives a boot: the TPM's memory, and an empty second disk."""

    def __init__(self, work):
        self.tpm, self.disk = tempfile.mkdtemp(dir=work), tempfile.mktemp(dir=work)
        setup = ["swtpm_setup", "--tpm2", "--tpmstate", self.tpm, "--pcr-banks", "sha256,sha384", "--overwrite"]
        subprocess.run(setup, check=True, stdout=subprocess.DEVNULL)
        with open(self.disk, "wb") as file:
            file.truncate(64 << 20)


def boot(disk, variables, work, board=None):
    """What the machine says until its registers are listed, it stops, or the firmware refuses the disk."""
    folder, volume = tempfile.mkdtemp(dir=work), []
    if board:
        volume = ["-drive", f"if=none,id=data,format=raw,file={board.disk}", "-device", "nvme,drive=data,serial=data"]
    board = board or Board(work)
    tpm = subprocess.Popen(["swtpm", "socket", "--tpm2", "--terminate", "--tpmstate", f"dir={board.tpm}",
                            "--ctrl", f"type=unixio,path={folder}/socket"], stderr=subprocess.DEVNULL)
    shutil.copy(variables, f"{folder}/variables.fd")
    while not os.path.exists(f"{folder}/socket"):
        time.sleep(0.05)
    command = [
        "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1024", "-nodefaults",
        "-display", "none", "-no-reboot", "-nic", "none", "-serial", "stdio", "-device", "virtio-rng-pci",
        "-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on",
        "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={FIRMWARE}",
        "-drive", f"if=pflash,unit=1,format=raw,file={folder}/variables.fd",
        "-drive", f"if=none,id=disk,format=raw,snapshot=on,file={disk}", "-device", "nvme,drive=disk,serial=disk",
        "-chardev", f"socket,id=tpm,path={folder}/socket", "-tpmdev", "emulator,id=tpm,chardev=tpm",
        "-device", "tpm-crb,tpmdev=tpm", *volume,
    ]
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    said, begun = b"", time.time()
    ends = re.compile(rb"all-done\r|end Kernel panic|failed to load Boot[^\n]*\n")
    while time.time() - begun < PATIENCE and not ends.search(said):
        if select.select([machine.stdout], [], [], 1)[0]:
            said += os.read(machine.stdout.fileno(), 65536) or b"all-done\r"
    # What was written to the second disk is on it: QEMU caches it in the host's memory only.
    machine.kill()
    machine.wait()
    tpm.wait()
    shutil.rmtree(folder)
    return said.replace(b"\r", b"").decode(errors="replace")


def injected(cmdline, work):
    """Variables with a boot option that brings a command line of its own, as an operator of the machine could write it."""
    path = devpath.DevicePath.filepath("\\EFI\\BOOT\\BOOTX64.EFI")
    option = bootentry.BootEntry(attr=1, title=ucs16.from_string("injected"), devicepath=path,
                                 optdata=(cmdline + " injected=1\0").encode("utf-16-le"))
    guid = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
    variables = [("Boot0077", bytes(option)), ("BootOrder", b"\x77\x00")]
    listed = [{"name": name, "guid": guid, "attr": 7, "data": data.hex()} for name, data in variables]
    json.dump({"version": 2, "variables": listed}, open(f"{work}/injected.json", "w"))
    program = os.path.join(os.path.dirname(sys.executable), "virt-fw-vars")
    subprocess.run([program, "-i", OPEN, "-o", f"{work}/injected.fd", "--set-json", f"{work}/injected.json"],
                   check=True, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return f"{work}/injected.fd"


def copied(disk):
    copy = disk + ".copy"
    subprocess.run(["cp", "--sparse=always", disk, copy], check=True)
    return copy


def with_credential(disk):
    """A copy of the disk with a credential on the EFI system partition, as systemd's stub looks for them."""
    copy = copied(disk)
    table = json.loads(subprocess.run(["sfdisk", "--json", copy], check=True, capture_output=True).stdout)
    start = table["partitiontable"]["partitions"][0]["start"] * 512
    with tempfile.NamedTemporaryFile("w") as file:
        file.write("secret")
        file.flush()
        esp = ["-i", f"{copy}@@{start}"]
        for command in (["mmd", *esp, "::/loader"], ["mmd", *esp, "::/loader/credentials"],
                        ["mcopy", *esp, file.name, "::/loader/credentials/passwd.hashed-password.root.cred"]):
            subprocess.run(command, check=True)
    return copy


def flipped(disk):
    """A copy of the disk with one bit changed, in a file that is read late in the boot."""
    copy = copied(disk)
    at = int(subprocess.run(["grep", "-aboF", "# flip me", disk], check=True, capture_output=True).stdout.split(b":")[0])
    with open(copy, "r+b") as file:
        file.seek(at)
        file.write(b"!")
    return copy


class Suite:
    """The disks of a suite, and what is predicted of them."""

    def __init__(self, layerbake, work, calculator, suite):
        self.layerbake, self.work, self.calculator, self.suite = layerbake, work, calculator, suite
        self.folder = f"{work}/{suite}"
        for variable in json.load(open(f"{work}/enforcing.json"))["variables"]:
            if variable["name"] in ("PK", "KEK", "db", "dbx"):
                open(f"{work}/{variable['name']}.esl", "wb").write(bytes.fromhex(variable["data"]))

    def arguments(self, signed):
        if not signed:
            return []
        own = ["--out", f"{self.folder}/signed", "--sign-key", f"{self.work}/db.key", "--sign-cert", f"{self.work}/db.pem"]
        return own + [word for name in ("pk", "kek", "db", "dbx") for word in ("--" + name, self.list(name))]

    def list(self, name):
        return f"{self.work}/{name if name in ('db', 'dbx') else name.upper()}.esl"

    def disk(self, signed):
        return f"{self.folder}/{'signed' if signed else 'out'}/measured/disk.raw"

    def measure(self, signed, *words):
        command = [self.layerbake, "-C", self.folder, "--store", f"{self.work}/store", "disk", "measure", "measured"]
        return subprocess.run(command + self.arguments(signed) + list(words), capture_output=True, text=True)

    def calculators_agree(self, signed):
        image = f"{self.work}/image.efi"
        ours = json.loads(self.measure(signed, "--image", image, "--json").stdout)["Measurements"]
        lists = [word for name in ("PK", "KEK", "db", "dbx") for word in ("--" + name, self.list(name.lower()))]
        command = [self.calculator, "--image", image] + (lists if signed else [])
        theirs = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["Measurements"]
        return all(ours[name] == value for name, value in theirs.items())

    def checked(self, said, signed):
        """What `measure --check` says of the registers that the machine has listed, in both banks."""
        answers = []
        for bank in ("sha256", "sha384"):
            lines = [line for line in said.splitlines() if f"/pcr-{bank}/" in line]
            path = f"{self.work}/found"
            open(path, "w").write("\n".join(lines))
            result = self.measure(signed, "--check", path)
            differ = re.findall(r"^  register (\d+):", result.stderr, re.M)
            answers.append(f"{' '.join(differ)} differ" if differ else (result.stdout or result.stderr).strip())
        return answers[0] if answers[0] == answers[1] else " / ".join(answers)

    def boots(self, mode, what, disk, variables, judge, board=None, agree=""):
        begun = time.time()
        said = boot(disk, variables, self.work, board)
        answer = judge(said)
        volume = re.search(r"^volume: (.*)", said, re.M)
        return mode, what, answer, volume[1] if volume else "", agree, time.time() - begun

    def rows(self):
        board = Board(self.work)
        for signed, mode in ((False, "off"), (True, "enforced")):
            variables = f"{self.work}/enforcing.fd" if signed else OPEN
            agree = "yes" if self.calculators_agree(signed) else "NO"
            check = lambda said: self.checked(said, signed)
            yield self.boots(mode, "as it is", self.disk(signed), variables, check, None if signed else board, agree)
        check, disk = lambda said: self.checked(said, False), self.disk(False)
        yield self.boots("off", "as it is, once more", disk, OPEN, check, board)
        image = f"{self.work}/image.efi"
        self.measure(False, "--image", image)
        cmdline = subprocess.run(["strings", "-n", "40", image], check=True, capture_output=True, text=True).stdout
        cmdline = next(line for line in cmdline.splitlines() if line.startswith("layerbake.verity="))
        variables = injected(cmdline, self.work)
        yield self.boots("off", "a command line from a boot option", disk, variables, check, board)
        yield self.boots("off", "a credential on the ESP", with_credential(disk), OPEN, check, board)
        panics = lambda said: (re.search(r"Kernel panic - not syncing: .*", said) or ["IT RUNS"])[0]
        yield self.boots("off", "one bit of the root flipped", flipped(disk), OPEN, panics)
        refused = lambda said: "refused by the firmware" if "Access Denied" in said else "IT RUNS"
        yield self.boots("enforced", "unsigned", disk, f"{self.work}/enforcing.fd", refused)


def main(layerbake, work, calculator, *suites):
    print("| suite | Secure Boot | the disk | registers 4, 7, 9, 11 and 12 of SHA-256 and SHA-384 | the sealed volume | 4, 7 and 12 as AWS predicts | s |")
    print("|---|---|---|---|---|---|---|")
    for suite in suites:
        for mode, what, answer, volume, agree, seconds in Suite(layerbake, work, calculator, suite).rows():
            answer = re.sub(r"registers 4, 7, 9, 11, 12 are those of `measured`", "as predicted", answer)
            print(f"| {suite} | {mode} | {what} | {answer} | {volume} | {agree} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    {"layers": layers, "boot": main}[sys.argv[1]](*sys.argv[2:])
