//! Arguments: help, versions, and what is refused before anything is opened.

use crate::harness::run;

#[test]
fn help_and_version_go_to_stdout() {
    for (args, expected) in [
        (&["--help"][..], "Usage: realizar-cli"),
        (&["--version"], "realizar-cli 0.1.0"),
        (&["run", "--help"], "--temp <T>"),
        (&["logits", "-h"], "--positions"),
    ] {
        let answer = run(args).ok(&args.join(" "));
        assert!(answer.text().contains(expected), "{args:?}: {}", answer.text());
        assert_eq!(answer.stderr, "", "{args:?}");
    }
}

/// Name, arguments, what the message must name. All end with exit code 2.
const REFUSED: &[(&str, &[&str], &[&str])] = &[
    ("no command", &[], &["a command is missing"]),
    ("unknown command", &["walk"], &["walk"]),
    ("unknown flag", &["run", "--frobnicate"], &["--frobnicate"]),
    ("no value", &["run", "--temp"], &["--temp"]),
    ("no tokens", &["run", "-n", "0", "x"], &["0", "at least 1"]),
    ("a negative number of tokens", &["run", "-n", "-3", "x"], &["-3", "at least 1"]),
    ("no threads", &["run", "--threads", "0", "x"], &["--threads", "at least 1"]),
    ("no context", &["run", "--ctx", "0", "x"], &["--ctx", "at least 1"]),
    ("no chunk", &["run", "--chunk", "0", "x"], &["--chunk", "at least 1"]),
    ("temperature is no number", &["run", "--temp", "nan", "x"], &["--temp is NaN", "from 0 to 100"]),
    ("temperature is no number at all", &["run", "--temp", "warm", "x"], &["--temp", "warm"]),
    ("negative temperature", &["run", "--temp", "-1", "x"], &["--temp is -1", "from 0 to 100"]),
    ("infinite temperature", &["run", "--temp", "inf", "x"], &["--temp is inf"]),
    ("top-p", &["run", "--top-p", "1.5", "x"], &["--top-p is 1.5", "from 0 to 1"]),
    ("min-p", &["run", "--min-p", "-0.5", "x"], &["--min-p is -0.5"]),
    ("top-k", &["run", "--top-k", "-1", "x"], &["--top-k"]),
    ("repeat penalty", &["run", "--repeat-penalty", "0", "x"], &["--repeat-penalty is 0"]),
    ("seed", &["run", "--seed", "x", "x"], &["--seed"]),
    ("kv type", &["run", "--kv", "q4_0", "x"], &["--kv", "f32", "f16", "q8_0"]),
    ("device", &["run", "--device", "tpu", "x"], &["--device", "tpu"]),
    ("empty stop string", &["run", "--stop", "", "x"], &["--stop is empty"]),
    ("ids that are none", &["run", "--ids", "1,x", "demo"], &["--ids", "`x` is not a token id"]),
    ("ids and a prompt", &["run", "--ids", "1", "-p", "x"], &["--ids"]),
    ("ids and a positional prompt", &["run", "demo", "x", "--ids", "1"], &["the prompt is already given"]),
    ("two prompts", &["run", "demo", "x", "-p", "y"], &["the prompt is already given"]),
    (
        "model named twice leaves a prompt too many",
        &["run", "-m", "demo", "a", "b"],
        &["the prompt is already given"],
    ),
    ("three positional arguments", &["run", "a", "b", "c"], &["c"]),
    ("logits without tokens", &["logits", "demo"], &["--ids"]),
    ("logits with ids and text", &["logits", "demo", "--ids", "1", "-p", "x"], &["--ids"]),
    ("positions", &["logits", "demo", "--ids", "1", "--positions", "first"], &["--positions", "last"]),
    (
        "a position past the end",
        &["logits", "demo", "--ids", "1,2", "--positions", "2"],
        &["--positions names 2", "is 1"],
    ),
    ("tokenize without a model", &["tokenize"], &["MODEL"]),
    ("lines and a text", &["tokenize", "demo", "x", "--jsonl"], &["--jsonl"]),
    ("compat", &["tokenize", "demo", "x", "--compat", "hf"], &["--compat", "llama.cpp"]),
    ("detokenize without ids", &["detokenize", "demo"], &["--ids"]),
    ("info without a path", &["info"], &["PATH"]),
    ("bench with no tokens", &["bench", "-p", "0"], &["at least 1"]),
    ("bench with a bad list", &["bench", "-b", "1,0"], &["1,0"]),
];

#[test]
fn wrong_usage_is_one_line_and_exit_code_2() {
    for &(name, args, words) in REFUSED {
        run(args).refused(name, 2, words);
    }
}

#[cfg(unix)]
#[test]
fn arguments_that_are_not_utf8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let bad = OsStr::from_bytes(b"caf\xE9");
    let arg = OsStr::new;
    run(&[arg("run"), bad]).refused("as the only argument", 2, &["not UTF-8"]);
    run(&[arg("run"), arg("demo"), bad]).refused("as the prompt", 2, &["not UTF-8"]);
    run(&[arg("run"), arg("-p"), bad]).refused("as the prompt by name", 2, &["UTF-8"]);
    run(&[arg("tokenize"), arg("demo"), bad]).refused("as a text", 2, &["UTF-8"]);
    // A path need not be UTF-8; this one is just not there.
    run(&[arg("run"), arg("-m"), bad, arg("x")]).refused("as a path", 1, &["caf"]);
}

#[test]
fn the_common_flags_are_taken_by_every_command() {
    let common = [
        "--threads",
        "1",
        "--ctx",
        "64",
        "--kv",
        "f32",
        "--chunk",
        "8",
        "--device",
        "cpu",
        "--seed",
        "1",
        "-q",
    ];
    for (name, args) in [
        ("run", &["run", "-n", "1", "x"][..]),
        ("logits", &["logits", "demo", "--ids", "1"]),
        ("tokenize", &["tokenize", "demo", "x"]),
        ("detokenize", &["detokenize", "demo", "--ids", "400"]),
        ("info", &["info", "demo"]),
        ("bench", &["bench", "demo", "-p", "8", "-n", "1", "-b", "1", "-r", "1"]),
    ] {
        let answer = run(&[args, &common].concat()).ok(name);
        assert_eq!(answer.stderr, "", "{name}");
    }
}
