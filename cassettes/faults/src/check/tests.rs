//! Every class of bad plan, with the message that people will read.

use crate::error::ProblemKind::{self, Contradiction, Impossible, NeverFires, Syntax, Unknown, Value};
use crate::plan::Plan;

/// One rule, id `r`, from the rest of its fields as a flow map.
fn rule(fields: &str) -> String {
    format!("rules:\n  - {{id: r, {fields}}}\n")
}

fn refused(text: &str) -> (ProblemKind, String) {
    let error = Plan::from_yaml("plan.yaml", text).expect_err(text);
    let [problem] = error.problems() else { panic!("{text}\n{error}") };
    (problem.kind, problem.to_string())
}

#[test]
fn every_class_of_bad_rule_has_its_message() {
    let table = [
        // Unknown names.
        ("do: rest", Unknown, "plan.yaml:2:13: rules[0].do.rest: there is no fault `rest`; did you mean `reset`?"),
        (
            "do: {half-opne: {}}",
            Unknown,
            "plan.yaml:2:18: rules[0].do.half-opne: there is no fault `half-opne`; did you mean `half-open`?",
        ),
        (
            "when: {verbs: get}, do: reset",
            Unknown,
            "plan.yaml:2:20: rules[0].when.verbs: `when` has no field `verbs`; did you mean `verb`?",
        ),
        (
            "do: reset, wehn: {}",
            Unknown,
            "plan.yaml:2:24: rules[0].wehn: a rule has no field `wehn`; did you mean `when`?",
        ),
        (
            "do: {reset-mid-body: {afterByte: 1}}",
            Unknown,
            "plan.yaml:2:35: rules[0].do.reset-mid-body.afterByte: `reset-mid-body` has no knob `afterByte`; did you mean `afterBytes`?",
        ),
        ("do: {reset: {x: 1}}", Unknown, "plan.yaml:2:26: rules[0].do.reset.x: `reset` has no knob `x`; it has none"),
        (
            "when: {after: {rule: q}}, do: reset",
            Unknown,
            "plan.yaml:2:20: rules[0].when.after: there is no rule `q`; did you mean `r`?",
        ),
        (
            "when: {between: {form: 1s}}, do: reset",
            Unknown,
            "plan.yaml:2:30: rules[0].when.between.form: `between` has no field `form`; did you mean `from`?",
        ),
        // Values.
        (
            "do: {delay: soon}",
            Value,
            "plan.yaml:2:18: rules[0].do.delay.wait: `soon` is not a duration; write for example `250ms`, `3s` or `1m30s`",
        ),
        (
            "do: {reset-mid-body: -1}",
            Value,
            "plan.yaml:2:18: rules[0].do.reset-mid-body.afterBytes: `-1` is not a whole number of bytes",
        ),
        (
            "do: {h2-limits: {streams: 101}}",
            Value,
            "plan.yaml:2:30: rules[0].do.h2-limits.streams: 101 is outside 1 to 100 streams",
        ),
        ("do: {refuse: 48h}", Value, "plan.yaml:2:18: rules[0].do.refuse.lasts: 48h is outside 0s to 24h"),
        (
            "do: {tls-handshake: wrong-nam}",
            Value,
            "plan.yaml:2:18: rules[0].do.tls-handshake.failure: `wrong-nam` is none of expired-certificate, wrong-name, unknown-authority, plaintext, alert, stall, no-http2; did you mean `wrong-name`?",
        ),
        ("do: {mark: {}}", Value, "plan.yaml:2:18: rules[0].do.mark: `mark` needs `name`: name of the mark"),
        (
            "do: {apf-reject: {retryAfter: soon}}",
            Value,
            "plan.yaml:2:31: rules[0].do.apf-reject.retryAfter: `soon` is not a Retry-After; write `1`, `ramp(1,8)`, `date(5s)`, `twice(1,9)`, `text(soon)` or `absent`",
        ),
        ("do: {reset: now}", Value, "plan.yaml:2:18: rules[0].do.reset: `reset` has no knobs, so it takes no value"),
        (
            "at: afterCommit, do: reset",
            Value,
            "plan.yaml:2:13: rules[0].at: `afterCommit` is none of conn, arrive, before-commit, after-commit, head, frame; did you mean `after-commit`?",
        ),
        ("when: {nth: two}, do: reset", Value, "plan.yaml:2:20: rules[0].when.nth: `two` is not a whole number"),
        (
            "when: {p: 1.5}, do: reset",
            Value,
            "plan.yaml:2:20: rules[0].when.p: 1.5 is no probability; it lies between 0 and 1",
        ),
        (
            "when: {p: .nan}, do: reset",
            Value,
            "plan.yaml:2:20: rules[0].when.p: NaN is no probability; it lies between 0 and 1",
        ),
        (
            "when: {per: objects}, do: reset",
            Value,
            "plan.yaml:2:20: rules[0].when.per: `objects` is none of object, route, lane, rule; did you mean `object`?",
        ),
        // Shapes.
        ("when: [get], do: reset", Syntax, "plan.yaml:2:13: rules[0].when: `when` is a map, not a list"),
        ("when: {nth: [1]}, do: reset", Syntax, "plan.yaml:2:20: rules[0].when.nth: this is one value, not a list"),
        // Contradictions.
        (
            "when: {nth: 2, first: 3}, do: reset",
            Contradiction,
            "plan.yaml:2:28: rules[0].when.first: `nth` picks one occurrence already; leave `first` out",
        ),
        (
            "when: {nth: 2}, do: reset, count: 2",
            Contradiction,
            "plan.yaml:2:40: rules[0].count: `nth` fires once in a scope, so it never comes to 2",
        ),
        (
            "when: {nth: 2}, do: reset, cooldown: 1s",
            Contradiction,
            "plan.yaml:2:40: rules[0].cooldown: `nth` fires once in a scope, so there is nothing to cool down from",
        ),
        (
            "do: reset, then: continue",
            Contradiction,
            "plan.yaml:2:24: rules[0].then: the fault settles the answer, so no later rule can be asked; leave `then` out",
        ),
        (
            "do: [reset, eof], at: arrive",
            Contradiction,
            "plan.yaml:2:13: rules[0].do.eof: `eof` cannot happen after `reset`: both settle the answer",
        ),
        (
            "do: {eof: {afterBytes: 1, afterFrames: 1}}",
            Contradiction,
            "plan.yaml:2:39: rules[0].do.eof.afterFrames: `afterBytes` and `afterFrames` exclude each other",
        ),
        (
            "when: {between: {until: 3s, for: 2s}}, do: reset",
            Contradiction,
            "plan.yaml:2:41: rules[0].when.between.for: `until` and `for` both end the window",
        ),
        (
            "when: {between: {mark: m, until: 3s}}, do: reset",
            Contradiction,
            "plan.yaml:2:39: rules[0].when.between.until: `until` is a time of the clock and the window begins at a mark; use `for`",
        ),
        (
            "when: {after: {rule: r, mark: m}}, do: reset",
            Contradiction,
            "plan.yaml:2:20: rules[0].when.after: `after` waits for one thing: a rule, a mark, an event or idleness",
        ),
        ("do: [refuse, delay, conflict]", Contradiction, ""),
        (
            "do: {tamper-frame: {}}",
            Contradiction,
            "plan.yaml:2:18: rules[0].do.tamper-frame: `tamper-frame` is byzantine: no correct cluster does this; write `byzantine: allowed` into the plan to have it all the same",
        ),
        ("do: [conflict, cache-not-ready]", Contradiction, ""),
        // Matchers that nothing can meet.
        (
            "when: {verb: gte}, do: reset",
            Impossible,
            "plan.yaml:2:20: rules[0].when.verb: there is no verb `gte`; did you mean `get`?",
        ),
        (
            "when: {verb: GET}, do: reset",
            Impossible,
            "plan.yaml:2:20: rules[0].when.verb: there is no verb `GET`; did you mean `get`?",
        ),
        (
            "when: {resource: pod}, do: reset",
            Impossible,
            "plan.yaml:2:20: rules[0].when.resource: there is no resource `pod`; did you mean `pods`?",
        ),
        (
            "when: {resource: Deployment}, do: reset",
            Impossible,
            "plan.yaml:2:20: rules[0].when.resource: there is no resource `Deployment`; did you mean `deployments.apps`?",
        ),
        (
            "when: {resource: deployments.batch}, do: reset",
            Impossible,
            "plan.yaml:2:20: rules[0].when.resource: there is no resource `deployments.batch`; did you mean `deployments.apps`?",
        ),
        (
            "when: {resource: frobnicators}, do: reset",
            Impossible,
            "plan.yaml:2:20: rules[0].when.resource: there is no resource `frobnicators`; a custom resource is written `plural.group`",
        ),
        (
            "when: {resource: jobs.batch, group: apps}, do: reset",
            Impossible,
            "plan.yaml:2:42: rules[0].when.group: `jobs.batch` is in group `batch`, which `group` excludes",
        ),
        (
            "when: {resource: nodes, namespace: x}, do: reset",
            Impossible,
            "plan.yaml:2:37: rules[0].when.namespace: `nodes` has no namespaces",
        ),
        (
            "when: {subresource: statu}, do: reset",
            Impossible,
            "plan.yaml:2:20: rules[0].when.subresource: there is no subresource `statu`; did you mean `status`?",
        ),
        (
            "when: {verb: get}, do: response-lost",
            Impossible,
            "plan.yaml:2:20: rules[0].when.verb: `response-lost` acts on writes; the rule is about get",
        ),
        (
            "when: {verb: list}, do: close-watch",
            Impossible,
            "plan.yaml:2:20: rules[0].when.verb: `close-watch` acts on streams; the rule is about list",
        ),
        (
            "when: {verb: get}, at: frame, do: reset",
            Impossible,
            "plan.yaml:2:20: rules[0].when.verb: only a watch has frames; the rule is about get",
        ),
        (
            "when: {verb: deletecollection, name: x}, do: reset",
            Impossible,
            "plan.yaml:2:44: rules[0].when.name: deletecollection names no object",
        ),
        (
            "when: {type: ADDED}, do: close-watch",
            Impossible,
            "plan.yaml:2:20: rules[0].when.type: `type` is about single watch frames; add `at: frame`",
        ),
        (
            "when: {verb: get}, do: refuse",
            Impossible,
            "plan.yaml:2:20: rules[0].when.verb: the fault happens before anything is read from a connection, so there is no `verb` yet; a connection is told by `lane` and `connection`",
        ),
        (
            "when: {protocol: http/1.1}, do: goaway",
            Impossible,
            "plan.yaml:2:20: rules[0].when.protocol: `goaway` exists on h2 only",
        ),
        (
            "at: head, do: conflict",
            Impossible,
            "plan.yaml:2:13: rules[0].at: `conflict` cannot happen at head; it happens at arrive",
        ),
        // Conditions on the object.
        (
            "when: {labelSelector: 'app is web'}, do: reset",
            Value,
            "plan.yaml:2:20: rules[0].when.labelSelector: a selector has no operator `is`; known are =, ==, !=, in, notin, <, >",
        ),
        (
            "when: {labelSelector: [a=b, '!c,c']}, do: reset",
            Impossible,
            "plan.yaml:2:41: rules[0].when.labelSelector[1]: `!c` and `c` exclude each other",
        ),
        (
            "when: {fieldSelector: 'status.phase'}, do: reset",
            Value,
            "plan.yaml:2:20: rules[0].when.fieldSelector: `status.phase` is no term of a field selector; write `spec.nodeName=a` or `status.phase!=Running`",
        ),
        (
            "when: {object: {'{.spec[': 1}}, do: reset",
            Value,
            "plan.yaml:2:29: rules[0].when.object.{.spec[: `{.spec[` is no JSONPath: `$` is missing at character 1",
        ),
        (
            "when: {filter: '@.spec.replicas >'}, do: reset",
            Value,
            "plan.yaml:2:20: rules[0].when.filter: `@.spec.replicas >` is no JSONPath: a path, a number or a quoted text is missing at character 18",
        ),
        (
            "when: {labelSelecto: a=b}, do: reset",
            Unknown,
            "plan.yaml:2:20: rules[0].when.labelSelecto: `when` has no field `labelSelecto`; did you mean `labelSelector`?",
        ),
        (
            "when: {filter: '@.spec'}, do: refuse",
            Impossible,
            "plan.yaml:2:20: rules[0].when.filter: the fault happens before anything is read from a connection, so there is no `filter` yet; a connection is told by `lane` and `connection`",
        ),
        // What is waited for.
        (
            "when: {after: {event: {resource: pod}}}, do: reset",
            Impossible,
            "plan.yaml:2:36: rules[0].when.after.event.resource: there is no resource `pod`; did you mean `pods`?",
        ),
        (
            "when: {after: {event: {key: pods/a/b/c}}}, do: reset",
            Value,
            "plan.yaml:2:36: rules[0].when.after.event.key: `pods/a/b/c` is no key; write `resource/namespace/name` or `resource/name`",
        ),
        (
            "when: {after: {event: {key: pods/a, name: b}}}, do: reset",
            Contradiction,
            "plan.yaml:2:36: rules[0].when.after.event.key: `key` says resource, namespace and name already; leave `name` out",
        ),
        (
            "when: {after: {event: {type: BOOKMARK, name: b}}}, do: reset",
            Impossible,
            "plan.yaml:2:36: rules[0].when.after.event.type: BOOKMARK and ERROR tell of no object; leave name, namespace and conditions on the object out",
        ),
        (
            "when: {after: {event: {filter: x}}}, do: reset",
            Value,
            "plan.yaml:2:36: rules[0].when.after.event.filter: `x` is no JSONPath: there is no function `x`; known are length, count",
        ),
        (
            "when: {after: {idle: 0s}}, do: reset",
            Contradiction,
            "plan.yaml:2:28: rules[0].when.after.idle: no time at all has always passed; leave `idle` out",
        ),
        (
            "set: storm, do: reset",
            NeverFires,
            "plan.yaml:2:13: rules[0].set: no state of a scenario names the set `storm`, so the rule is never armed",
        ),
        // Rules that can never fire.
        (
            "when: {nth: 0}, do: reset",
            NeverFires,
            "plan.yaml:2:20: rules[0].when.nth: occurrences count from 1, so `nth: 0` never fires",
        ),
        ("do: reset, count: 0", NeverFires, "plan.yaml:2:24: rules[0].count: `count: 0` never fires"),
        (
            "when: {every: 5, first: 3}, do: reset",
            NeverFires,
            "plan.yaml:2:20: rules[0].when.every: the first 3 hold no occurrence number 5",
        ),
        ("when: {p: 0}, do: reset", NeverFires, "plan.yaml:2:20: rules[0].when.p: a probability of 0 never fires"),
        (
            "when: {between: {from: 5s, until: 5s}}, do: reset",
            NeverFires,
            "plan.yaml:2:40: rules[0].when.between.until: the window closes before it opens",
        ),
        (
            "when: {between: {mark: m, for: 0s}}, do: reset",
            NeverFires,
            "plan.yaml:2:39: rules[0].when.between.for: the window is never open",
        ),
        (
            "when: {between: {mark: m, untilMark: m}}, do: reset",
            NeverFires,
            "plan.yaml:2:39: rules[0].when.between.untilMark: one mark opens and closes the window",
        ),
        (
            "when: {after: {rule: r}}, do: reset",
            NeverFires,
            "plan.yaml:2:20: rules[0].when.after: the rule waits for itself, so it can never fire",
        ),
        (
            "when: {verb: []}, do: reset",
            NeverFires,
            "plan.yaml:2:20: rules[0].when.verb: an empty list matches nothing; leave the field out",
        ),
        ("do: []", NeverFires, "plan.yaml:2:13: rules[0].do: the rule does nothing; name a fault"),
    ];
    for (fields, kind, message) in table {
        let text = rule(fields);
        if message.is_empty() {
            let error = Plan::from_yaml("plan.yaml", &text).expect_err(fields);
            assert!(error.has(kind), "{fields}: {error}");
            continue;
        }
        assert_eq!(refused(&text), (kind, message.to_owned()), "{fields}");
    }
}

#[test]
fn every_class_of_bad_plan_has_its_message() {
    let table = [
        ("rules: [", Syntax, "plan.yaml:2:1: "),
        ("- 1", Syntax, "plan.yaml:1:1: a plan is a map, not a list"),
        ("seed: 1\nseed: 2\nrules: []", Syntax, "plan.yaml:2:1: `seed` is given twice"),
        (
            "sed: 1\nrules: [{id: r, do: reset}]",
            Unknown,
            "plan.yaml:1:1: sed: a plan has no field `sed`; did you mean `seed`?",
        ),
        ("seed: x\nrules: [{id: r, do: reset}]", Value, "plan.yaml:1:1: seed: `x` is not a whole number"),
        ("seed: 1", NeverFires, "plan.yaml:1:1: the plan has no rules"),
        ("rules: []", NeverFires, "plan.yaml:1:1: rules: the plan has no rules"),
        (
            "rules:\n  - do: reset",
            Value,
            "plan.yaml:2:5: rules[0].id: the rule has no id; it names the rule in reports",
        ),
        (
            "rules:\n  - {id: a, when: {nth: 1}, do: reset}\n  - {id: a, do: eof}",
            Contradiction,
            "plan.yaml:3:6: rules[1].id: `a` is the id of rules[0] already",
        ),
        (
            "lanes: {sut: {}, driver: {}}\nrules:\n  - {id: a, when: {lane: sud}, do: reset}",
            Unknown,
            "plan.yaml:3:20: rules[0].when.lane: there is no lane `sud` in `lanes`; did you mean `sut`?",
        ),
        (
            "rules:\n  - {id: a, do: eof}\n  - {id: b, when: {resource: pods}, do: reset}",
            NeverFires,
            "plan.yaml:3:5: rules[1]: `a` always answers these requests first, so `b` can never fire; move it before `a`",
        ),
        (
            "rules:\n  - {id: a, when: {after: {rule: b}}, do: eof}\n  - {id: b, do: {delay: 1s}, when: {after: {rule: c}}}\n  - {id: c, do: {delay: 2s}, when: {after: {rule: b}}}",
            NeverFires,
            "plan.yaml:3:37: rules[1].when.after: the rule waits for itself, so it can never fire",
        ),
    ];
    for (text, kind, message) in table {
        let error = Plan::from_yaml("plan.yaml", text).expect_err(text);
        let first = &error.problems()[0];
        assert_eq!(first.kind, kind, "{error}");
        assert!(first.to_string().starts_with(message), "{first}\n{message}");
    }
}

#[test]
fn every_class_of_bad_scenario_has_its_message() {
    let rules = "rules:\n  - {id: apf, do: delay}\n  - {id: one, set: few, do: delay, count: 1, when: {per: rule}}\n";
    let table = [
        ("s: []", NeverFires, "4:13: scenarios.s: the scenario has no states"),
        ("s: {}", NeverFires, "4:13: scenarios.s: the scenario has no states"),
        ("s: apf", Syntax, "4:13: scenarios.s: a scenario is a map, not a value"),
        ("s: [calm, apg, few]", Unknown, "4:23: scenarios.s[1]: there is no rule or set `apg`; did you mean `apf`?"),
        (
            "s: [quiet, few]",
            Unknown,
            "4:17: scenarios.s[0]: there is no rule or set `quiet`; a state without rules is called `calm`",
        ),
        ("s: [one, few]", Unknown, "4:17: scenarios.s[0]: there is no rule or set `one`; the rule is in the set `few`"),
        (
            "s: [{rule: few}, few]",
            Unknown,
            "4:18: scenarios.s[0].rule: a state has no field `rule`; did you mean `rules`?",
        ),
        (
            "s: [{on: {mark: a}}, few]",
            Value,
            "4:17: scenarios.s[0]: the state names no rules; a state without rules is called `calm`",
        ),
        (
            "s: [{rules: few, on: {}}, calm]",
            Value,
            "4:30: scenarios.s[0].on: `on` says what ends the state: a mark, count, event or after",
        ),
        (
            "s: [{rules: few, on: {until: a}}, calm]",
            Unknown,
            "4:35: scenarios.s[0].on.until: `on` has no field `until`; known are mark, count, event, after",
        ),
        (
            "s: [{rules: few, on: {after: 0s}}, calm]",
            NeverFires,
            "4:35: scenarios.s[0].on.after: the state is over before it begins",
        ),
        (
            "s: [{rules: few, on: {count: 0}}, calm]",
            NeverFires,
            "4:35: scenarios.s[0].on.count: firings count from 1, so `count: 0` never ends the state",
        ),
        (
            "s: [{rules: few, on: {count: 2}}, calm]",
            NeverFires,
            "4:35: scenarios.s[0].on.count: the rules of `few` fire 1 times at most, so it never ends",
        ),
        (
            "s: [{rules: calm, on: {count: 1}}, few]",
            NeverFires,
            "4:36: scenarios.s[0].on.count: no rule fires in `calm`, so the state never ends",
        ),
        (
            "s: [{rules: calm, on: {event: {resource: pod}}}, few]",
            Impossible,
            "4:44: scenarios.s[0].on.event.resource: there is no resource `pod`; did you mean `pods`?",
        ),
        (
            "s: [calm, {rules: few, on: {mark: m}}]",
            Contradiction,
            "4:36: scenarios.s[1].on: no state comes after the last one, so nothing ends it; write `{states: […], repeat: true}` to begin anew",
        ),
        (
            "s: {states: [few], repeat: true}",
            Contradiction,
            "4:32: scenarios.s.repeat: there is one state only, so there is nothing to repeat",
        ),
        (
            "s: {states: [few, {rules: calm, on: {count: 1}}], repeat: true}",
            NeverFires,
            "4:50: scenarios.s.states[1].on.count: no rule fires in `calm`, so the state never ends",
        ),
        (
            "s: [few, calm], t: [calm, few]",
            Contradiction,
            "4:39: scenarios.t[1]: `few` is in scenario `s` already, and only one can arm it",
        ),
        (
            "s: [apf, calm]",
            NeverFires,
            "3:15: rules[1].set: no state of a scenario names the set `few`, so the rule is never armed",
        ),
    ];
    for (scenarios, kind, message) in table {
        let text = format!("{rules}scenarios: {{{scenarios}}}\n");
        let error = Plan::from_yaml("plan.yaml", &text).expect_err(&text);
        let first = &error.problems()[0];
        assert_eq!((first.kind, first.to_string()), (kind, format!("plan.yaml:{message}")), "{text}");
    }
}

#[test]
fn scenarios_that_depend_on_the_order_of_lanes_are_noted() {
    let text = "rules: [{id: a, do: reset}]\nscenarios: {s: [{rules: a, on: {count: 2}}, {rules: calm, on: {event: {type: ADDED}}}, a]}\n";
    let notes: Vec<_> = Plan::from_yaml("p", text).unwrap().notes().iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "p:2:33: scenarios.s[0].on.count: order-dependent: firings for all lanes are counted together",
            "p:2:64: scenarios.s[1].on.event: order-dependent: an event that one lane is sent moves the scenario on for all",
        ]
    );
}

#[test]
fn all_problems_are_told_at_once() {
    let text = "rules:\n  - {id: a, do: rest}\n  - {id: b, when: {nth: 0}, do: eof}\n";
    let error = Plan::from_yaml("plan.yaml", text).unwrap_err();
    let lines: Vec<_> = error.problems().iter().map(|p| p.place.as_ref().unwrap().line).collect();
    assert_eq!(lines, [2, 3]);
    assert_eq!(error.to_string().lines().count(), 2);
}

#[test]
fn a_hopeless_plan_is_refused_in_reasonable_length() {
    let rules: String = (0..250).map(|n| format!("  - {{id: r{n}, do: rest}}\n")).collect();
    let error = Plan::from_yaml("plan.yaml", &format!("rules:\n{rules}")).unwrap_err();
    assert_eq!(error.problems().len(), 101);
    assert!(error.to_string().ends_with("150 more problems are not listed"));
}

#[test]
fn a_plan_built_in_code_is_refused_without_a_place() {
    let error = Plan::seed(1).rule(crate::Rule::new("r").fault("reset").nth(0)).compile().unwrap_err();
    assert_eq!(error.to_string(), "rules[0].when.nth: occurrences count from 1, so `nth: 0` never fires");
}

#[test]
fn a_later_rule_that_sees_other_requests_is_not_shadowed() {
    for rules in [
        "{id: a, when: {verb: get}, do: eof}\n  - {id: b, do: reset}",
        "{id: a, when: {first: 2}, do: eof}\n  - {id: b, do: reset}",
        "{id: a, do: {delay: 1s}}\n  - {id: b, do: reset}",
        "{id: a, do: eof, count: 1}\n  - {id: b, do: reset}",
        "{id: a, do: eof}\n  - {id: b, do: refuse}",
        "{id: a, do: eof}\n  - {id: b, at: frame, do: reset}",
        "{id: a, do: eof}\n  - {id: b, do: reset}\nscenarios: {s: [calm, a]}",
        "{id: a, do: eof, when: {labelSelector: x}}\n  - {id: b, do: reset}",
    ] {
        let text = format!("rules:\n  - {rules}\n");
        Plan::from_yaml("plan.yaml", &text).unwrap_or_else(|error| panic!("{text}{error}"));
    }
}

#[test]
fn order_dependent_rules_are_allowed_and_noted() {
    let text =
        "rules:\n  - {id: a, when: {per: rule, nth: 3}, do: eof}\n  - {id: b, when: {after: {rule: a}}, do: reset}\n";
    let plan = Plan::from_yaml("plan.yaml", text).unwrap();
    let notes: Vec<_> = plan.notes().iter().map(ToString::to_string).collect();
    assert_eq!(
        notes,
        [
            "plan.yaml:2:20: rules[0].when.per: order-dependent: requests of all lanes are counted together",
            "plan.yaml:3:20: rules[1].when.after: order-dependent: another rule's firing arms this one for all lanes",
        ]
    );
}
