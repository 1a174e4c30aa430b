//! Composition, counting, chance and repetition.

use proptest::prelude::*;

use super::*;
use crate::action::Stage;
use crate::event::EventPattern;
use crate::plan::{Fault, Rule, Then};
use crate::scenario::{Scenario, State};
use crate::{EventType, explain};

const ZERO: Duration = Duration::ZERO;

fn get<'a>(lane: &'a str, name: &'a str) -> RequestFacts<'a> {
    RequestFacts { verb: "get", resource: "pods", namespace: "d", lane, name, ..RequestFacts::default() }
}

fn engine(rules: impl IntoIterator<Item = Rule>) -> Engine {
    rules.into_iter().fold(Plan::seed(7), Plan::rule).compile().unwrap()
}

fn fired(engine: &Engine, request: &RequestFacts<'_>, now: u64) -> Vec<String> {
    let verdict = engine.decide(request, Duration::from_secs(now));
    verdict.firings().iter().map(|firing| firing.rule.clone()).collect()
}

fn slow(id: &str) -> Rule {
    Rule::new(id).fault("delay")
}

#[test]
fn modifiers_stack_until_a_rule_settles_the_answer() {
    let engine = engine([slow("a"), slow("b"), Rule::new("c").fault("reset").nth(1), slow("d")]);
    assert_eq!(fired(&engine, &get("x", "p"), 0), ["a", "b", "c"]);
    assert_eq!(fired(&engine, &get("x", "p"), 0), ["a", "b", "d"]);
}

#[test]
fn the_first_rule_that_settles_the_answer_wins() {
    let engine = engine([Rule::new("a").fault("reset").first(1), Rule::new("b").fault("eof")]);
    assert_eq!(fired(&engine, &get("x", "p"), 0), ["a"]);
    assert_eq!(fired(&engine, &get("x", "p"), 0), ["b"]);
}

#[test]
fn a_modifier_can_stop_the_asking() {
    let engine = engine([slow("a").nth(1).then(Then::Stop), slow("b")]);
    assert_eq!(fired(&engine, &get("x", "p"), 0), ["a"]);
    assert_eq!(fired(&engine, &get("x", "p"), 0), ["b"]);
}

#[test]
fn what_an_earlier_rule_settles_counts_but_does_not_use_up_a_later_rule() {
    let engine = engine([Rule::new("a").fault("reset").first(1), Rule::new("b").fault("eof").once()]);
    assert_eq!(fired(&engine, &get("x", "p"), 0), ["a"]);
    assert_eq!(fired(&engine, &get("x", "p"), 0), ["b"]);
    assert!(fired(&engine, &get("x", "p"), 0).is_empty());
    assert_eq!(engine.report().rules[1].shadowed, 1);
}

#[test]
fn scopes_count_apart() {
    let requests = [get("x", "p"), get("x", "q"), get("y", "p"), get("x", "p")];
    for (per, expected) in [
        (Per::Object, [false, false, false, true]),
        (Per::Route, [false, true, false, false]),
        (Per::Lane, [false, true, false, false]),
        (Per::Rule, [false, true, false, false]),
    ] {
        let engine = engine([slow("a").nth(2).per(per)]);
        assert_eq!(requests.map(|request| !fired(&engine, &request, 0).is_empty()), expected, "{per}");
    }
}

#[test]
fn a_route_is_of_one_verb_and_a_lane_of_all() {
    let list = RequestFacts { verb: "list", name: "", ..get("x", "") };
    for (per, second_fires) in [(Per::Route, false), (Per::Lane, true)] {
        let engine = engine([slow("a").nth(2).per(per)]);
        fired(&engine, &get("x", "p"), 0);
        assert_eq!(!fired(&engine, &list, 0).is_empty(), second_fires, "{per}");
    }
}

#[test]
fn count_and_cooldown_hold_in_each_scope() {
    let counted = engine([slow("a").count(2)]);
    assert_eq!((0..4).filter(|_| !fired(&counted, &get("x", "p"), 0).is_empty()).count(), 2);
    assert_eq!(fired(&counted, &get("x", "q"), 0), ["a"]);
    let cooled = engine([slow("a").cooldown(Duration::from_secs(5))]);
    let times = [0, 3, 5, 9, 10].map(|now| !fired(&cooled, &get("x", "p"), now).is_empty());
    assert_eq!(times, [true, false, true, false, true]);
}

#[test]
fn windows_and_marks_arm_and_disarm() {
    let engine = engine([slow("w").during("steady", Duration::from_secs(30)), slow("m").after_mark("steady")]);
    assert!(fired(&engine, &get("x", "p"), 1).is_empty());
    engine.mark("steady", Duration::from_secs(10));
    assert_eq!(fired(&engine, &get("x", "p"), 12), ["w", "m"]);
    assert_eq!(fired(&engine, &get("x", "p"), 40), ["m"]);
}

#[test]
fn occurrences_count_while_the_rule_is_armed() {
    let engine = engine([slow("a").nth(1).after_mark("go")]);
    assert!(fired(&engine, &get("x", "p"), 0).is_empty());
    engine.mark("go", ZERO);
    assert_eq!(fired(&engine, &get("x", "p"), 0), ["a"]);
}

#[test]
fn a_rule_may_wait_for_another_and_a_fault_may_set_a_mark() {
    let engine = engine([
        slow("late").after_rule("first"),
        Rule::new("first").fault(Fault::new("mark").knob("name", "here")).nth(2),
        slow("marked").after_mark("here"),
    ]);
    assert!(fired(&engine, &get("x", "p"), 0).is_empty());
    assert_eq!(fired(&engine, &get("x", "p"), 0), ["first", "marked"]);
    assert_eq!(fired(&engine, &get("x", "p"), 0), ["late", "marked"]);
}

#[test]
fn an_event_arms_the_rules_that_wait_for_it() {
    let engine = engine([slow("a").after_event(EventType::Deleted, "pods", "d", "web-*")]);
    let request = RequestFacts { verb: "watch", resource: "pods", ..RequestFacts::default() };
    let frame = |event, name| FrameFacts { request, event, namespace: "d", name, object: None };
    for other in [frame(EventType::Added, "web-0"), frame(EventType::Deleted, "db-0")] {
        assert!(engine.decide_frame(&other, ZERO).is_pass());
        assert!(fired(&engine, &get("x", "p"), 0).is_empty());
    }
    assert!(engine.decide_frame(&frame(EventType::Deleted, "web-0"), ZERO).is_pass());
    assert_eq!(fired(&engine, &get("x", "p"), 0), ["a"]);
}

#[test]
fn idleness_arms_the_rules_that_wait_for_it() {
    let engine = engine([slow("a").after_idle(Duration::from_secs(5))]);
    let times = [10, 12, 16, 21, 22].map(|now| !fired(&engine, &get("x", "p"), now).is_empty());
    assert_eq!(times, [false, false, false, true, true], "from the first request after five quiet seconds on");
}

#[test]
fn events_are_told_by_their_objects_too() {
    let failed = EventPattern::of(EventType::Modified).resource("pods").label_selector("app in (web)");
    let engine = engine([slow("a").after_seen(failed.filter("@.status.phase == 'Failed'"))]);
    let request = RequestFacts { verb: "watch", resource: "pods", ..RequestFacts::default() };
    let seen = |app: &str, phase: &str| {
        let object = serde_json::json!({"metadata": {"labels": {"app": app}}, "status": {"phase": phase}});
        let event = EventType::Modified;
        let frame = FrameFacts { request, event, namespace: "d", name: "p", object: Some(&object) };
        assert!(engine.decide_frame(&frame, ZERO).is_pass());
        !fired(&engine, &get("x", "p"), 0).is_empty()
    };
    assert!(engine.looks_at_frames());
    assert!(!seen("web", "Running") && !seen("db", "Failed") && seen("web", "Failed"));
}

fn calm_apf_calm() -> Scenario {
    Scenario::new().state("calm").state("apf").state("calm")
}

#[test]
fn states_take_turns_when_the_mark_of_their_scenario_is_set() {
    let plan = Plan::seed(7).rule(slow("always")).rule(slow("apf").nth(1)).scenario("s1", calm_apf_calm());
    let engine = plan.compile().unwrap();
    assert_eq!(fired(&engine, &get("x", "p"), 0), ["always"]);
    assert_eq!(
        engine.report().to_string().lines().last(),
        Some(
            "apf: never fired; 1 requests met its conditions; waits for state `apf` of scenario `s1`, which is in `calm`"
        )
    );
    engine.mark("s1", ZERO);
    assert_eq!(engine.scenarios(), [("s1".to_owned(), "apf".to_owned())]);
    let verdict = engine.decide(&get("x", "p"), ZERO);
    let told: Vec<_> = verdict.firings().iter().map(|f| (f.rule.as_str(), f.state.as_deref())).collect();
    assert_eq!(told, [("always", None), ("apf", Some("s1[1] apf"))], "occurrences count from here on");
    engine.mark("s1", ZERO);
    assert_eq!(fired(&engine, &get("x", "q"), 0), ["always"]);
    engine.mark("s1", ZERO);
    assert_eq!(engine.scenarios(), [("s1".to_owned(), "calm".to_owned())], "the last state stays");
}

#[test]
fn a_set_is_of_many_rules_and_a_state_of_many_sets() {
    let rules = [slow("a").set("one"), slow("b").set("one"), slow("c").set("two")];
    let states = Scenario::new().state("one").state(State::of("one").and("two")).state("two");
    let engine = rules.into_iter().fold(Plan::seed(7), Plan::rule).scenario("s", states).compile().unwrap();
    for expected in [vec!["a", "b"], vec!["a", "b", "c"], vec!["c"]] {
        assert_eq!(fired(&engine, &get("x", "p"), 0), expected);
        engine.mark("s", ZERO);
    }
}

#[test]
fn states_end_after_so_many_firings_of_their_rules() {
    let plan = Plan::seed(7).rule(slow("a")).rule(Rule::new("b").fault("reset"));
    let states = Scenario::new().state(State::of("a").on_count(2)).state(State::of("b").on_count(1)).repeat();
    let engine = plan.scenario("s", states).compile().unwrap();
    let rules: Vec<_> = (0..7).flat_map(|_| fired(&engine, &get("x", "p"), 0)).collect();
    // The firing that ends a state leaves the rest of the same request to the next one.
    assert_eq!(rules, ["a", "a", "b", "a", "a", "b", "a", "a", "b", "a"]);
}

#[test]
fn states_end_when_their_time_is_over_however_far_the_clock_leaps() {
    let s = Duration::from_secs;
    let states = || Scenario::new().state(State::of("a").after(s(10))).state(State::of("b").after(s(5)));
    let plan = || Plan::seed(7).rule(slow("a")).rule(slow("b"));
    let round = plan().scenario("s", states().repeat()).compile().unwrap();
    let year = 15 * 2_102_400;
    let now = [0, 9, 10, 14, 15, 29, year + 9, year + 10];
    assert_eq!(now.map(|now| fired(&round, &get("x", "p"), now).concat()), ["a", "a", "b", "b", "a", "b", "a", "b"]);
    let once = plan().scenario("s", states().state("calm")).compile().unwrap();
    assert_eq!([9, 14, 15, 99].map(|now| fired(&once, &get("x", "p"), now).concat()), ["a", "b", "", ""]);
    assert!(round.decide(&get("x", "p"), Duration::MAX).firings().len() == 1, "nor at the end of time");
}

#[test]
fn states_end_with_the_first_of_their_ends() {
    let gone = EventPattern::of(EventType::Deleted).resource("pods");
    let states = Scenario::new().state(State::of("a").on_event(gone).after(Duration::from_secs(60))).state("calm");
    let engine = Plan::seed(7).rule(slow("a")).scenario("s", states).compile().unwrap();
    assert!(engine.looks_at_frames());
    assert_eq!(fired(&engine, &get("x", "p"), 59), ["a"]);
    let request = RequestFacts { verb: "watch", resource: "pods", ..RequestFacts::default() };
    let frame = FrameFacts { request, event: EventType::Deleted, namespace: "d", name: "p", object: None };
    let firing = engine.decide_frame(&frame, Duration::from_secs(59));
    assert_eq!(firing.firings().len(), 0, "the rule is about requests");
    assert!(fired(&engine, &get("x", "p"), 59).is_empty());
}

#[test]
fn a_fault_may_set_the_mark_that_ends_a_state() {
    let next = Rule::new("next").fault(Fault::new("mark").knob("name", "s")).verb("delete");
    let plan = Plan::seed(7).rule(next).rule(slow("a").verb("get"));
    let engine = plan.scenario("s", Scenario::new().state("calm").state("a")).compile().unwrap();
    assert!(fired(&engine, &get("x", "p"), 0).is_empty());
    assert_eq!(fired(&engine, &RequestFacts { verb: "delete", ..get("x", "p") }, 0), ["next"]);
    assert_eq!(fired(&engine, &get("x", "p"), 0), ["a"]);
}

#[test]
fn a_state_that_counts_ends_after_exactly_so_many_however_many_threads_ask() {
    let states = Scenario::new().state(State::of("a").on_count(100)).state("calm");
    let engine = Plan::seed(7).rule(slow("a")).scenario("s", states).compile().unwrap();
    let names: Vec<String> = (0..8).map(|n| format!("p{n}")).collect();
    let ask = |name: &str| (0..50).filter(|_| !engine.decide(&get("x", name), ZERO).is_pass()).count();
    let fired: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = names.iter().map(|name| scope.spawn(move || ask(name))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a thread panicked")).sum()
    });
    assert_eq!(fired, 100);
}

#[test]
fn explanations_name_the_state_that_a_rule_waits_for() {
    let states = Scenario::new().state(State::of("calm").after(Duration::from_secs(3))).state("apf");
    let plan = Plan::seed(7).rule(slow("apf")).scenario("s1", states);
    let explanation = explain(&plan, &[(ZERO, get("x", "p")), (Duration::from_secs(3), get("x", "p"))]).unwrap();
    let text = "\
0s x get pods d/p
  apf: waits for state `apf` of scenario `s1`, which is in `calm`
3s x get pods d/p
  apf fires at head (occurrence 1, in state s1[1] apf): [{\"action\":\"delay\",\"wait\":\"1s\"}]
seed 7
apf: fired 1 times; 2 requests met its conditions
";
    assert_eq!(explanation.to_string(), text);
}

#[test]
fn firings_of_a_state_repeat_whatever_the_state() {
    let states = Scenario::new().state("calm").state("apf");
    let plan = Plan::seed(7).rule(slow("apf")).scenario("s1", states);
    let engine = plan.compile().unwrap();
    engine.mark("s1", ZERO);
    let recorded = engine.decide(&get("x", "p"), ZERO).firings().to_vec();
    let again = Engine::from_firings(&plan, &recorded).unwrap();
    assert_eq!(again.decide(&get("x", "p"), ZERO).firings(), recorded);
}

#[test]
fn firings_are_counted_by_lane() {
    let engine = engine([slow("a").lane("x")]);
    for lane in ["x", "y", "x"] {
        fired(&engine, &get(lane, "p"), 0);
    }
    let counts = ["x", "y"].map(|lane| engine.fired_in("a", lane));
    assert_eq!(counts, [Some(2), Some(0)]);
    assert_eq!(engine.fired_in("b", "x"), None);
}

#[test]
fn connections_have_rules_of_their_own() {
    let engine = engine([Rule::new("a").fault("refuse").connection(2), slow("b").at(Stage::Connection).lane("x")]);
    let connection = |lane, connection| ConnectionFacts { lane, connection };
    assert!(engine.decide_connection(&connection("y", 1), ZERO).is_pass());
    assert_eq!(engine.decide_connection(&connection("y", 2), ZERO).firings()[0].rule, "a");
    assert_eq!(engine.decide_connection(&connection("x", 1), ZERO).firings()[0].rule, "b");
    assert!(engine.decide(&get("x", "p"), ZERO).is_pass());
}

#[test]
fn a_rule_that_is_switched_off_neither_fires_nor_counts() {
    let engine = engine([slow("a").nth(1)]);
    assert!(engine.disarm("a") && !engine.disarm("b"));
    assert!(fired(&engine, &get("x", "p"), 0).is_empty());
    assert!(engine.arm("a"));
    assert_eq!(fired(&engine, &get("x", "p"), 0), ["a"]);
}

#[test]
fn a_rule_without_a_verb_is_about_the_verbs_of_its_fault() {
    let engine = engine([Rule::new("a").fault("conflict")]);
    assert!(fired(&engine, &get("x", "p"), 0).is_empty());
    assert_eq!(fired(&engine, &RequestFacts { verb: "patch", ..get("x", "p") }, 0), ["a"]);
}

#[test]
fn the_report_tells_who_never_fired_and_why() {
    let engine = engine([slow("often"), slow("third").nth(3), slow("nobody").lane("z")]);
    fired(&engine, &get("x", "p"), 0);
    let report = engine.report();
    assert_eq!(report.never_fired().map(|rule| rule.rule.as_str()).collect::<Vec<_>>(), ["third", "nobody"]);
    let text = "seed 7\noften: fired 1 times; 1 requests met its conditions\nthird: never fired; 1 requests met its conditions\nnobody: never fired; no request met its conditions\n";
    assert_eq!(report.to_string(), text);
}

#[test]
fn explanations_say_what_fires_and_why_the_rest_does_not() {
    let plan =
        Plan::seed(7).rule(slow("second").nth(2)).rule(slow("other").name("q")).rule(Rule::new("reset").fault("reset"));
    let explanation = explain(&plan, &[(ZERO, get("x", "p")), (Duration::from_secs(1), get("x", "p"))]).unwrap();
    let text = "\
0s x get pods d/p
  reset fires at arrive (occurrence 1): [{\"action\":\"cut\",\"how\":\"reset\",\"at\":\"here\"}]
  second: occurrence 1 is not asked for
  other: `name` does not match
1s x get pods d/p
  second fires at head (occurrence 2): [{\"action\":\"delay\",\"wait\":\"1s\"}]
  reset fires at arrive (occurrence 2): [{\"action\":\"cut\",\"how\":\"reset\",\"at\":\"here\"}]
  other: `name` does not match
";
    assert!(explanation.to_string().starts_with(text), "{explanation}");
}

#[test]
fn a_firing_survives_being_recorded() {
    let engine = engine([slow("a").at(Stage::AfterCommit)]);
    let update = RequestFacts { verb: "update", group: "apps", resource: "deployments", ..get("sut", "web") };
    let verdict = engine.decide(&update, Duration::from_millis(1500));
    let firing = &verdict.firings()[0];
    let expected = serde_json::json!({
        "rule": "a", "scope": "sut update deployments.apps d/web", "occurrence": 1, "at": "1s500ms",
        "request": "sut update deployments.apps d/web", "repeat": 1, "stage": "after-commit",
        "actions": [{"action": "delay", "wait": "1s"}],
    });
    let value = serde_json::to_value(firing).unwrap();
    assert_eq!(value, expected);
    assert_eq!(serde_json::from_value::<Firing>(value).unwrap(), *firing);
}

#[test]
fn a_seed_repeats_and_another_differs() {
    let plan = |seed| Plan::seed(seed).rule(slow("a").probability(0.3));
    let run = |seed| {
        let engine = plan(seed).compile().unwrap();
        (0..200).map(|_| engine.decide(&get("x", "p"), ZERO).is_pass()).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    let hits = run(1).iter().filter(|pass| !**pass).count();
    assert!((30..90).contains(&hits), "{hits} of 200 at p 0.3");
}

/// Plans whose decisions must not depend on how lanes interleave: everything but `per: rule` and waiting for others.
fn stable_plan() -> impl Strategy<Value = Plan> {
    let rule = (
        0..6_usize,
        0..3_usize,
        prop::option::of(1..4_u64),
        prop::option::of(0.1..0.9_f64),
        prop::option::of(1..3_u64),
    );
    let rule = rule.prop_map(|(fault, name, number, p, count)| {
        let faults = ["delay", "reset", "conflict", "close-watch", "apf-reject", "late-visibility"];
        let rule = Rule::new("").fault(faults[fault]);
        let rule = if name == 0 { rule } else { rule.name(["p", "q"][name - 1]) };
        let rule = match number {
            Some(n) if fault % 2 == 0 => rule.nth(n),
            Some(n) => rule.every(n),
            None => rule,
        };
        let rule = p.map_or(rule.clone(), |p| rule.probability(p));
        if rule.schedule.nth.is_some() { rule } else { count.map_or(rule.clone(), |n| rule.count(n)) }
    });
    (any::<u64>(), prop::collection::vec(rule, 1..6)).prop_filter_map("the plan is refused", |(seed, rules)| {
        let plan = rules.into_iter().enumerate().fold(Plan::seed(seed), |plan, (n, mut rule)| {
            rule.id = format!("r{n}");
            plan.rule(rule)
        });
        plan.compile().is_ok().then_some(plan)
    })
}

type Sent = (usize, usize, usize);

fn facts((lane, verb, name): Sent) -> RequestFacts<'static> {
    RequestFacts { verb: ["get", "update", "watch"][verb], ..get(["x", "y", "z"][lane], ["p", "q"][name]) }
}

/// What happened to the k-th request of each identity.
fn outcomes(engine: &Engine, sent: &[Sent]) -> BTreeMap<Sent, Vec<Verdict>> {
    let mut outcomes: BTreeMap<Sent, Vec<Verdict>> = BTreeMap::new();
    for request in sent {
        outcomes.entry(*request).or_default().push(engine.decide(&facts(*request), ZERO));
    }
    outcomes
}

proptest! {
    #[test]
    fn decisions_do_not_depend_on_the_order_of_other_requests(
        plan in stable_plan(),
        (sent, shuffled) in prop::collection::vec((0..3_usize, 0..3_usize, 0..2_usize), 1..60)
            .prop_flat_map(|sent| (Just(sent.clone()), Just(sent).prop_shuffle())),
    ) {
        let one = outcomes(&plan.compile().unwrap(), &sent);
        let other = outcomes(&plan.compile().unwrap(), &shuffled);
        prop_assert_eq!(one, other);
    }

    #[test]
    fn plans_read_back_what_they_print(plan in stable_plan()) {
        let text = plan.to_yaml();
        prop_assert_eq!(Plan::from_yaml("p", &text).unwrap(), plan, "{}", text);
    }

    #[test]
    fn recorded_firings_fire_again_whatever_the_order(
        plan in stable_plan(),
        (sent, shuffled) in prop::collection::vec((0..3_usize, 0..3_usize, 0..2_usize), 1..60)
            .prop_flat_map(|sent| (Just(sent.clone()), Just(sent).prop_shuffle())),
    ) {
        let recorded = outcomes(&plan.compile().unwrap(), &sent);
        let firings: Vec<Firing> = recorded.values().flatten().flat_map(|verdict| verdict.firings().to_vec()).collect();
        let repeated = outcomes(&Engine::from_firings(&plan, &firings).unwrap(), &shuffled);
        let actions = |outcomes: &BTreeMap<Sent, Vec<Verdict>>| -> Vec<Vec<(Stage, Action)>> {
            let verdicts = outcomes.values().flatten();
            verdicts.map(|v| v.actions().map(|(stage, action)| (stage, action.clone())).collect()).collect()
        };
        prop_assert_eq!(actions(&recorded), actions(&repeated));
    }
}

#[test]
fn threads_get_the_decisions_that_a_single_one_gets() {
    let plan = Plan::seed(3)
        .rule(slow("a").probability(0.4))
        .rule(Rule::new("b").fault("reset").every(3))
        .rule(Rule::new("c").fault("conflict").count(5));
    let sent: Vec<Sent> = (0..600).map(|n| (n % 3, n / 3 % 3, n / 9 % 2)).collect();
    let expected = outcomes(&plan.compile().unwrap(), &sent);
    let engine = plan.compile().unwrap();
    let mut found = BTreeMap::new();
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..3)
            .map(|lane| {
                let mine: Vec<Sent> = sent.iter().copied().filter(|request| request.0 == lane).collect();
                let engine = &engine;
                scope.spawn(move || outcomes(engine, &mine))
            })
            .collect();
        for lane in lanes {
            found.extend(lane.join().expect("a lane panicked"));
        }
    });
    assert_eq!(found, expected);
}

#[test]
fn requests_for_one_object_that_come_at_once_do_not_overtake_one_another() {
    let plan = Plan::seed(3)
        .rule(slow("a").probability(0.5))
        .rule(Rule::new("b").fault("reset").every(3))
        .rule(Rule::new("c").fault("reset").probability(0.5));
    let fired = |threads: usize| {
        let engine = plan.compile().unwrap();
        let ask = || (0..1200 / threads).flat_map(|_| engine.decide(&get("x", "p"), ZERO).firings().to_vec());
        let firings: Vec<Firing> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(|| ask().collect::<Vec<_>>())).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("a thread panicked")).collect()
        });
        firings.into_iter().map(|f| ((f.rule.clone(), f.repeat), f)).collect::<BTreeMap<_, _>>()
    };
    assert_eq!(fired(1), fired(4));
}

/// Every field of the language, in YAML and in code.
#[test]
fn yaml_and_code_mean_the_same() {
    let yaml = r#"
seed: 9
byzantine: allowed
lanes:
  sut: {auth: "lane:controller", userAgent: "ctl*"}
rules:
  - id: everything
    when:
      verb: [get, list]
      resource: [pods, deployments.apps]
      version: v1
      subresource: ""
      namespace: "team-*"
      name: [a, b]
      lane: sut
      userAgent: "ctl/*"
      method: GET
      path: "/api*"
      header: {X-One: "1"}
      labels: {app: web}
      object: {spec.replicas: 3}
      protocol: h2
      dryRun: false
      connection: 1
      stream: 2
      every: 2
      first: 6
      after: 1
      between: {from: 10s, until: 1m30s}
      p: 0.5
      per: lane
    at: head
    do: [{delay: 90s}, {throttle: {rate: 10}}, {eof: {afterBytes: 3}}]
    count: 2
    cooldown: 1500ms
  - {id: frame, at: frame, when: {type: [ADDED, DELETED]}, do: {tamper-frame: duplicate}}
  - {id: event, when: {after: {event: {type: DELETED, resource: pods, name: web}, occurrences: 2}}, do: H3}
  - {id: mark, when: {between: {mark: m, for: 3s}, group: ""}, do: {status: 429, retryAfter: 1}, count: 1}
  - {id: stop, when: {after: {rule: mark}}, do: delay, then: stop}
"#;
    let code = Plan::seed(9)
        .byzantine(crate::Byzantine::Allowed)
        .lane("sut", crate::Lane::new().auth("lane:controller").user_agent("ctl*"))
        .rule(
            Rule::new("everything")
                .verb("get")
                .verb("list")
                .resource("pods")
                .resource("deployments.apps")
                .version("v1")
                .subresource("")
                .namespace("team-*")
                .name("a")
                .name("b")
                .lane("sut")
                .user_agent("ctl/*")
                .method("GET")
                .path("/api*")
                .header("X-One", "1")
                .label("app", "web")
                .object("spec.replicas", "3")
                .protocol(crate::Protocol::Http2)
                .dry_run(false)
                .connection(1)
                .stream(2)
                .every(2)
                .first(6)
                .after(1)
                .between(Duration::from_secs(10), Duration::from_secs(90))
                .probability(0.5)
                .per(Per::Lane)
                .at(Stage::Head)
                .fault(Fault::delay(Duration::from_secs(90)))
                .fault(Fault::new("throttle").knob("rate", 10))
                .fault(Fault::new("eof").knob("afterBytes", 3))
                .count(2)
                .cooldown(Duration::from_millis(1500)),
        )
        .rule(
            Rule::new("frame")
                .at(Stage::Frame)
                .event(EventType::Added)
                .event(EventType::Deleted)
                .fault(Fault::new("tamper-frame").knob("how", "duplicate")),
        )
        .rule(Rule::new("event").after_event(EventType::Deleted, "pods", "", "web").after(2).fault("refused-stream"))
        .rule(
            Rule::new("mark")
                .during("m", Duration::from_secs(3))
                .group("")
                .fault(Fault::respond(429).knob("retryAfter", "1"))
                .once(),
        )
        .rule(Rule::new("stop").after_rule("mark").fault("delay").then(Then::Stop));
    let read = Plan::from_yaml("plan.yaml", yaml).unwrap();
    assert_eq!(read, code);
    assert_eq!(Plan::from_yaml("printed", &code.to_yaml()).unwrap(), code);
    assert_eq!(read.lane_of("lane:controller", "ctl/1"), Some("sut"));
    assert_eq!(read.lane_of("lane:other", "ctl/1"), None);
}
