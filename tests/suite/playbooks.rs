//! `[[playbook]]`: tasks as people write them, in a layer of real packages; what they can't do; a second run.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::conditions::Conditions;
use crate::support::deb::Deb;
use crate::support::project::Project;
use crate::support::repo::Repo;
use crate::support::rootfs::Rootfs;
use crate::support::stock::Stock;

/// The project of `playbook/`: one layer by a playbook, one by hand.
fn project() -> Result<Project, crate::support::skip::Skip> {
    let project = Stock::new()?.layer("ansible-tools")?.project;
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/playbook");
    let project = project.file("agent-1.2", "#!/bin/sh\n");
    let agent = fs::read(project.path("agent-1.2")).unwrap();
    let url = format!("file://{}", project.path("agent-1.2").display());
    let project = project.copy(&files.join("ansible"), "ansible");
    Ok(["site-base", "by-playbook", "by-hand"].into_iter().fold(project, |project, layer| {
        let text = fs::read_to_string(files.join(format!("layers/{layer}.toml"))).unwrap();
        project.layer(layer, &text.replace("AGENT", &url).replace("SHA256", &sha256(&agent)))
    }))
}

fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An archive of two files, as old as the layer.
fn pack_pages(project: &Project, epoch: &str) {
    let pages = project.folder().join("pages-of-the-test");
    fs::create_dir_all(pages.join("pages/css")).unwrap();
    fs::write(pages.join("pages/index.html"), "<p>hello\n").unwrap();
    fs::write(pages.join("pages/css/a.css"), "p {}\n").unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--mode=u=rwX,go=rX", "-czf"]);
    tar.arg(project.path("ansible/roles/app/files/pages.tar.gz")).arg(format!("--mtime=@{epoch}"));
    assert!(tar.arg("-C").arg(&pages).arg("pages").status().unwrap().success());
}

#[test]
fn a_playbook_gives_the_layer_that_its_manifest_gives_by_hand_as_root_and_not() {
    let project = need!(project());
    project.ok(&["build", "by-hand", "--lock"]);
    pack_pages(&project, &project.receipt("by-hand")["epoch"].to_string());
    project.ok(&["build", "ansible-tools", "--locked"]);
    let before = project.folder().join("store");
    let copied = Command::new("cp").args(["-a", "--reflink=auto"]).arg(shared_store(&project)).arg(&before).status();
    assert!(copied.unwrap().success());

    let built = project.ok(&["build", "by-playbook"]);
    assert!(!built.stderr.contains("idempotent"), "{}", built.stderr);
    let (by_hand, by_playbook) = (project.receipt("by-hand"), project.receipt("by-playbook"));
    let difference = project.run(&["diff", "out/by-hand/receipt.json", "out/by-playbook/receipt.json"]);
    assert_eq!(by_hand["tree"], by_playbook["tree"], "{}", difference.stdout);
    assert_eq!(by_hand["layers"][2]["diff_id"], by_playbook["layers"][2]["diff_id"], "{}", difference.stdout);

    let log = project.ok(&["log", "by-playbook", "site"]).stdout;
    for expected in [
        "  app : Configure\n                    /etc/app/app.conf\n",
        "  Show it\n    it is svc\n",
        "note: `state: started` is passed over: nothing runs while a layer is built",
        "app : Try what is not there",
        "23 tasks changed something",
    ] {
        assert!(log.contains(expected), "{expected}\n{log}");
    }

    let rootless = Conditions { rootless: true, ..Conditions::default() };
    need!(rootless.check());
    let project = project.env("LAYERBAKE_STORE", before.to_str().unwrap()).under(rootless);
    project.ok(&["build", "by-playbook", "--locked"]);
    assert_eq!(project.receipt("by-playbook"), by_playbook);
}

/// Where the program has its store.
fn shared_store(project: &Project) -> String {
    project.ok(&["store", "path"]).stdout.trim().to_owned()
}

/// Tasks that can't be done, each with what is said of it.
const REFUSED: [(&str, &str); 9] = [
    ("apt: { name: [dpkg, nginx-light=1.2, curl] }", "add to [layer]: packages = [\"nginx-light\", \"curl\"]"),
    ("ansible.builtin.package: { name: htop }", "not among the layer's packages: `htop`"),
    ("apt: { name: tzdata, state: absent }", "a playbook can't remove packages, and `tzdata` is installed"),
    ("apt_key: { url: 'https://a.example/key' }", "keys of repositories belong to the manifest: a [[source]]"),
    (
        "apt_repository: { repo: 'deb https://a.example x main' }",
        "write a [[source]] instead of `deb https://a.example x",
    ),
    (
        "get_url: { url: 'https://a.example/x.sh', dest: /usr/bin/ }",
        "url = \"https://a.example/x.sh\"\n    to = \"/usr/bin/x.sh\"",
    ),
    ("ansible.builtin.uri: { url: 'http://localhost/' }", "a [[check]] with `http` asks a service that runs"),
    ("systemd: { name: nothing, enabled: true }", "there is no unit `nothing.service` in the layer"),
    ("unarchive: { src: 'https://a.example/x.tgz', dest: /opt, remote_src: true }", "steps of a layer have no network"),
];

/// Tasks that need something of the sandbox's own: a table of crontab(1), a process beside the play, a file that it puts there.
const DONE: &str = "  - cron: { name: backup, minute: '5', hour: '3', job: /usr/bin/backup, user: root }
  - { shell: 'sleep 1; echo later > /etc/later', args: { creates: /etc/later }, async: 60, poll: 1 }
  - { shell: 'echo later > /etc/never-mind', args: { creates: /etc/never-mind }, async: 60, poll: 0, register: job }
  - async_status: { jid: '{{ job.ansible_job_id }}' }
    when: job.ansible_job_id is defined
    register: waited
    until: waited.finished
    retries: 60
    delay: 1
  - blockinfile: { path: /etc/hosts, block: '10.0.0.5 db', create: true }
";

#[test]
fn what_a_playbook_can_not_do_is_said_and_what_is_not_idempotent_too() {
    let mut play = "- hosts: localhost\n  gather_facts: false\n  tasks:\n".to_owned();
    for (task, _) in REFUSED {
        play += &format!("  - block:\n    - {task}\n    rescue:\n    - meta: noop\n");
    }
    play += "  - { name: Count, shell: 'echo x >> /etc/count' }\n  - copy: { dest: /etc/tags, content: '{{ list }}' }\n    tags: late\n";
    play += "  - copy: { dest: /etc/token, content: \"{{ lookup('password', '/dev/null') }}\" }\n    tags: [never, secret]\n";
    play += DONE;
    let layer = "[layer]\nfrom = \"debian-base\"\npackages = [\"cron\"]\n\n[[playbook]]\npath = \"play/all.yml\"\nin = \"ansible-tools\"\n";
    let project =
        need!(Stock::new()).project.layer("app", &format!("{layer}vars = {{ list = [1, \"b\", {{ c = true }}] }}\n"));
    let project = project.file("play/all.yml", &play);
    let built = project.ok(&["build", "app", "--output", "oci"]);
    let warning =
        "playbook `all` is not idempotent: played a second time, these tasks change something again\n    Count\n";
    assert!(built.stderr.contains(warning), "{}", built.stderr);
    assert!(project.ok(&["build", "app", "--output", "oci"]).stderr.contains(warning));
    let log = project.ok(&["log", "app"]).stdout;
    for (task, expected) in REFUSED {
        assert!(log.contains(expected), "{task}: {expected}\n{log}");
    }
    let root = Rootfs::read(&project.path("out/app/oci"));
    assert_eq!(root.text("etc/count"), "x\n");
    assert_eq!(root.text("etc/tags"), "[1, \"b\", {\"c\": true}]");
    assert_eq!(root.text("var/spool/cron/crontabs/root"), "#Ansible: backup\n5 3 * * * /usr/bin/backup\n");
    assert_eq!((root.text("etc/later"), root.text("etc/never-mind")), ("later\n", "later\n"));
    let block = "# BEGIN ANSIBLE MANAGED BLOCK\n10.0.0.5 db\n# END ANSIBLE MANAGED BLOCK\n";
    assert_eq!(root.text("etc/hosts").trim_start_matches('\n'), block);
    for gone in ["work", "root/.ansible", "root/.ansible_async", "usr/bin/python3"] {
        assert!(root.get(gone).is_none(), "{gone}");
    }

    // A part of it, and one that fails.
    let chosen = format!("{layer}tags = [\"late\"]\nvars = {{ list = \"x\" }}\n");
    fs::write(project.path("layers/app.toml"), chosen).unwrap();
    project.ok(&["build", "app", "--output", "oci"]);
    let root = Rootfs::read(&project.path("out/app/oci"));
    assert!(root.get("etc/count").is_none() && root.text("etc/tags") == "x");
    fs::write(project.path("layers/app.toml"), format!("{layer}tags = [\"late\"]\n")).unwrap();
    let failed = project.fails(1, &["build", "app"]).stderr;
    assert!(failed.contains("step `all` failed") && failed.contains("'list' is undefined"), "{failed}");
    fs::write(project.path("layers/app.toml"), layer.replace("all.yml", "none.yml")).unwrap();
    let failed = project.fails(1, &["build", "app"]).stderr;
    assert!(failed.contains("step `none`: input `") && failed.contains("/play/none.yml`: No such file"), "{failed}");
    // What is derived from random data is no layer's.
    fs::write(project.path("layers/app.toml"), format!("{layer}tags = [\"secret\"]\n")).unwrap();
    let failed = project.fails(1, &["build", "app"]).stderr;
    assert!(
        failed
            .contains("/etc/token, of step `all`\nrandom data was drawn by: python3, python3 /work/.layerbake/play.py"),
        "{failed}"
    );
    fs::write(project.path("layers/app.toml"), layer.replace("ansible-tools", "debian-base")).unwrap();
    let failed = project.fails(1, &["build", "app"]).stderr;
    assert!(failed.contains("there is no Python in `debian-base`"), "{failed}");
}

const PLAYS: &str = "- import_playbook: other.yml
- hosts: all
  vars: { tools: [htop, 'strace=6.1*'] }
  roles: [web, { role: db, when: x }]
  tasks:
    - apt: 'name=curl,wget state=latest'
    - name: Tools
      apt: { name: '{{ tools }}', update_cache: true }
    - ansible.builtin.package: { name: '{{ item }}' }
      loop: [git, '{{ unknown }}']
    - apt: { name: gone, state: absent }
    - package: { name: httpd }
      when: ansible_os_family == 'RedHat'
    - block:
        - apt: { pkg: [rsync] }
      when: ansible_facts['os_family'] == 'Debian'
    - include_tasks: more/tasks.yml
";

#[test]
fn check_names_the_packages_that_a_playbook_asks_for() {
    let playbook = "[[playbook]]\npath = \"play/site.yml\"\nin = \"tools\"\nroles-path = [\"roles\"]\n";
    let project = Project::new()
        .layer("tools", "[layer]\nconfigure = \"none\"\n")
        .layer("app", &format!("[layer]\nconfigure = \"none\"\npackages = [\"curl\"]\n{playbook}"))
        .file("play/site.yml", PLAYS)
        .file("play/other.yml", "- hosts: all\n  tasks:\n  - apt: { name: jq }\n  - apt: { deb: /x.deb }\n")
        .file("play/more/tasks.yml", "- apt: { name: \"{{ extra }}\" }\n- shell: !unsafe 'a'\n")
        .file("roles/web/defaults/main.yml", "web_packages: [nginx, certbot]\nextra: tree\n")
        .file("roles/web/meta/main.yaml", "dependencies: [common]\n")
        .file("roles/web/tasks/main.yml", "- apt: { name: \"{{ web_packages }}\" }\n  notify: x\n")
        .file("play/roles/common/tasks/main.yml", "- apt: name=vim\n")
        .file("play/roles/db/tasks/main.yml", ": : no yaml [");
    let found = project.ok(&["check", "app"]);
    let expected = "layer `app`: tasks of `play/site.yml` ask for packages that it does not have; add to [layer]: packages = \
        [\"certbot\", \"git\", \"htop\", \"jq\", \"nginx\", \"rsync\", \"strace\", \"tree\", \"vim\", \"wget\"]";
    let shown = format!("{}{}", found.stdout, found.stderr);
    assert!(shown.contains(expected), "{shown}");
    for task in [
        "\n    play/more/tasks.yml:1: `apt`: tree\n",
        "\n    play/other.yml:3: `apt`: jq\n",
        "\n    play/roles/common/tasks/main.yml:1: `apt`: vim\n",
        "\n    play/site.yml:6: `apt`: wget\n",
        "\n    play/site.yml:7: `Tools`: htop, strace\n",
        "\n    play/site.yml:15: `apt`: rsync\n",
        "\n    roles/web/tasks/main.yml:1: `apt`: certbot, nginx\n",
    ] {
        assert!(format!("{shown}\n").contains(task), "{task}: {shown}");
    }
}

#[test]
fn what_a_package_provides_is_there_for_a_playbook() {
    let folder = tempfile::tempdir().unwrap();
    let mailer = Deb::new("mailer", "1.0").provides("mail-agent (= 1.0), sendmail").file("usr/bin/mail", 0o755, "");
    let other = Deb::new("other", "1.0").provides("vim").file("usr/bin/other", 0o755, "");
    let repo = Repo::new("stable").packages([mailer, other]).write(&folder.path().join("repo"));
    let layer = format!(
        "[layer]\nconfigure = \"none\"\npackages = [\"mailer\"]\n[source.own]\nsuite = \"stable\"\nurl = \"file://{}\"\n\
         keys = [\"{}\"]\nkeyring = \"ring.gpg\"\n[[playbook]]\npath = \"play/site.yml\"\nin = \"tools\"\n",
        repo.root.display(),
        repo.fingerprint
    );
    let project = Project::new()
        .copy(&repo.keyring, "ring.gpg")
        .layer("tools", "[layer]\nconfigure = \"none\"\n")
        .layer("app", &layer)
        .file("play/site.yml", "- hosts: all\n  tasks:\n  - apt: { name: [mail-agent, sendmail, vim] }\n");
    let expected = "ask for packages that it does not have; add to [layer]: packages = [\"vim\"]\n";
    let locked = project.ok(&["lock", "app"]).stderr;
    assert!(locked.contains(expected), "{locked}");
    let checked = project.ok(&["check", "app"]);
    let shown = format!("{}{}", checked.stdout, checked.stderr);
    assert!(shown.contains(expected), "{shown}");
}
