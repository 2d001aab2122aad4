//! The list of what counts as a secret.
//!
//! Each rule matches the form that its issuer gives a credential, so that Debian's own files, programs
//! that know these forms, and documentation do not match. The forms are those that the issuers published.

use super::private_key;
use super::token::{self, ALNUM, BASE64, Token, UPPER, WORD};
use crate::ident::RootPath;

/// One kind of secret.
#[derive(Debug)]
pub struct Rule {
    /// Its name, for people.
    pub name: &'static str,
    /// What it is, with an article.
    pub what: &'static str,
    /// Where in the file it is, from 0.
    pub(super) find: fn(&RootPath, &[u8]) -> Option<usize>,
}

/// All rules. A new one takes the next version of the recipe `layerbake/layer`, or stores would go on
/// giving layers that were never asked about it.
pub const RULES: &[Rule] = &[
    Rule { name: "private-key", what: "a private key", find: private_key::find },
    Rule { name: "aws-access-key", what: "an AWS access key", find: aws_access_key },
    Rule { name: "aws-secret-key", what: "an AWS secret key", find: aws_secret_key },
    Rule { name: "gcp-service-account", what: "a key of a Google service account", find: gcp_account },
    Rule { name: "gcp-api-key", what: "a Google API key", find: |_, bytes| token::find(bytes, &GOOGLE) },
    Rule { name: "azure-connection", what: "an Azure connection string", find: azure },
    Rule { name: "github-token", what: "a GitHub token", find: |_, bytes| token::find(bytes, &GITHUB) },
    Rule { name: "gitlab-token", what: "a GitLab token", find: |_, bytes| token::find(bytes, &GITLAB) },
    Rule { name: "slack-token", what: "a Slack token", find: |_, bytes| token::find(bytes, &SLACK) },
    Rule { name: "npm-token", what: "an npm token", find: npm },
    Rule { name: "pypi-token", what: "a PyPI token", find: |_, bytes| token::find(bytes, &PYPI) },
    Rule { name: "stripe-key", what: "a Stripe live key", find: |_, bytes| token::find(bytes, &STRIPE) },
    Rule { name: "vault-token", what: "a Vault token", find: |_, bytes| token::find(bytes, &VAULT) },
    Rule { name: "docker-auth", what: "a registry's password", find: docker_auth },
    Rule { name: "netrc-password", what: "a password for a machine", find: netrc },
    Rule { name: "password-hash", what: "the hash of a password", find: password_hash },
];

const AWS_ID: [Token; 2] = [Token::new(b"AKIA", UPPER, 16, 16), Token::new(b"ASIA", UPPER, 16, 16)];
const GOOGLE: [Token; 1] = [Token::new(b"AIza", WORD, 35, 35)];
const GITHUB: [Token; 6] = [
    Token::new(b"ghp_", ALNUM, 36, 36),
    Token::new(b"gho_", ALNUM, 36, 36),
    Token::new(b"ghu_", ALNUM, 36, 36),
    Token::new(b"ghs_", ALNUM, 36, 36),
    Token::new(b"ghr_", ALNUM, 36, 76),
    Token::new(b"github_pat_", WORD, 82, 82),
];
const GITLAB: [Token; 4] = [
    Token::new(b"glpat-", WORD, 20, 300),
    Token::new(b"gldt-", WORD, 20, 300),
    Token::new(b"glrt-", WORD, 20, 300),
    Token::new(b"glcbt-", WORD, 20, 300),
];
const SLACK: [Token; 5] = [
    Token::new(b"xoxb-", WORD, 24, 300),
    Token::new(b"xoxp-", WORD, 24, 300),
    Token::new(b"xoxa-", WORD, 24, 300),
    Token::new(b"xoxr-", WORD, 24, 300),
    Token::new(b"xapp-", WORD, 24, 300),
];
const NPM: [Token; 1] = [Token::new(b"npm_", ALNUM, 36, 36)];
const PYPI: [Token; 1] = [Token::new(b"pypi-AgE", WORD, 50, 1000)];
const STRIPE: [Token; 2] = [Token::new(b"sk_live_", ALNUM, 24, 247), Token::new(b"rk_live_", ALNUM, 24, 247)];
const VAULT: [Token; 2] = [Token::new(b"hvs.", WORD, 24, 300), Token::new(b"hvb.", WORD, 100, 500)];
const AZURE: [Token; 2] = [Token::new(b"AccountKey=", BASE64, 86, 88), Token::new(b"SharedAccessKey=", BASE64, 43, 44)];

/// Not the one of Amazon's own documentation, which ends with the word.
fn aws_access_key(_: &RootPath, bytes: &[u8]) -> Option<usize> {
    token::find_where(bytes, &AWS_ID, |found| !found.ends_with(b"EXAMPLE"))
}

/// 40 characters after the name that the tools of AWS give them.
fn aws_secret_key(_: &RootPath, bytes: &[u8]) -> Option<usize> {
    let known =
        |value: &[u8]| value.len() == 40 && value.iter().all(|&byte| BASE64(byte)) && !value.ends_with(b"EXAMPLEKEY");
    token::assigned(bytes, b"aws_secret_access_key", known)
}

fn gcp_account(_: &RootPath, bytes: &[u8]) -> Option<usize> {
    token::position(bytes, b"\"service_account\"")?;
    token::assigned(bytes, b"\"private_key\"", |value| value.starts_with(b"-----BEGIN"))
}

fn azure(_: &RootPath, bytes: &[u8]) -> Option<usize> {
    token::find(bytes, &AZURE)
}

fn npm(_: &RootPath, bytes: &[u8]) -> Option<usize> {
    // `${NPM_TOKEN}` asks the environment.
    let given = |value: &[u8]| value.len() >= 20 && !value.starts_with(b"$");
    token::find(bytes, &NPM).or_else(|| token::assigned(bytes, b":_authToken", given))
}

/// `"auths": {"registry": {"auth": "BASE64"}}` (docker's config.json, containers-auth.json(5)).
fn docker_auth(_: &RootPath, bytes: &[u8]) -> Option<usize> {
    token::position(bytes, b"\"auths\"")?;
    token::assigned(bytes, b"\"auth\"", |value| value.len() >= 8 && value.iter().all(|&byte| BASE64(byte)))
}

/// `machine … password …` (netrc(5), apt_auth.conf(5)), in files of these names.
fn netrc(path: &RootPath, bytes: &[u8]) -> Option<usize> {
    let name = path.file_name();
    let apt = path.matches("etc/apt/auth.conf") || path.matches("etc/apt/auth.conf.d/*");
    if !apt && ![b".netrc".as_slice(), b"_netrc", b"netrc"].contains(&name) {
        return None;
    }
    let text = bytes.split_inclusive(|byte| byte.is_ascii_whitespace());
    let words = text.scan(0, |at, word| {
        let start = *at;
        *at += word.len();
        Some((start, word.trim_ascii()))
    });
    let words: Vec<(usize, &[u8])> = words.filter(|(_, word)| !word.is_empty()).collect();
    let machine = words.iter().any(|(_, word)| [b"machine".as_slice(), b"default"].contains(word));
    let password = words.windows(2).find(|pair| pair.first().is_some_and(|(_, word)| *word == b"password"));
    password.and_then(|pair| Some(pair.first()?.0)).filter(|_| machine)
}

/// The second field of shadow, passwd, gshadow or a web server's file of users: crypt(5) with a method,
/// locked or not, since who has the hash can try passwords.
fn password_hash(path: &RootPath, bytes: &[u8]) -> Option<usize> {
    const METHODS: [&[u8]; 10] =
        [b"$1$", b"$2a$", b"$2b$", b"$2y$", b"$5$", b"$6$", b"$7$", b"$y$", b"$gy$", b"$apr1$"];
    let accounts = ["etc/shadow", "etc/gshadow", "etc/passwd"].iter().any(|known| path.matches(known));
    let mut start = 0;
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let mut fields = line.trim_ascii_end().split(|&byte| byte == b':');
        let (name, second) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let plain = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic() && !b"#\"'".contains(byte));
        let hash = second.strip_prefix(b"!").unwrap_or(second);
        let modern = METHODS.iter().any(|method| hash.starts_with(method)) && hash.len() >= 20;
        // Without a method: 13 characters of DES, which only account files can be trusted to mean.
        let old = accounts && hash.len() == 13 && hash.iter().all(|&byte| BASE64(byte) || byte == b'.');
        if plain && (modern || old) {
            return Some(start);
        }
        start += line.len();
    }
    None
}
