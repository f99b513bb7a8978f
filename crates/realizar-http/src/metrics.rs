//! Counters for operators, as Prometheus reads them. Every label comes from a closed set, so clients cannot grow it.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::backend::{Facts, Load};
use crate::record::RequestLog;

/// Upper bounds in seconds: fine where small models answer, long where a CPU reads a long prompt.
const SECONDS: &[f64] = &[
    0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0,
    40.0, 80.0, 160.0, 640.0, 2560.0,
];

/// What the server counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    start: Instant,
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    refusals: Mutex<BTreeMap<&'static str, u64>>,
    disconnects: AtomicU64,
    duration: Histogram,
    first_token: Histogram,
    next_token: Histogram,
}

#[derive(Debug, Default)]
struct Histogram {
    /// One more than `SECONDS`: the last is for all above.
    buckets: [AtomicU64; 24],
    micros: AtomicU64,
}

impl Histogram {
    fn add(&self, time: Duration) {
        let bucket = SECONDS.partition_point(|bound| *bound < time.as_secs_f64());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    fn write(&self, out: &mut String, name: &str, help: &str) {
        head(out, name, help, "histogram");
        let mut sum = 0;
        for (at, bucket) in self.buckets.iter().enumerate() {
            sum += bucket.load(Ordering::Relaxed);
            let bound = SECONDS.get(at).map_or_else(|| "+Inf".to_owned(), ToString::to_string);
            line(out, &format!("{name}_bucket{{le=\"{bound}\"}}"), sum);
        }
        let micros = Duration::from_micros(self.micros.load(Ordering::Relaxed));
        line(out, &format!("{name}_sum"), micros.as_secs_f64());
        line(out, &format!("{name}_count"), sum);
    }
}

fn head(out: &mut String, name: &str, help: &str, kind: &str) {
    // Writing to a string cannot fail.
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn line(out: &mut String, name: &str, value: impl Display) {
    let _ = writeln!(out, "{name} {value}");
}

fn add<K: Ord>(counts: &Mutex<BTreeMap<K, u64>>, key: K) {
    *counts.lock().unwrap_or_else(std::sync::PoisonError::into_inner).entry(key).or_default() += 1;
}

impl Metrics {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            requests: Mutex::default(),
            refusals: Mutex::default(),
            disconnects: AtomicU64::new(0),
            duration: Histogram::default(),
            first_token: Histogram::default(),
            next_token: Histogram::default(),
        }
    }

    pub(crate) fn request(&self, log: &RequestLog) {
        add(&self.requests, (log.route, log.status));
        if let Some(code) = log.code {
            add(&self.refusals, code);
        }
        // What broke off by our doing has a code.
        if !log.complete && log.code.is_none() {
            self.disconnects.fetch_add(1, Ordering::Relaxed);
        }
        self.duration.add(log.duration);
    }

    pub(crate) fn first_token(&self, time: Duration) {
        self.first_token.add(time);
    }

    pub(crate) fn next_token(&self, time: Duration) {
        self.next_token.add(time);
    }

    /// Everything, in the text format 0.0.4.
    pub(crate) fn render(&self, facts: &Facts, load: Load, active: usize) -> String {
        let mut out = String::new();
        let name = "realizar_requests_total";
        head(&mut out, name, "Requests by route and status.", "counter");
        for ((route, status), count) in
            &*self.requests.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        {
            line(&mut out, &format!("{name}{{route=\"{route}\",status=\"{status}\"}}"), count);
        }
        let name = "realizar_rejected_total";
        head(&mut out, name, "Requests that were refused, by reason.", "counter");
        for (reason, count) in &*self.refusals.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
            line(&mut out, &format!("{name}{{reason=\"{reason}\"}}"), count);
        }
        let disconnects = self.disconnects.load(Ordering::Relaxed);
        #[rustfmt::skip]
        let numbers: &[(&str, &str, &str, u64)] = &[
            ("realizar_disconnects_total", "counter", "Requests whose client left before the end.", disconnects),
            ("realizar_prompt_tokens_total", "counter", "Tokens of prompts.", load.prompt_tokens),
            ("realizar_generated_tokens_total", "counter", "Tokens of answers.", load.generated_tokens),
            ("realizar_steps_total", "counter", "Forward passes.", load.steps),
            ("realizar_requests_active", "gauge", "Requests under way.", active as u64),
            ("realizar_requests_running", "gauge", "Answers that are being written.", load.running as u64),
            ("realizar_requests_parked", "gauge", "Answers that gave way, since their clients do not read.", load.parked as u64),
            ("realizar_requests_waiting", "gauge", "Answers that wait for a place.", load.queued as u64),
            ("realizar_queue_limit", "gauge", "Answers that may wait.", load.queue_limit as u64),
            ("realizar_kv_blocks_total", "gauge", "Blocks of key/value memory.", load.kv_blocks as u64),
            ("realizar_kv_blocks_free", "gauge", "Blocks of key/value memory that are free.", load.kv_blocks_free as u64),
            ("realizar_uptime_seconds", "gauge", "Seconds since the start.", self.start.elapsed().as_secs()),
            ("realizar_model_parameters", "gauge", "Weights of the model.", facts.parameters),
            ("realizar_model_context", "gauge", "Tokens that a sequence may hold.", facts.context as u64),
        ];
        for (name, kind, help, value) in numbers {
            head(&mut out, name, help, kind);
            line(&mut out, name, value);
        }
        let histograms = [
            ("realizar_request_duration_seconds", "From header to last byte.", &self.duration),
            (
                "realizar_time_to_first_token_seconds",
                "From the request to its first token.",
                &self.first_token,
            ),
            ("realizar_inter_token_latency_seconds", "Between two tokens of a request.", &self.next_token),
        ];
        for (name, help, histogram) in histograms {
            histogram.write(&mut out, name, help);
        }
        out
    }
}
