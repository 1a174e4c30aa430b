//! EndpointSlice: addresses of one type, ports with unique names.
//!
//! Counterpart: `registry/discovery/endpointslice` and `ValidateEndpointSlice`.

use super::access::{has, list_at, list_mut, set_default, str_at, strings_at};
use super::checks::{dns_label, dns_subdomain, each, immutable, qualified_name, required_one_of};
use super::service_validation::special_ip;
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation::{
    is_fully_qualified_domain_name, is_valid_ipv4_address, is_valid_ipv6_address, parse_ip_sloppy,
};
use serde_json::Value;
use std::collections::BTreeSet;

const MAX_ENDPOINTS: usize = 1000;
const MAX_ADDRESSES: usize = 100;
const MAX_PORTS: usize = 20000;
const MAX_ZONES: usize = 8;

/// Hooks of EndpointSlice.
#[derive(Clone, Copy, Debug)]
pub struct EndpointSliceStrategy;

impl Strategy for EndpointSliceStrategy {
    fn default(&self, object: &mut Value) {
        for port in list_mut(object, "ports") {
            set_default(port, "name", "");
            set_default(port, "protocol", "TCP");
        }
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        slice(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = slice(object);
        errors.extend(immutable(&Path::new("addressType"), &object["addressType"], &old["addressType"]));
        errors
    }
}

fn slice(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let kind = str_at(object, "addressType");
    errors.extend(required_one_of(&Path::new("addressType"), kind, &["FQDN", "IPv4", "IPv6"]));
    let endpoints = list_at(object, "endpoints");
    if endpoints.len() > MAX_ENDPOINTS {
        errors.push(FieldError::too_many("endpoints", endpoints.len(), MAX_ENDPOINTS));
    } else {
        for (i, item) in endpoints.iter().enumerate() {
            endpoint(&Path::new("endpoints").index(i), item, kind, &mut errors);
        }
    }
    ports(object, &mut errors);
    errors
}

fn endpoint(path: &Path, endpoint: &Value, kind: &str, errors: &mut Vec<FieldError>) {
    let at = path.child("addresses");
    let addresses = list_at(endpoint, "addresses");
    if addresses.is_empty() {
        errors.push(FieldError::required(&at, "must contain at least 1 address"));
    } else if addresses.len() > MAX_ADDRESSES {
        errors.push(FieldError::too_many(&at, addresses.len(), MAX_ADDRESSES));
    }
    for (j, address) in strings_at(endpoint, "addresses").enumerate() {
        let at = at.index(j);
        match kind {
            "IPv4" => errors.extend(each(&at, address, is_valid_ipv4_address(address))),
            "IPv6" => errors.extend(each(&at, address, is_valid_ipv6_address(address))),
            "FQDN" => errors.extend(is_fully_qualified_domain_name(&at, address)),
            _ => {}
        }
        if let (true, Some(ip)) = (kind.starts_with("IP"), parse_ip_sloppy(address)) {
            errors.extend(special_ip(&at, address, ip));
        }
    }
    if has(endpoint, "nodeName") {
        errors.extend(dns_subdomain(&path.child("nodeName"), str_at(endpoint, "nodeName")));
    }
    if has(endpoint, "hostname") {
        errors.extend(dns_label(&path.child("hostname"), str_at(endpoint, "hostname")));
    }
    hints(&path.child("hints").child("forZones"), list_at(&endpoint["hints"], "forZones"), errors);
}

fn hints(path: &Path, zones: &[Value], errors: &mut Vec<FieldError>) {
    if zones.len() > MAX_ZONES {
        errors.push(FieldError::too_many(path, zones.len(), MAX_ZONES));
        return;
    }
    let mut seen = BTreeSet::new();
    for (i, zone) in zones.iter().enumerate() {
        let (at, name) = (path.index(i).child("name"), str_at(zone, "name"));
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(&at, name));
        }
        errors.extend(super::checks::qualified_name(&at, name));
    }
}

fn ports(object: &Value, errors: &mut Vec<FieldError>) {
    let ports = list_at(object, "ports");
    if ports.len() > MAX_PORTS {
        errors.push(FieldError::too_many("ports", ports.len(), MAX_PORTS));
        return;
    }
    let mut names = BTreeSet::new();
    for (i, port) in ports.iter().enumerate() {
        let path = Path::new("ports").index(i);
        let name = str_at(port, "name");
        if !name.is_empty() {
            errors.extend(dns_label(&path.child("name"), name));
        }
        if !names.insert(name) {
            errors.push(FieldError::duplicate(path.child("name"), name));
        }
        errors.extend(required_one_of(&path.child("protocol"), str_at(port, "protocol"), &["SCTP", "TCP", "UDP"]));
        if has(port, "appProtocol") {
            errors.extend(qualified_name(&path.child("appProtocol"), str_at(port, "appProtocol")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_fit_their_type_and_ports_differ_by_name() {
        let mut object = json!({"addressType": "IPv4", "endpoints": [{"addresses": []}, {"addresses": ["::2"]}], "ports": [{"port": 1}, {"port": 2}]});
        EndpointSliceStrategy.default(&mut object);
        let texts: Vec<_> = slice(&object).iter().map(ToString::to_string).collect();
        assert_eq!(texts[0], "endpoints[0].addresses: Required value: must contain at least 1 address");
        assert!(
            texts[1].starts_with("endpoints[1].addresses[0]: Invalid value: \"::2\": must be a valid IPv4 address")
        );
        assert_eq!(texts[2], "ports[1].name: Duplicate value: \"\"");
    }
}
