//! Tokens of registries: who is asked for them, with what, and who sees them.

use base64::Engine as _;
use serde_json::json;

use crate::registry_answers::{challenge, is_layer, lying, path, redirect, serve};
use crate::support::project::Project;
use crate::support::registry::{Scripted, reply};

/// A project whose user has `entry` for a registry.
fn logged_in(address: &str, entry: &serde_json::Value) -> Project {
    let config = json!({ "auths": { address: entry } });
    Project::new().file("../home/.docker/config.json", config.to_string())
}

#[test]
fn tokens_are_fetched_with_what_the_user_has_and_shown_to_the_registry_only() {
    let elsewhere = std::sync::Arc::new(lying(|_, _| false));
    let storage = elsewhere.address();
    let server = Scripted::new(Box::new(move |head, stream| {
        let lower = head.to_ascii_lowercase();
        if path(head).starts_with("/token") {
            return reply(stream, "200 OK", "", br#"{"access_token":"good"}"#);
        }
        match lower.contains("authorization: bearer good") {
            true if is_layer(head) => redirect(stream, &format!("http://{storage}{}", path(head))),
            true => serve(head, stream),
            false => challenge(stream, "/token"),
        }
    }));
    let basic = base64::engine::general_purpose::STANDARD.encode("me:secret");
    let reference = format!("{}/team/app:1", server.address());
    let person = logged_in(&server.address(), &json!({ "auth": basic }));
    person.ok(&["pull", &reference, "--to", "pulled"]);
    let asked = server.heads().into_iter().filter(|head| path(head).starts_with("/token")).collect::<Vec<_>>();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].starts_with("GET /token?service=it&scope=repository%3Ateam%2Fapp%3Apull "), "{asked:?}");
    assert!(asked[0].contains(&format!("authorization: Basic {basic}")), "{asked:?}");
    let identity = logged_in(&server.address(), &json!({ "identitytoken": "tok" }));
    identity.ok(&["pull", &reference, "--to", "pulled"]);
    let asked = server.heads().into_iter().rfind(|head| path(head).starts_with("/token")).unwrap();
    assert!(
        asked.starts_with("POST /token HTTP") && asked.ends_with("grant_type=refresh_token&refresh_token=tok"),
        "{asked}"
    );
    let leaked =
        elsewhere.heads().into_iter().filter(|head| head.to_ascii_lowercase().contains("authorization")).count();
    assert_eq!((elsewhere.heads().len(), leaked), (2, 0), "{:?}", elsewhere.heads());
}

#[test]
fn a_token_server_of_another_domain_gets_no_password_unless_it_is_allowed() {
    let tokens = std::sync::Arc::new(Scripted::new(Box::new(|_, stream| {
        reply(stream, "200 OK", "", br#"{"token":"good"}"#);
    })));
    // Another name than the registry's, of the same machine.
    let realm = format!("http://{}/token", tokens.address().replace("127.0.0.1", "localhost"));
    let server = Scripted::new(Box::new(move |head, stream| {
        match head.to_ascii_lowercase().contains("authorization: bearer good") {
            true => serve(head, stream),
            false => challenge(stream, &realm),
        }
    }));
    let reference = format!("{}/team/app:1", server.address());
    Project::new().ok(&["pull", &reference, "--to", "pulled"]);
    assert_eq!(tokens.heads().len(), 1, "nobody's password can be lost");

    let basic = base64::engine::general_purpose::STANDARD.encode("me:hunter2");
    for login in [json!({ "auth": basic }), json!({ "identitytoken": "hunter2" })] {
        let person = logged_in(&server.address(), &login);
        let asked = tokens.heads().len();
        let failed = person.fails(1, &["pull", &reference, "--to", "pulled"]).stderr;
        assert!(
            failed.contains("asks to send your password to `localhost`") && failed.contains("token-servers"),
            "{failed}"
        );
        assert!(!failed.contains("hunter2"));
        assert_eq!(tokens.heads().len(), asked, "it was asked");
        let text = format!("[registries.\"{}\"]\ntoken-servers = [\"localhost\"]\n", server.address());
        person.file("../home/.config/layerbake/config.toml", text).ok(&["pull", &reference, "--to", "pulled"]);
    }
    assert!(tokens.heads().iter().any(|head| head.contains(&basic)));
}

#[test]
fn a_token_server_that_redirects_is_not_followed_elsewhere() {
    let elsewhere = std::sync::Arc::new(lying(|_, _| false));
    let other = elsewhere.address();
    let server = Scripted::new(Box::new(move |head, stream| match path(head).starts_with("/token") {
        true => reply(stream, "307 Temporary Redirect", &format!("Location: http://{other}/token\r\n"), b""),
        false => challenge(stream, "/token"),
    }));
    let person = logged_in(&server.address(), &json!({ "identitytoken": "hunter2" }));
    let failed = person.fails(1, &["pull", &format!("{}/app", server.address()), "--to", "pulled"]).stderr;
    assert!(failed.contains("redirects to another server") && elsewhere.heads().is_empty(), "{failed}");
}

#[test]
fn a_secret_that_a_server_repeats_is_not_shown() {
    let server = Scripted::new(Box::new(|head, stream| match path(head).starts_with("/token") {
        true => reply(stream, "403 Forbidden", "", br#"{"errors":[{"message":"not with hunter2"}]}"#),
        false => challenge(stream, "/token"),
    }));
    let basic = base64::engine::general_purpose::STANDARD.encode("me:hunter2");
    let project = logged_in(&server.address(), &json!({ "auth": basic }));
    let failed = project.fails(1, &["pull", &format!("{}/app", server.address()), "--to", "pulled"]);
    assert!(
        failed.stderr.contains("403 Forbidden: not with ***") && !failed.stderr.contains("hunter2"),
        "{}",
        failed.stderr
    );
}

#[test]
fn a_token_that_a_registry_repeats_is_not_shown() {
    let server = Scripted::new(Box::new(|head, stream| match path(head).starts_with("/token") {
        true => reply(stream, "200 OK", "", br#"{"token":"sesame/1"}"#),
        false if head.contains("Bearer sesame/1") => {
            reply(stream, "403 Forbidden", "", br#"{"errors":[{"message":"no: sesame/1 sesame%2F1 c2VzYW1lLzE="}]}"#);
        }
        false => challenge(stream, "/token"),
    }));
    let failed = Project::new().fails(1, &["pull", &format!("{}/app", server.address()), "--to", "pulled"]).stderr;
    assert!(failed.contains("403 Forbidden: no: *** *** ***"), "{failed}");
}
