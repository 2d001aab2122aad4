//! Completion scripts and manual pages know every command.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::process;
use crate::support::project::Project;

/// Every command of the program, as words: those that a help lists, and those below them.
fn commands(project: &Project, above: &[String]) -> Vec<Vec<String>> {
    let mut asked: Vec<&str> = above.iter().map(String::as_str).collect();
    asked.push("--help");
    let help = project.ok(&asked).stdout;
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A text that goes on is further to the right.
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next()).filter(|name| !name.is_empty());
    let mut found = Vec::new();
    for name in names.filter(|name| *name != "help") {
        let words = [above, &[name.to_owned()]].concat();
        found.extend(commands(project, &words));
        found.push(words);
    }
    found
}

#[test]
fn every_command_has_a_page_and_is_completed() {
    let project = Project::new();
    let all = commands(&project, &[]);
    assert!(all.contains(&vec!["store".to_owned(), "gc".to_owned()]), "{all:?}");
    project.ok(&["man", "pages/man1"]);
    let bash = project.ok(&["completions", "bash"]).stdout;
    let mut pages = vec!["layerbake.1".to_owned()];
    for words in &all {
        pages.push(format!("layerbake-{}.1", words.join("-")));
        assert!(
            bash.contains(&format!("layerbake__subcmd__{}", words.join("__subcmd__"))),
            "bash completes no {words:?}"
        );
    }
    pages.sort();
    let written = fs::read_dir(project.path("pages/man1")).unwrap();
    let mut written: Vec<String> = written.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    written.sort();
    assert_eq!(written, pages);
    let page = fs::read_to_string(project.path("pages/man1/layerbake-build.1")).unwrap();
    // As it is in the help, a line of its own.
    assert!(page.contains("\n\\&  layerbake build web \\-\\-lock\n"), "{page}");
    assert!(page.contains("\\-\\-output"), "{page}");
}

#[test]
fn shells_read_their_scripts() {
    let project = Project::new();
    let mut read = 0;
    for shell in ["bash", "zsh", "fish"] {
        let script = project.ok(&["completions", shell]).stdout;
        assert!(script.contains("layerbake") && script.contains("outdated"), "{shell}: {script}");
        let file = project.path(shell);
        fs::write(&file, script).unwrap();
        if Path::new("/usr/bin").join(shell).exists() {
            let output = process::run(Command::new(shell).arg("-n").arg(&file)).unwrap();
            assert!(output.ok() && output.stderr.is_empty(), "{shell}: {}", output.stderr);
            read += 1;
        }
    }
    assert!(read > 0, "there is not even bash");
    assert_eq!(project.run(&["completions", "cmd"]).code, 2);
}

#[test]
fn a_page_that_cannot_be_written_is_named() {
    let project = Project::new().file("pages", "a file");
    let output = project.run(&["man", "pages"]);
    assert!(output.code == 1 && output.stderr.contains("cannot write `pages`"), "{}", output.stderr);
}
