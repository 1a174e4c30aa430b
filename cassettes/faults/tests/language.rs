//! Plans in YAML and plans in code mean the same, whatever is combined; what is printed reads back.

use std::time::Duration;

use proptest::prelude::*;
use rehearsal_faults::{EventPattern, EventType, Per, Plan, Rule, Scenario, State};

/// A field as a file writes it, and the same in code.
type Said<T> = (&'static str, fn(T) -> T);

const SECOND: Duration = Duration::from_secs(1);

/// Fields of `when`; of each group at most one is said, because the others would contradict it.
fn conditions() -> Vec<Vec<Said<Rule>>> {
    vec![
        vec![("verb: update", |r| r.verb("update")), ("verb: [get, list]", |r| r.verb("get").verb("list"))],
        vec![("resource: [pods, deployments.apps]", |r| r.resource("pods").resource("deployments.apps"))],
        vec![("namespace: 'team-*'", |r| r.namespace("team-*"))],
        vec![("name: web", |r| r.name("web")), ("name: ['007', 'true']", |r| r.name("007").name("true"))],
        vec![("header: {X-One: 1}", |r| r.header("X-One", "1"))],
        vec![("labels: {app: web, a/b: '*'}", |r| r.label("app", "web").label("a/b", "*"))],
        vec![
            ("labelSelector: 'app in (b, a), !canary'", |r| r.label_selector("app in (a,b),!canary")),
            ("labelSelector: [a==b, 'n>3']", |r| r.label_selector("a in (b)").label_selector("n > 3")),
        ],
        vec![("fieldSelector: 'spec.nodeName==a,status.phase!=Running'", |r| {
            r.field_selector("spec.nodeName=a,status.phase!=Running")
        })],
        vec![
            ("object: {spec.replicas: 3}", |r| r.object("spec.replicas", "3")),
            ("object: {'{.spec.containers[*].image}': 'nginx:*', $.spec.paused: true}", |r| {
                r.object("{.spec.containers[*].image}", "nginx:*").object("$.spec.paused", "true")
            }),
        ],
        vec![("filter: '@.spec.replicas > 3 && !@.spec.paused'", |r| {
            r.filter("@.spec.replicas > 3 && !@.spec.paused")
        })],
        vec![("dryRun: false", |r| r.dry_run(false))],
        vec![
            ("nth: 2", |r| r.nth(2)),
            ("first: 4", |r| r.first(4)),
            ("every: 3", |r| r.every(3)),
            ("after: 2", |r| r.after(2)),
            ("after: {mark: m, occurrences: 1}", |r| r.after_mark("m").after(1)),
            ("after: {idle: 5s}", |r| r.after_idle(5 * SECOND)),
            ("after: {event: {type: DELETED, key: pods/demo/web-*}}", |r| {
                r.after_event(EventType::Deleted, "pods", "demo", "web-*")
            }),
            ("after: {event: {labelSelector: 'app=web', object: {'$.status.phase': Failed}, filter: '@.spec'}}", |r| {
                let failed = EventPattern::any().label_selector("app=web").object("$.status.phase", "Failed");
                r.after_seen(failed.filter("@.spec"))
            }),
            ("after: {event: {type: ADDED, resource: pods, labels: {a: b}, fieldSelector: a=b}}", |r| {
                r.after_seen(EventPattern::of(EventType::Added).resource("pods").label("a", "b").field_selector("a=b"))
            }),
        ],
        vec![
            ("between: {from: 1s, until: 1m}", |r| r.between(SECOND, 60 * SECOND)),
            ("between: {mark: steady, for: 30s}", |r| r.during("steady", 30 * SECOND)),
        ],
        vec![("p: 0.25", |r| r.probability(0.25))],
        vec![("per: route", |r| r.per(Per::Route)), ("per: lane", |r| r.per(Per::Lane))],
    ]
}

/// Scenarios over the set `a` and the rule `r2`.
const SCENARIOS: [Said<Plan>; 6] = [
    ("{s: [calm, a, r2]}", |p| p.scenario("s", Scenario::new().state("calm").state("a").state("r2"))),
    ("{s: {states: [a, calm], repeat: true}}", |p| p.scenario("s", Scenario::new().state("a").state("calm").repeat())),
    ("{s: [{rules: a, on: {mark: go}}, {rules: [a, r2], on: {after: 90s}}, calm]}", |p| {
        let states = Scenario::new().state(State::of("a").on_mark("go"));
        p.scenario("s", states.state(State::of("a").and("r2").after(90 * SECOND)).state("calm"))
    }),
    ("{s: {states: [{rules: a, on: {count: 3, after: 10s}}, {rules: calm, on: {mark: m}}], repeat: true}}", |p| {
        let states = Scenario::new().state(State::of("a").on_count(3).after(10 * SECOND));
        p.scenario("s", states.state(State::of("calm").on_mark("m")).repeat())
    }),
    ("{s: [{rules: calm, on: {event: {type: DELETED, resource: pods, labelSelector: '!x'}}}, a]}", |p| {
        let gone = EventPattern::of(EventType::Deleted).resource("pods").label_selector("!x");
        p.scenario("s", Scenario::new().state(State::of("calm").on_event(gone)).state("a"))
    }),
    ("{s: [calm, a], t: [r2, calm]}", |p| {
        let t = Scenario::new().state("r2").state("calm");
        p.scenario("s", Scenario::new().state("calm").state("a")).scenario("t", t)
    }),
];

/// One rule, said in both languages; `picks` choose from each group, one more than it has for none.
fn rule(n: usize, set: Option<&str>, picks: &[usize]) -> (String, Rule) {
    let mut code = Rule::new(format!("r{n}")).fault("delay");
    let mut fields = vec![format!("id: r{n}")];
    if let Some(set) = set {
        code = code.set(set);
        fields.push(format!("set: {set}"));
    }
    let mut said = Vec::new();
    for (group, pick) in conditions().iter().zip(picks) {
        if let Some((yaml, apply)) = group.get(*pick % (group.len() + 1)) {
            said.push(*yaml);
            code = apply(code);
        }
    }
    fields.push(format!("when: {{{}}}", said.join(", ")));
    (format!("  - {{{}, do: delay}}\n", fields.join(", ")), code)
}

fn picks() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..60_usize, conditions().len())
}

proptest! {
    #[test]
    fn yaml_and_code_say_the_same_whatever_is_combined(
        seed in any::<u64>(),
        rules in prop::collection::vec(picks(), 3),
        scenario in prop::option::of(0..SCENARIOS.len()),
    ) {
        let mut yaml = format!("seed: {seed}\nrules:\n");
        let mut code = Plan::seed(seed);
        for (n, picks) in rules.iter().enumerate() {
            let (text, rule) = rule(n, scenario.filter(|_| n < 2).map(|_| "a"), picks);
            yaml.push_str(&text);
            code = code.rule(rule);
        }
        if let Some((text, apply)) = scenario.and_then(|n| SCENARIOS.get(n)) {
            yaml.push_str(&format!("scenarios: {text}\n"));
            code = apply(code);
        }
        let read = Plan::from_yaml("plan.yaml", &yaml).map_err(|error| TestCaseError::fail(format!("{error}\n{yaml}")))?;
        prop_assert_eq!(&read, &code, "{}", yaml);
        let printed = code.to_yaml();
        prop_assert_eq!(&Plan::from_yaml("printed.yaml", &printed).unwrap(), &code, "{}", printed);
        prop_assert!(code.compile().is_ok());
        for (n, picks) in rules.iter().enumerate() {
            let other: Vec<usize> = picks.iter().map(|pick| pick + 1).collect();
            prop_assert_ne!(rule(n, None, picks).1, rule(n, None, &other).1);
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(
        text in "[a-z:{}\\[\\], \n'\"$@.*!&<>=()-]{0,80}",
        value in "\\PC{0,40}",
        field in prop::sample::select(vec!["labelSelector", "fieldSelector", "filter", "object", "labels", "after"]),
    ) {
        let quoted = serde_json::Value::String(value).to_string();
        for text in [
            text.clone(),
            format!("rules:\n  - {{id: r, when: {{{field}: {quoted}}}, do: reset}}\n"),
            format!("rules:\n  - {{id: r, when: {{object: {{{quoted}: 1}}}}, do: reset}}\n"),
            format!("rules: [{{id: r, do: reset}}]\nscenarios: {text}\n"),
        ] {
            let _ = Plan::from_yaml("plan.yaml", &text);
        }
    }
}
