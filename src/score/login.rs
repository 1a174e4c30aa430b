//! How the client of a scenario says who it is: kubeconfigs with a token, a plugin or a token file, and what they need.

use super::scenario::Login;
use anyhow::Context as _;
use rehearsal_fakeserver::auth::write_atomically;
use std::fmt::Write as _;
use std::path::Path;

/// Prints a credential; the first run another than all later ones, and each run leaves a line in the file `runs`.
const PLUGIN: &str = r#"#!/bin/sh
echo run >> "$1/runs"
n=2
[ "$(wc -l < "$1/runs")" -le 1 ] && n=1
printf '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"token-%s"}}\n' "$n"
"#;

/// The kubeconfig of a server, with what it needs beside it in the directory.
///
/// # Errors
/// When a file cannot be written.
pub(super) fn kubeconfig(of_server: &str, tls: bool, login: Login, dir: &Path) -> anyhow::Result<String> {
    if !tls {
        return Ok(insecure(of_server));
    }
    let place = dir.display();
    let user = match login {
        Login::Token => vec!["token: score-card".to_owned()],
        Login::File => {
            rotate(dir, 1)?;
            vec![format!("tokenFile: {place}/token")]
        }
        Login::Plugin => {
            write_atomically(&dir.join("plugin.sh"), PLUGIN).context("write the plugin")?;
            vec![
                "exec:".to_owned(),
                "  apiVersion: client.authentication.k8s.io/v1".to_owned(),
                "  command: sh".to_owned(),
                format!("  args: [\"{place}/plugin.sh\", \"{place}\"]"),
                "  interactiveMode: Never".to_owned(),
                "  provideClusterInfo: false".to_owned(),
            ]
        }
    };
    Ok(with_user(of_server, &user))
}

/// Writes the token file anew.
pub(super) fn rotate(dir: &Path, token: u32) -> anyhow::Result<()> {
    write_atomically(&dir.join("token"), &format!("token-{token}")).context("write the token file")
}

/// How often the plugin was run.
pub(super) fn plugin_runs(dir: &Path) -> usize {
    std::fs::read_to_string(dir.join("runs")).map(|text| text.lines().count()).unwrap_or_default()
}

/// A kubeconfig whose user has these lines instead of a certificate.
fn with_user(kubeconfig: &str, user: &[String]) -> String {
    let mut out = String::new();
    for line in kubeconfig.lines().filter(|l| !l.trim_start().starts_with("client-key-data:")) {
        match line.find("client-certificate-data:") {
            Some(at) => user.iter().for_each(|user| {
                let _ = writeln!(out, "{}{user}", &line[..at]);
            }),
            None => {
                let _ = writeln!(out, "{line}");
            }
        }
    }
    out
}

/// A kubeconfig that says outright that it is insecure: some clients take a plain HTTP server only so.
fn insecure(kubeconfig: &str) -> String {
    let mut out = String::new();
    for line in kubeconfig.lines() {
        out.push_str(line);
        out.push('\n');
        if let Some(at) = line.find("server: ") {
            out.push_str(&format!("{}insecure-skip-tls-verify: true\n", " ".repeat(at)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "users:\n- name: a\n  user:\n    client-certificate-data: x\n    client-key-data: y\n";

    #[test]
    fn a_token_takes_the_place_of_a_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let text = kubeconfig(CERTIFICATE, true, Login::Token, dir.path()).unwrap();
        assert_eq!(text, "users:\n- name: a\n  user:\n    token: score-card\n");
        let text = kubeconfig(CERTIFICATE, true, Login::File, dir.path()).unwrap();
        assert!(text.ends_with("/token\n"), "{text}");
        assert_eq!(std::fs::read_to_string(dir.path().join("token")).unwrap(), "token-1");
    }

    #[test]
    fn the_plugin_gives_another_token_from_its_second_run_on() {
        let dir = tempfile::tempdir().unwrap();
        let text = kubeconfig(CERTIFICATE, true, Login::Plugin, dir.path()).unwrap();
        assert!(text.contains("\n      command: sh\n"), "{text}");
        assert_eq!(plugin_runs(dir.path()), 0);
        for (run, token) in [(1, "token-1"), (2, "token-2"), (3, "token-2")] {
            let mut command = std::process::Command::new("sh");
            let output = command.arg(dir.path().join("plugin.sh")).arg(dir.path()).output().unwrap();
            let credential: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(credential["status"]["token"], token);
            assert_eq!(plugin_runs(dir.path()), run);
        }
    }

    #[test]
    fn an_insecure_server_is_said_to_be_one() {
        let text = "clusters:\n- cluster:\n    server: http://127.0.0.1:1\n  name: a\n";
        let wanted =
            "clusters:\n- cluster:\n    server: http://127.0.0.1:1\n    insecure-skip-tls-verify: true\n  name: a\n";
        assert_eq!(insecure(text), wanted);
    }
}
