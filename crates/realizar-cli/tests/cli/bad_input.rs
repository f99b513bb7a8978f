//! Files and streams that are not what they should be: one line, exit code 1, and little memory while refusing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Run, binary, run};

const DEMO: &[u8] = include_bytes!("../../assets/demo-q8_0.gguf");

/// Runs the binary with at most so much address space that 64 MiB can be allocated beside what the program itself maps.
fn run_confined(args: &[&str]) -> Run {
    let limit_kib = 64 * 1024 + mapped_kib();
    let mut command = Command::new("sh");
    command.args([
        "-c",
        &format!("ulimit -v {limit_kib}; exec \"$0\" \"$@\""),
        env!("CARGO_BIN_EXE_realizar-cli"),
    ]);
    command.env_remove("REALIZAR_ISA").args(args).output().expect("sh starts").into()
}

/// The program itself, its libraries and its stack.
fn mapped_kib() -> u64 {
    std::fs::metadata(env!("CARGO_BIN_EXE_realizar-cli")).expect("the binary").len() / 1024 + 20 * 1024
}

fn file(folder: &Path, name: &str, bytes: &[u8]) -> String {
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a temporary file");
    path.to_str().expect("a UTF-8 path").to_owned()
}

/// The demo model with the bytes after the first place of `find` (at distance `skip`) replaced.
fn patched(find: &str, skip: usize, replacement: &[u8]) -> Vec<u8> {
    let mut bytes = DEMO.to_vec();
    let at = bytes.windows(find.len()).position(|window| window == find.as_bytes()).expect(find) + skip;
    bytes[at..at + replacement.len()].copy_from_slice(replacement);
    bytes
}

/// A small GGUF file: one of each kind of metadata value and a tensor, with all parts of a header.
fn small_gguf() -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let string = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend(text.as_bytes());
    };
    out.extend(b"GGUF");
    out.extend(3u32.to_le_bytes());
    out.extend(1u64.to_le_bytes());
    out.extend(3u64.to_le_bytes());
    string(&mut out, "general.architecture");
    out.extend(8u32.to_le_bytes());
    string(&mut out, "llama");
    string(&mut out, "llama.block_count");
    out.extend(4u32.to_le_bytes());
    out.extend(1u32.to_le_bytes());
    string(&mut out, "tokenizer.ggml.tokens");
    out.extend(9u32.to_le_bytes());
    out.extend(8u32.to_le_bytes());
    out.extend(2u64.to_le_bytes());
    string(&mut out, "a");
    string(&mut out, "b");
    string(&mut out, "output.weight");
    out.extend(2u32.to_le_bytes());
    out.extend(4u64.to_le_bytes());
    out.extend(2u64.to_le_bytes());
    out.extend(0u32.to_le_bytes());
    out.extend(0u64.to_le_bytes());
    let header = out.len();
    out.resize(out.len().next_multiple_of(32) + 32, 0);
    (out, header)
}

#[test]
fn files_that_are_no_models() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str, bytes: &[u8]| file(folder.path(), name, bytes);
    let fifo = folder.path().join("fifo.gguf");
    assert!(Command::new("mkfifo").arg(&fifo).status().expect("mkfifo").success());
    let mut version = DEMO.to_vec();
    version[4] = 9;
    // Name, the file, what the message names.
    let cases: &[(&str, String, &[&str])] = &[
        ("missing", "/no/such/model.gguf".to_owned(), &["/no/such/model.gguf", "No such file"]),
        ("directory", folder.path().to_str().expect("UTF-8").to_owned(), &["folder"]),
        ("fifo", fifo.to_str().expect("UTF-8").to_owned(), &["fifo.gguf"]),
        ("device", "/dev/null".to_owned(), &["/dev/null"]),
        ("empty", at("empty.gguf", b""), &["empty.gguf", "magic", "byte 0"]),
        (
            "wrong magic",
            at("magic.gguf", b"GGML and then something else"),
            &["magic.gguf", "magic", "byte 0"],
        ),
        ("text", at("text.gguf", b"hello\n"), &["text.gguf", "magic"]),
        ("version", at("version.gguf", &version), &["version.gguf", "version", "byte 4"]),
        ("header only", at("header.gguf", &DEMO[..24]), &["header.gguf", "byte"]),
        ("half", at("half.gguf", &DEMO[..DEMO.len() / 2]), &["half.gguf", "byte"]),
        ("one byte short", at("short.gguf", &DEMO[..DEMO.len() - 1]), &["short.gguf", "byte"]),
    ];
    for (name, path, words) in cases {
        for command in [
            &["run", path, "x"][..],
            &["logits", path, "--ids", "1"],
            &["tokenize", path, "x"],
            &["info", path],
        ] {
            run_confined(command).refused(&format!("{name}: {}", command[0]), 1, words);
        }
    }
}

#[test]
fn models_that_do_not_fit_together() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let value = |key: &str| key.len() + 4;
    let architecture = "general.architecture";
    let ffn = "llama.feed_forward_length";
    let layers = "llama.block_count";
    let kind = "tokenizer.ggml.model";
    // Name, the demo model with a change, what the message names.
    let cases: &[(&str, Vec<u8>, &[&str])] = &[
        (
            "unknown architecture",
            patched(architecture, value(architecture) + 8, b"lluma"),
            &["lluma", "supported", "llama", "qwen2"],
        ),
        ("missing tensor", patched("blk.1.attn_q.weight", 0, b"blk.1.attn_x"), &["blk.1.attn_q.weight"]),
        (
            "misshapen tensors",
            patched(ffn, value(ffn), &256u32.to_le_bytes()),
            &["blk.0.ffn_", "shape", "expected"],
        ),
        ("too many layers", patched(layers, value(layers), &5u32.to_le_bytes()), &["blk.4."]),
        ("far too many layers", patched(layers, value(layers), &u32::MAX.to_le_bytes()), &["block_count"]),
        ("no layers", patched(layers, value(layers), &0u32.to_le_bytes()), &["block_count"]),
        ("a count of another type", patched(layers, layers.len(), &6u32.to_le_bytes()), &["block_count"]),
        ("unknown tokenizer", patched(kind, value(kind) + 8, b"lluma"), &["lluma"]),
        ("no tokenizer", patched(kind, 0, b"tokenizer.ggml.modeX"), &["tokenizer.ggml.model"]),
    ];
    for (name, bytes, words) in cases {
        let path = file(folder.path(), "model.gguf", bytes);
        let answer = run_confined(&["run", &path, "x"]);
        answer.refused(name, 1, words);
        assert!(answer.stderr.contains("model.gguf"), "{name}: {}", answer.stderr);
    }
}

#[test]
fn a_header_cut_at_every_byte() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (bytes, header) = small_gguf();
    for length in 0..header {
        let path = file(folder.path(), "cut.gguf", &bytes[..length]);
        run_confined(&["info", &path]).refused(&format!("{length} bytes"), 1, &["cut.gguf", "byte"]);
    }
    let path = file(folder.path(), "whole.gguf", &bytes);
    run(&["info", &path]).ok("the whole file");
    run(&["run", &path, "x"]).refused("a model it is not", 1, &["whole.gguf"]);
}

#[test]
fn counts_that_would_fill_the_memory() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (bytes, _) = small_gguf();
    // The tensor count, the metadata count and the length of the first key, each absurd.
    for (name, at) in [("tensors", 8), ("metadata", 16), ("key", 24)] {
        for count in [u64::MAX, 1 << 40, 1 << 31] {
            let mut bytes = bytes.clone();
            bytes[at..at + 8].copy_from_slice(&count.to_le_bytes());
            let path = file(folder.path(), "huge.gguf", &bytes);
            run_confined(&["info", &path]).refused(&format!("{name} {count}"), 1, &["huge.gguf", "byte"]);
        }
    }
}

#[test]
fn requests_that_a_model_cannot_serve() {
    // Name, arguments, what the message names.
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "prompt longer than the context",
            &["run", "--ctx", "4", "Once upon a time there was"],
            &["prompt has", "context holds 4"],
        ),
        (
            "an empty prompt of ids",
            &["run", "demo", "-p", "", "--no-bos", "--raw"],
            &["prompt has no tokens"],
        ),
        ("an id outside the vocabulary", &["run", "demo", "--ids", "1,5000"], &["5000", "1280"]),
        ("logits of an id outside the vocabulary", &["logits", "demo", "--ids", "5000"], &["5000", "1280"]),
        (
            "logits longer than the context",
            &["logits", "demo", "--ids", "1,2,3", "--ctx", "2"],
            &["context", "2", "3"],
        ),
        ("detokenize an unknown id", &["detokenize", "demo", "--ids", "99999"], &["99999", "1280"]),
        ("no graphics card", &["run", "--device", "gpu", "x"], &["--device gpu"]),
        (
            "a file that cannot be written",
            &["logits", "demo", "--ids", "1", "--out", "/no/such/folder/x"],
            &["/no/such/folder/x"],
        ),
        ("a text that is not there", &["perplexity", "demo", "/no/such/text"], &["/no/such/text"]),
    ];
    for &(name, args, words) in cases {
        run(args).refused(name, 1, words);
    }
}

#[test]
fn an_instruction_set_that_is_not_there() {
    for (value, words) in
        [("sse9", &["REALIZAR_ISA", "sse9", "scalar"][..]), ("neon2", &["REALIZAR_ISA", "neon2"])]
    {
        let answer: Run =
            binary().env("REALIZAR_ISA", value).args(["run", "x"]).output().expect("starts").into();
        answer.refused(value, 1, words);
    }
    if cfg!(target_arch = "x86_64") {
        let answer: Run =
            binary().env("REALIZAR_ISA", "neon").args(["run", "x"]).output().expect("starts").into();
        answer.refused("another machine's", 1, &["REALIZAR_ISA", "no kernels `neon`", "scalar"]);
    }
}

#[test]
fn every_table_of_kernels_that_the_message_names_runs() {
    let answer: Run = binary().env("REALIZAR_ISA", "?").args(["run", "x"]).output().expect("starts").into();
    let (_, names) = answer.stderr.trim_end().trim_end_matches(')').split_once("it has: ").expect("a list");
    let names: Vec<&str> = names.split(", ").collect();
    assert!(names.contains(&"scalar"), "{names:?}");
    for name in names {
        let args = ["run", "Once upon a time", "--temp", "0", "-n", "3"];
        let answer: Run = binary().env("REALIZAR_ISA", name).args(args).output().expect("starts").into();
        assert_eq!(answer.ok(name).text(), ", there was\n", "{name}");
    }
}

#[test]
fn nobody_reads_stdout() {
    let sink = |args: &[&str]| -> Run {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        binary().args(args).stdout(writer).output().expect("starts").into()
    };
    for args in [
        &["run", "Once"][..],
        &["run", "--json", "Once"],
        &["tokenize", "demo", "x"],
        &["info", "demo"],
        &["--help"],
    ] {
        sink(args).refused(&args.join(" "), 1, &["standard output"]);
    }
}

#[test]
fn stdin_that_is_not_text() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = PathBuf::from(file(folder.path(), "bytes", b"ab\xFF"));
    let stdin = || std::fs::File::open(&path).expect("the file");
    let answer: Run = binary().args(["run", "demo"]).stdin(stdin()).output().expect("starts").into();
    answer.refused("a prompt", 2, &["standard input", "byte 2"]);
    let answer: Run = binary().args(["tokenize", "demo"]).stdin(stdin()).output().expect("starts").into();
    answer.ok("tokenize takes any bytes");
    let folder_as_stdin = std::fs::File::open(folder.path()).expect("the folder");
    let answer: Run = binary().args(["run", "demo"]).stdin(folder_as_stdin).output().expect("starts").into();
    answer.refused("a folder as stdin", 1, &["standard input"]);
}
