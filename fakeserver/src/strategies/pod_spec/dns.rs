//! Validation of names and name resolution: dnsConfig, host names, host aliases.
//!
//! Counterpart: `validatePodDNSConfig`, `ValidateHostAliases` and the host name part of `ValidatePodSpec`.

use crate::strategies::access::{bool_at, list_at, str_at, strings_at};
use crate::strategies::rules::{Errors, complaints, dns_label, dns_subdomain};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation as words;
use serde_json::Value;

/// Limits of the C library's resolver, as far as the server enforces them.
const MAX_NAMESERVERS: usize = 3;
const MAX_SEARCHES: usize = 32;
const MAX_SEARCH_CHARACTERS: usize = 2048;
/// Longest host name on Linux.
const MAX_HOSTNAME: usize = 64;

/// `dnsConfig`, and that the policy `None` comes with name servers.
pub(super) fn dns_config(spec: &Value, path: &Path, errors: &mut Errors) {
    let config = &spec["dnsConfig"];
    let servers = list_at(config, "nameservers");
    if str_at(spec, "dnsPolicy") == "None" {
        if config.is_null() {
            errors.push(FieldError::required(path, "must provide `dnsConfig` when `dnsPolicy` is None"));
            return;
        }
        if servers.is_empty() {
            let text = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.push(FieldError::required(path.child("nameservers"), text));
            return;
        }
    }
    if servers.len() > MAX_NAMESERVERS {
        let text = format!("must not have more than {MAX_NAMESERVERS} nameservers");
        errors.push(FieldError::invalid(path.child("nameservers"), config["nameservers"].clone(), text));
    }
    for (i, server) in servers.iter().enumerate() {
        let messages = words::is_valid_ip(server.as_str().unwrap_or_default());
        complaints(messages, server, &path.child("nameservers").index(i), errors);
    }
    searches(config, &path.child("searches"), errors);
    for (i, option) in list_at(config, "options").iter().enumerate() {
        if str_at(option, "name").is_empty() {
            errors.push(FieldError::required(path.child("options").index(i), "must not be empty"));
        }
    }
}

fn searches(config: &Value, path: &Path, errors: &mut Errors) {
    let searches: Vec<&str> = strings_at(config, "searches").collect();
    if searches.len() > MAX_SEARCHES {
        let text = format!("must not have more than {MAX_SEARCHES} search paths");
        errors.push(FieldError::invalid(path, config["searches"].clone(), text));
    }
    if searches.join(" ").len() > MAX_SEARCH_CHARACTERS {
        let text =
            format!("must not have more than {MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list");
        errors.push(FieldError::invalid(path, config["searches"].clone(), text));
    }
    for (i, search) in searches.iter().enumerate().filter(|(_, search)| **search != ".") {
        let name = search.strip_suffix('.').unwrap_or(search);
        complaints(subdomain_with_underscores(name), &name.into(), &path.index(i), errors);
    }
}

/// A DNS-1123 subdomain in which underscores may stand for letters.
fn subdomain_with_underscores(name: &str) -> Vec<String> {
    if words::is_dns1123_subdomain(&name.replace('_', "a")).is_empty() {
        return Vec::new();
    }
    let text = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
    let format = r"[a-z0-9_]([-_a-z0-9]*[a-z0-9_])?(\.[a-z0-9_]([-_a-z0-9]*[a-z0-9_])?)*";
    vec![words::regex_error(text, format, &["example.com"])]
}

/// `hostname`, `subdomain`, `hostnameOverride`.
pub(super) fn hostnames(spec: &Value, path: &Path, errors: &mut Errors) {
    for name in ["hostname", "subdomain"] {
        let value = str_at(spec, name);
        if !value.is_empty() {
            dns_label(value, &path.child(name), errors);
        }
    }
    let Some(name) = spec["hostnameOverride"].as_str() else { return };
    let path = path.child("hostnameOverride");
    if name.is_empty() || name.len() > MAX_HOSTNAME {
        let text = if name.is_empty() { "must not be empty".into() } else { words::max_len_error(MAX_HOSTNAME) };
        errors.push(FieldError::invalid(&path, name, text));
    }
    dns_subdomain(name, &path, errors);
    if bool_at(spec, "setHostnameAsFQDN") {
        let text = "may not be specified when `setHostnameAsFQDN` is true";
        errors.push(FieldError::forbidden(&path, text));
    }
    if bool_at(spec, "hostNetwork") {
        errors.push(FieldError::forbidden(&path, "may not be specified when `hostNetwork` is true"));
    }
}

/// `hostAliases`.
pub(super) fn host_aliases(aliases: &[Value], path: &Path, errors: &mut Errors) {
    for (i, alias) in aliases.iter().enumerate() {
        let (path, ip) = (path.index(i), str_at(alias, "ip"));
        complaints(words::is_valid_ip(ip), &ip.into(), &path.child("ip"), errors);
        for (j, name) in strings_at(alias, "hostnames").enumerate() {
            dns_subdomain(name, &path.child("hostnames").index(j), errors);
        }
    }
}
