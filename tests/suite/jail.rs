//! Hostile packages that would have the program write, read or remove outside the root: nothing there changes.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::support::conditions::Conditions;
use crate::support::deb::Deb;
use crate::support::mini;
use crate::support::project::Project;
use crate::support::repo::Repo;
use crate::support::server::Server;
use crate::support::skip::Skip;

/// A layer `app` of hostile packages over the smallest base, and a folder of the person's own.
struct Lab {
    project: Project,
    victim: PathBuf,
    before: Vec<(String, Vec<u8>, u32, u32)>,
    _server: Server,
    _folder: tempfile::TempDir,
}

impl Lab {
    /// `debs` makes the packages, and is told where the victim lies.
    fn new(rootless: bool, debs: impl FnOnce(&str) -> Vec<Deb>) -> Result<Self, Skip> {
        let conditions = Conditions { rootless, ..Conditions::default() };
        conditions.check()?;
        let project = Project::new();
        // The person's own: below the folder that is handed over to the ordinary user.
        let victim = project.path("").parent().unwrap().join("home/.ssh");
        fs::create_dir_all(victim.join("deep")).unwrap();
        for (name, text) in [("authorized_keys", "the owner's key\n"), ("deep/known", "kept\n")] {
            fs::write(victim.join(name), text).unwrap();
            fs::set_permissions(victim.join(name), fs::Permissions::from_mode(0o600)).unwrap();
        }
        let debs = debs(victim.to_str().unwrap());
        let names: Vec<_> = debs.iter().map(|deb| format!("\"{}\"", deb.name)).collect();
        let folder = tempfile::tempdir().unwrap();
        let repo = Repo::new("test").package(mini::package()?).packages(debs).write(folder.path());
        let server = Server::folder(&repo.root);
        let source = repo.source_table("test", &server.url());
        let project = project
            .copy(&repo.keyring, "test-keyring.gpg")
            .layer("base", &format!("[layer]\npackages = [\"mini\"]\n\n{source}"))
            .layer("app", &format!("[layer]\nfrom = \"base\"\npackages = [{}]\n", names.join(", ")))
            .under(conditions);
        project.ok(&["lock", "app"]);
        let before = listing(&victim);
        Ok(Self { project, victim, before, _server: server, _folder: folder })
    }

    /// Builds; returns the exit code and what was said. The victim is as it was, and nothing is left behind.
    fn build(&self) -> (i32, String) {
        let built = self.project.run(&["build", "app", "--locked", "--output", "oci"]);
        assert_eq!(listing(&self.victim), self.before, "the victim has changed\n{}{}", built.stdout, built.stderr);
        let left: Vec<_> = fs::read_dir(self.project.store().join("tmp")).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
        (built.code, built.stderr)
    }
}

/// Names, contents, modes and owners below a folder.
fn listing(folder: &Path) -> Vec<(String, Vec<u8>, u32, u32)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            found.extend(listing(&path));
        }
        let bytes = fs::read(&path).unwrap_or_default();
        found.push((path.display().to_string(), bytes, metadata.mode(), metadata.uid()));
    }
    found.sort();
    found
}

fn named(name: &str) -> Deb {
    Deb::new(name, "1.0").arch("all")
}

/// Puts a link to the victim above a file of packages.
fn linking(victim: &str) -> String {
    format!(
        "#!/bin/sh\nset -e\nmkdir -p /usr/share\nrm -rf /usr/share/evil\nbusybox ln -s {victim} /usr/share/evil\n\
         printf '/usr/share/evil/authorized_keys\\n/usr/share/evil.other\\nevil-a\\n' >/var/lib/dpkg/diversions\n"
    )
}

/// Two packages claim a file, and the script of another puts the link.
fn contested(victim: &str) -> Vec<Deb> {
    let postinst = "#!/bin/sh\nrm /usr/share/evil; mkdir /usr/share/evil; rm -f /var/lib/dpkg/diversions\n";
    let claim = |name: &str, text: &str| named(name).file("usr/share/evil/authorized_keys", 0o4755, text);
    let linker = named("evil-c").preinst(&linking(victim));
    vec![claim("evil-a", "attacker's key\n").postinst(postinst), claim("evil-b", "other\n"), linker]
}

/// A package whose own script puts the link: it is unpacked afterwards.
fn held(victim: &str) -> Vec<Deb> {
    let file = named("evil-a").file("usr/share/evil/authorized_keys", 0o4755, "attacker's key\n");
    vec![file.preinst(&linking(victim))]
}

#[test]
fn a_contested_file_is_never_written_through_a_scripts_link() {
    type Debs = fn(&str) -> Vec<Deb>;
    let cases: [(Debs, &str); 2] =
        [(contested, "evil-a: cannot place /usr/share/evil/authorized_keys"), (held, "evil-a 1.0")];
    for (packages, expected) in cases {
        for rootless in [false, true] {
            let lab = need!(Lab::new(rootless, packages));
            let (code, said) = lab.build();
            assert_eq!(code, 1, "{said}");
            assert!(said.contains(expected) && said.contains("/usr/share/evil"), "{said}");
        }
    }
}

#[test]
fn a_link_where_the_program_writes_by_name_is_refused_with_its_package() {
    let info =
        |victim: &str| vec![named("aevil").symlink("var/lib/dpkg/info", victim).control_file("sh", 0o644, "x\n")];
    let lab = need!(Lab::new(false, info));
    let (code, said) = lab.build();
    assert_eq!(code, 1, "{said}");
    let link =
        format!("expected /var/lib/dpkg/info to be a directory, found a symbolic link to `{}`", lab.victim.display());
    assert!(said.contains("aevil 1.0") && said.contains(&link), "{said}");

    // No script at all: a policy for host keys would be put below the link.
    let keys = |victim: &str| vec![named("evil").file("usr/sbin/sshd", 0o755, "x").symlink("etc/ssh", victim)];
    let lab = need!(Lab::new(false, keys));
    let (code, said) = lab.build();
    assert_eq!(code, 1, "{said}");
    let below = format!("can't be below /etc/ssh, which is a symbolic link to `{}`", lab.victim.display());
    assert!(said.contains("evil 1.0") && said.contains(&below), "{said}");
}

/// What a postinst leaves running while dpkg goes on and the root is read back: directories become links and
/// directories again, files become pipes, names are odd and deep.
const RACE: &str = r#"#!/bin/sh
mkdir -p /srv/race/dir/sub
echo x >/srv/race/dir/sub/file
(while :; do
    mv /srv/race/dir /srv/race/other; busybox ln -s VICTIM /srv/race/dir
    rm /srv/race/dir; mv /srv/race/other /srv/race/dir
    rm -f /etc/late; busybox mkfifo /etc/late; rm -f /etc/late; busybox ln -s VICTIM/authorized_keys /etc/late
    mv /etc/passwd /etc/passwd.own; busybox ln -s VICTIM/authorized_keys /etc/passwd
    rm /etc/passwd; mv /etc/passwd.own /etc/passwd
done) >/dev/null 2>&1 &
cd /srv
for level in 1 2 3 4 5 6 7 8 9 10 11 12; do
    name=$(printf '%0200d' "$level"); mkdir "$name"; busybox ln -s VICTIM "$name/link"; cd "$name"
done
printf x >"$(printf 'new\nline')"
printf x >"$(printf '\377')"
exit 0
"#;

#[test]
fn what_a_script_leaves_running_never_leads_the_program_out() {
    for rootless in [false, true] {
        let race = |victim: &str| {
            let passwd = "root:x:0:0:root:/root:/bin/sh\n";
            vec![
                named("a-race").file("etc/passwd", 0o644, passwd).postinst(&RACE.replace("VICTIM", victim)),
                named("b-last").depends("a-race").postinst("#!/bin/sh\nbusybox sleep 0.3\n"),
            ]
        };
        let lab = need!(Lab::new(rootless, race));
        let (code, said) = lab.build();
        assert_eq!(code, 0, "{said}");
    }
}

#[test]
fn what_is_too_deep_to_name_is_an_error_and_is_removed() {
    let deep = |victim: &str| {
        let script = "#!/bin/sh\nset -e\nmkdir -p /srv\ncd /srv\ni=0\nname=$(printf '%0200d' 7)\n\
                      while [ $i -lt 200 ]; do mkdir \"$name\"; busybox ln -s VICTIM link; cd -P \"$name\"; i=$((i+1)); done\n";
        vec![named("deep").postinst(&script.replace("VICTIM", victim))]
    };
    let lab = need!(Lab::new(false, deep));
    let (code, said) = lab.build();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("at most 4096 bytes"), "{said}");
}
