//! Which proxy stands before a server: fixed, from the environment, or none.
//!
//! Counterparts: Go's `httpproxy.Config`, and apimachinery's `NewProxierWithNoProxyCIDR`. How a proxy is spoken to is
//! the connector's matter.

use crate::Secret;
use crate::config::ConfigError;
use http::Uri;
use ipnet::IpNet;
use percent_encoding::percent_decode_str;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

type Choose = dyn Fn(&Uri) -> Option<ProxyTarget> + Send + Sync;

/// Where connections go through.
#[derive(Clone, Default)]
pub enum Proxy {
    /// `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, read when the transport is made. The default.
    #[default]
    Environment,
    /// Straight to the server.
    None,
    /// This one, always.
    Fixed(ProxyTarget),
    /// Decided by URL. Such transports are not shared.
    Custom(Arc<Choose>),
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::None => f.write_str("None"),
            Self::Fixed(target) => write!(f, "Fixed({target:?})"),
            Self::Custom(_) => f.write_str("Custom"),
        }
    }
}

impl PartialEq for Proxy {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Environment, Self::Environment) | (Self::None, Self::None) => true,
            (Self::Fixed(a), Self::Fixed(b)) => a == b,
            _ => false,
        }
    }
}

/// A proxy's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyTarget {
    /// `http`, `https` or `socks5`.
    pub scheme: String,
    /// Host name or address, IPv6 without brackets.
    pub host: String,
    /// Port; 80, 443 or 1080 when the URL has none.
    pub port: u16,
    /// User name and password.
    pub user: Option<(String, Secret)>,
}

impl ProxyTarget {
    /// Reads a URL; without a scheme it is `http`.
    ///
    /// # Errors
    /// A scheme other than http, https, socks5 (or socks5h), or a text that is no URL.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        // The text may hold a password, so it is never repeated.
        let bad = || ConfigError::Invalid("proxy URL cannot be read".into());
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "socks5h" => "socks5".to_owned(),
            known @ ("http" | "https" | "socks5") => known.to_owned(),
            other => {
                return Err(ConfigError::Invalid(format!(
                    "unsupported proxy scheme {other:?}, must be http, https, or socks5"
                )));
            }
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, address) = match authority.rsplit_once('@') {
            None => (None, authority),
            Some((user, address)) => {
                let (name, password) = user.split_once(':').unwrap_or((user, ""));
                let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
                (Some((plain(name), Secret::new(plain(password)))), address)
            }
        };
        let default = match scheme.as_str() {
            "http" => 80,
            "https" => 443,
            _ => 1080,
        };
        let address: http::uri::Authority = address.parse().map_err(|_| bad())?;
        let host = address.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(bad());
        }
        Ok(Self { scheme, host, port: address.port_u16().unwrap_or(default), user })
    }
}

/// The proxy variables of an environment.
#[derive(Clone, Debug, Default)]
pub struct ProxyEnv {
    https: Option<ProxyTarget>,
    http: Option<ProxyTarget>,
    direct_all: bool,
    direct: Vec<Direct>,
}

#[derive(Clone, Debug)]
enum Direct {
    Net(IpNet),
    Ip(IpAddr, Option<u16>),
    /// Suffix with its leading dot, whether the bare name matches too, port.
    Domain(String, bool, Option<u16>),
}

impl ProxyEnv {
    /// Reads the variables through `get`; unreadable URLs count as unset.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Self {
        let either = |upper: &str, lower: &str| {
            [upper, lower].into_iter().filter_map(&get).find(|v| !v.is_empty()).unwrap_or_default()
        };
        let target = |text: String| if text.is_empty() { None } else { ProxyTarget::parse(&text).ok() };
        let mut env = Self {
            https: target(either("HTTPS_PROXY", "https_proxy")),
            // Under CGI a client could set this through its `Proxy` header.
            http: if get("REQUEST_METHOD").is_some() { None } else { target(either("HTTP_PROXY", "http_proxy")) },
            ..Self::default()
        };
        for entry in either("NO_PROXY", "no_proxy").split(',').map(str::trim).filter(|e| !e.is_empty()) {
            if entry == "*" {
                env.direct_all = true;
            } else {
                env.direct.push(Direct::parse(&entry.to_ascii_lowercase()));
            }
        }
        env
    }

    /// The proxy for a URL.
    #[must_use]
    pub fn choose(&self, uri: &Uri) -> Option<ProxyTarget> {
        let https = uri.scheme_str() == Some("https");
        let target = if https { &self.https } else { &self.http };
        let host = uri.host()?.trim_matches(['[', ']']).to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        if self.is_direct(&host, port) { None } else { target.clone() }
    }

    fn is_direct(&self, host: &str, port: u16) -> bool {
        let ip: Option<IpAddr> = host.parse().ok();
        if self.direct_all || host == "localhost" || ip.is_some_and(|ip| ip.is_loopback()) {
            return true;
        }
        let port_fits = |wanted: &Option<u16>| wanted.is_none_or(|w| w == port);
        self.direct.iter().any(|entry| match entry {
            Direct::Net(net) => ip.is_some_and(|ip| net.contains(&ip)),
            Direct::Ip(wanted, p) => ip == Some(*wanted) && port_fits(p),
            Direct::Domain(suffix, bare, p) => {
                port_fits(p) && (host.ends_with(suffix) || (*bare && Some(host) == suffix.strip_prefix('.')))
            }
        })
    }
}

impl Direct {
    fn parse(entry: &str) -> Self {
        if let Ok(net) = entry.parse() {
            return Self::Net(net);
        }
        if let Ok(ip) = entry.trim_matches(['[', ']']).parse() {
            return Self::Ip(ip, None);
        }
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, port.parse().ok()),
            _ => (entry, None),
        };
        if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
            return Self::Ip(ip, port);
        }
        let host = host.strip_prefix('*').filter(|h| h.starts_with('.')).unwrap_or(host);
        match host.starts_with('.') {
            true => Self::Domain(host.to_owned(), false, port),
            false => Self::Domain(format!(".{host}"), true, port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(no_proxy: &'static str) -> ProxyEnv {
        ProxyEnv::read(|name| match name {
            "HTTPS_PROXY" => Some("http://u:p%40@proxy:3128".into()),
            "http_proxy" => Some("plain".into()),
            "NO_PROXY" => Some(no_proxy.into()),
            _ => None,
        })
    }

    fn through(no_proxy: &'static str, url: &str) -> bool {
        env(no_proxy).choose(&url.parse().unwrap()).is_some()
    }

    #[test]
    fn the_scheme_of_the_server_selects_the_variable() {
        let https = env("").choose(&"https://k8s".parse().unwrap()).unwrap();
        assert_eq!((https.host.as_str(), https.port), ("proxy", 3128));
        assert_eq!(https.user, Some(("u".into(), "p@".into())));
        let http = env("").choose(&"http://k8s".parse().unwrap()).unwrap();
        assert_eq!((http.scheme.as_str(), http.host.as_str(), http.port), ("http", "plain", 80));
    }

    #[test]
    fn no_proxy_knows_networks_addresses_domains_and_ports() {
        assert!(!through("10.0.0.0/8", "https://10.1.2.3:6443"));
        assert!(through("10.0.0.0/8", "https://11.1.2.3"));
        assert!(!through("192.168.0.1:6443", "https://192.168.0.1:6443"));
        assert!(through("192.168.0.1:6443", "https://192.168.0.1"));
        assert!(!through("example.com", "https://example.com") && !through("example.com", "https://a.example.com"));
        assert!(through(".example.com", "https://example.com") && !through(".example.com", "https://a.example.com"));
        assert!(!through("*.example.com", "https://a.example.com") && through("example.com", "https://badexample.com"));
        assert!(!through("*", "https://anything"));
    }

    #[test]
    fn loopback_is_always_direct() {
        assert!(
            !through("", "https://localhost:1") && !through("", "https://127.0.0.9") && !through("", "https://[::1]:5")
        );
    }

    #[test]
    fn only_three_schemes_are_proxies() {
        assert!(ProxyTarget::parse("ftp://x").is_err());
        assert_eq!(ProxyTarget::parse("socks5://[fd00::1]").unwrap().port, 1080);
    }
}
