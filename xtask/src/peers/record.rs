//! The table of a comparison and the facts that belong to it, as a file under `benches/records`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::answers::{Hardware, Ours};
use super::{Request, Row};
use crate::error::GateError;
use crate::gate::Gate;
use crate::launch::{Invocation, Watch};

/// Where records lie.
const FOLDER: &str = "benches/records";

/// A comparison as it grows.
#[derive(Debug)]
pub(super) struct Record {
    model: String,
    threads: String,
    rounds: usize,
    tests: String,
    began: SystemTime,
    revision: String,
    compiler: String,
    isa: String,
    /// llama.cpp's build, where it told.
    pub(super) peer: Option<String>,
    hardware: Vec<Hardware>,
    rows: Vec<Row>,
}

impl Record {
    pub(super) fn new(gate: &Gate<'_>, request: &Request) -> Result<Self, GateError> {
        let name = request.model.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let tests = super::TESTS.iter().filter(|(_, test)| request.tests.contains(test));
        Ok(Self {
            model: name.unwrap_or_default(),
            threads: request.threads.clone(),
            rounds: request.rounds,
            tests: tests.map(|(name, _)| *name).collect::<Vec<_>>().join(","),
            began: SystemTime::now(),
            revision: said(gate, "git", "rev-parse --short HEAD")?,
            compiler: said(gate, "rustc", "--version")?,
            isa: String::new(),
            peer: None,
            hardware: Vec::new(),
            rows: Vec::new(),
        })
    }

    /// Notes what one run of ours says of the machine.
    pub(super) fn see(&mut self, found: &Ours) {
        self.hardware.push(found.hardware);
        self.isa.clone_from(&found.isa);
    }

    /// Adds one figure of both sides; the same in words.
    pub(super) fn add(
        &mut self,
        name: &str,
        found: &Ours,
        (test, batch): (&str, usize),
        theirs: f64,
    ) -> Result<String, GateError> {
        let result = found.result(test, batch)?;
        let at = self.rows.iter().position(|row| row.name == name).unwrap_or(self.rows.len());
        if at == self.rows.len() {
            self.rows.push(Row { name: name.to_owned(), ..Row::default() });
        }
        let row = &mut self.rows[at];
        row.bound.clone_from(&result.bound);
        row.ours.push(result.speed());
        row.shares.push(result.share_of_bound);
        row.theirs.push(theirs);
        Ok(format!("{name} {:.1} : {theirs:.1}", result.speed()))
    }

    /// The section of this comparison.
    pub(super) fn text(&self) -> String {
        let Self { model, threads, rounds, tests, revision, compiler, isa, .. } = self;
        let (date, time) = utc(self.began);
        let figure = |pick: fn(&Hardware) -> f64| median(self.hardware.iter().map(pick).collect()).0;
        let (read, int8) = (figure(|bounds| bounds.read_gb_s), figure(|bounds| bounds.int8_gmac_s));
        let peer = self.peer.as_deref().unwrap_or("llama-batched-bench of one build");
        let mut text = format!(
            "## {date}, {time} UTC: {tests}\n\n| | |\n|---|---|\n\
             | command | `cargo xtask peers --llama-bench PATH --model {model}.gguf --threads {threads} --rounds {rounds} --tests {tests}` |\n\
             | machine | {}, Linux; {threads} threads; reads {read:.1} GB/s, {int8:.0} int8 and {:.0} f32 GMAC/s (medians of these rounds) |\n\
             | ours | revision {revision}, {compiler}, release build, kernels `{isa}` |\n\
             | peer | llama.cpp {peer} |\n\n\
             | tokens/s, median (least to most) | ours | llama.cpp | ratio | our share of the bound | theirs |\n|---|---|---|---|---|---|\n",
            processor(),
            figure(|bounds| bounds.f32_gmac_s)
        );
        for row in &self.rows {
            let ((ours, a, b), (theirs, c, d)) = (median(row.ours.clone()), median(row.theirs.clone()));
            let share = median(row.shares.clone()).0 * 100.0;
            text.push_str(&format!(
                "| {} | {ours:.1} ({a:.1} to {b:.1}) | {theirs:.1} ({c:.1} to {d:.1}) | {:.2} | {share:.0} % of {} | {:.0} % |\n",
                row.name,
                ours / theirs,
                row.bound,
                share * theirs / ours,
            ));
        }
        text
    }

    /// Writes the section into the record of this day and model; the path of that.
    pub(super) fn write(&self, root: &Path, text: &str) -> Result<String, GateError> {
        let path = format!("{FOLDER}/{}-peers-{}.md", utc(self.began).0, self.model);
        let file = root.join(&path);
        let title = match fs::exists(&file) {
            Ok(true) => String::new(),
            _ => format!("# Beside llama.cpp: `{}`\n", self.model),
        };
        let mut options = OpenOptions::new();
        options
            .create(true)
            .append(true)
            .open(&file)
            .and_then(|mut open| write!(open, "{title}\n{text}"))
            .map_err(|source| GateError::Write { path: file, source })?;
        Ok(path)
    }
}

/// The first line of what a program says; nothing where it fails.
fn said(gate: &Gate<'_>, program: &str, arguments: &str) -> Result<String, GateError> {
    let mut invocation = Invocation::cargo(arguments).watch(Watch::Answer);
    invocation.program = program.to_owned();
    let mut first = String::new();
    gate.programs.run(gate.root, &invocation, &mut |line| {
        if first.is_empty() {
            first = line.to_owned();
        }
    })?;
    Ok(first)
}

/// Median, least and most.
fn median(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values[..] {
        [] => (0.0, 0.0, 0.0),
        [least, .., most] if values.len().is_multiple_of(2) => {
            ((values[middle - 1] + values[middle]) / 2.0, least, most)
        }
        _ => (values[middle], values[0], values[values.len() - 1]),
    }
}

/// The processor as Linux names it.
fn processor() -> String {
    let facts = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = facts.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    name.map_or("a processor without a name", |(_, name)| name).to_owned()
}

/// Date and time of day, as `2026-11-27` and `21:27`.
fn utc(time: SystemTime) -> (String, String) {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    // Days are counted in years that begin in March, so that a leap day is the last of its year.
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let minutes = seconds % 86_400 / 60;
    (
        format!("{:04}-{month:02}-{date:02}", era * 400 + year + later),
        format!("{:02}:{:02}", minutes / 60, minutes % 60),
    )
}

#[cfg(test)]
mod tests {
    use super::{median, utc};
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn seconds_become_dates() {
        for (seconds, expected) in [
            (0, ("1970-01-01", "00:00")),
            (951_782_400, ("2000-02-29", "00:00")),
            (1_735_689_599, ("2024-12-31", "23:59")),
            (1_795_814_820, ("2026-11-27", "21:27")),
        ] {
            let (date, time) = utc(UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!((date.as_str(), time.as_str()), expected, "{seconds}");
        }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), (2.0, 1.0, 3.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), (2.5, 1.0, 4.0));
        assert_eq!(median(vec![7.0]), (7.0, 7.0, 7.0));
        assert_eq!(median(vec![]), (0.0, 0.0, 0.0));
    }
}
