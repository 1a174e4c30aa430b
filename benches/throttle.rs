//! The client's limiter against the ideal bucket, in virtual time and on the wall clock, and its retries in an outage.
//!
//! What is here is in `rehearsal::bench`; `rehearsal bench throttle` runs the same against any server.

#![allow(clippy::disallowed_methods, reason = "benchmarks measure the machine's own time")]

mod support;

use rehearsal::bench::{
    Checks, Load, Run, Server, Setup, Storm, Target as Driven, ThrottleReport, closed_loop, omission, open_loop,
    simulate,
};
use rehearsal::client::{Burst, Config, Qps, RestClient, RetryOptions, Throttle, TokenBucket};
use rehearsal::{FakeServer, bench};
use std::sync::Arc;
use std::time::Duration;
use support::stats::ms;
use support::{Options, Outcome, Report, Target, runtime};

/// client-go's defaults, and those of most controllers.
const LIMITS: [(u32, u32); 3] = [(5, 10), (20, 30), (50, 100)];

fn main() -> Outcome {
    let options = Options::parse();
    let mut report = Report::new("throttle");
    in_virtual_time(&mut report);
    self_test(&mut report);
    storms(&mut report);
    runtime()?.block_on(on_the_wall_clock(&options, &mut report))?;
    report.finish(options.record)
}

/// Ten seconds of each load through the pure bucket.
#[allow(clippy::cast_precision_loss)]
fn in_virtual_time(report: &mut Report) {
    let (mut wrong, mut overshoot) = (0_usize, f64::NEG_INFINITY);
    for (qps, burst) in LIMITS {
        let rate = f64::from(qps) * 2.0;
        for load in [
            Load::Constant { rate },
            Load::Poisson { rate },
            Load::Burst { rate },
            Load::Ramp { rate },
            Load::Closed { workers: burst as usize * 2, think: Duration::ZERO },
        ] {
            let bucket = TokenBucket::new(qps as f32, burst);
            let run = simulate(load, Duration::from_secs(10), 1, Some(bucket), 10, Server::default());
            let found = judged(run, qps, burst);
            wrong += found.admitted().abs_diff(found.ideal());
            overshoot = overshoot.max(found.conformance().overshoot);
        }
    }
    report.figure(
        "requests more or less than the ideal bucket, 10 virtual seconds, 5 loads, 3 limits",
        Target::AtMost(0.0, "requests"),
        wrong as f64,
    );
    report.figure("worst overshoot of any window then", Target::AtMost(1.0, "tokens"), overshoot.max(0.0));
    let checks = LIMITS.map(|(qps, burst)| (burst, Checks::run(qps, burst)));
    let differ =
        |of: fn(&Checks) -> u32| checks.iter().map(|(burst, c)| f64::from(of(c).abs_diff(*burst))).sum::<f64>();
    report.figure("initial burst, difference", Target::AtMost(0.0, "requests"), differ(|c| c.initial_burst));
    report.figure("burst after an idle hour, difference", Target::AtMost(0.0, "requests"), differ(|c| c.refilled));
    let least = |of: fn(&Checks) -> f64| checks.iter().map(|(_, c)| of(c)).fold(f64::INFINITY, f64::min);
    report.figure("rate used while requests wait", Target::AtLeast(99.0, "%"), least(|c| c.utilisation) * 100.0);
    report.figure("fairness among ten callers, Jain's index", Target::AtLeast(0.99, "×"), least(|c| c.fairness));
    let won: i64 = checks.iter().map(|(_, c)| c.won_by_clock_steps).sum();
    report.figure("requests won by clock steps of an hour", Target::AtMost(0.0, "requests"), won as f64);
}

/// Whether the harness sees a freeze of the server in full.
fn self_test(report: &mut Report) {
    let (open, closed) = omission();
    let p99 = open.quantile(0.99).as_secs_f64();
    report.figure(
        "self-test: p99 of 1 s frozen in 60 s at 1000/s, off 0.40 s by",
        Target::AtMost(5.0, "%"),
        (p99 / 0.4 - 1.0).abs() * 100.0,
    );
    report.figure(
        "the same by a closed loop, which is why such a run is labelled invalid: p99",
        Target::Shown("ms"),
        ms(closed.response().quantile(0.99)),
    );
}

/// Five seconds in which every request is answered 429, `Retry-After: 1`.
fn storms(report: &mut Report) {
    for (name, options) in
        [("client-go's rules", RetryOptions::default()), ("improved rules", RetryOptions::improved())]
    {
        let found = Storm::new(options, 1).play();
        report.figure(format!("429 for 5 s, {name}: requests, against no retries"), Target::Shown("×"), found.factor());
        report.figure(format!("{name}: worst 100 ms afterwards, against calm"), Target::Shown("×"), found.peak);
        let normal = found.until_normal.as_secs_f64();
        report.figure(format!("{name}: until nothing refused is waiting"), Target::Shown("s"), normal);
    }
}

async fn on_the_wall_clock(options: &Options, report: &mut Report) -> Outcome {
    let duration = Duration::from_secs(if options.quick { 3 } else { 10 });
    let (qps, burst) = (100, 50);
    for load in [Load::Constant { rate: 200.0 }, Load::Poisson { rate: 200.0 }] {
        let found = judged(driven(load, duration, qps, burst).await?, qps, burst);
        let name = load.name();
        let off = (found.ratio() - 1.0).abs() * 100.0;
        let seconds = duration.as_secs();
        report.figure(
            format!("{name} load, {seconds} wall seconds, by the server: off the ideal bucket by"),
            Target::AtMost(1.0, "%"),
            off,
        );
        let overshoot = found.conformance().overshoot.max(0.0);
        report.figure(format!("{name} load: worst overshoot of any window"), Target::AtMost(1.0, "tokens"), overshoot);
        let used = found.utilisation().unwrap_or_default() * 100.0;
        report.figure(format!("{name} load: rate used while requests wait"), Target::AtLeast(99.0, "%"), used);
        report.figure(
            format!("{name} load: p99 from the intended start"),
            Target::Shown("ms"),
            ms(found.run.response().quantile(0.99)),
        );
        report.figure(
            format!("{name} load: p99 of the server alone"),
            Target::Shown("ms"),
            ms(found.run.service().quantile(0.99)),
        );
    }
    let closed = driven(Load::Closed { workers: 10, think: Duration::ZERO }, duration, qps, burst).await?;
    report.figure(
        "ten workers of one limiter, Jain's index",
        Target::AtLeast(0.99, "×"),
        bench::jain(&closed.shares()),
    );
    Ok(())
}

/// A run against a server of its own, with the times at which requests reached it.
async fn driven(load: Load, duration: Duration, qps: u32, burst: u32) -> Outcome<Run> {
    let server = FakeServer::builder().tls(false).journal_capacity(100_000).start().await?;
    let mut config = Config::new(server.url());
    config.qps = Qps(-1.0);
    let client = RestClient::unversioned(&config)?;
    client.get().abs_path(&["/version"]).do_raw().await?;
    server.journal().clear();
    #[allow(clippy::cast_precision_loss)]
    let limiter = Arc::new(Throttle::new(Qps(qps as f32), Burst(burst)));
    let target = Driven { client, path: "/version".into(), limiter: Some(limiter) };
    let mut run = match load {
        Load::Closed { workers, think } => closed_loop(&target, workers, think, duration, || {}).await,
        load => open_loop(&target, load, duration, 1, 10, || {}).await,
    };
    run.received = bench::received(&server.journal());
    server.shutdown().await;
    Ok(run)
}

fn judged(run: Run, qps: u32, burst: u32) -> ThrottleReport {
    ThrottleReport {
        setup: Setup { qps, burst, seed: 1, server: String::new() },
        run,
        checks: Checks::run(qps, burst),
        storms: [("", Storm::new(RetryOptions::default(), 1).play()); 2],
    }
}
