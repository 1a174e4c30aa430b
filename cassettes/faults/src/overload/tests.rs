//! Priority levels: who is seated, who waits, who is turned away.

use super::*;
use proptest::prelude::*;

const FAIR: Limits = Limits { seats: 2, queues: 64, hand_size: 6, queue_length: 50 };

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The ticket of an arrival that was not rejected.
fn ticket(arrival: Arrival) -> Ticket {
    match arrival {
        Arrival::Seated(ticket) | Arrival::Queued(ticket) => ticket,
        Arrival::Rejected => panic!("rejected"),
    }
}

#[test]
fn seats_are_taken_first_and_those_who_wait_follow_in_order() {
    let mut level = PriorityLevel::new(FAIR, ms(0));
    let all: Vec<Arrival> = (0..4).map(|_| level.arrive("u", ms(0))).collect();
    assert!(matches!(all[..], [Arrival::Seated(_), Arrival::Seated(_), Arrival::Queued(_), Arrival::Queued(_)]));
    let mut order = level.leave(ticket(all[0]), ms(10));
    order.extend(level.leave(ticket(all[1]), ms(20)));
    order.sort_unstable();
    assert_eq!(order, [ticket(all[2]), ticket(all[3])]);
    assert_eq!(level.load(), Load { executing: 2, waiting: 0, rejected: 0, retry_after: 1 });
}

#[test]
fn full_queues_turn_away_and_so_does_a_level_without_queues() {
    let mut level = PriorityLevel::new(Limits { queues: 1, hand_size: 1, queue_length: 3, ..FAIR }, ms(0));
    let arrivals: Vec<Arrival> = (0..7).map(|_| level.arrive("u", ms(0))).collect();
    assert_eq!(arrivals.iter().filter(|a| **a == Arrival::Rejected).count(), 2);
    assert_eq!(level.drop_one(ms(0)), 1);
    assert_eq!(level.load(), Load { executing: 2, waiting: 3, rejected: 1, retry_after: 1 });
    let mut level = PriorityLevel::new(Limits { queues: 0, ..FAIR }, ms(0));
    let arrivals: Vec<Arrival> = (0..3).map(|_| level.arrive("u", ms(0))).collect();
    assert!(matches!(arrivals[..], [Arrival::Seated(_), Arrival::Seated(_), Arrival::Rejected]));
}

#[test]
fn without_a_seat_one_executes_at_a_time() {
    let mut level = PriorityLevel::new(Limits { seats: 0, queues: 0, ..FAIR }, ms(0));
    let first = ticket(level.arrive("u", ms(0)));
    assert_eq!(level.arrive("u", ms(0)), Arrival::Rejected);
    level.leave(first, ms(1));
    assert!(matches!(level.arrive("u", ms(1)), Arrival::Seated(_)));
}

#[test]
fn a_flood_of_one_flow_does_not_starve_another() {
    let mut level = PriorityLevel::new(FAIR, ms(0));
    let mut running: VecDeque<Ticket> = (0..2).map(|_| ticket(level.arrive("flood", ms(0)))).collect();
    let flood = (0..200).map(|_| level.arrive("flood", ms(1)));
    assert!(flood.filter(|arrival| *arrival == Arrival::Rejected).count() < 200);
    let quiet = ticket(level.arrive("quiet", ms(2)));
    assert!(level.waiting.contains_key(&quiet), "the seats are taken");
    let mut served = 0;
    for n in 0..200 {
        let done = running.pop_front().unwrap();
        running.extend(level.leave(done, ms(10 + 10 * n)));
        served += 1;
        if running.contains(&quiet) {
            break;
        }
    }
    // One of each queue of the flood's hand at most comes first.
    assert!(served <= 8, "{served} of the flood came first");
}

#[test]
fn two_steady_flows_get_the_same_share_whatever_their_requests_cost() {
    let limits = Limits { seats: 1, queues: 64, hand_size: 1, queue_length: 500 };
    let mut level = PriorityLevel::new(limits, ms(0));
    // Two flows in different queues: one of requests that take 10 ms, one of 40 ms.
    let flows: Vec<String> = (0..20).map(|n| format!("u{n}")).collect();
    let other = flows.iter().find(|f| hand(f, 64, 1) != hand("cheap", 64, 1)).unwrap();
    let mut costs = BTreeMap::new();
    for _ in 0..200 {
        costs.insert(ticket(level.arrive("cheap", ms(0))), (0, 10));
        costs.insert(ticket(level.arrive(other, ms(0))), (1, 40));
    }
    let (mut now, mut spent) = (0, [0u64; 2]);
    let mut running = *level.executing.keys().next().unwrap();
    while now < 2000 {
        let (flow, cost) = costs[&running];
        now += cost;
        spent[flow] += cost;
        running = level.leave(running, ms(now))[0];
    }
    let share = spent[0] as f64 / now as f64;
    assert!((0.4..=0.6).contains(&share), "{spent:?}");
}

#[test]
fn who_gives_up_is_gone_and_who_was_seated_just_before_is_not() {
    let mut level = PriorityLevel::new(Limits { seats: 1, ..FAIR }, ms(0));
    let first = ticket(level.arrive("u", ms(0)));
    let (second, third) = (ticket(level.arrive("u", ms(0))), ticket(level.arrive("u", ms(0))));
    assert!(level.give_up(second, ms(5)));
    assert_eq!(level.leave(first, ms(6)), [third]);
    assert!(!level.give_up(third, ms(6)));
    assert_eq!(level.load().executing, 1);
}

#[test]
fn hands_are_spread_and_their_cards_differ() {
    let mut used = std::collections::BTreeSet::new();
    for n in 0..100 {
        let hand = hand(&format!("user-{n}"), 128, 6);
        let distinct: std::collections::BTreeSet<_> = hand.iter().copied().collect();
        assert_eq!(distinct.len(), 6);
        assert!(distinct.iter().all(|card| *card < 128));
        used.extend(distinct);
    }
    assert!(used.len() > 120, "{} of 128 queues are used", used.len());
    assert_eq!(hand("u", 3, 8).len(), 3);
}

proptest! {
    /// Whatever comes and goes: seats are never exceeded and never idle while somebody waits, nobody is seated twice
    /// or lost, queues keep their length, and in the end all is empty.
    #[test]
    fn nobody_is_lost_and_no_seat_is_idle(
        seats in 0u64..4, queues in 0u64..5, hand_size in 1u64..5, queue_length in 1u64..4,
        steps in prop::collection::vec((0u8..4, 0usize..8, 0u64..20), 1..200),
    ) {
        let limits = Limits { seats, queues, hand_size, queue_length };
        let mut level = PriorityLevel::new(limits, ms(0));
        let (mut running, mut queued, mut now) = (Vec::new(), Vec::new(), 0);
        let seated = |all: Vec<Ticket>, queued: &mut Vec<Ticket>, running: &mut Vec<Ticket>| {
            for ticket in all {
                let at = queued.iter().position(|other| *other == ticket);
                prop_assert!(at.is_some(), "seated without having waited");
                queued.remove(at.unwrap_or_default());
                running.push(ticket);
            }
            Ok(())
        };
        for (what, which, pause) in steps {
            now += pause;
            match what {
                0 | 1 => match level.arrive(&format!("u{which}"), ms(now)) {
                    Arrival::Seated(ticket) => running.push(ticket),
                    Arrival::Queued(ticket) => queued.push(ticket),
                    Arrival::Rejected => {
                        level.drop_one(ms(now));
                    }
                },
                2 if !running.is_empty() => {
                    let done = running.remove(which % running.len());
                    seated(level.leave(done, ms(now)), &mut queued, &mut running)?;
                }
                3 if !queued.is_empty() => {
                    let tired = queued.remove(which % queued.len());
                    prop_assert!(level.give_up(tired, ms(now)));
                }
                _ => {}
            }
            let load = level.load();
            prop_assert_eq!((load.executing, load.waiting), (running.len() as u64, queued.len() as u64));
            prop_assert!(load.executing <= seats.max(1));
            prop_assert!(load.waiting == 0 || load.executing == seats.max(1));
            prop_assert!(level.queues.iter().all(|queue| queue.waiting.len() as u64 <= queue_length));
        }
        while let Some(done) = running.pop() {
            now += 1;
            seated(level.leave(done, ms(now)), &mut queued, &mut running)?;
        }
        let load = level.load();
        prop_assert_eq!((load.executing, load.waiting), (0, 0));
        prop_assert!(queued.is_empty());
        prop_assert!(level.queues.iter().all(Queue::is_idle));
    }
}
