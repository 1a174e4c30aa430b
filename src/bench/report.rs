//! What a run of the throttle benchmark found: as text, as JSON, as a picture.

use super::conformance::{jain, utilisation};
use super::{Checks, Conformance, IdealBucket, Latency, Plot, Run, Scale, Series, StormOutcome, page};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// Requests a second that the limiter allows.
    pub qps: u32,
    /// Requests that may go at once.
    pub burst: u32,
    /// Seed of arrivals and jitter.
    pub seed: u64,
    /// Where the requests went, in words.
    pub server: String,
}

/// A run and all that is said about it.
#[derive(Clone, Debug)]
pub struct ThrottleReport {
    /// What was asked for.
    pub setup: Setup,
    /// What happened.
    pub run: Run,
    /// The client's bucket in virtual time.
    pub checks: Checks,
    /// The outage with client-go's rules, and with every known defect mended.
    pub storms: [(&'static str, StormOutcome); 2],
}

impl ThrottleReport {
    /// Requests that passed within the run. Those that the server received count from the first one.
    #[must_use]
    pub fn admitted(&self) -> usize {
        let passed = self.run.passed();
        let begin = if self.run.received.is_empty() { Duration::ZERO } else { self.begin() };
        passed.iter().filter(|at| at.saturating_sub(begin) < self.run.duration).count()
    }

    fn begin(&self) -> Duration {
        self.run.passed().first().copied().unwrap_or_default()
    }

    /// What the ideal bucket lets through of the same demand. A closed loop has no demand of its own: its bound is what
    /// the bucket can give.
    #[must_use]
    pub fn ideal(&self) -> usize {
        let Setup { qps, burst, .. } = self.setup;
        if self.run.load.is_closed() {
            let most =
                u128::from(burst) + (u128::from(qps) * self.run.duration.as_nanos()).saturating_sub(1) / 1_000_000_000;
            return usize::try_from(most).unwrap_or(usize::MAX);
        }
        IdealBucket::new(qps, burst).admitted_before(self.run.duration, &self.run.intended())
    }

    /// Admitted against ideal.
    #[must_use]
    #[allow(clippy::cast_precision_loss)]
    pub fn ratio(&self) -> f64 {
        self.admitted() as f64 / (self.ideal() as f64).max(1.0)
    }

    /// The worst window.
    #[must_use]
    pub fn conformance(&self) -> Conformance {
        Conformance::check(&self.run.passed(), f64::from(self.setup.qps), self.setup.burst)
    }

    /// Share of the rate that was used while requests waited.
    #[must_use]
    pub fn utilisation(&self) -> Option<f64> {
        let passages = self.run.samples.iter().map(|s| (s.admitted, s.queued));
        utilisation(passages, f64::from(self.setup.qps))
    }

    /// Jain's index of the callers' shares.
    #[must_use]
    pub fn fairness(&self) -> f64 {
        jain(&self.run.shares())
    }

    /// What may be concluded from the latencies.
    #[must_use]
    pub fn validity(&self) -> &'static str {
        if self.run.load.is_closed() {
            "capacity only: a closed loop leaves out the requests that it did not get to send"
        } else {
            "from the intended start of each request"
        }
    }

    /// As JSON; times in milliseconds unless the name says otherwise.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let Setup { qps, burst, seed, server } = &self.setup;
        let conformance = self.conformance();
        json!({
            "setup": {"qps": qps, "burst": burst, "seed": seed, "server": server, "load": self.run.load.name(),
                "durationSeconds": self.run.duration.as_secs_f64()},
            "requests": {"offered": self.run.intended().len(), "admitted": self.admitted(), "ideal": self.ideal(),
                "ratio": self.ratio(), "waitingAtEnd": self.run.waiting.len(), "failed": self.run.failed(),
                "byServer": !self.run.received.is_empty()},
            "conformance": {"overshoot": conformance.overshoot, "windowSeconds": conformance.window.as_secs_f64(),
                "holds": conformance.holds(), "utilisation": self.utilisation(), "fairness": self.fairness()},
            "latency": {"validity": self.validity(), "response": self.run.response().to_json(),
                "service": self.run.service().to_json(), "throttled": self.run.throttled().to_json()},
            "virtualChecks": self.checks.to_json(),
            "storms": self.storms.iter().map(|(name, found)| ((*name).to_owned(), found.to_json())).collect::<serde_json::Map<_, _>>(),
        })
    }

    /// As text for a terminal.
    #[must_use]
    pub fn to_text(&self) -> String {
        let Setup { qps, burst, server, .. } = &self.setup;
        let mut out = format!(
            "{} load for {:?} against {server}, {qps} a second, burst {burst}\n\n",
            self.run.load.name(),
            self.run.duration
        );
        let mut row = |name: &str, value: String| {
            let _ = writeln!(out, "  {name:<36} {value}");
        };
        row("requests offered", self.run.intended().len().to_string());
        row("admitted, ideal bucket", format!("{}, {} ({:.4}×)", self.admitted(), self.ideal(), self.ratio()));
        row("waiting at the end, failed", format!("{}, {}", self.run.waiting.len(), self.run.failed()));
        let Conformance { overshoot, window } = self.conformance();
        row("worst window", format!("{overshoot:+.3} tokens in {window:?} (at most +1)"));
        let used = self.utilisation().map_or("nothing waited".into(), |u| format!("{:.2} %", u * 100.0));
        row("rate used while requests waited", used);
        row("fairness among callers (Jain)", format!("{:.4}", self.fairness()));
        out.push('\n');
        self.latencies(&mut out);
        self.virtual_time(&mut out);
        out
    }

    fn latencies(&self, out: &mut String) {
        let _ = writeln!(out, "  latency in ms, {}", self.validity());
        let _ = writeln!(out, "  {:<12}{:>11}{:>11}{:>11}{:>11}{:>11}", "", "p50", "p90", "p99", "p99.9", "max");
        for (name, latency) in
            [("response", self.run.response()), ("service", self.run.service()), ("throttled", self.run.throttled())]
        {
            let ms = |time: Duration| time.as_secs_f64() * 1e3;
            let [a, b, c, d] = [0.5, 0.9, 0.99, 0.999].map(|share| ms(latency.quantile(share)));
            let _ = writeln!(out, "  {name:<12}{a:>11.3}{b:>11.3}{c:>11.3}{d:>11.3}{:>11.3}", ms(latency.max()));
        }
        out.push('\n');
    }

    fn virtual_time(&self, out: &mut String) {
        let c = &self.checks;
        let _ = writeln!(
            out,
            "  the bucket in ten virtual seconds: {} admitted, {} ideal; {} at once, {} after an idle hour; {} won by clock steps",
            c.admitted, c.ideal, c.initial_burst, c.refilled, c.won_by_clock_steps
        );
        for (name, found) in &self.storms {
            let _ = writeln!(
                out,
                "  five seconds of 429, {name}: {} requests for {} ({:.2}×), peak afterwards {:.1}×, normal after {:.2} s, {} given up",
                found.sent,
                found.offered,
                found.factor(),
                found.peak,
                found.until_normal.as_secs_f64(),
                found.given_up
            );
        }
    }

    /// Two diagrams: what was admitted against the ideal line, and how many answers took longer than a time.
    #[must_use]
    pub fn to_svg(&self) -> String {
        let setup = &self.setup;
        let begin = if self.run.received.is_empty() { Duration::ZERO } else { self.begin() };
        let times: Vec<f64> = self.run.passed().iter().map(|at| at.saturating_sub(begin).as_secs_f64()).collect();
        let admitted = (1_u32..).zip(&times).map(|(n, at)| (*at, f64::from(n))).collect();
        let length = self.run.duration.as_secs_f64();
        let ideal =
            vec![(0.0, f64::from(setup.burst)), (length, f64::from(setup.burst) + f64::from(setup.qps) * length)];
        let line = |name: &str, points, steps| Series { name: name.into(), points, steps };
        let tail = |name: &str, latency: &Latency| line(name, latency.exceedance(), true);
        page(&[
            Plot {
                title: format!(
                    "Admitted requests, {} load, qps {}, burst {}",
                    self.run.load.name(),
                    setup.qps,
                    setup.burst
                ),
                x: "seconds".into(),
                y: "requests".into(),
                scale: (Scale::Linear, Scale::Linear),
                series: vec![line("admitted", admitted, true), line("burst + rate × t", ideal, false)],
            },
            Plot {
                title: format!("Requests that took longer, {}", self.validity()),
                x: "seconds".into(),
                y: "share of requests".into(),
                scale: (Scale::Logarithmic, Scale::Logarithmic),
                series: vec![tail("response", &self.run.response()), tail("service", &self.run.service())],
            },
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{Load, Server, Storm, simulate};
    use rehearsal_client::{RetryOptions, TokenBucket};

    fn report(load: Load) -> ThrottleReport {
        let run = simulate(
            load,
            Duration::from_secs(10),
            1,
            Some(TokenBucket::new(5.0, 10)),
            2,
            Server { service: Duration::from_millis(2), freeze: None },
        );
        let storm = |options| Storm::new(options, 1).play();
        ThrottleReport {
            setup: Setup { qps: 5, burst: 10, seed: 1, server: "virtual time".into() },
            run,
            checks: Checks::run(5, 10),
            storms: [("client-go", storm(RetryOptions::default())), ("improved", storm(RetryOptions::improved()))],
        }
    }

    #[test]
    fn ten_virtual_seconds_are_those_of_the_ideal_bucket_whatever_the_load() {
        for load in [
            Load::Constant { rate: 20.0 },
            Load::Poisson { rate: 7.0 },
            Load::Burst { rate: 10.0 },
            Load::Ramp { rate: 10.0 },
            Load::Closed { workers: 20, think: Duration::ZERO },
        ] {
            let report = report(load);
            assert_eq!(report.admitted(), report.ideal(), "{load:?}");
            assert!(report.conformance().holds(), "{load:?}");
        }
    }

    #[test]
    fn a_closed_loop_says_that_its_latencies_are_not_to_be_used() {
        let closed = report(Load::Closed { workers: 2, think: Duration::ZERO });
        assert!(closed.to_text().contains("capacity only"));
        assert!(closed.to_json()["latency"]["validity"].as_str().is_some_and(|v| v.starts_with("capacity only")));
    }

    #[test]
    fn waits_for_the_limiter_are_told_apart_from_the_server_s_time() {
        let json = report(Load::Constant { rate: 20.0 }).to_json();
        assert!(json["latency"]["service"]["max"].as_f64().is_some_and(|ms| ms < 2.1));
        assert!(json["latency"]["response"]["p50"].as_f64().is_some_and(|ms| ms > 1000.0));
        assert_eq!(json["requests"]["waitingAtEnd"], 141);
        assert_eq!(json["conformance"]["holds"], true);
    }

    #[test]
    fn the_picture_has_both_diagrams() {
        let svg = report(Load::Constant { rate: 20.0 }).to_svg();
        assert_eq!(svg.matches("<path").count(), 4);
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    }
}
