//! `quantize`: files equal to llama-quantize's, and what happens when something is wrong.

use std::fs;
use std::path::{Path, PathBuf};

use realizar_format::{DType, Gguf, GgufWriter, Shape, TensorSource, Value};
use tempfile::TempDir;

use crate::harness::{Run, binary, data, run};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// Runs the command in `tests/data`, as the paths of importance weights are part of the files.
fn quantize(input: &str, output: &Path, rest: &[&str]) -> Run {
    let mut command = binary();
    command.current_dir(data("")).args(["quantize", input]).arg(output).args(rest);
    command.output().expect("the binary starts").into()
}

/// 64-bit FNV-1a.
fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Every row names a model, a type and flags, and the size and checksum of the file that llama-quantize (October 2026)
/// makes of them. `shapes.gguf` has the names and row lengths of a mixture of experts, and no sense.
#[test]
fn files_are_llama_quantizes() {
    let folder = folder();
    let out = folder.path().join("out.gguf");
    let table = fs::read_to_string(data("quantize.tsv")).expect("the table is there");
    for row in table.lines() {
        let [model, target, flags, bytes, sum] = row.split('\t').collect::<Vec<_>>()[..] else {
            panic!("not five fields: {row}");
        };
        let flags: Vec<&str> = [target, "--quiet"].into_iter().chain(flags.split_whitespace()).collect();
        quantize(model, &out, &flags).ok(row);
        let file = fs::read(&out).expect("the file is there");
        assert_eq!(file.len().to_string(), bytes, "{row}");
        assert_eq!(format!("{:016x}", checksum(&file)), sum, "{row}");
    }
}

#[test]
fn threads_do_not_change_the_file() {
    let folder = folder();
    let mut files = ["1", "2", "3", "16"].map(|threads| {
        let out = folder.path().join(threads);
        quantize("../../assets/demo-q8_0.gguf", &out, &["Q4_0", "--allow-requantize", "--threads", threads])
            .ok(threads);
        fs::read(out).expect("the file is there")
    });
    let first = std::mem::take(&mut files[0]);
    assert!(files[1..].iter().all(|file| *file == first));
}

#[test]
fn a_report_tells_sizes_and_types() {
    let folder = folder();
    let out = folder.path().join("out.gguf");
    let report = quantize("shapes.gguf", &out, &["Q4_K_M", "--json"]).ok("json");
    assert!(report.stderr.starts_with("warning: rows are no whole number of blocks"), "{}", report.stderr);
    let [report] = &report.lines()[..] else { panic!("one line") };
    assert_eq!(report["tensors"], 32);
    assert_eq!(report["bytes_in"], fs::metadata(data("shapes.gguf")).expect("it is there").len());
    assert_eq!(report["bytes_out"], fs::metadata(&out).expect("it was made").len());
    assert_eq!(report["fallbacks"], 6);
    assert!(report["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{report}");
    assert_eq!(report["types"]["Q5_0"], 4, "{report}");

    let text = quantize("shapes.gguf", &out, &["Q4_K_M", "--quiet"]).ok("text");
    assert!(text.text().starts_with("32 tensors, 0.1 MiB became 0.0 MiB ("), "{}", text.text());
    assert_eq!(text.stderr, "");
    let info = run(&["info".as_ref(), out.as_os_str(), "--json".as_ref()]).ok("info");
    assert_eq!(info.lines()[0]["file_type"], "Q4_K_M");
}

#[test]
fn a_dry_run_tells_the_size_and_makes_nothing() {
    let folder = folder();
    let out = folder.path().join("out.gguf");
    let planned = quantize("shapes.gguf", &out, &["IQ2_XS", "--dry-run", "--json"]).ok("dry run").lines();
    assert!(!out.exists());
    let importance = ["IQ2_XS", "--json", "--imatrix", "shapes.imatrix.gguf"];
    let made = &quantize("shapes.gguf", &out, &importance).ok("made").lines()[0];
    assert_eq!(planned[0]["types"], made["types"]);
    let rows = planned[0]["plan"].as_array().expect("a plan");
    assert_eq!(rows.len(), 32);
    assert_eq!(rows[0]["name"], "output.weight");
    assert_eq!((&rows[0]["from"], &rows[0]["to"]), (&"F32".into(), &"Q5_K".into()));
    // Without importance weights there is no metadata of them.
    let plain = quantize("shapes.gguf", &out, &["Q6_K", "--dry-run", "--json"]).ok("dry run").lines();
    quantize("shapes.gguf", &out, &["Q6_K"]).ok("made");
    assert_eq!(plain[0]["bytes_out"], fs::metadata(&out).expect("it was made").len());
    let text = quantize("shapes.gguf", &out, &["Q8_0", "--dry-run", "-q"]).ok("dry run");
    assert!(text.text().contains("\nblk.0.odd_100.weight [3, 100]: F16 (600 bytes)\n"), "{}", text.text());
    assert!(text.text().contains("output.weight [12, 256]: F32 (12288 bytes) -> Q8_0 (3264 bytes)\n"));
    assert!(text.text().contains("\n32 tensors, 0.1 MiB would become 0.0 MiB ("), "{}", text.text());
}

/// A model of one matrix, with this number in the middle.
fn model(path: &Path, dtype: DType, cols: usize, odd: f32) {
    let mut head = GgufWriter::new();
    head.metadata("general.architecture", Value::from("llama")).expect("a key");
    head.tensor("blk.0.attn_q.weight", dtype, Shape::new(&[4, cols]).expect("two dimensions"))
        .expect("a tensor");
    let mut floats = vec![0.25; 4 * cols];
    floats[2 * cols + 7] = odd;
    let mut bytes = vec![0; dtype.row_bytes(floats.len()).expect("whole blocks")];
    realizar_quant::encode(dtype, &floats, None, &mut bytes).expect("floats take everything");
    let mut file = head.create(path).expect("the file is made");
    file.write(&bytes).expect("it is written");
    file.finish().expect("it is complete").commit().expect("it is in place");
}

/// Type of the source, the odd number, type asked for, what the message names.
const ODD_NUMBERS: &[(DType, f32, &str, &[&str])] = &[
    (DType::F32, f32::NAN, "Q4_0", &["`blk.0.attn_q.weight`", "element 519 is NaN"]),
    (DType::F16, f32::INFINITY, "Q4_K_M", &["element 519 is inf"]),
    (DType::BF16, f32::NEG_INFINITY, "F16", &["element 519 is -inf"]),
    (DType::F32, f32::NAN, "COPY", &["element 519 is NaN"]),
    (DType::F32, 1e9, "F16", &["element 519 is 1000000000, too large for F16"]),
    (DType::F32, 1e9, "Q8_0", &["too large for Q8_0"]),
    (DType::F32, -1e38, "Q6_K", &["`blk.0.attn_q.weight`", "element 519 is -", "too large for Q6_K"]),
    (DType::F32, 1e9, "Q5_K_S", &["element 519 is", "too large for Q5_K"]),
];

#[test]
fn numbers_that_are_no_weights_are_refused_by_name_and_index() {
    let folder = folder();
    let (input, out) = (folder.path().join("in.gguf"), folder.path().join("out.gguf"));
    for (dtype, odd, target, words) in ODD_NUMBERS {
        model(&input, *dtype, 256, *odd);
        let name = format!("{odd} in {dtype} to {target}");
        let answer = run(&["quantize".as_ref(), input.as_os_str(), out.as_os_str(), target.as_ref()]);
        answer.refused(&name, 1, words);
        assert_eq!(names(folder.path()), ["in.gguf"], "{name}");
    }
    // Large, but not too large.
    model(&input, DType::F32, 256, 60000.0);
    run(&["quantize".as_ref(), input.as_os_str(), out.as_os_str(), "Q8_0".as_ref()]).ok("60000");
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Name, model, type and flags, exit code, what the message names.
type Refusal = (&'static str, &'static str, &'static [&'static str], i32, &'static [&'static str]);

const REFUSED: &[Refusal] = &[
    ("an unknown type", "shapes.gguf", &["Q4_K_XL"], 2, &["`Q4_K_XL`", "known are", "Q4_K_M", "COPY"]),
    ("no type", "shapes.gguf", &[], 2, &["<TYPE>"]),
    ("an unknown output type", "shapes.gguf", &["Q4_0", "--output-type", "q9"], 2, &["`q9`", "Q5_K"]),
    ("integers", "shapes.gguf", &["Q4_0", "--token-embedding-type", "i32"], 2, &["`i32`", "known are"]),
    ("activations", "shapes.gguf", &["Q4_0", "--output-type", "q8_1"], 2, &["`q8_1`"]),
    ("no pattern", "shapes.gguf", &["Q4_0", "--tensor-type", "=q8_0"], 2, &["REGEX=TYPE"]),
    ("no type of a pattern", "shapes.gguf", &["Q4_0", "--tensor-type", "attn_v"], 2, &["REGEX=TYPE"]),
    ("a pattern's unknown type", "shapes.gguf", &["Q4_0", "--tensor-type", "v=q"], 2, &["`q`", "Q8_0"]),
    ("a broken pattern", "shapes.gguf", &["Q4_0", "--tensor-type", "a(=q8_0"], 2, &["unclosed group"]),
    ("a bomb", "shapes.gguf", &["Q4_0", "--tensor-type", "((a{999}){999}){999}=q8_0"], 2, &["size limit"]),
    ("no source", "absent.gguf", &["Q4_0"], 1, &["absent.gguf", "No such file"]),
    ("no model", "quantize.tsv", &["Q4_0"], 1, &["quantize.tsv", "magic"]),
    ("already quantised", "demo", &["Q4_0"], 1, &["is Q8_0 already", "--allow-requantize"]),
    ("no importance", "shapes.gguf", &["IQ2_XS"], 1, &["worthless as IQ2_XS", "--imatrix"]),
    ("rows without a type", "shapes.gguf", &["Q1_0"], 1, &["odd_100.weight", "100", "Q1_0"]),
    (
        "importance of another model",
        "llama-gqa.gguf",
        &["Q4_0", "--imatrix", "shapes.imatrix.dat"],
        1,
        &["shapes.imatrix.dat", "needs"],
    ),
    ("importance that is not there", "shapes.gguf", &["Q4_0", "--imatrix", "absent"], 1, &["absent"]),
    ("importance that is none", "shapes.gguf", &["Q4_0", "--imatrix", "quantize.tsv"], 1, &["at byte"]),
    ("importance that is a model", "shapes.gguf", &["Q4_0", "--imatrix", "llama-gqa.gguf"], 1, &["lacks"]),
];

#[test]
fn what_cannot_be_done_is_refused() {
    let folder = folder();
    let out = folder.path().join("out.gguf");
    for (name, model, rest, code, words) in REFUSED {
        quantize(model, &out, rest).refused(name, *code, words);
        assert_eq!(names(folder.path()), [""; 0], "{name}");
    }
    let nowhere = folder.path().join("no/such/folder.gguf");
    quantize("shapes.gguf", &nowhere, &["Q4_0", "-q"]).refused("no folder", 1, &["folder.gguf"]);
}

#[cfg(unix)]
#[test]
fn the_source_is_never_written_over() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    for name in ["model.gguf", "imatrix.dat"] {
        let from = if name == "model.gguf" { "shapes.gguf" } else { "shapes.imatrix.dat" };
        fs::copy(data(from), at(name)).expect("a copy");
    }
    std::os::unix::fs::symlink("model.gguf", at("link.gguf")).expect("a link");
    fs::hard_link(at("model.gguf"), at("hard.gguf")).expect("a link");
    let before = fs::read(at("model.gguf")).expect("the source");
    for (from, to) in [
        ("model.gguf", "model.gguf"),
        ("model.gguf", "link.gguf"),
        ("link.gguf", "model.gguf"),
        ("hard.gguf", "model.gguf"),
        ("model.gguf", "./hard.gguf"),
        ("model.gguf", "imatrix.dat"),
    ] {
        let args = ["Q8_0", "--imatrix"].map(PathBuf::from);
        let args = [&["quantize".into(), at(from), at(to)][..], &args, &[at("imatrix.dat")]].concat();
        run(&args).refused(&format!("{from} to {to}"), 1, &["a file that is being read"]);
    }
    assert_eq!(fs::read(at("model.gguf")).expect("the source"), before);
    assert_eq!(names(folder.path()), ["hard.gguf", "imatrix.dat", "link.gguf", "model.gguf"]);
}

#[cfg(unix)]
#[test]
fn what_belongs_to_one_shard_is_never_written_over() {
    let folder = folder();
    let model = folder.path().join("model");
    run(&["convert".into(), data("shapes.gguf"), model.clone(), "-q".into()]).ok("a folder");
    let before = names(&model);
    assert!(before.iter().any(|name| name == "config.json"), "{before:?}");
    let shard = model.join("model.safetensors");
    for name in &before {
        let bytes = fs::read(model.join(name)).expect("a file");
        run(&["quantize".into(), shard.clone(), model.join(name), "Q8_0".into()]).refused(
            name,
            1,
            &["a file that is being read"],
        );
        assert_eq!(fs::read(model.join(name)).expect("a file"), bytes, "{name}");
    }
    run(&["quantize".into(), shard, model.join("new.gguf"), "Q8_0".into(), "-q".into()]).ok("beside it");
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_what_was_there() {
    let folder = folder();
    let out = folder.path().join("out.gguf");
    fs::write(&out, "the old file").expect("a file");
    // A limit on the size of files fails as a full disk does, in the middle of the data.
    let script =
        format!("ulimit -f 64; exec \"$0\" quantize demo '{}' F16 --allow-requantize", out.display());
    let binary = env!("CARGO_BIN_EXE_realizar-cli");
    let output = std::process::Command::new("sh").args(["-c", &script, binary]).output();
    let answer = Run::from(output.expect("a shell"));
    answer.refused("a full disk", 1, &["cannot write", "out.gguf", "large"]);
    assert_eq!(fs::read(&out).expect("the old file"), b"the old file");
    assert_eq!(names(folder.path()), ["out.gguf"]);
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_nothing_behind() {
    use std::io::Read;
    let folder = folder();
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    for signal in ["-INT", "-TERM"] {
        let mut command = binary();
        command.args(["quantize", "demo"]).arg(&pipe).args(["F32", "--allow-requantize", "-q"]);
        let child = command.stderr(std::process::Stdio::piped()).spawn().expect("the binary starts");
        let mut reader = fs::File::open(&pipe).expect("the pipe");
        // A pipe holds less than the model: the work is under way, and waits for us.
        reader.read_exact(&mut [0; 4096]).expect("the start");
        let sent = std::process::Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
        reader.read_to_end(&mut Vec::new()).expect("the rest");
        let answer = Run::from(child.wait_with_output().expect("the binary ends"));
        answer.refused(signal, 130, &["interrupted"]);
    }
}

#[test]
fn a_model_in_parts_becomes_one_file() {
    let folder = folder();
    let whole = Gguf::open(data("shapes.gguf")).expect("the model");
    let tensors: Vec<_> = whole.tensors().collect();
    let (first, second) = tensors.split_at(9);
    for (no, part) in [(0_u16, first), (1, second)] {
        let mut head = GgufWriter::new();
        for key in whole.metadata_keys().filter(|_| no == 0) {
            head.metadata(key, whole.metadata(key).expect("a value")).expect("a key");
        }
        head.metadata("split.no", Value::U16(no)).expect("a key");
        head.metadata("split.count", Value::U16(2)).expect("a key");
        head.metadata("split.tensors.count", Value::I32(tensors.len() as i32)).expect("a key");
        for tensor in part {
            head.tensor(tensor.name, tensor.dtype, tensor.shape).expect("a tensor");
        }
        let path = folder.path().join(format!("model-{:05}-of-00002.gguf", no + 1));
        let mut file = head.create(path).expect("a file");
        for tensor in part {
            file.write(&tensor.data).expect("data");
        }
        file.finish().expect("complete").commit().expect("in place");
    }
    let at = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (one, two) = (at("one.gguf"), at("two.gguf"));
    let parts = ["model-00001-of-00002.gguf", "model-00002-of-00002.gguf"].map(at);
    run(&["quantize", &parts[0], &one, "Q5_K_M", "-q"]).ok("parts");
    quantize("shapes.gguf", Path::new(&two), &["Q5_K_M", "-q"]).ok("whole");
    assert!(fs::read(&one).expect("one") == fs::read(&two).expect("two"), "the files differ");
    run(&["quantize", &parts[0], &parts[1], "Q8_0"]).refused("onto a part", 1, &["being read"]);
}

#[test]
fn folders_and_apr_files_give_the_same_tensors() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let expected = at("expected.gguf");
    quantize("llama-gqa.gguf", &expected, &["Q4_K_M", "-q"]).ok("GGUF");
    let expected = Gguf::open(&expected).expect("a model");
    for source in ["folder", "model.apr"] {
        let input = data("llama-gqa.gguf");
        run(&["convert".as_ref(), input.as_os_str(), at(source).as_os_str(), "-q".as_ref()]).ok(source);
        let (from, out) = (at(source), at("out.gguf"));
        quantize(from.to_str().expect("a path"), &out, &["Q4_K_M", "-q"]).ok(source);
        let made = Gguf::open(&out).expect("a model");
        assert_eq!(made.tensors().count(), expected.tensors().count(), "{source}");
        for tensor in expected.tensors() {
            let found = made.tensor(tensor.name).expect(tensor.name);
            assert_eq!((found.dtype, found.data), (tensor.dtype, tensor.data), "{source}: {}", tensor.name);
        }
    }
    // Whatever lies in the folder is the source's.
    for name in ["model.safetensors", "config.json"] {
        let inside = at("folder").join(name);
        run(&["quantize".as_ref(), at("folder").as_os_str(), inside.as_os_str(), "Q8_0".as_ref()]).refused(
            name,
            1,
            &["being read"],
        );
    }
}

/// Name, bytes, what the message names: files of importance weights in the older format.
const BAD_IMPORTANCE: &[(&str, &[u8], &str)] = &[
    ("empty", b"", "no entries"),
    ("no entries", &[0, 0, 0, 0], "no entries"),
    ("a negative count", &[255, 255, 255, 255], "no entries"),
    ("cut before the name", &[1, 0, 0, 0], "a name at byte 4"),
    ("a name beyond the end", &[1, 0, 0, 0, 9, 0, 0, 0, b'x'], "a name at byte 8"),
    ("cut after the name", &[1, 0, 0, 0, 1, 0, 0, 0, b'x'], "a count at byte 9"),
    ("no numbers", &[1, 0, 0, 0, 1, 0, 0, 0, b'x', 1, 0, 0, 0, 0, 0, 0, 0], "the list of numbers"),
    (
        "a list beyond the end",
        &[1, 0, 0, 0, 1, 0, 0, 0, b'x', 1, 0, 0, 0, 255, 255, 255, 127, 0],
        "the list of numbers",
    ),
    (
        "not a number",
        &[1, 0, 0, 0, 1, 0, 0, 0, b'x', 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 192, 127],
        "number 0 of `x` is negative or not finite",
    ),
];

#[test]
fn damaged_importance_weights_are_refused() {
    let folder = folder();
    let (file, out) = (folder.path().join("imatrix.dat"), folder.path().join("out.gguf"));
    for (name, bytes, word) in BAD_IMPORTANCE {
        fs::write(&file, bytes).expect("a file");
        let answer = quantize("shapes.gguf", &out, &["Q4_0", "--imatrix", file.to_str().expect("a path")]);
        answer.refused(name, 1, &["imatrix.dat", word]);
    }
    // One without what llama-imatrix always says, and one without counts.
    let write = |keys: &[&str], tensors: &[&str]| {
        let mut head = GgufWriter::new();
        for key in keys {
            let datasets = realizar_format::PackedArray::strings(["text"]);
            let value =
                if key.ends_with("datasets") { Value::Array(datasets.as_array()) } else { Value::U32(1) };
            head.metadata(key, value).expect("a key");
        }
        for name in tensors {
            head.tensor(name, DType::F32, Shape::new(&[1]).expect("a shape")).expect("a tensor");
        }
        let mut data = head.begin(Vec::new()).expect("a head");
        tensors.iter().for_each(|_| data.write(&[0; 4]).expect("data"));
        fs::write(&file, data.finish().expect("complete")).expect("a file");
    };
    let all = ["imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size"];
    for (keys, tensors, word) in [
        (&all[..2], &["x.in_sum2", "x.counts"][..], "imatrix.chunk_size"),
        (&all, &["x.in_sum2"], "`x.in_sum2` has no counts"),
        (&all, &["x.counts"], "no entries"),
    ] {
        write(keys, tensors);
        let answer = quantize("shapes.gguf", &out, &["Q4_0", "--imatrix", file.to_str().expect("a path")]);
        answer.refused(word, 1, &["imatrix.dat", word]);
    }
}

#[test]
fn missing_importance_is_told() {
    let folder = folder();
    let out = folder.path().join("out.gguf");
    let file = folder.path().join("imatrix.dat");
    // One entry of a tensor that the model has.
    let write = |number: f32| {
        let name = b"blk.0.attn_q.weight";
        let numbers = number.to_le_bytes().repeat(256);
        let bytes = [
            &1_i32.to_le_bytes()[..],
            &19_i32.to_le_bytes(),
            name,
            &0_i32.to_le_bytes(),
            &256_i32.to_le_bytes(),
            &numbers,
        ];
        fs::write(&file, bytes.concat()).expect("a file");
    };
    write(1.5);
    let flags = |target| [target, "--imatrix", file.to_str().expect("a path")];
    let answer = quantize("shapes.gguf", &out, &flags("Q4_K_S")).ok("some");
    assert!(answer.stderr.contains("warning: no importance weights for: "), "{}", answer.stderr);
    quantize("shapes.gguf", &out, &flags("IQ2_XXS")).refused("needed", 1, &["worthless", "that has them"]);
    // Sums that leave the range of f32 inside the search.
    write(3e38);
    let words = ["`blk.0.attn_q.weight`", "importance weights around element", "too large for Q4_K"];
    let quiet = [&flags("Q4_K_S")[..], &["-q"]].concat();
    quantize("shapes.gguf", &out, &quiet).refused("overflow", 1, &words);
}
