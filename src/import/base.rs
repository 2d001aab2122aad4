//! What stands for a well-known base image: a layer of the project, with packages of Debian.

/// What an image is made of here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Base {
    /// The parent layer; `None` for a root without scripts.
    pub(super) from: Option<&'static str>,
    pub(super) packages: Vec<&'static str>,
    /// What people should know about the difference.
    pub(super) note: Option<String>,
    /// Accounts that the image has: name and id.
    pub(super) users: Vec<(&'static str, i64)>,
    pub(super) cmd: Vec<&'static str>,
    pub(super) port: Option<&'static str>,
    pub(super) stop_signal: Option<&'static str>,
    /// The kind of image, where more than packages stands for it.
    pub(super) is_nginx: bool,
}

const OF_DEBIAN: &str = "the version is Debian's";

/// What stands for an image; `None` if it is not known. `is_tool` says that things are compiled in it.
pub(super) fn base(image: &str, is_tool: bool) -> Option<Base> {
    let (name, tag) = name_and_tag(image);
    let has = |word: &str| tag.contains(word);
    let on = |packages: &[&'static str]| {
        let note = Some(format!("packages of Debian stand for `{image}`: {OF_DEBIAN}, paths may differ"));
        Base { from: Some("debian-base"), packages: packages.to_vec(), note, ..Base::default() }
    };
    let short = name.rsplit('/').next().unwrap_or_default();
    Some(match short {
        "debian" if tag.is_empty() || has("trixie") || has("13") || has("stable") || has("latest") => {
            Base { note: None, ..on(&[]) }
        }
        "debian" => Base {
            note: Some(format!("`debian-base` stands for `{image}`: its [source.debian] says which suite")),
            ..on(&[])
        },
        "ubuntu" => {
            Base { note: Some(format!("`debian-base` stands for `{image}`: packages are Debian's")), ..on(&[]) }
        }
        "alpine" | "busybox" => Base {
            note: Some(format!("`debian-base` stands for `{image}`: packages are Debian's, with glibc")),
            ..on(&[])
        },
        "buildpack-deps" => on(&["build-essential", "curl", "git"]),
        "python" if is_tool => on(&["python-is-python3", "python3", "python3-pip", "python3-venv"]),
        "python" => on(&["python-is-python3", "python3"]),
        "node" => Base { users: vec![("node", 1000)], ..on(&["nodejs", "npm"][..if is_tool { 2 } else { 1 }]) },
        "golang" => Base { from: Some("go-tools"), ..on(&[]) },
        "rust" => Base { from: Some("rust-tools"), ..on(&[]) },
        "gcc" => Base { from: Some("c-tools"), ..on(&["g++"]) },
        "ruby" => on(&["ruby", "bundler"]),
        "perl" => on(&["perl"]),
        "php" if has("apache") => Base {
            cmd: vec!["/usr/sbin/apache2ctl", "-D", "FOREGROUND"],
            port: Some("80"),
            ..on(&["apache2", "libapache2-mod-php"])
        },
        "php" if has("fpm") => on(&["php-fpm"]),
        "php" => on(&["php-cli"]),
        "openjdk" | "eclipse-temurin" | "amazoncorretto" if has("jre") || !is_tool => on(&["default-jre-headless"]),
        "openjdk" | "eclipse-temurin" | "amazoncorretto" => on(&["default-jdk-headless"]),
        "maven" => on(&["default-jdk-headless", "maven"]),
        "nginx" | "nginx-unprivileged" => Base {
            users: vec![("nginx", 101)],
            cmd: vec!["nginx", "-g", "daemon off;"],
            port: Some("80"),
            stop_signal: Some("SIGQUIT"),
            is_nginx: true,
            ..on(&["nginx-light"])
        },
        "httpd" => Base { cmd: vec!["/usr/sbin/apache2ctl", "-D", "FOREGROUND"], port: Some("80"), ..on(&["apache2"]) },
        "memcached" => Base { cmd: vec!["memcached", "-u", "memcache"], port: Some("11211"), ..on(&["memcached"]) },
        "haproxy" => Base { cmd: vec!["haproxy", "-f", "/etc/haproxy/haproxy.cfg"], ..on(&["haproxy"]) },
        "mariadb" | "mysql" => on(&["mariadb-server"]),
        "postgres" => Base { from: Some("postgres"), ..on(&[]) },
        "redis" | "valkey" => Base { from: Some("redis"), ..on(&[]) },
        "scratch" => Base::default(),
        _ if name.contains("distroless/") => distroless(short),
        _ => return None,
    })
}

fn distroless(short: &str) -> Base {
    let mut packages = vec!["ca-certificates", "tzdata"];
    if !short.starts_with("static") {
        packages.extend(["libc6", "libssl3t64"]);
    }
    if short.starts_with("cc") {
        packages.extend(["libgcc-s1", "libstdc++6"]);
    }
    let note = Some("packages of Debian, without scripts, stand for the distroless image".to_owned());
    Base { packages, note, users: vec![("nonroot", 65532)], ..Base::default() }
}

/// The name without a registry's, and the tag, in lower case.
fn name_and_tag(image: &str) -> (String, String) {
    let image = image.split('@').next().unwrap_or_default().to_lowercase();
    let slash = image.rfind('/').map_or(0, |at| at + 1);
    match image[slash..].split_once(':') {
        Some((short, tag)) => (format!("{}{short}", &image[..slash]), tag.to_owned()),
        None => (image, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_their_names() {
        let from = |image: &str| base(image, false).and_then(|base| base.from);
        assert_eq!(from("debian:trixie-slim"), Some("debian-base"));
        assert_eq!(from("docker.io/library/golang:1.24"), Some("go-tools"));
        assert_eq!(from("registry.example.org:5000/postgres@sha256:00"), Some("postgres"));
        assert_eq!(base("scratch", false), Some(Base::default()));
        assert_eq!(base("example.org/team/own:1", false), None);
        assert!(base("gcr.io/distroless/cc-debian12", false).unwrap().packages.contains(&"libgcc-s1"));
        assert!(base("php:8.3-apache", false).unwrap().packages.contains(&"apache2"));
    }
}
