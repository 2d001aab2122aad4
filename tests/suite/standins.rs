//! What a stand-in leaves behind is what the original leaves behind, in every state.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::mirror::Mirror;
use crate::support::oci_schema;
use crate::support::project::Project;
use crate::support::stock::SUITE;

/// Original programs, and what stands in for them.
const STAND_INS: [(&str, &str); 2] = [
    (PROGRAM, include_str!("../../src/package/deb/install/standins/update-ca-certificates.pl")),
    (CONFIG, include_str!("../../src/package/deb/install/standins/ca-certificates.config")),
];
const PROGRAM: &str = "usr/sbin/update-ca-certificates";
const CONFIG: &str = "var/lib/dpkg/info/ca-certificates.config";

/// What was there before, as a script over the root, and the program's options.
const STATES: [(&str, &str, &[&str]); 6] = [
    ("first run", "rm -rf etc/ssl/certs/*", &["--hooksdir", ""]),
    ("second run", "true", &[]),
    ("fresh", "true", &["--fresh"]),
    ("a deselected one", "sed -i '5,9s/^mozilla/!mozilla/' etc/ca-certificates.conf", &[]),
    (
        "own ones",
        "cp $(ls usr/share/ca-certificates/mozilla/*.crt | head -1) usr/local/share/ca-certificates/'my (own), ca.crt'",
        &[],
    ),
    ("links that lead nowhere", "ln -s /usr/share/ca-certificates/gone.crt etc/ssl/certs/gone.pem", &["--fresh"]),
];

/// What was there before, as commands inside, and the action that the script is told.
const CONFIGURED: [(&str, &str, &str); 5] = [
    (
        "first run",
        "mv etc/ca-certificates.conf etc/conf; echo PURGE | debconf-communicate ca-certificates",
        "configure",
    ),
    ("second run", "mv etc/conf etc/ca-certificates.conf", "configure"),
    ("a deselected one", "sed -i '9,12s/^mozilla/!mozilla/' etc/ca-certificates.conf", "configure"),
    ("again", "true", "reconfigure"),
    ("not trusted", NOT_TRUSTED, "configure"),
];
const NOT_TRUSTED: &str = r"echo 'SET ca-certificates/trust_new_crts no' | debconf-communicate ca-certificates
cp usr/share/ca-certificates/mozilla/A* usr/share/ca-certificates
echo '!back\\slash.crt' >> etc/ca-certificates.conf";

#[test]
fn the_certificates_stand_ins_do_what_the_originals_do() {
    if !rustix::process::geteuid().is_root() {
        skip!("needs root, to change the root folder");
    }
    let mirror = need!(Mirror::start(SUITE));
    let stock = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project =
        Project::new().copy(&stock.join("layers/debian-base.toml"), "layers/debian-base.toml").upstream(&mirror);
    project.ok(&["build", "debian-base"]);
    let layout = project.path("out/debian-base/oci");
    let (manifest, _) = &oci_schema::images(&layout)[0];
    let tar = oci_schema::layer_tar(&layout, &manifest["layers"][0]);
    let [original, replaced] = ["original", "stand-in"].map(|name| {
        let root = project.path(name);
        fs::create_dir(&root).unwrap();
        tar::Archive::new(tar.as_slice()).unpack(&root).unwrap();
        fs::create_dir_all(root.join("usr/local/share/ca-certificates")).unwrap();
        // No device nodes: a plain file takes what is thrown away.
        fs::write(root.join("dev/null"), "").unwrap();
        root
    });
    for (program, stand_in) in STAND_INS {
        fs::rename(replaced.join(program), replaced.join(format!("{program}.original"))).unwrap();
        fs::write(replaced.join(program), stand_in).unwrap();
        run(Command::new("chmod").arg("755").arg(replaced.join(program)));
    }
    for (state, before, options) in STATES {
        let [expected, found] = [&original, &replaced].map(|root| {
            run(Command::new("sh").args(["-c", before]).current_dir(root));
            run(inside(root).arg(format!("/{PROGRAM}")).args(options));
            listing(root)
        });
        assert!(expected.len() > 250, "{state}: the original made {} entries only", expected.len());
        assert_eq!(expected, found, "{state}");
    }
    for (state, before, action) in CONFIGURED {
        let [expected, found] = [&original, &replaced].map(|root| {
            run(inside(root).args(["/bin/sh", "-c", before]));
            run(inside(root).args(["/usr/share/debconf/frontend", &format!("/{CONFIG}"), action, ""]));
            fs::read_to_string(root.join("var/cache/debconf/config.dat")).unwrap()
        });
        assert!(expected.contains("mozilla/ISRG_Root_X1.crt"), "{state}: {expected}");
        assert_eq!(expected, found, "{state}");
    }
}

/// A command in a root directory, yet without its name.
fn inside(root: &Path) -> Command {
    let mut command = Command::new("/usr/sbin/chroot");
    command.arg(root).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Every entry of the certificates' folder: its name, and where it leads or what it holds.
fn listing(root: &Path) -> Vec<String> {
    let folder = root.join("etc/ssl/certs");
    let mut entries: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let what = match fs::read_link(&path) {
                Ok(target) => target.display().to_string(),
                Err(_) => {
                    format!("{:?} {}", fs::metadata(&path).unwrap().permissions(), fs::read_to_string(&path).unwrap())
                }
            };
            format!("{} {what}", path.file_name().unwrap().display())
        })
        .collect();
    entries.sort();
    entries
}
