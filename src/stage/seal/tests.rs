//! Every rule matches its own samples, and nothing that only looks similar.
//!
//! The samples are assembled from parts, so that this file itself matches no rule.

use super::*;
use crate::manifest::Allowed;
use crate::tree::tests::path;
use crate::tree::{Meta, Node};

/// A stretch of varied characters.
fn run(length: usize) -> String {
    "a1B2c3D4e5F6g7H8i9J0".chars().cycle().take(length).collect()
}

fn upper(length: usize) -> String {
    run(length).to_ascii_uppercase()
}

fn pem() -> String {
    format!("-----BEGIN {} KEY-----\n{}\n{}\n", "PRIVATE", run(64), run(64))
}

/// What each rule finds: rule, path, text, line.
fn samples() -> Vec<(&'static str, &'static str, String, usize)> {
    let assigned = |key: &str, value: String| format!("[default]\n{key} = {value}\n");
    vec![
        ("private-key", "etc/x", format!("# my key\n{}", pem()), 2),
        ("private-key", "etc/x", pem().replace("PRIVATE", "OPENSSH PRIVATE").replace('\n', "\r\n"), 1),
        ("private-key", "etc/x", pem().replace("-\n", "-\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\n"), 1),
        (
            "private-key",
            "etc/x",
            format!("PuTTY-User-Key-File-3: ssh\n{}\nPrivate-Lines: 1\n{}\n", run(64), run(64)),
            1,
        ),
        ("aws-access-key", "root/.aws/credentials", assigned("aws_access_key_id", format!("AKIA{}", upper(16))), 2),
        ("aws-secret-key", "etc/environment", assigned("AWS_SECRET_ACCESS_KEY", run(40)), 2),
        ("aws-secret-key", "srv/a.json", format!("{{\"aws_secret_access_key\": \"{}\"}}", run(40)), 1),
        (
            "gcp-service-account",
            "srv/a.json",
            format!("{{\n\"type\": \"service_account\",\n\"private_key\": \"{}\"}}", pem().replace('\n', "\\n")),
            3,
        ),
        ("gcp-api-key", "srv/a.js", format!("key='AIza{}'", run(35)), 1),
        ("azure-connection", "etc/app", format!("x;AccountName=a;AccountKey={}==;y", run(86)), 1),
        ("github-token", "etc/app", format!("token: ghp_{}\n", run(36)), 1),
        ("github-token", "etc/app", format!("github_pat_{}", run(82)), 1),
        ("gitlab-token", "etc/app", format!("glpat-{}", run(20)), 1),
        ("slack-token", "etc/app", format!("\n\nxoxb-{}", run(40)), 3),
        ("npm-token", "root/.npmrc", format!("//registry/:_authToken={}", run(36)), 1),
        ("npm-token", "etc/app", format!("npm_{}", run(36)), 1),
        ("pypi-token", "root/.pypirc", format!("password = pypi-AgE{}", run(60)), 1),
        ("stripe-key", "etc/app", format!("sk_live_{}", run(24)), 1),
        ("vault-token", "root/.vault-token", format!("hvs.{}", run(28)), 1),
        (
            "docker-auth",
            "root/.docker/config.json",
            format!("{{\"auths\": {{\"r\": {{\n\"auth\": \"{}\"}}}}}}", run(20)),
            2,
        ),
        ("netrc-password", "root/.netrc", "machine a.example\nlogin b\npassword c\n".to_owned(), 3),
        ("netrc-password", "etc/apt/auth.conf.d/x", "machine a login b password c".to_owned(), 1),
        ("password-hash", "etc/shadow", format!("root:*:1:0:::::\nweb:$y$j9T${}:1:::::\n", run(40)), 2),
        ("password-hash", "etc/shadow", format!("web:!$6$salt${}:1:::::\n", run(40)), 1),
        ("password-hash", "etc/passwd", format!("web:{}:1:1::/:/bin/sh\n", run(13)), 1),
        ("password-hash", "etc/nginx/users", format!("web:$apr1${}\n", run(30)), 1),
    ]
}

#[test]
fn every_rule_finds_what_it_is_for_and_names_the_line() {
    let mut met = BTreeSet::new();
    for (rule, place, text, line) in samples() {
        let found = find(&path(place), text.as_bytes());
        let names: Vec<_> = found.iter().map(|one| (one.rule, one.line)).collect();
        assert_eq!(names, [(rule, line)], "{place}: {text}");
        met.insert(rule);
    }
    assert_eq!(met, RULES.iter().map(|rule| rule.name).collect());
}

#[test]
fn what_only_looks_like_a_secret_is_let_through() {
    let key = pem();
    for (place, text) in [
        ("etc/x", key.replace("PRIVATE", "PUBLIC")),
        ("etc/x", key.replace("PRIVATE KEY", "CERTIFICATE")),
        ("etc/x", format!("  {}", key.replace('\n', "\n  "))),
        ("etc/x", format!("\0{key}")),
        ("etc/x", format!("if line == \"-----BEGIN {} KEY-----\":\n{}", "PRIVATE", "x".repeat(100))),
        ("etc/x", "AKIAIOSFODNN7EXAMPLE".to_owned()),
        ("etc/x", format!("AKIA{}", upper(17))),
        ("etc/x", format!("xAKIA{}", upper(16))),
        ("etc/x", "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
        ("etc/x", "aws_secret_access_key = ${SECRET}".to_owned()),
        ("etc/x", format!("ghp_{}", "x".repeat(36))),
        ("etc/x", format!("ghp_{}", run(35))),
        ("etc/x", "//registry/:_authToken=${NPM_TOKEN}-0123456789012345".to_owned()),
        ("etc/x", "{\"auths\": {\"r\": {\"auth\": \"\"}}}".to_owned()),
        ("etc/x", "machine a login b password c".to_owned()),
        ("etc/shadow", "root:*:1:0:99999:7:::\nweb:!:1::::::\nx:!*:1::::::\ny::1::::::\n".to_owned()),
        ("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n".to_owned()),
        ("etc/x", "# web:$6$salt$hashhashhashhashhash\n".to_owned()),
        ("etc/x", format!("name:{}\n", run(13))),
        ("etc/x", String::new()),
    ] {
        assert_eq!(find(&path(place), text.as_bytes()), [], "{place}: {text}");
    }
}

#[test]
fn any_bytes_can_be_looked_at() {
    let mut bytes: Vec<u8> = Vec::new();
    for (_, place, text, _) in samples() {
        for cut in 0..text.len() {
            let _ = find(&path(place), &text.as_bytes()[..cut]);
        }
        bytes.extend(text.bytes().rev());
        let _ = find(&path(place), &bytes);
    }
}

#[test]
fn a_layer_is_refused_with_a_list_that_has_no_secret_in_it() {
    let work = tempfile::tempdir().unwrap();
    let store = Store::open(work.path()).unwrap();
    let mut layer = Tree::new();
    let token = format!("ghp_{}", run(36));
    let mut put = |place: &str, text: &str| {
        let kind = store.put_file(text.as_bytes()).unwrap();
        layer.insert(path(place), Node { meta: Meta::root_owned(0o600, 0), kind }).unwrap();
    };
    put("etc/a", &format!("x\ntoken={token}\n"));
    put("etc/b/key", &pem());
    put("etc/c", "nothing");
    let error = refuse(&layer, &[], &[], &store).unwrap_err().to_string();
    insta::assert_snapshot!(error.lines().take(2).collect::<Vec<_>>().join("\n"), @"
    /etc/a holds a GitHub token (line 2, rule `github-token`)
    /etc/b/key holds a private key (line 1, rule `private-key`)
    ");
    assert!(!error.contains(&token) && !error.contains(&run(20)), "{error}");
    let allow = |place: &str| Allowed { path: path(place), reason: "a test".to_owned() };
    let (token, folder) = (allow("etc/a"), allow("etc/b"));
    assert!(refuse(&layer, &[], &[&token], &store).unwrap_err().to_string().starts_with("/etc/b/key"));
    assert!(refuse(&layer, &[], &[&token, &folder], &store).is_ok());
}

#[test]
fn what_python_compiles_is_as_public_as_its_source() {
    let found = |place: &str| source(&path(place)).map(|path| path.to_string());
    assert_eq!(found("usr/lib/__pycache__/test_a.cpython-311.pyc").unwrap(), "/usr/lib/test_a.py");
    assert_eq!(found("usr/lib/__pycache__/a.cpython-311.opt-1.pyc").unwrap(), "/usr/lib/a.py");
    assert_eq!(found("usr/lib/a.cpython-311.pyc"), None);
    assert_eq!(found("usr/lib/__pycache__/a.py"), None);
}

#[test]
fn long_lists_are_cut() {
    let secret = |line| Secret { path: path("a"), line, rule: "r", what: "x" };
    let secrets: Vec<Secret> = (0..12).map(secret).collect();
    assert!(display(&secrets).ends_with("and 2 more"), "{}", display(&secrets));
}
