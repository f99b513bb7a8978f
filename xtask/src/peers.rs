//! `cargo xtask peers`: our speed beside llama.cpp's on one model file, by turns, with a dated record.
//!
//! Both are run once per round, so that a change of the machine's pace meets both; medians over the rounds and their ratios
//! count. The bounds of the machine are measured in the same rounds, by our own bench.

mod answers;
mod record;

use std::path::{Path, PathBuf, absolute};

use self::answers::{Batched, Ours, Theirs};
use self::record::Record;
use crate::error::GateError;
use crate::gate::{Gate, Note};
use crate::launch::{Invocation, Watch};
use crate::workspace::Workspace;

/// How the command is called.
pub(crate) const USAGE: &str =
    "peers --llama-bench PATH --model FILE [--threads N] [--rounds N] [--tests prefill,decode,batched]";

/// Tokens of the prompt.
const PREFILL: &str = "256";
/// Tokens of an answer.
const DECODE: &str = "64";
/// Sequences that are written together, tokens that each holds before, and tokens that each gets.
const BATCHES: &str = "1,4,8,16";
const DEPTH: &str = "64";
const TOGETHER: &str = "32";
/// What all of that needs: 16 x (64 + 32) tokens.
const CELLS: &str = "2048";

/// What the command line asks for.
#[derive(Debug)]
struct Request {
    llama_bench: PathBuf,
    model: PathBuf,
    threads: String,
    rounds: usize,
    tests: Vec<Test>,
}

/// One group of figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Prefill,
    Decode,
    Batched,
}

const TESTS: &[(&str, Test)] =
    &[("prefill", Test::Prefill), ("decode", Test::Decode), ("batched", Test::Batched)];

/// One line of the result: figures of every round.
#[derive(Debug, Default)]
struct Row {
    name: String,
    bound: String,
    ours: Vec<f64>,
    shares: Vec<f64>,
    theirs: Vec<f64>,
}

/// Builds our program, runs both by turns, prints the table and writes the record.
pub(crate) fn run(gate: &mut Gate<'_>, arguments: &[String]) -> Result<Note, GateError> {
    let request = Request::parse(arguments)?;
    gate.must(&Invocation::cargo("build --quiet --release --package realizar-cli"))?;
    let ours = Workspace::read(gate)?.target_directory.join("release/realizar-cli");
    let mut record = Record::new(gate, &request)?;
    for round in 1..=request.rounds {
        let figures = request.round(gate, &ours, &mut record)?;
        gate.say(&format!("round {round} of {}: {figures}", request.rounds))?;
    }
    let text = record.text();
    gate.say(&text)?;
    let path = record.write(gate.root, &text)?;
    Ok(format!("written to {path}"))
}

impl Request {
    fn parse(arguments: &[String]) -> Result<Self, GateError> {
        let usage = || GateError::Usage { command: "peers", given: arguments.join(" "), usage: USAGE };
        let path = |text: &str| absolute(text).map_err(|_| usage());
        let (mut llama_bench, mut model) = (None, None);
        let (mut threads, mut rounds) = (std::thread::available_parallelism().map_or(1, usize::from), 5);
        let mut tests: Vec<Test> = TESTS.iter().map(|(_, test)| *test).collect();
        let (flags, []) = arguments.as_chunks::<2>() else { return Err(usage()) };
        for [flag, value] in flags {
            let number = || value.parse().ok().filter(|&number: &usize| number > 0).ok_or_else(usage);
            match flag.as_str() {
                "--llama-bench" => llama_bench = Some(path(value)?),
                "--model" => model = Some(path(value)?),
                "--threads" => threads = number()?,
                "--rounds" => rounds = number()?,
                "--tests" => {
                    let named = |name| TESTS.iter().find(|(known, _)| *known == name).map(|(_, test)| *test);
                    tests = value.split(',').map(named).collect::<Option<_>>().ok_or_else(usage)?;
                }
                _ => return Err(usage()),
            }
        }
        let (Some(llama_bench), Some(model)) = (llama_bench, model) else { return Err(usage()) };
        Ok(Self { llama_bench, model, threads: threads.to_string(), rounds, tests })
    }

    /// Runs every test once on both sides; what came out, for a line on the terminal.
    fn round(&self, gate: &Gate<'_>, ours: &Path, record: &mut Record) -> Result<String, GateError> {
        let has = |test| self.tests.contains(&test);
        let mut said = Vec::new();
        if has(Test::Prefill) || has(Test::Decode) {
            let tokens = |test, count, none| if has(test) { count } else { none };
            let (p, n) = (tokens(Test::Prefill, PREFILL, "1"), tokens(Test::Decode, DECODE, "1"));
            let found = self.ours(gate, ours, &["-p", p, "-n", n, "-b", "1"])?;
            record.see(&found);
            let (p, n) = (tokens(Test::Prefill, PREFILL, "0"), tokens(Test::Decode, DECODE, "0"));
            let arguments = ["-p", p, "-n", n, "-r", "1", "-t", &self.threads, "-o", "json"];
            let json = self.theirs(gate, &self.llama_bench, &arguments)?;
            let theirs = Theirs::parse(&json)?;
            for (name, test, prompt) in
                [(format!("pp{PREFILL}"), Test::Prefill, true), (format!("tg{DECODE}"), Test::Decode, false)]
            {
                if has(test) {
                    let speed = Theirs::speed(&theirs, prompt)?;
                    said.push(record.add(&name, &found, (&name, 1), speed)?);
                }
            }
            record.peer = Theirs::build(&theirs);
        }
        if has(Test::Batched) {
            let arguments = ["-p", "1", "-n", TOGETHER, "--depth", DEPTH, "-b", BATCHES];
            let found = self.ours(gate, ours, &arguments)?;
            record.see(&found);
            let beside = self.llama_bench.with_file_name("llama-batched-bench");
            let sizes = ["-c", CELLS, "-npp", DEPTH, "-ntg", TOGETHER, "-npl", BATCHES];
            let format = ["-t", &self.threads, "--output-format", "jsonl"];
            let lines = self.theirs(gate, &beside, &[&sizes[..], &format].concat())?;
            for batched in Batched::parse(&lines)? {
                let name = format!("tg{TOGETHER} x {} after {DEPTH}", batched.pl);
                let row = format!("tg{TOGETHER}");
                said.push(record.add(&name, &found, (&row, batched.pl), batched.speed_tg)?);
            }
        }
        Ok(said.join("; "))
    }

    fn ours(&self, gate: &Gate<'_>, program: &Path, arguments: &[&str]) -> Result<Ours, GateError> {
        let model = self.model.to_string_lossy();
        let end = ["-r", "1", "--threads", &self.threads, "--quiet", "--json"];
        let json = answer(gate, program, &[&["bench", &*model], arguments, &end].concat())?;
        Ours::parse(&json)
    }

    fn theirs(&self, gate: &Gate<'_>, program: &Path, arguments: &[&str]) -> Result<String, GateError> {
        answer(gate, program, &[&["-m", &*self.model.to_string_lossy()], arguments].concat())
    }
}

/// What a program prints.
fn answer(gate: &Gate<'_>, program: &Path, arguments: &[&str]) -> Result<String, GateError> {
    let invocation = Invocation {
        program: program.to_string_lossy().into_owned(),
        arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        variables: Vec::new(),
        watch: Watch::Answer,
    };
    let mut text = String::new();
    let ok = gate.programs.run(gate.root, &invocation, &mut |line| {
        text.push_str(line);
        text.push('\n');
    })?;
    if ok { Ok(text) } else { Err(GateError::Failed { invocation: invocation.to_string() }) }
}

#[cfg(test)]
mod tests {
    use super::run;
    use crate::gate::tests::Scene;

    const METADATA: &str = r#"{"target_directory":"ROOT/target","packages":[]}"#;
    const OURS: &str = r#"{"model":"m","threads":2,"isa":"avx512","results":[
        {"test":"pp256","batch":1,"tokens_per_s":{"median":300.0},"bound":"int8","share_of_bound":0.5},
        {"test":"tg64","batch":1,"tokens_per_s":{"median":30.0},"bound":"memory","share_of_bound":0.9}],
        "hardware":{"read_gb_s":20.0,"int8_gmac_s":700.0,"f32_gmac_s":150.0}}"#;
    const TOGETHER: &str = r#"{"model":"m","threads":2,"isa":"avx512","results":[
        {"test":"pp1","batch":1,"tokens_per_s":{"median":1.0},"bound":"memory","share_of_bound":0.1},
        {"test":"tg32","batch":4,"tokens_per_s":{"median":80.0},"bound":"memory","share_of_bound":0.6}],
        "hardware":{"read_gb_s":22.0,"int8_gmac_s":720.0,"f32_gmac_s":150.0}}"#;
    const THEIRS: &str = r#"[{"build_commit":"abc","build_number":7,"n_prompt":256,"n_gen":0,"avg_ts":100.0},
        {"build_commit":"abc","build_number":7,"n_prompt":0,"n_gen":64,"avg_ts":20.0}]"#;
    const BATCHED: &str = "llama noise\n{\"pl\":4,\"speed_tg\":40.0,\"n_kv\":384}\n";

    fn arguments(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn scene() -> Scene {
        Scene::new(&[("benches/records/README", "")])
            .answering("metadata", METADATA)
            .answering("rev-parse", "1234abc")
            .answering("rustc --version", "rustc 1.95.0")
            .answering("-p 256 -n 64 -b 1", OURS)
            .answering("--depth 64", TOGETHER)
            .answering("/llama-bench -m", THEIRS)
            .answering("/llama-batched-bench -m", BATCHED)
    }

    #[test]
    fn figures_ratios_and_shares_are_recorded() {
        let mut scene = scene();
        let line = "--llama-bench x/llama-bench --model y/tiny-q4.gguf --rounds 3 --threads 2";
        let note = run(&mut scene.gate(), &arguments(line)).unwrap();
        let path = note.strip_prefix("written to ").unwrap().to_owned();
        assert!(path.starts_with("benches/records/2") && path.ends_with("-peers-tiny-q4.md"), "{path}");
        let text = std::fs::read_to_string(scene.root.join(&path)).unwrap();
        for expected in [
            "| pp256 | 300.0 (300.0 to 300.0) | 100.0 (100.0 to 100.0) | 3.00 | 50 % of int8 | 17 % |",
            "| tg64 | 30.0 (30.0 to 30.0) | 20.0 (20.0 to 20.0) | 1.50 | 90 % of memory | 60 % |",
            "| tg32 x 4 after 64 | 80.0 (80.0 to 80.0) | 40.0 (40.0 to 40.0) | 2.00 | 60 % of memory | 30 % |",
            "reads 21.0 GB/s, 710 int8 and 150 f32 GMAC/s",
            "llama.cpp build 7 (abc)",
            "revision 1234abc",
        ] {
            assert!(text.contains(expected), "no `{expected}` in\n{text}");
        }
        assert!(!text.contains(scene.root.to_str().unwrap()) && !text.contains("x/llama-bench"), "{text}");
        run(&mut scene.gate(), &arguments(line)).unwrap();
        let twice = std::fs::read_to_string(scene.root.join(&path)).unwrap();
        assert!(twice.starts_with(&text) && twice.matches("| pp256 |").count() == 2, "{twice}");
    }

    #[test]
    fn one_group_of_tests_runs_alone() {
        let mut scene = scene();
        let line = "--llama-bench x/llama-bench --model m.gguf --rounds 1 --tests batched";
        run(&mut scene.gate(), &arguments(line)).unwrap();
        let seen = scene.seen();
        assert!(!seen.iter().any(|line| line.contains("/llama-bench")), "{seen:?}");
        assert!(!scene.printed().contains("pp256"), "{}", scene.printed());
    }

    #[test]
    fn wrong_command_lines_are_usage_errors() {
        for line in [
            "",
            "--model m.gguf",
            "--llama-bench x --model m --rounds 0",
            "--llama-bench x --model m --tests speed",
            "--llama-bench x --model m --loud yes",
            "--llama-bench x --model",
        ] {
            let error = run(&mut Scene::new(&[]).gate(), &arguments(line)).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}: {error}");
        }
    }

    #[test]
    fn answers_that_lack_a_figure_are_named() {
        let line = "--llama-bench x/llama-bench --model m.gguf --rounds 1";
        for (part, answer, expected) in [
            ("/llama-bench -m", "[]", "the answer of llama-bench lacks pp256"),
            (
                "/llama-batched-bench -m",
                "{\"pl\":3,\"speed_tg\":1.0}",
                "the answer of realizar-cli lacks tg32 x 3",
            ),
            ("--depth 64", "{}", "the answer of realizar-cli is not the JSON that was expected"),
        ] {
            let mut scene = Scene::new(&[("benches/records/README", "")]).answering("metadata", METADATA);
            for (known, usual) in [
                ("-p 256 -n 64 -b 1", OURS),
                ("--depth 64", TOGETHER),
                ("/llama-bench -m", THEIRS),
                ("/llama-batched-bench -m", BATCHED),
            ] {
                scene = scene.answering(known, if known == part { answer } else { usual });
            }
            let error = run(&mut scene.gate(), &arguments(line)).unwrap_err().to_string();
            assert!(error.contains(expected), "{part}: {error}");
        }
        let mut failing = scene().failing("/llama-bench");
        let error = run(&mut failing.gate(), &arguments(line)).unwrap_err().to_string();
        assert!(error.ends_with("-o json` failed"), "{error}");
    }
}
