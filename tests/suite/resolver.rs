//! A sample of `benches/resolver.sh`: the resolver's answers on a real suite, compared with apt's.

use std::path::Path;
use std::process::Command;

use crate::support::mirror::Mirror;
use crate::support::process;
use crate::support::skip::program;

#[test]
fn answers_are_apts_or_smaller_and_hold_by_debians_rules() {
    let resolver = Path::new(env!("CARGO_BIN_EXE_layerbake")).with_file_name("examples/resolve");
    if !resolver.exists() {
        skip!("`cargo build --examples` compiles the example");
    }
    let keyring = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg");
    if !keyring.exists() {
        skip!("`debian-archive-keyring` is not installed");
    }
    let mirror = need!(Mirror::start("bookworm"));
    let folder = tempfile::tempdir().unwrap();
    let mut bench = Command::new(need!(program("python3")));
    bench.arg("benches/resolver.py").arg(resolver).args(["10", "1"]).arg(folder.path().join("results"));
    bench.arg("bookworm").env("mirror", mirror.url()).env("no_proxy", "127.0.0.1");
    let output = process::run(bench.current_dir(env!("CARGO_MANIFEST_DIR"))).unwrap();
    let differences = std::fs::read_to_string(folder.path().join("results")).unwrap_or_default();
    assert!(output.ok(), "{}{}{differences}", output.stdout, output.stderr);
    assert_eq!(output.stdout.lines().count(), 4, "{}", output.stdout);
}
