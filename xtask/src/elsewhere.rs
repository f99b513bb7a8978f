//! The tests of the kernels where the gate does not run them: other processors, sanitizers, interpreters, and against the clock.
//!
//! Each needs tools that the gate does without, or a release build, so none is part of it.

use std::env;

use crate::error::GateError;
use crate::gate::{Gate, Note};
use crate::launch::Invocation;

/// The crate with the rooms of instruction sets.
const TENSOR: &str = "test --package realizar-tensor --no-default-features";
/// Which of its tests: examples in the documentation know no runner and no sanitizer.
const ALL: &str = "--lib --tests";

/// Crates whose unit tests Miri can run: those that read foreign bytes, and the kernels with the thread pool.
const INTERPRETED: &[&str] =
    &["realizar-quant", "realizar-format", "realizar-tokenize", "realizar-sample", "realizar-tensor"];
/// Loops over millions of numbers, and measurements, which say nothing in an interpreter.
const TOO_LONG: &[&str] = &["is_accurate", "bound_is_measured"];

/// How the commands for one test program or all of them are called; `lib` is the unit tests.
pub(crate) const ARM_USAGE: &str = "arm [TEST]";
/// See [`ARM_USAGE`].
pub(crate) const WASM_USAGE: &str = "wasm [TEST]";
/// See [`ARM_USAGE`].
pub(crate) const ASAN_USAGE: &str = "asan [TEST]";
/// See [`ARM_USAGE`].
pub(crate) const VALGRIND_USAGE: &str = "valgrind [TEST]";

/// `cargo xtask arm`: NEON with dot products, under qemu's user mode. Linker and runner may be set by cargo's variables.
pub(crate) fn arm(gate: &mut Gate<'_>, arguments: &[String]) -> Result<Note, GateError> {
    const LINKER: &str = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER";
    const RUNNER: &str = "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER";
    let tests = tests("arm", ARM_USAGE, arguments)?;
    let mut invocation = Invocation::cargo(&format!("{TENSOR} {tests} --target aarch64-unknown-linux-gnu"));
    for (name, usual) in
        [(LINKER, "aarch64-linux-gnu-gcc"), (RUNNER, "qemu-aarch64-static -L /usr/aarch64-linux-gnu")]
    {
        if env::var_os(name).is_none() {
            invocation = invocation.var(name, usual);
        }
    }
    gate.must(&invocation)?;
    Ok("the kernels pass their tests on 64-bit Arm".to_owned())
}

/// `cargo xtask wasm`: 128-bit vectors, in Node. Flags that the machine's own tools need are taken over.
pub(crate) fn wasm(gate: &mut Gate<'_>, arguments: &[String]) -> Result<Note, GateError> {
    const FLAGS: &str = "CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS";
    const RUNNER: &str = "CARGO_TARGET_WASM32_WASIP1_RUNNER";
    let tests = tests("wasm", WASM_USAGE, arguments)?;
    let more = env::var(FLAGS).unwrap_or_default();
    // A test starts in the folder of its crate.
    let runner = format!("node --no-warnings {}", gate.root.join("xtask/wasi.mjs").display());
    let mut invocation = Invocation::cargo(&format!("{TENSOR} {tests} --target wasm32-wasip1"))
        .var(FLAGS, format!("-C target-feature=+simd128 {more}").trim_end())
        .var(RUNNER, &runner);
    // There, a panic ends the program, and no thread can be started. Node 20 dies at its own end after a program that has
    // grown by the quarter of a gigabyte that measuring takes.
    for argument in ["--", "--skip", "pool::", "--skip", "bound_is_measured"] {
        invocation = invocation.arg(argument);
    }
    gate.must(&invocation)?;
    Ok("the kernels pass their tests in WebAssembly".to_owned())
}

/// `cargo xtask asan`: every level of this machine under AddressSanitizer, which needs the nightly compiler.
pub(crate) fn asan(gate: &mut Gate<'_>, arguments: &[String]) -> Result<Note, GateError> {
    let tests = tests("asan", ASAN_USAGE, arguments)?;
    // Naming a target keeps the sanitizer out of procedural macros.
    let line = format!("+nightly {TENSOR} {tests} --target x86_64-unknown-linux-gnu");
    let invocation = Invocation::cargo(&line).var("RUSTFLAGS", "-Zsanitizer=address");
    // A test asks for more memory than there is and wants to be refused.
    gate.must(&invocation.var("ASAN_OPTIONS", "allocator_may_return_null=1"))?;
    Ok("AddressSanitizer found nothing in the kernels".to_owned())
}

/// `cargo xtask valgrind`: the levels up to AVX2; valgrind hides AVX-512 from the program.
pub(crate) fn valgrind(gate: &mut Gate<'_>, arguments: &[String]) -> Result<Note, GateError> {
    const RUNNER: &str = "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER";
    let tests = tests("valgrind", VALGRIND_USAGE, arguments)?;
    let runner = "valgrind --quiet --error-exitcode=9 --leak-check=no";
    gate.must(&Invocation::cargo(&format!("{TENSOR} {tests}")).var(RUNNER, runner))?;
    Ok("valgrind found nothing in the kernels".to_owned())
}

/// `cargo xtask kernels`: each type of weights with a fast kernel beside f32 weights, in a release build.
pub(crate) fn kernels(gate: &mut Gate<'_>, arguments: &[String]) -> Result<Note, GateError> {
    if let Some(given) = arguments.first() {
        return Err(GateError::Usage { command: "kernels", given: given.clone(), usage: "kernels" });
    }
    gate.must(&Invocation::cargo("bench --package realizar-benches --bench products -- --assert"))?;
    Ok("every fast kernel is picked, and is fast".to_owned())
}

/// `cargo xtask miri`: the scalar paths, under an interpreter that sees undefined behaviour and races.
pub(crate) fn miri(gate: &mut Gate<'_>, arguments: &[String]) -> Result<Note, GateError> {
    let one;
    let crates = match arguments {
        [] => INTERPRETED,
        [name] if INTERPRETED.contains(&name.as_str()) => {
            one = [name.as_str()];
            &one
        }
        _ => {
            return Err(GateError::Usage { command: "miri", given: arguments.join(" "), usage: MIRI_USAGE });
        }
    };
    for name in crates {
        let mut invocation = Invocation::cargo("+nightly miri test --no-default-features --lib --package")
            .arg(*name)
            .var("MIRIFLAGS", "-Zmiri-disable-isolation")
            .var("PROPTEST_CASES", "4")
            .arg("--");
        for skipped in TOO_LONG {
            invocation = invocation.arg("--skip").arg(*skipped);
        }
        gate.must(&invocation)?;
    }
    Ok(format!("Miri found nothing in {}", crates.join(", ")))
}

/// How `miri` is called.
pub(crate) const MIRI_USAGE: &str = "miri [CRATE]";

/// The part of cargo's line that names the tests: one program of them, or all.
fn tests(command: &'static str, usage: &'static str, arguments: &[String]) -> Result<String, GateError> {
    match arguments {
        [] => Ok(ALL.to_owned()),
        [name] if name == "lib" => Ok("--lib".to_owned()),
        [name] if !name.starts_with('-') => Ok(format!("--test {name}")),
        _ => Err(GateError::Usage { command, given: arguments.join(" "), usage }),
    }
}

#[cfg(test)]
mod tests {
    use super::{INTERPRETED, arm, asan, kernels, miri, valgrind, wasm};
    use crate::error::GateError;
    use crate::gate::tests::Scene;
    use crate::gate::{Gate, Note};

    type Command = fn(&mut Gate<'_>, &[String]) -> Result<Note, GateError>;

    /// Command, a part of what it starts, what it says when that passes.
    const COMMANDS: &[(Command, &str, &str)] = &[
        (arm, "--target aarch64-unknown-linux-gnu", "the kernels pass their tests on 64-bit Arm"),
        (wasm, "--target wasm32-wasip1 -- --skip pool::", "the kernels pass their tests in WebAssembly"),
        (asan, "cargo +nightly test", "AddressSanitizer found nothing in the kernels"),
        (valgrind, "=\"valgrind --quiet", "valgrind found nothing in the kernels"),
    ];

    #[test]
    fn each_runs_the_tests_of_the_kernels() {
        for &(command, part, note) in COMMANDS {
            let mut scene = Scene::new(&[]);
            assert_eq!(command(&mut scene.gate(), &[]).unwrap(), note);
            let seen = scene.seen().join("\n");
            let whole = "--package realizar-tensor --no-default-features --lib --tests";
            assert!(seen.contains(part) && seen.contains(whole), "{note}: {seen}");
            for (given, taken) in [("lib", "--no-default-features --lib"), ("inputs", "--test inputs")] {
                let mut scene = Scene::new(&[]);
                command(&mut scene.gate(), &[given.to_owned()]).unwrap();
                let seen = scene.seen().join("\n");
                assert!(seen.contains(taken) && !seen.contains("--tests"), "{given}: {seen}");
            }
            for given in [&["--release".to_owned()][..], &["lib".to_owned(), "inputs".to_owned()]] {
                let error = command(&mut Scene::new(&[]).gate(), given).unwrap_err();
                assert_eq!(error.exit_code(), 2, "{note}");
            }
            assert!(command(&mut Scene::new(&[]).failing("test").gate(), &[]).is_err(), "{note}");
        }
    }

    #[test]
    fn kernels_are_timed() {
        let mut scene = Scene::new(&[]);
        kernels(&mut scene.gate(), &[]).unwrap();
        assert_eq!(scene.seen(), ["cargo bench --package realizar-benches --bench products -- --assert"]);
        assert_eq!(kernels(&mut Scene::new(&[]).gate(), &["x".to_owned()]).unwrap_err().exit_code(), 2);
        assert!(kernels(&mut Scene::new(&[]).failing("bench").gate(), &[]).is_err());
    }

    #[test]
    fn miri_takes_one_crate_or_all() {
        let mut scene = Scene::new(&[]);
        miri(&mut scene.gate(), &[]).unwrap();
        assert_eq!(scene.seen().len(), INTERPRETED.len());
        let mut scene = Scene::new(&[]);
        let note = miri(&mut scene.gate(), &["realizar-tensor".to_owned()]).unwrap();
        assert_eq!((note.as_str(), scene.seen().len()), ("Miri found nothing in realizar-tensor", 1));
        let error = miri(&mut Scene::new(&[]).gate(), &["realizar-http".to_owned()]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(miri(&mut Scene::new(&[]).failing("miri").gate(), &[]).is_err());
    }
}
