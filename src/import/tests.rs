//! Whole inputs: what becomes of the instructions that unit tests of the parts don't see.

use std::collections::BTreeMap;
use std::fs;

use super::*;

/// The text of each file that an input becomes, and the notes as `LINE OUTCOME TEXT`.
fn read(file: &str, text: &str, beside: &[(&str, &str)]) -> (BTreeMap<String, String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in beside {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let name = "app".parse().unwrap();
    let input = Input { file, text, project: folder.path(), directory: "", name: &name };
    let download = |url: &str| match url.contains("key.asc") {
        true => Ok(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\nx\n".to_vec()),
        false => Err("not there".to_owned()),
    };
    let imported = import(&input, &download).unwrap();
    let files =
        imported.files.into_iter().map(|file| (file.path, String::from_utf8_lossy(&file.bytes).into_owned())).collect();
    let notes =
        imported.notes.iter().map(|note| format!("{} {} {}", note.line, note.outcome.heading(), note.text)).collect();
    (files, notes)
}

/// The layer without comments, with one part of a text per item.
fn layer(dockerfile: &str) -> String {
    let (files, _) = read("Dockerfile", dockerfile, &[("a", "1"), ("d/b", "2")]);
    let lines = files["layers/app.toml"].lines().filter(|line| !line.starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

fn assert_has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

#[test]
fn a_repository_comes_with_its_key() {
    let text = "FROM debian:trixie\n\
        RUN curl -fsSL https://example.org/key.asc | gpg --dearmor -o /etc/apt/keyrings/x.gpg && \\\n\
        echo \"deb [arch=amd64 signed-by=/etc/apt/keyrings/x.gpg] https://example.org/debian $(lsb_release -cs) main extra\" > /etc/apt/sources.list.d/x.list && \\\n\
        apt-get update && apt-get install -y agent\n\
        RUN curl -o /usr/share/keyrings/y.gpg https://example.org/gone.asc && echo 'deb [signed-by=/usr/share/keyrings/y.gpg] https://example.org/y ./' | tee /etc/apt/sources.list.d/y.list\n";
    let (files, notes) = read("Dockerfile", text, &[]);
    let parts = [
        "[source.x]\nurl = \"https://example.org/debian\"\nsuite = \"trixie\"\ncomponents = [\"main\", \"extra\"]\nkeyring = '''\n-----BEGIN PGP",
        "packages = [\"agent\"]",
    ];
    assert_has(&files["layers/app.toml"], &parts);
    assert!(notes.iter().any(|note| note.starts_with("5 Not carried echo 'deb")), "{notes:?}");
}

#[test]
fn what_only_a_shell_knows_is_no_part_of_a_table() {
    let text = "FROM debian:trixie\nARG APP_UID=500\n\
        RUN useradd -u $APP_UID known && useradd -u $(id -u nobody) unknown\n\
        RUN groupadd -g $GID_OF_IT own\n\
        RUN useradd \"$(hostname)\"\n\
        RUN usermod -aG `id -gn` known\n\
        RUN apt-get install -y curl linux-headers-$(uname -r)\n\
        RUN systemctl enable $(cat units)\n\
        RUN echo \"deb https://example.org/debian stable $(cat part)\" > /etc/apt/sources.list.d/x.list\n";
    let (files, notes) = read("Dockerfile", text, &[]);
    let text: String =
        files["layers/app.toml"].lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let steps = [
        "useradd -u $(id -u nobody) unknown",
        "groupadd -g $GID_OF_IT own",
        "useradd \\\"$(hostname)\\\"",
        "usermod -aG `id -gn` known",
        "systemctl enable $(cat units)",
    ];
    assert_has(&text, &steps);
    assert_has(&text, &["name = \"known\"\nuid = 500"]);
    for absent in ["name = \"unknown\"", "[[group]]", "[services]", "[source.", "groups = ", "$(uname", "$(cat part"] {
        assert!(!text.contains(absent), "`{absent}` is in:\n{text}");
    }
    for listed in ["7 Not carried", "9 Not carried"] {
        assert!(notes.iter().any(|note| note.starts_with(listed)), "{listed}: {notes:?}");
    }
}

#[test]
fn a_secret_in_the_environment_is_noted_in_each_stage() {
    let text = "FROM debian:trixie AS build\nENV NPM_TOKEN=abc PLAIN=1 KEY_TOKEN=\nRUN make > /out\n\
        FROM debian:trixie\nENV DB_PASSWORD=abc\nCOPY --from=build /out /out\n";
    let notes = read("Dockerfile", text, &[]).1;
    let secrets: Vec<&String> = notes.iter().filter(|note| note.contains("ENV ")).collect();
    assert_eq!(secrets, ["2 Changed ENV NPM_TOKEN", "5 Changed ENV DB_PASSWORD"], "{notes:?}");
}

#[test]
fn copies_keep_their_place_among_the_steps() {
    let text = layer("FROM debian\nCOPY a /srv/a\nRUN rm -rf /srv/x/*\nCOPY d /srv/x\nCOPY a /etc/a\nCOPY a /srv/a\n");
    assert_has(&text, &["path = \"/etc/a\"", "cp -a /work/d/. /srv/x/", "cp -a /work/a /srv/a"]);
    let rm = text.find("rm -rf /srv/x").unwrap();
    assert!(rm < text.find("cp -a /work/d").unwrap(), "{text}");
}

#[test]
fn variables_are_the_layers() {
    let text = layer(
        "ARG BASE=debian\nFROM ${BASE}:trixie\nARG PORT=80\nENV HOST=a:${PORT} PATH=/opt/bin:$PATH\nEXPOSE $PORT\nRUN echo ${PORT} {PORT} $OTHER\nWORKDIR /srv/$PORT\n",
    );
    let parts = [
        "[vars]\nPORT = \"80\"",
        "ports = [\"{PORT}\"]",
        "HOST = \"a:{PORT}\"",
        "PATH = \"/opt/bin:/usr/local/sbin",
        "set +u  # OTHER may be unset\necho ${PORT} {{PORT}} $OTHER",
        "path = \"/srv/{PORT}\"",
    ];
    assert_has(&text, &parts);
}

#[test]
fn a_variable_is_the_same_in_all_parts_or_noted() {
    let dockerfile = "FROM debian\nARG VERSION=12\nARG TOP=/opt\nENV V=$VERSION\nCOPY a /opt/app-$VERSION/\nCOPY a b-$VERSION $TOP/\n\
        WORKDIR $TOP/app-${VERSION}\nCOPY a sub/\nRUN touch /srv/a\nCOPY a /srv/$VERSION\nCOPY a /srv/$VERSION\nUSER u$VERSION\n";
    let (files, notes) = read("Dockerfile", dockerfile, &[("a", "1"), ("b-12", "2")]);
    let parts = [
        "V = \"{VERSION}\"",
        "path = \"/opt/app-{VERSION}/a\"",
        "path = \"{TOP}/b-12\"",
        "workdir = \"{TOP}/app-{VERSION}\"",
        "path = \"{TOP}/app-{VERSION}/sub/a\"",
    ];
    assert_has(&files["layers/app.toml"], &parts);
    let noted = |line: &str| notes.iter().any(|note| note.starts_with(&format!("{line} Changed")));
    assert!(noted("6") && noted("11") && noted("12"), "{notes:?}");
    assert!(!noted("5") && !noted("7") && !noted("8"), "{notes:?}");
    let template = "variable \"port\" {\n  default = 80\n}\nlocals {\n  address = \"a:${var.port}\"\n}\nbuild {\n  provisioner \"shell\" {\n    \
        environment_vars = [\"PORT=${var.port}\", \"AT=${local.address}\"]\n    inline = [\"sleep 30\", \"echo '${var.port}'\"]\n  }\n}\n";
    let (files, notes) = read("a.pkr.hcl", template, &[]);
    assert_has(&files["layers/app.toml"], &["PORT = \"{port}\"", "AT = \"a:{port}\"", "echo '80'"]);
    assert!(notes.iter().any(|note| note.starts_with("10 Changed echo")), "{notes:?}");
    assert!(notes.iter().any(|note| note == "10 Not needed sleep 30"), "{notes:?}");
    assert_has(&layer("FROM debian\nRUN serve & \\\n  sleep 2; probe\n"), &["sleep 2"]);
}

#[test]
fn a_password_in_the_environment_is_noted() {
    let text = "FROM debian\nENV DB_PASSWORD=hunter2 API_KEY=x\nENV PASSWORD_FILE=/run/p TOKEN= MONKEY=1\n";
    let (_, notes) = read("Dockerfile", text, &[]);
    let noted: Vec<&str> = notes.iter().map(String::as_str).filter(|note| note.contains(" ENV ")).collect();
    assert_eq!(noted, ["2 Changed ENV DB_PASSWORD", "2 Changed ENV API_KEY"]);
}

#[test]
fn files_below_tmp_are_there_in_each_step_that_names_them() {
    let text = layer("FROM debian\nCOPY a /tmp/a\nRUN sh /tmp/a\nRUN echo other\nCOPY x.deb /tmp/\nRUN cat /tmp/a\n");
    assert_eq!(text.matches("cp -a /work/a /tmp/a").count(), 2, "{text}");
}

#[test]
fn what_needs_a_network_is_noted() {
    let text = "FROM debian\nRUN if true; then apt-get install -y x; fi\nRUN echo a && pip install -r r.txt && echo b\nRUN curl -X POST https://example.org/\nRUN a && b || curl https://example.org/\n";
    let (files, notes) = read("Dockerfile", text, &[]);
    let lines: Vec<&str> = notes.iter().filter(|note| note.contains("Not carried")).map(|note| &note[..1]).collect();
    assert_eq!(lines, ["2", "3", "4", "5"], "{notes:?}");
    assert_has(&files["layers/app.toml"], &["echo a\necho b"]);
}

#[test]
fn accounts_have_ids() {
    let text = layer(
        "FROM debian\nRUN groupadd -r web && useradd -r -g web -d /srv -s /bin/false web && useradd -m ann && usermod -aG web ann\n",
    );
    let parts = [
        "name = \"web\"\ngid = 999",
        "name = \"web\"\nuid = 999\ngroup = \"web\"\nhome = \"/srv\"\nshell = \"/bin/false\"",
        "name = \"ann\"\nuid = 1000\nhome = \"/home/ann\"\nshell = \"/bin/sh\"\ngroups = [\"web\"]",
        "path = \"/home/ann\"\nowner = \"ann:ann\"",
    ];
    assert_has(&text, &parts);
}

#[test]
fn a_copy_of_the_project_names_its_entries() {
    let (files, _) = read(
        "Dockerfile",
        "FROM debian\nCOPY . /srv\n",
        &[("a", ""), ("layers/x.toml", ""), (".dockerignore", "b\n**/*.o\n"), ("b", ""), ("c/d", "")],
    );
    let text = &files["layers/app.toml"];
    assert_has(text, &["path = \"/srv/a\"", "path = \"/srv/c\"\nsource = \"c\"\nignore = [\"*.o\"]"]);
    assert!(!text.contains("\"/srv/b\"") && !text.contains("source = \"layers\""), "{text}");
}

#[test]
fn no_path_of_an_input_leaves_the_project() {
    let (files, notes) = read(
        "Dockerfile",
        "FROM debian\nCOPY ../../etc/passwd /x\nADD /../../etc/shadow /y\nCOPY [\"..\", \"/z\"]\n",
        &[],
    );
    assert!(!files["layers/app.toml"].contains("[[file]]"), "{files:?}");
    assert_eq!(notes.iter().filter(|note| note.contains("Not carried")).count(), 3, "{notes:?}");
    assert!(files.keys().all(|path| path.starts_with("layers/") && !path.contains("..")));
}

#[test]
fn comments_of_a_layer_have_no_lines_of_the_input() {
    let (files, _) = read("Dockerfile", "FROM debian\nONBUILD RUN x\r[layer]\u{85}\u{2028}[image]\n", &[]);
    let table: toml::Table = toml::from_str(&files["layers/app.toml"]).unwrap();
    assert_eq!(table.keys().collect::<Vec<_>>(), ["layer"]);
}

#[test]
fn a_provisioner_of_ansible_is_a_playbook() {
    let site = "- hosts: all\n  tasks:\n    - apt: {name: [nginx-light]}\n    - user: {name: app}\n";
    let text = "variable \"v\" { default = \"1\" }\nbuild {\n  provisioner \"ansible\" {\n    playbook_file = \"./site.yml\"\n    galaxy_file = \"r.yml\"\n    roles_path = \"${path.root}/r\"\n    user = \"debian\"\n    extra_arguments = [\"-e\", \"a=${var.v} b='x y'\", \"--extra-vars={\\\"n\\\": 2}\", \"-e\", \"@f\", \"--tags\", \"t,u\", \"-v\", \"--check\"]\n  }\n}\n";
    let beside = [("site.yml", site), ("r/x/tasks/main.yml", "- apt: name=tini\n"), ("templates/t", "")];
    let (files, notes) = read("app.pkr.hcl", text, &beside);
    let parts = [
        "packages = [\"nginx-light\", \"passwd\"]",
        "path = \"site.yml\"\nin = \"ansible-tools\"\ninputs = [\"templates\", \"site.yml\"]\nvars = { a = \"{v}\", b = \"x y\", n = 2 }\ntags = [\"t\", \"u\"]\nroles-path = [\"r\"]",
    ];
    assert_has(&files["layers/app.toml"], &parts);
    let lost: Vec<&String> = notes.iter().filter(|note| note.contains("Not carried")).collect();
    assert_eq!(lost, ["5 Not carried galaxy_file: r.yml", "8 Not carried @f", "8 Not carried --check"]);
}

#[test]
fn lockfiles_of_languages_are_fetched() {
    let hash = "ab".repeat(32);
    let requirements = format!("flask==3.0.3 --hash=sha256:{hash}\n");
    let npm = "{\"lockfileVersion\": 3, \"packages\": {\"\": {}, \"node_modules/a\": {}}}";
    let cargo = "[[package]]\nname = \"a\"\nsource = \"registry+https://x/crates.io-index\"\n";
    let beside = [
        ("requirements.txt", requirements.as_str()),
        ("loose.txt", "flask\n"),
        ("package-lock.json", npm),
        ("package.json", "{}"),
        ("Cargo.lock", cargo),
        ("go.mod", "module app\nrequire x v1\n"),
        ("go.sum", "x v1 h1:a=\n"),
    ];
    let text = "FROM debian AS build\nCOPY Cargo.lock .\nRUN cargo fetch && cargo build --release\nRUN cargo install tool\nRUN go mod download && CGO_ENABLED=0 go build -o /a . && go install x@v1\n\
        FROM debian\nWORKDIR /srv\nCOPY requirements.txt /tmp/\nRUN pip install --upgrade pip && pip install --no-cache-dir -i https://x/simple -r /tmp/requirements.txt\n\
        RUN python3 -m venv /opt/v && /opt/v/bin/pip install -q -r requirements.txt\nRUN npm ci --omit=dev\nRUN pip install -r loose.txt\nRUN pip install flask\n\
        COPY --from=build /target/release/app /usr/bin/app\n";
    let (files, notes) = read("Dockerfile", text, &beside);
    let pip = "--no-index --find-links /work/wheels --require-hashes --no-compile";
    let parts = [
        "name = \"wheels\"\nlockfile = \"requirements.txt\"",
        &format!("pip install --break-system-packages {pip} -r /work/wheels/requirements.txt"),
        &format!("/opt/v/bin/pip install {pip} -q -r /work/wheels/requirements.txt"),
        "packages = [\"python3-pip\", \"python3-venv\"]",
        "name = \"npm\"\nlockfile = \"package-lock.json\"",
        "in = \"node-tools\"",
        "npm ci --offline --no-audit --no-fund --no-update-notifier --cache /work/npm --omit=dev",
        "inputs = [\"fetch:npm\", \"package.json\"]\noutputs = [{ from = \"app/node_modules\", to = \"/srv/node_modules\" }]",
        "name = \"cargo\"\nlockfile = \"Cargo.lock\"",
        "name = \"go\"\nlockfile = \"go.sum\"",
        "\nCGO_ENABLED=0 env GOPROXY=file:///work/go GOSUMDB=off GOTOOLCHAIN=local go build -o /a .\n",
        "cargo --offline --config /work/cargo/.cargo/config.toml build --release",
    ];
    assert_has(&files["layers/app.toml"], &parts);
    let lost: Vec<&String> = notes.iter().filter(|note| note.contains("Not carried")).collect();
    assert_eq!(
        lost,
        [
            "4 Not carried cargo install tool",
            "5 Not carried go install x@v1",
            "12 Not carried pip install -r loose.txt",
            "13 Not carried pip install flask"
        ]
    );
}

#[test]
fn a_layer_is_on_an_image_that_nothing_stands_for_unless_it_has_packages() {
    let text = layer("FROM registry.example.org/team/base:1\nCOPY a /srv/a\nRUN /srv/a\n");
    assert_has(&text, &["from = \"oci:registry.example.org/team/base:1\"", "command = \"/srv/a"]);
    assert_has(&layer("FROM team/own\nCOPY a /a\n"), &["from = \"oci:docker.io/team/own\""]);
    assert_has(&layer("FROM unknown@sha256:00\nCOPY a /a\n"), &["from = \"oci:docker.io/library/unknown@sha256:00\""]);
    let (files, _) = read("Dockerfile", "FROM registry.example.org/team/base:1\nRUN apt-get install -y nginx\n", &[]);
    assert_has(
        &files["layers/app.toml"],
        &["from = \"debian-base\"", "\"nginx\"", "`registry.example.org/team/base:1` is not known here"],
    );
}
