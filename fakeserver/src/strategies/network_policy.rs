//! NetworkPolicy: policy types, ports, peers.
//!
//! Counterpart: `SetDefaults_NetworkPolicy` and `ValidateNetworkPolicy`.

use super::access::{
    has, int_at, is_empty_at, list_at, list_mut, path_mut, set, set_default, spec, str_at, strings_at,
};
use super::checks::{label_selector, one_of};
use super::service_validation::{cidr, port_number_or_name};
use super::{Strategy, WriteContext};
use rehearsal_apimachinery::field::{FieldError, Path};
use rehearsal_apimachinery::validation::parse_cidr_sloppy;
use serde_json::{Value, json};
use std::net::IpAddr;

/// Hooks of NetworkPolicy.
#[derive(Clone, Copy, Debug)]
pub struct NetworkPolicyStrategy;

impl Strategy for NetworkPolicyStrategy {
    fn default(&self, object: &mut Value) {
        let Some(spec) = path_mut(object, &["spec"]) else { return };
        for direction in ["ingress", "egress"] {
            for rule in list_mut(spec, direction) {
                for port in list_mut(rule, "ports") {
                    set_default(port, "protocol", "TCP");
                }
            }
        }
        if is_empty_at(spec, "policyTypes") {
            let both = !is_empty_at(spec, "egress");
            set(spec, "policyTypes", if both { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
        }
    }

    fn validate_create(&self, _cx: &WriteContext<'_>, object: &Value) -> Vec<FieldError> {
        policy(object)
    }

    fn validate_update(&self, _cx: &WriteContext<'_>, object: &Value, _old: &Value) -> Vec<FieldError> {
        policy(object)
    }
}

fn policy(object: &Value) -> Vec<FieldError> {
    let spec = spec(object);
    let path = Path::new("spec");
    let mut errors = label_selector(&path.child("podSelector"), &spec["podSelector"]);
    for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
        for (i, rule) in list_at(spec, direction).iter().enumerate() {
            let at = path.child(direction).index(i);
            for (j, port) in list_at(rule, "ports").iter().enumerate() {
                self::port(&at.child("ports").index(j), port, &mut errors);
            }
            for (j, peer) in list_at(rule, peers).iter().enumerate() {
                self::peer(&at.child(peers).index(j), peer, &mut errors);
            }
        }
    }
    let types: Vec<&str> = strings_at(spec, "policyTypes").collect();
    let at = path.child("policyTypes");
    if types.len() > 2 {
        errors.push(FieldError::invalid(&at, spec["policyTypes"].clone(), "may not specify more than two policyTypes"));
        return errors;
    }
    for (i, kind) in types.iter().enumerate() {
        errors.extend(one_of(&at.index(i), kind, &["Egress", "Ingress"]));
    }
    errors
}

fn port(path: &Path, port: &Value, errors: &mut Vec<FieldError>) {
    if has(port, "protocol") {
        errors.extend(one_of(&path.child("protocol"), str_at(port, "protocol"), &["SCTP", "TCP", "UDP"]));
    }
    let end = int_at(port, "endPort");
    let at = path.child("endPort");
    if !has(port, "port") {
        if end.is_some() {
            let detail = "must be specified when `endPort` is specified";
            errors.push(FieldError::required(path.child("port"), detail));
        }
        return;
    }
    errors.extend(port_number_or_name(&path.child("port"), &port["port"]));
    let Some(end) = end else { return };
    match port["port"].as_i64() {
        None => {
            let detail = "may not be specified when `port` is non-numeric";
            errors.push(FieldError::forbidden(&at, detail));
        }
        Some(start) => {
            if end < start {
                let detail = "must be greater than or equal to `port`";
                errors.push(FieldError::invalid(&at, end, detail));
            }
            errors.extend(super::service_validation::port_number(&at, end));
        }
    }
}

fn peer(path: &Path, peer: &Value, errors: &mut Vec<FieldError>) {
    let mut count = 0;
    for name in ["podSelector", "namespaceSelector"] {
        if has(peer, name) {
            count += 1;
            errors.extend(label_selector(&path.child(name), &peer[name]));
        }
    }
    if has(peer, "ipBlock") {
        ip_block(&path.child("ipBlock"), &peer["ipBlock"], errors);
        if count > 0 {
            let detail = "may not specify both ipBlock and another peer";
            errors.push(FieldError::forbidden(path, detail));
        }
        count += 1;
    }
    if count == 0 {
        errors.push(FieldError::required(path, "must specify a peer"));
    }
}

fn ip_block(path: &Path, block: &Value, errors: &mut Vec<FieldError>) {
    let text = str_at(block, "cidr");
    if text.is_empty() {
        errors.push(FieldError::required(path.child("cidr"), ""));
        return;
    }
    errors.extend(cidr(&path.child("cidr"), text));
    let whole = parse_cidr_sloppy(text);
    for (i, except) in strings_at(block, "except").enumerate() {
        let at = path.child("except").index(i);
        errors.extend(cidr(&at, except));
        if let (Some(whole), Some(part)) = (whole, parse_cidr_sloppy(except))
            && !strictly_contains(whole, part)
        {
            let detail = "must be a strict subset of `cidr`";
            errors.push(FieldError::invalid(&at, except, detail));
        }
    }
}

fn strictly_contains(whole: (IpAddr, u8), part: (IpAddr, u8)) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(a) => (u128::from(u32::from(a)) << 96, 4),
        IpAddr::V6(a) => (u128::from(a), 6),
    };
    let ((a, family), (b, other)) = (bits(whole.0), bits(part.0));
    let mask = u128::MAX.checked_shl(128 - u32::from(whole.1.min(128))).unwrap_or_default();
    family == other && whole.1 < part.1 && a & mask == b & mask
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policy_types_follow_the_rules() {
        let mut object = json!({"spec": {"egress": [{"ports": [{"port": 53}]}]}});
        NetworkPolicyStrategy.default(&mut object);
        assert_eq!(object["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
        assert_eq!(object["spec"]["egress"][0]["ports"][0]["protocol"], "TCP");
    }

    #[test]
    fn an_exception_lies_within_its_block() {
        let parse = |s| parse_cidr_sloppy(s).unwrap();
        assert!(strictly_contains(parse("10.0.0.0/8"), parse("10.1.0.0/16")));
        assert!(!strictly_contains(parse("10.0.0.0/8"), parse("10.0.0.0/8")));
        assert!(!strictly_contains(parse("10.0.0.0/8"), parse("11.0.0.0/16")));
    }
}
