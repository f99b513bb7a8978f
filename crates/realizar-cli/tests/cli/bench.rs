//! `bench`: the shape of its results; the figures are this machine's.

use crate::harness::{data, run};

#[test]
fn json_results() {
    let model = data("llama-gqa.gguf");
    let args = [
        "bench",
        model.to_str().expect("UTF-8"),
        "-p",
        "16",
        "-n",
        "4",
        "-b",
        "1,2",
        "-r",
        "2",
        "--threads",
        "1",
        "--json",
    ];
    let bench = run(&args).ok("bench").lines().remove(0);
    assert_eq!(bench["threads"], 1);
    assert!(bench["isa"].is_string() && bench["model"].is_string(), "{bench}");
    let results = bench["results"].as_array().expect("results");
    let tests: Vec<(&str, u64)> =
        results.iter().filter_map(|r| Some((r["test"].as_str()?, r["batch"].as_u64()?))).collect();
    assert_eq!(tests, [("pp16", 1), ("tg4", 1), ("tg4", 2)]);
    for result in results {
        let speed = &result["tokens_per_s"];
        let [min, median, max] = ["min", "median", "max"].map(|key| speed[key].as_f64().expect("a number"));
        assert!(0.0 < min && min <= median && median <= max, "{result}");
        assert!(result["share_of_bound"].as_f64().is_some_and(|share| share > 0.0), "{result}");
    }
    for bound in ["read_gb_s", "int8_gmac_s", "f32_gmac_s"] {
        assert!(bench["hardware"][bound].as_f64().is_some_and(|value| value > 0.0), "{bound}");
    }
}

#[test]
fn hardware_alone_and_words() {
    let hardware = run(&["bench", "--hardware", "--threads", "1", "--json"]).ok("hardware").lines().remove(0);
    assert!(hardware["hardware"]["read_gb_s"].as_f64().is_some_and(|value| value > 0.0), "{hardware}");
    assert!(hardware["results"].as_array().is_some_and(Vec::is_empty));
    let words = run(&["bench", "-p", "8", "-n", "2", "-b", "1", "-r", "1"]).ok("for people");
    assert!(words.text().contains("pp8") && words.text().contains("tg2"), "{}", words.text());
}

/// Prompts come behind as many tokens as answers do: both must fit into the context.
#[test]
fn depth_comes_before_the_prompt() {
    let args = |ctx| {
        let args = ["bench", "-p", "20", "-n", "1", "-b", "1", "-r", "1", "--depth", "40", "--threads", "1"];
        [args.as_slice(), &["--json", "--ctx", ctx]].concat()
    };
    let results = &run(&args("64")).ok("20 behind 40").lines().remove(0)["results"];
    assert_eq!(results.as_array().map(Vec::len), Some(2), "{results}");
    run(&args("50")).refused("20 behind 40 in 50", 1, &["50"]);
}
