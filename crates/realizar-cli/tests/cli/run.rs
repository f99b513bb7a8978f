//! `run`: streaming, JSON lines, stopping, reproducibility.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::harness::{Run, binary, data, run, run_with_stdin};

fn ids(answer: &Run) -> Vec<u64> {
    answer.lines().iter().filter_map(|line| line["id"].as_u64()).collect()
}

fn last(answer: &Run) -> serde_json::Value {
    answer.lines().pop().expect("a last line")
}

#[test]
fn a_prompt_alone_is_for_the_built_in_model() {
    let answer = run(&["run", "Once upon a time", "-n", "40"]).ok("run");
    assert!(answer.text().starts_with(','), "{}", answer.text());
    assert!(answer.text().ends_with('\n'));
    assert_eq!(answer.stderr, "");
}

#[test]
fn the_ways_to_name_model_and_prompt_agree() {
    let common = ["-n", "12", "--json"];
    let expected = run(&[&["run", "Once upon a time"][..], &common].concat()).ok("prompt alone").lines();
    for args in [
        &["run", "demo", "Once upon a time"][..],
        &["run", "-m", "demo", "Once upon a time"],
        &["run", "-m", "demo", "-p", "Once upon a time"],
        &["run", "demo", "-p", "Once upon a time"],
        &["run", "--prompt", "Once upon a time"],
        &["run", "--raw", "Once upon a time"],
        &["run", "demo", "--ids", "1,526,527,261,417"],
        &["run", "--ids", "1, 526, 527, 261, 417"],
        &["run", "assets/demo-q8_0.gguf", "Once upon a time"],
    ] {
        let args = [args, &common].concat();
        let command = binary().current_dir(env!("CARGO_MANIFEST_DIR")).args(&args).output().expect("starts");
        let found = Run::from(command).ok(&args.join(" ")).lines();
        assert_eq!(found.len(), expected.len(), "{args:?}");
        assert_eq!(found[..12], expected[..12], "{args:?}");
    }
    let answer = run_with_stdin(&["run", "demo", "-n", "12", "--json"], b"Once upon a time").ok("stdin");
    assert_eq!(answer.lines()[..12], expected[..12], "from stdin");
}

#[test]
fn json_lines_add_up_to_the_text() {
    let text = run(&["run", "The little dragon", "-n", "60"]).ok("text");
    let json = run(&["run", "The little dragon", "-n", "60", "--json"]).ok("json");
    let joined: String = json.lines().iter().filter_map(|line| line["text"].as_str()).collect();
    assert_eq!(format!("{joined}\n"), text.text());
    let summary = last(&json);
    assert_eq!(summary["finish"], "length");
    assert_eq!(summary["completion_tokens"], 60);
    assert_eq!(ids(&json).len(), 60);
    assert_eq!(summary["prompt_tokens"], 7);
    for field in ["first_token_ms", "prefill_ms", "decode_ms"] {
        assert!(summary[field].as_f64().is_some_and(|ms| ms > 0.0), "{field}: {summary}");
    }
}

#[test]
fn a_seed_gives_the_same_text_for_any_threads_and_chunks() {
    let text = |args: &[&str]| run(&[&["run", "Tom and Mia", "-n", "50"], args].concat()).ok("run").stdout;
    let base = text(&[]);
    assert_ne!(base, text(&["--seed", "7"]), "another seed, another text");
    for args in [
        &["--seed", "0"][..],
        &["--threads", "1"],
        &["--threads", "2"],
        &["--threads", "4"],
        &["--chunk", "1"],
        &["--chunk", "3", "--threads", "2"],
        &["--ctx", "100"],
    ] {
        assert_eq!(base, text(args), "{args:?}");
    }
}

#[test]
fn every_level_of_instructions_writes() {
    for isa in ["scalar", "avx2", "avx512", "neon"] {
        let output = binary()
            .env("REALIZAR_ISA", isa)
            .args(["run", "--temp", "0", "-n", "4", "Once upon a time"])
            .output();
        let answer = Run::from(output.expect("starts"));
        match answer.code {
            Some(0) => assert!(answer.text().starts_with(", there was"), "{isa}: {}", answer.text()),
            _ => answer.refused(isa, 1, &["this machine has no", isa]),
        }
    }
}

#[test]
fn the_text_stops_where_it_should() {
    let full = run(&["run", "Once upon a time", "--temp", "0", "--json"]).ok("to the end");
    let summary = last(&full);
    let stopped = |answer: &Run| last(answer)["finish"].as_str().map(str::to_owned);
    let whole: String = full.lines().iter().filter_map(|line| line["text"].as_str()).collect();
    assert_eq!(summary["finish"], if summary["completion_tokens"] == 507 { "length" } else { "eos" });

    // A stop string that lies across tokens, none of which holds it alone.
    let stop = &whole[3..12];
    let answer =
        run(&["run", "Once upon a time", "--temp", "0", "--json", "--stop", "never there", "--stop", stop])
            .ok("stop");
    let text: String = answer.lines().iter().filter_map(|line| line["text"].as_str()).collect();
    assert_eq!(text, whole[..whole.find(stop).expect("it is there")]);
    assert_eq!(stopped(&answer).as_deref(), Some("stop"));

    // The context ends it.
    let answer = run(&["run", "Once upon a time", "--temp", "0", "--json", "--ctx", "20"]).ok("context");
    assert_eq!(stopped(&answer).as_deref(), Some("length"));
    assert_eq!(last(&answer)["completion_tokens"], 15);
}

#[test]
fn an_end_of_text_can_be_passed_over() {
    let seeded = |extra: &[&str]| {
        run(&[&["run", "Once upon a time", "--seed", "1", "--json"], extra].concat()).ok("run")
    };
    let ended = seeded(&[]);
    assert_eq!(last(&ended)["finish"], "eos");
    let ids_to_end = ids(&ended);
    assert_eq!(ids_to_end.last(), Some(&2), "the last token ends the text");
    let on = seeded(&["--ignore-eos"]);
    let all = ids(&on);
    assert!(all.len() > ids_to_end.len());
    assert_eq!(all[..ids_to_end.len()], ids_to_end);
    assert_eq!(last(&on)["finish"], "length");
}

#[test]
fn options_reach_the_sampler() {
    let base = ["run", "Once upon a time", "-n", "24", "--json", "--temp", "0"];
    let greedy = ids(&run(&base).ok("greedy"));
    // Each of these leaves only the best token, whatever the temperature.
    for only_best in [
        &["--temp", "5", "--top-k", "1"][..],
        &["--temp", "5", "--top-p", "0"],
        &["--temp", "5", "--min-p", "1"],
    ] {
        let args = [&base[..5], only_best].concat();
        assert_eq!(ids(&run(&args).ok("only the best")), greedy, "{only_best:?}");
    }
    for changed in [
        &["--repeat-penalty", "3"][..],
        &["--frequency-penalty", "5"],
        &["--presence-penalty", "5"],
        &["--temp", "3", "--typical-p", "0.5"],
        &["--temp", "3", "--top-n-sigma", "2"],
        &["--temp", "1", "--xtc-probability", "1", "--xtc-threshold", "0.05"],
        &["--temp", "3", "--dynatemp-range", "2", "--dynatemp-exponent", "0.5"],
    ] {
        let args = [&base[..], changed].concat();
        let args = if changed[0] == "--temp" { [&base[..5], changed].concat() } else { args };
        assert_ne!(ids(&run(&args).ok("changed")), greedy, "{changed:?}");
    }
}

#[test]
fn kv_types_and_bos() {
    let tokens =
        |args: &[&str]| last(&run(&[&["run", "Hello", "-n", "2", "--json"], args].concat()).ok("run"));
    assert_eq!(tokens(&[])["prompt_tokens"], 4);
    assert_eq!(tokens(&["--raw", "--no-bos"])["prompt_tokens"], 3);
    assert_eq!(tokens(&["--no-bos"])["prompt_tokens"], 3);
    for kv in ["f32", "f16", "q8_0"] {
        assert_eq!(tokens(&["--kv", kv])["completion_tokens"], 2, "{kv}");
    }
}

#[test]
fn text_comes_while_it_is_written() {
    // 400 tokens take far longer than the first line takes to arrive.
    let mut child = binary()
        .args(["run", "--ignore-eos", "-n", "400", "--json", "Once upon a time"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let started = Instant::now();
    let mut out = child.stdout.take().expect("piped");
    out.read_exact(&mut [0; 16]).expect("the first bytes");
    let first = started.elapsed();
    out.read_to_end(&mut Vec::new()).expect("the rest");
    let all = started.elapsed();
    assert!(child.wait().expect("ends").success());
    assert!(first * 3 < all, "the first bytes after {first:?}, all after {all:?}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_ends_it_with_130() {
    let mut child = binary()
        .args(["run", "--ignore-eos", "--json", "Once upon a time"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut out = child.stdout.take().expect("piped");
    out.read_exact(&mut [0; 16]).expect("the first bytes");
    let killed =
        std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    let started = Instant::now();
    let status = child.wait().expect("ends");
    assert_eq!(status.code(), Some(130));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_model_without_a_template_takes_the_prompt_as_it_is() {
    let model = data("llama-gqa.gguf");
    let model = model.to_str().expect("UTF-8");
    let plain = run(&["run", model, "abc", "-n", "3", "--json"]).ok("plain");
    let raw = run(&["run", model, "abc", "-n", "3", "--json", "--raw"]).ok("raw");
    assert_eq!(ids(&plain), ids(&raw));
}
