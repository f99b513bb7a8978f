//! The commands of the gate in their order, and how they are run, timed and reported.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::GateError;
use crate::finding::Finding;
use crate::launch::{Invocation, Launch};
use crate::{
    coverage, deny, elsewhere, features, layers, lints, model, mutants, peers, suite, tidy, unsafe_rooms,
};

/// What a step has to say when it passes: one short line for the table.
pub(crate) type Note = String;

/// One check of the gate.
#[derive(Debug)]
struct Step {
    name: &'static str,
    what: &'static str,
    run: fn(&mut Gate<'_>) -> Result<Note, GateError>,
}

/// Every check, cheapest first.
const STEPS: &[Step] = &[
    Step { name: "fmt", what: "sources are formatted", run: lints::fmt },
    Step {
        name: "layers",
        what: "crates depend only downward, foreign crates use their doors",
        run: layers::run,
    },
    Step {
        name: "unsafe-rooms",
        what: "unsafe stays in its rooms, no source is hidden",
        run: unsafe_rooms::run,
    },
    Step { name: "tidy", what: "house rules that no compiler knows", run: tidy::run },
    Step { name: "clippy", what: "no warning anywhere in the workspace", run: lints::clippy },
    Step {
        name: "features",
        what: "each crate builds alone, with each of its features and with none",
        run: features::run,
    },
    Step { name: "deny", what: "licences, sources and duplicates of what we depend on", run: deny::run },
    Step { name: "test", what: "all tests and the examples in the documentation", run: suite::run },
    Step { name: "doc", what: "documentation builds without a warning", run: lints::doc },
];

/// The step whose note ends the whole gate.
const LAST_WORD: &str = "test";

/// A command that is not part of `ci`.
#[derive(Debug)]
struct Extra {
    name: &'static str,
    usage: &'static str,
    what: &'static str,
    run: fn(&mut Gate<'_>, &[String]) -> Result<Note, GateError>,
}

const EXTRAS: &[Extra] = &[
    Extra {
        name: "coverage",
        usage: coverage::USAGE,
        what: "lines that its own tests reach of each crate; fails below 95 %",
        run: coverage::run,
    },
    Extra {
        name: "mutants",
        usage: mutants::USAGE,
        what: "changes to one crate that its tests do not notice",
        run: mutants::run,
    },
    Extra {
        name: "model",
        usage: model::USAGE,
        what: "a model file of random weights, for figures that anyone can repeat",
        run: model::run,
    },
    Extra {
        name: "peers",
        usage: peers::USAGE,
        what: "our speed beside llama.cpp's, by turns, with a dated record",
        run: peers::run,
    },
    Extra {
        name: "arm",
        usage: elsewhere::ARM_USAGE,
        what: "tests of the kernels on 64-bit Arm, under qemu",
        run: elsewhere::arm,
    },
    Extra {
        name: "wasm",
        usage: elsewhere::WASM_USAGE,
        what: "tests of the kernels in WebAssembly, in Node",
        run: elsewhere::wasm,
    },
    Extra {
        name: "asan",
        usage: elsewhere::ASAN_USAGE,
        what: "tests of the kernels under AddressSanitizer (nightly)",
        run: elsewhere::asan,
    },
    Extra {
        name: "valgrind",
        usage: elsewhere::VALGRIND_USAGE,
        what: "tests of the kernels under valgrind, without AVX-512",
        run: elsewhere::valgrind,
    },
    Extra {
        name: "kernels",
        usage: "kernels",
        what: "the speed of each fast kernel beside f32 weights (release build)",
        run: elsewhere::kernels,
    },
    Extra {
        name: "miri",
        usage: elsewhere::MIRI_USAGE,
        what: "unit tests under Miri (nightly), scalar kernels",
        run: elsewhere::miri,
    },
];

/// The names of all commands.
pub(crate) fn commands() -> impl Iterator<Item = &'static str> {
    let steps = STEPS.iter().map(|step| step.name);
    steps.chain(EXTRAS.iter().map(|extra| extra.name)).chain(["ci", "help"])
}

/// The workspace under check, the programs to check it with, and where to report.
pub(crate) struct Gate<'a> {
    pub(crate) root: &'a Path,
    pub(crate) programs: &'a dyn Launch,
    pub(crate) out: &'a mut dyn Write,
}

impl fmt::Debug for Gate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Gate<'_> {
    /// Runs the command that the arguments name.
    pub(crate) fn dispatch(&mut self, arguments: &[String]) -> Result<(), GateError> {
        let (name, rest) =
            arguments.split_first().map_or(("help", arguments), |(name, rest)| (name.as_str(), rest));
        if let Some(extra) = EXTRAS.iter().find(|extra| extra.name == name) {
            let note = (extra.run)(self, rest)?;
            return self.say(&note);
        }
        let step = STEPS.iter().find(|step| step.name == name);
        let known = step.map(|step| step.name).or(["ci", "help"].into_iter().find(|known| *known == name));
        let Some(command) = known else { return Err(GateError::UnknownCommand { given: name.to_owned() }) };
        if let Some(given) = rest.first() {
            return Err(GateError::Usage { command, given: given.clone(), usage: command });
        }
        match step {
            Some(step) => {
                let note = (step.run)(self)?;
                self.say(&format!("{}: {note}", step.name))
            }
            None if command == "ci" => self.all(STEPS),
            None => self.help(),
        }
    }

    /// Runs the steps in order, stops at the first that fails, and sums up either way.
    fn all(&mut self, steps: &[Step]) -> Result<(), GateError> {
        let mut done: Vec<(Duration, Note)> = Vec::new();
        let mut failure = None;
        for step in steps {
            self.say(&format!("==> {}: {}", step.name, step.what))?;
            let start = Instant::now();
            match (step.run)(self) {
                Ok(note) => done.push((start.elapsed(), note)),
                Err(error) => {
                    failure = Some((start.elapsed(), error));
                    break;
                }
            }
        }
        self.say("\nstep           result    seconds")?;
        for (at, step) in steps.iter().enumerate() {
            let row = match (done.get(at), &failure) {
                (Some((time, note)), _) => format!("ok        {:7.1}  {note}", time.as_secs_f64()),
                (None, Some((time, error))) if at == done.len() => {
                    format!("FAILED    {:7.1}  {error}", time.as_secs_f64())
                }
                _ => "not run".to_owned(),
            };
            self.say(&format!("{:14} {row}", step.name))?;
        }
        if let Some((_, error)) = failure {
            return Err(error);
        }
        let last = steps.iter().position(|step| step.name == LAST_WORD).and_then(|at| done.get(at));
        last.map_or(Ok(()), |(_, note)| self.say(&format!("\nthe gate is green\n{note}")))
    }

    fn help(&mut self) -> Result<(), GateError> {
        self.say(
            "usage: cargo xtask COMMAND\n\n  ci             every check below in this order, until one fails",
        )?;
        for step in STEPS {
            self.say(&format!("  {:14} {}", step.name, step.what))?;
        }
        self.say("\nnot part of ci:")?;
        EXTRAS.iter().try_for_each(|extra| self.say(&format!("  {:32} {}", extra.usage, extra.what)))
    }

    /// Prints one line.
    pub(crate) fn say(&mut self, line: &str) -> Result<(), GateError> {
        writeln!(self.out, "{line}")
            .and_then(|()| self.out.flush())
            .map_err(|source| GateError::Print { source })
    }

    /// Prints the findings; a single one is enough to fail the step.
    pub(crate) fn report(&mut self, step: &'static str, findings: Vec<Finding>) -> Result<(), GateError> {
        for finding in &findings {
            self.say(&finding.to_string())?;
        }
        if findings.is_empty() { Ok(()) } else { Err(GateError::Refused { step, count: findings.len() }) }
    }

    /// Refuses to go on without a tool that is not worth building unasked.
    pub(crate) fn needs(&mut self, tool: &'static str, package: &'static str) -> Result<(), GateError> {
        if self.programs.has_cargo(self.root, tool)? {
            Ok(())
        } else {
            Err(GateError::Missing { tool, package })
        }
    }

    /// Runs a program that must succeed and talks to the terminal itself.
    pub(crate) fn must(&mut self, invocation: &Invocation) -> Result<(), GateError> {
        if self.programs.run(self.root, invocation, &mut |_| {})? {
            return Ok(());
        }
        Err(GateError::Failed { invocation: invocation.to_string() })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Gate, STEPS, Step};
    use crate::error::GateError;
    use crate::finding::Finding;
    use crate::launch::{Invocation, Launch, System};
    use std::cell::RefCell;
    use std::fs;
    use std::path::{Path, PathBuf};

    /// A workspace in a temporary folder with programs that only pretend, or the real one.
    pub(crate) struct Scene {
        pub(crate) root: PathBuf,
        folder: Option<tempfile::TempDir>,
        out: Vec<u8>,
        pretence: Pretence,
    }

    /// Answers and failures by a part of the command line; everything else succeeds in silence.
    #[derive(Default)]
    struct Pretence {
        answers: Vec<(&'static str, String)>,
        failures: Vec<&'static str>,
        seen: RefCell<Vec<String>>,
    }

    impl Launch for Pretence {
        fn run(
            &self,
            _: &Path,
            invocation: &Invocation,
            line: &mut dyn FnMut(&str),
        ) -> Result<bool, GateError> {
            let typed = invocation.to_string();
            for (part, answer) in &self.answers {
                if typed.contains(part) {
                    answer.lines().for_each(&mut *line);
                }
            }
            let fails = self.failures.iter().any(|part| typed.contains(part));
            self.seen.borrow_mut().push(typed);
            Ok(!fails)
        }
    }

    impl Scene {
        /// A workspace with these files.
        pub(crate) fn new(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in files {
                let path = folder.path().join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            let root = folder.path().to_owned();
            Self { root, folder: Some(folder), out: Vec::new(), pretence: Pretence::default() }
        }

        /// The workspace that this crate lies in, with the programs of this machine.
        pub(crate) fn real() -> Self {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned();
            Self { root, folder: None, out: Vec::new(), pretence: Pretence::default() }
        }

        /// Command lines with `part` print `answer`; `ROOT` in it is the folder of the scene.
        pub(crate) fn answering(mut self, part: &'static str, answer: &str) -> Self {
            self.pretence.answers.push((part, answer.replace("ROOT", &self.root.to_string_lossy())));
            self
        }

        /// Command lines with `part` fail.
        pub(crate) fn failing(mut self, part: &'static str) -> Self {
            self.pretence.failures.push(part);
            self
        }

        pub(crate) fn gate(&mut self) -> Gate<'_> {
            let programs: &dyn Launch = if self.folder.is_some() { &self.pretence } else { &System };
            Gate { root: &self.root, programs, out: &mut self.out }
        }

        pub(crate) fn printed(&self) -> String {
            String::from_utf8(self.out.clone()).unwrap()
        }

        /// The command lines so far.
        pub(crate) fn seen(&self) -> Vec<String> {
            self.pretence.seen.borrow().clone()
        }
    }

    fn arguments(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn wrong_command_lines_are_usage_errors() {
        let cases = [
            ("nothing-like-it", "unknown command `nothing-like-it`; `cargo xtask help` lists them all"),
            ("fmt --all", "`fmt` takes no argument `--all`; usage: cargo xtask fmt"),
            ("ci now", "`ci` takes no argument `now`; usage: cargo xtask ci"),
            ("help me", "`help` takes no argument `me`; usage: cargo xtask help"),
        ];
        for (line, expected) in cases {
            let mut scene = Scene::new(&[]);
            let error = scene.gate().dispatch(&arguments(line)).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.exit_code()), (expected, 2), "{line}");
        }
    }

    #[test]
    fn help_lists_every_command() {
        for line in ["", "help"] {
            let mut scene = Scene::new(&[]);
            scene.gate().dispatch(&arguments(line)).unwrap();
            for step in STEPS {
                assert!(scene.printed().contains(step.what), "{line}: {}", step.name);
            }
            assert!(scene.printed().contains("mutants -p CRATE"), "{line}");
        }
    }

    #[test]
    fn one_step_runs_alone() {
        let mut scene = Scene::new(&[]);
        scene.gate().dispatch(&arguments("fmt")).unwrap();
        assert_eq!(scene.seen(), ["cargo fmt --all --check"]);
        assert!(scene.printed().starts_with("fmt: "), "{}", scene.printed());
    }

    #[test]
    fn an_extra_command_runs_alone() {
        let mut scene = Scene::new(&[]).failing("llvm-cov");
        let error = scene.gate().dispatch(&arguments("coverage")).unwrap_err();
        assert_eq!(error.exit_code(), 1);
    }

    const PASS: Step = Step { name: "test", what: "passes", run: |_| Ok("3 passed".to_owned()) };
    const FAIL: Step =
        Step { name: "broken", what: "fails", run: |_| Err(GateError::Refused { step: "broken", count: 2 }) };
    const LATER: Step = Step { name: "later", what: "comes after", run: |_| Ok(String::new()) };

    #[test]
    fn the_first_failure_stops_the_gate() {
        let mut scene = Scene::new(&[]);
        let error = scene.gate().all(&[PASS, FAIL, LATER]).unwrap_err();
        assert_eq!(error.to_string(), "broken: 2 to fix");
        let printed = scene.printed();
        let rows: Vec<String> =
            printed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert!(rows.contains(&"test ok 0.0 3 passed".to_owned()), "{printed}");
        assert!(rows.contains(&"broken FAILED 0.0 broken: 2 to fix".to_owned()), "{printed}");
        assert!(rows.contains(&"later not run".to_owned()), "{printed}");
        assert!(!printed.contains("==> later"), "{printed}");
    }

    #[test]
    fn a_green_gate_ends_with_the_count_of_tests() {
        let mut scene = Scene::new(&[]);
        scene.gate().all(&[PASS, LATER]).unwrap();
        assert!(scene.printed().ends_with("the gate is green\n3 passed\n"), "{}", scene.printed());
        let mut without_tests = Scene::new(&[]);
        without_tests.gate().all(&[LATER]).unwrap();
        assert!(!without_tests.printed().contains("green"), "{}", without_tests.printed());
    }

    #[test]
    fn findings_fail_a_step() {
        let mut scene = Scene::new(&[]);
        assert!(scene.gate().report("tidy", vec![]).is_ok());
        let error = scene.gate().report("tidy", vec![Finding::file("a", "b")]).unwrap_err();
        assert_eq!(error.to_string(), "tidy: 1 to fix");
        assert_eq!(scene.printed(), "a: b\n");
    }

    #[test]
    fn a_gate_prints_without_its_programs() {
        assert!(format!("{:?}", Scene::new(&[]).gate()).starts_with("Gate { root: "));
    }

    #[test]
    fn a_closed_output_is_an_error_not_a_panic() {
        let scene = Scene::new(&[]);
        let mut full: &mut [u8] = &mut [];
        let mut gate = Gate { root: &scene.root, programs: &scene.pretence, out: &mut full };
        assert_eq!(gate.say("a line").unwrap_err().to_string(), "cannot print");
    }
}
