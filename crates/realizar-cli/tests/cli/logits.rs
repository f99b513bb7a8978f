//! `logits`: rows, files, and that cutting the text changes nothing.

use crate::harness::{data, run};

fn rows(args: &[&str]) -> (Vec<f32>, serde_json::Value) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("logits.f32");
    let model = data("llama-gqa.gguf");
    let fixed = ["logits", model.to_str().expect("UTF-8"), "--json", "--out", out.to_str().expect("UTF-8")];
    let answer = run(&[&fixed[..], args].concat()).ok("logits");
    let bytes = std::fs::read(&out).expect("the file");
    let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    (values, answer.lines().pop().expect("a summary"))
}

const IDS: &str = "1,20,30,40,50,60,70,80,90,100";

#[test]
fn positions_choose_rows() {
    let (all, summary) = rows(&["--ids", IDS, "--positions", "all"]);
    assert_eq!(summary["vocab"], 272);
    assert_eq!(summary["positions"].as_array().map(Vec::len), Some(10));
    assert_eq!(all.len(), 272 * 10);
    for (positions, expected) in
        [("last", vec![9]), ("0", vec![0]), ("0,4,9", vec![0, 4, 9]), ("1,2,3,4,5,6,7", (1..8).collect())]
    {
        let (some, summary) = rows(&["--ids", IDS, "--positions", positions]);
        let wanted: Vec<f32> = expected.iter().flat_map(|&p| all[272 * p..272 * (p + 1)].to_vec()).collect();
        assert!(some == wanted, "{positions}: the rows differ");
        assert_eq!(summary["positions"], serde_json::json!(expected), "{positions}");
        let best: Vec<usize> = expected
            .iter()
            .map(|&p| {
                let row = &all[272 * p..272 * (p + 1)];
                row.iter().enumerate().fold(0, |best, (i, &x)| if x > row[best] { i } else { best })
            })
            .collect();
        assert_eq!(summary["argmax"], serde_json::json!(best), "{positions}");
    }
}

#[test]
fn chunks_and_threads_change_no_bit() {
    let (base, _) = rows(&["--ids", IDS, "--positions", "all"]);
    for args in
        [&["--chunk", "1"][..], &["--chunk", "3"], &["--threads", "1"], &["--threads", "4", "--chunk", "7"]]
    {
        let (found, _) = rows(&[&["--ids", IDS, "--positions", "all"], args].concat());
        assert!(found == base, "{args:?}");
    }
}

#[test]
fn a_text_instead_of_ids() {
    let answer = run(&["logits", "demo", "-p", "Once upon a time", "--json"]).ok("text");
    let by_ids = run(&["logits", "demo", "--ids", "1,526,527,261,417", "--json"]).ok("ids");
    assert_eq!(answer.lines(), by_ids.lines());
    assert_eq!(answer.lines()[0]["argmax"], serde_json::json!([1207]));
}

#[test]
fn for_people_the_best_tokens_are_shown() {
    let answer = run(&["logits", "demo", "-p", "Once upon a time"]).ok("shown");
    assert!(answer.text().starts_with("4:  1207 \",\" "), "{}", answer.text());
}

#[test]
fn a_result_that_never_came_leaves_the_file_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kept.f32");
    let out = path.to_str().expect("UTF-8");
    std::fs::write(&path, "precious").expect("written");
    run(&["logits", "demo", "--ids", "5000", "--out", out]).refused("no such token", 1, &["5000", "1280"]);
    assert_eq!(std::fs::read(&path).expect("there"), b"precious");
    run(&["logits", "demo", "--ids", "1", "--out", out]).ok("a row");
    assert_eq!(std::fs::read(&path).expect("there").len(), 1280 * 4);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "no temporary file is left");
    run(&["logits", "demo", "--ids", "1", "--out", "/dev/null"]).ok("a device takes what comes");
    let nowhere = folder.path().join("no/such/folder");
    let nowhere = nowhere.to_str().expect("UTF-8");
    run(&["logits", "demo", "--ids", "1", "--out", nowhere]).refused("no folder", 1, &["no/such/folder"]);
}
