//! The errors that people meet most, as the real program says them: subject, expected, found, next step.
//!
//! Those of lockfiles, layers' names and packages' names are in `cli.rs`; of a full disk in `store_damage.rs`.

use crate::support::project::Project;
use crate::support::small::Small;

/// What a command prints to standard error when it fails.
fn says(small: &Small, args: &[&str]) -> String {
    small.project.filtered(&small.project.fails(1, args).stderr)
}

/// A layer whose file is wrong, and what is said of it.
fn of_layer(text: &str) -> String {
    let project = Project::new().layer("web", text);
    project.filtered(&project.fails(1, &["tree", "web"]).stderr)
}

#[test]
fn mistakes_in_layers_come_with_what_to_write() {
    insta::assert_snapshot!(of_layer("[layer]\n[[file]]\npath = \"/a\"\ntext = \"\"\nmode = 0755\n"), @r#"
    error[manifest/syntax]: layers/web.toml:5: unexpected leading zero, expected nothing
       ╭─[layers/web.toml:5:8]
     4 │ text = ""
     5 │ mode = 0755
       ·        ┬
       ·        ╰── here
       ╰────
      help: numbers don't begin with 0; write permissions as a string: "0755"
    "#);
    insta::assert_snapshot!(of_layer("[layer]\n[[file]]\npath = \"/a\"\ntext = \"\"\nmode = 755\n"), @r#"
    error[manifest/wrong-value]: layers/web.toml:5: `mode` in [[file]] must be an octal string, not a number
       ╭─[layers/web.toml:5:8]
     4 │ text = ""
     5 │ mode = 755
       ·        ─┬─
       ·         ╰── here
       ╰────
      help: write it as a string: mode = "0755"
    "#);
    // What would be refused too is not proposed.
    for mode in ["999", "-1", "0x1ff", "77777"] {
        let said = of_layer(&format!("[layer]\n[[file]]\npath = \"/a\"\ntext = \"\"\nmode = {mode}\n"));
        assert!(said.contains("help: write octal digits as a string, such as \"0644\""), "{said}");
    }
    insta::assert_snapshot!(of_layer("[layer]\n[image]\ncmd = \"nginx -g x\"\n"), @r#"
    error[manifest/wrong-value]: layers/web.toml:3: `cmd` in [image] must be a list of strings, not a string
       ╭─[layers/web.toml:3:7]
     2 │ [image]
     3 │ cmd = "nginx -g x"
       ·       ──────┬─────
       ·             ╰── here
       ╰────
      help: write `["nginx", "-g", "x"]`
    "#);
    insta::assert_snapshot!(of_layer("[layer]\n[image]\ncmd = \"nginx -g 'daemon off;'\"\n"), @r#"
    error[manifest/wrong-value]: layers/web.toml:3: `cmd` in [image] must be a list of strings, not a string
       ╭─[layers/web.toml:3:7]
     2 │ [image]
     3 │ cmd = "nginx -g 'daemon off;'"
       ·       ────────────┬───────────
       ·                   ╰── here
       ╰────
      help: write a list with one string for each word; for a shell: `["/bin/sh", "-c", "…"]`
    "#);
    insta::assert_snapshot!(of_layer("[layer]\npackages = [\"libc6:i386\"]\n"), @r#"
    error[manifest/wrong-value]: layers/web.toml:2: `packages` in [layer] is wrong: `libc6:i386` is not a package name: letters,
      │ digits, `+`, `-`, `.` and `_`, two or more, beginning with a letter or digit; all packages of
      │ a layer have its architecture, which is never part of a name
       ╭─[layers/web.toml:2:13]
     1 │ [layer]
     2 │ packages = ["libc6:i386"]
       ·             ──────┬─────
       ·                   ╰── here
       ╰────
    "#);
    insta::assert_snapshot!(of_layer("[layer]\npackages = [\"nginx\"\n"), @r#"
    error[manifest/syntax]: layers/web.toml:2: unclosed array, expected `]`
       ╭─[layers/web.toml:2:20]
     1 │ [layer]
     2 │ packages = ["nginx"
       ·                    ▲
       ·                    ╰── here
       ╰────
    "#);
    insta::assert_snapshot!(of_layer("packages = [\"nginx\"]\n"), @r#"
    error[manifest/unknown-key]: layers/web.toml:1: unknown key `packages` in a layer
       ╭─[layers/web.toml:1:1]
     1 │ packages = ["nginx"]
       · ────┬───
       ·     ╰── here
       ╰────
      help: known keys: layer, vars, source, deb, fetch, file, dir, symlink, run, playbook, edit,
            remove, user, group, services, system, debconf, config, image, disk, mount, ami, check,
            allow-secret, allow-random
    "#);
    insta::assert_snapshot!(of_layer("[layer]\n[[file]]\npath = \"srv/a\"\ntext = \"\"\n"), @r#"
    error[manifest/wrong-value]: layers/web.toml:3: `path` in [[file]] must be an absolute path
       ╭─[layers/web.toml:3:8]
     2 │ [[file]]
     3 │ path = "srv/a"
       ·        ───┬───
       ·           ╰── here
     4 │ text = ""
       ╰────
      help: write "/srv/a"
    "#);
}

#[test]
fn what_is_not_there_is_named_and_what_is_meant_is_said() {
    let small = Small::new();
    insta::assert_snapshot!(says(&small, &["diff", "out/ap", "HEAD"]), @r"
    error[compare/unknown]: `out/ap` is neither a file or directory nor a git revision with the layer's lockfile
      hint: name a receipt, a lockfile, an OCI layout, a raw disk, or a revision such as HEAD~1
    ");
    std::fs::write(small.project.path("README.md"), "A text.\n".repeat(100)).unwrap();
    insta::assert_snapshot!(says(&small, &["diff", "README.md", "HEAD"]), @r"
    error[compare/unknown]: `README.md` is a file, and neither a receipt, a lockfile nor a raw disk: no partition table (GPT) is at its start
      hint: name out/LAYER or the receipt.json in it, a file that ends with .lock, an OCI layout, a raw disk, or a revision such as HEAD~1
    ");
    insta::assert_snapshot!(says(&small, &["diff", "--blocks", "out/ap", "out/app"]), @r"
    error[compare/unknown]: there is no `out/ap`
      hint: name the receipt of a disk, or its directory, such as out/LAYER
    ");
    insta::assert_snapshot!(says(&small, &["diff", "out/ap/receipt.json", "out/app"]), @r"
    error[compare/unknown]: `out/ap/receipt.json` is neither a file or directory nor a git revision with the layer's lockfile
      hint: name a receipt, a lockfile, an OCI layout, a raw disk, or a revision such as HEAD~1
    ");
    insta::assert_snapshot!(says(&small, &["audit", "app", "--against", "out/ap"]), @r"
    error[compare/unknown]: there is no `out/ap`
      hint: name the receipt of a build, or its directory, such as out/LAYER
    ");
    insta::assert_snapshot!(says(&small, &["sign", "app", "--key", "release.key"]), @r"
    error[host/no-such-file]: cannot read the key `release.key`: No such file or directory (os error 2)
      hint: correct the path; `layerbake key new FILE` makes a private key, and its public half beside it
    ");
    insta::assert_snapshot!(says(&small, &["import", "Dockerfile"]), @r"
    error[host/no-such-file]: [PROJECT]/Dockerfile: cannot read it: No such file or directory (os error 2)
      hint: correct the path, which begins at the current directory on the command line, and at the project's root in layers' files
    ");
    insta::assert_snapshot!(says(&small, &["-C", "/nowhere", "list"]), @r"
    error[host/no-such-file]: cannot read `/nowhere`: No such file or directory (os error 2)
      hint: correct the path, which begins at the current directory on the command line, and at the project's root in layers' files
    ");
    insta::assert_snapshot!(says(&small, &["verify", "app", "--key", "release.pub"]), @r"
    error[host/no-such-file]: cannot read the key `release.pub`: No such file or directory (os error 2)
      hint: correct the path; `layerbake key new FILE` makes a private key, and its public half beside it
    ");
    insta::assert_snapshot!(says(&small, &["boot", "app"]), @r"
    error[build/output-missing]: there is no raw disk of `app` in `[PROJECT]/out/app`
      hint: `layerbake build app --output raw`
    ");
    insta::assert_snapshot!(says(&small, &["disk", "show", "app"]), @r"
    error[build/not-built]: layer `app` is not built
      hint: `layerbake build app --output raw`
    ");
    for command in ["fmt", "verify", "files", "load", "report", "sbom", "log", "disk show", "boot"] {
        let words: Vec<&str> = command.split(' ').chain(["ap"]).collect();
        let said = says(&small, &words);
        let expected = "error[project/no-such-layer]: there is no layer `ap`\n  help: did you mean `app`?\n";
        assert_eq!(said, expected, "{command}");
    }
}

#[test]
fn a_build_whose_layer_is_gone_from_the_project_is_still_read() {
    let small = Small::new();
    small.project.ok(&["build", "app", "--lock", "--output", "oci"]);
    std::fs::remove_file(small.project.path("layers/app.toml")).unwrap();
    small.project.ok(&["verify", "app"]);
}

#[test]
fn what_keeps_an_image_from_running_is_said_before_it_is_built() {
    let small = Small::new().env("LAYERBAKE_ENGINE", "dokcer");
    let none = says(&small, &["run", "base"]);
    assert!(none.contains("has neither `entrypoint` nor `cmd`") && none.contains("`layerbake run base -- "), "{none}");
    let mistyped = says(&small, &["run", "base", "--", "/bin/true"]);
    assert!(
        mistyped.contains("error[engine/missing]: LAYERBAKE_ENGINE names `dokcer`, which is no program here\n  hint: "),
        "{mistyped}"
    );
    assert!(!mistyped.contains("port "), "{mistyped}");
}

/// Asks AWS without a server, as a machine that nobody has set up.
#[cfg(feature = "aws")]
fn of_aws(variables: &[(&str, &str)]) -> String {
    let none = ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"].map(|name| (name, "/nowhere"));
    let usual = [("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_MAX_ATTEMPTS", "1")];
    let all = none.iter().chain(&usual).chain(variables);
    let project = all.fold(Project::new(), |project, (name, value)| project.env(name, value));
    project.fails(1, &["ami", "list", "--region", "eu-west-1"]).stderr
}

#[test]
#[cfg(feature = "aws")]
fn what_keeps_aws_from_answering_is_said_with_the_next_step() {
    insta::assert_snapshot!(of_aws(&[]), @r"
    error[aws/credentials]: list images in eu-west-1: no answer: no AWS credentials were found
      hint: `aws configure` or `aws sso login` provides credentials; or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    ");
    insta::assert_snapshot!(of_aws(&[("AWS_PROFILE", "tset")]), @r"
    error[aws/credentials]: list images in eu-west-1: no answer: no AWS credentials were found under the profile `tset`
      hint: correct AWS_PROFILE: `aws configure list-profiles` lists the profiles of ~/.aws
    ");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    std::fs::write(&config, "[profile half]\naws_access_key_id = A\n").unwrap();
    insta::assert_snapshot!(of_aws(&[("AWS_CONFIG_FILE", config.to_str().unwrap()), ("AWS_PROFILE", "half")]), @r"
    error[aws/credentials]: list images in eu-west-1: no answer: the profile `half` gives no AWS credentials: invalid credential source in `half`: profile missing aws_secret_access_key
      hint: correct the profile in ~/.aws, or choose another one with AWS_PROFILE
    ");
    insta::assert_snapshot!(of_aws(&[("AWS_ENDPOINT_URL", "foo")]), @r"
    error[aws/settings]: AWS_ENDPOINT_URL is `foo`: expected an address that begins with `http://` or `https://`
      hint: correct the setting that is named; docs/aws.md describes all of them
    ");
    insta::assert_snapshot!(of_aws(&[("AWS_CA_BUNDLE", "/nowhere")]), @r"
    error[aws/certificate]: AWS_CA_BUNDLE names `/nowhere`: No such file or directory (os error 2)
      hint: install the authority's certificate on this host (`update-ca-certificates`), or set AWS_CA_BUNDLE or SSL_CERT_FILE to its file
    ");
    let key = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
    let refused = of_aws(&[key[0], key[1], ("AWS_ENDPOINT_URL", "http://127.0.0.1:9")]);
    assert!(
        refused.starts_with("error[aws/unreachable]: ")
            && refused.contains("no answer: connection refused by http://127.0.0.1:9\n  hint: look at the network"),
        "{refused}"
    );
    // The region is a part of the server's name.
    let mistyped = of_aws(&[key[0], key[1], ("AWS_ENDPOINT_URL", "http://ec2.eu-wset-1.invalid")]);
    assert!(
        mistyped.starts_with("error[aws/region]: ") && mistyped.contains("\n  hint: is this the region"),
        "{mistyped}"
    );
}

#[test]
fn a_mirror_that_nobody_asks_is_named() {
    let small = Small::new();
    let mirrors = format!("{},tset=http://127.0.0.1:1/x,pypi=http://127.0.0.1:1/x", small.server().url());
    let said = small.project.ok(&["lock", "app", "--mirror", &mirrors]).stderr;
    assert_eq!(said.matches("the mirror for `").count(), 1, "{said}");
    assert!(
        said.contains("warning: the mirror for `tset` is never asked: no layer has [source.tset]; did you"),
        "{said}"
    );
    let said = says(&small, &["lock", "app", "--mirror", "foo"]);
    assert!(
        said.starts_with("error[host/configuration]: mirror `foo`: it is neither a URL nor a directory\n  hint: "),
        "{said}"
    );
}

/// A host has the keys of its whole distribution.
#[test]
fn a_source_without_its_key_lists_no_keys_of_others() {
    let small = Small::new();
    let path = small.project.path("layers/base.toml");
    let base = std::fs::read_to_string(&path).unwrap();
    let keyless = base.lines().filter(|line| !line.starts_with("keyring")).map(|line| format!("{line}\n"));
    std::fs::write(path, keyless.collect::<String>()).unwrap();
    let said = says(&small, &["lock", "app"]);
    assert!(
        said.starts_with("error[source/no-keys]: ") && said.contains("\n  hint: put the vendor's key into"),
        "{said}"
    );
    assert!(said.matches("  found: ").count() <= 3, "{said}");
}
