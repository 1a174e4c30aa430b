//! Endpoints: addresses and ports.
//!
//! Counterpart: `registry/core/endpoint` and `ValidateEndpoints`.

use super::access::{has, int_at, list_at, list_mut, set_default, str_at};
use super::checks::{dns_label, dns_subdomain, qualified_name, required_one_of};
use super::service_validation::{BAD_IP, port_number, special_ip};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation::parse_ip_sloppy;
use serde_json::Value;

/// Hooks of Endpoints.
#[derive(Clone, Copy, Debug)]
pub struct EndpointsStrategy;

impl Strategy for EndpointsStrategy {
    fn default(&self, object: &mut Value) {
        for subset in list_mut(object, "subsets") {
            for port in list_mut(subset, "ports") {
                set_default(port, "protocol", "TCP");
            }
        }
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        endpoints(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        endpoints(object)
    }
}

fn endpoints(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (i, subset) in list_at(object, "subsets").iter().enumerate() {
        let path = Path::new("subsets").index(i);
        if list_at(subset, "addresses").is_empty() && list_at(subset, "notReadyAddresses").is_empty() {
            errors.push(FieldError::required(&path, "must specify `addresses` or `notReadyAddresses`"));
        }
        for member in ["addresses", "notReadyAddresses"] {
            for (j, item) in list_at(subset, member).iter().enumerate() {
                address(&path.child(member).index(j), item, &mut errors);
            }
        }
        let ports = list_at(subset, "ports");
        for (j, item) in ports.iter().enumerate() {
            port(&path.child("ports").index(j), item, ports.len() > 1, &mut errors);
        }
    }
    errors
}

fn address(path: &Path, address: &Value, errors: &mut Vec<FieldError>) {
    let ip = str_at(address, "ip");
    let at = path.child("ip");
    let parsed = parse_ip_sloppy(ip);
    if parsed.is_none() {
        errors.push(FieldError::invalid(&at, ip, BAD_IP));
    }
    if !str_at(address, "hostname").is_empty() {
        errors.extend(dns_label(&path.child("hostname"), str_at(address, "hostname")));
    }
    if has(address, "nodeName") {
        errors.extend(dns_subdomain(&path.child("nodeName"), str_at(address, "nodeName")));
    }
    if let Some(parsed) = parsed {
        errors.extend(special_ip(&at, ip, parsed));
    }
}

fn port(path: &Path, port: &Value, name_required: bool, errors: &mut Vec<FieldError>) {
    let name = str_at(port, "name");
    if !name.is_empty() {
        errors.extend(dns_label(&path.child("name"), name));
    } else if name_required {
        errors.push(FieldError::required(path.child("name"), ""));
    }
    errors.extend(port_number(&path.child("port"), int_at(port, "port").unwrap_or_default()));
    errors.extend(required_one_of(&path.child("protocol"), str_at(port, "protocol"), &["SCTP", "TCP", "UDP"]));
    if has(port, "appProtocol") {
        errors.extend(qualified_name(&path.child("appProtocol"), str_at(port, "appProtocol")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn refusals_name_the_subset() {
        let object = json!({"subsets": [
            {"ports": [{"port": 80, "protocol": "TCP"}]},
            {"addresses": [{"ip": "x"}, {"ip": "127.0.0.1"}], "ports": [{"port": 0, "protocol": "TCP", "name": "a"}, {"port": 1, "protocol": "TCP"}]},
        ]});
        let texts: Vec<_> = endpoints(&object).iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`",
                "subsets[1].addresses[0].ip: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                "subsets[1].addresses[1].ip: Invalid value: \"127.0.0.1\": may not be in the loopback range (127.0.0.0/8, ::1/128)",
                "subsets[1].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "subsets[1].ports[1].name: Required value",
            ]
        );
    }
}
