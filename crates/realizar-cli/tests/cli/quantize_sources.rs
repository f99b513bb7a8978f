//! `quantize`: sources of every kind, and how little memory they take.

use std::fs;
use std::path::Path;

use realizar_format::{AprWriter, DType, Gguf, GgufWriter, Shape, TensorSource, Value};

use crate::harness::{data, run};

fn shape(dims: &[usize]) -> Shape {
    Shape::new(dims).expect("few dimensions")
}

/// An `.apr` file with the keys and names of GGUF, which has one matrix.
fn apr(path: &Path, dtype: DType, cols: usize, bytes: &[u8]) {
    let mut head = AprWriter::new();
    head.metadata("general.architecture", Value::from("llama")).expect("a key");
    head.tensor("blk.0.attn_q.weight", dtype, shape(&[2, cols])).expect("a tensor");
    let mut file = head.begin(Vec::new()).expect("a head");
    file.write(bytes).expect("data");
    fs::write(path, file.finish().expect("complete")).expect("a file");
}

/// Type, columns, bytes of the matrix, flags, what the message names.
const APR_BLOCKS: &[(DType, usize, usize, &[&str], &str)] = &[
    (DType::APR_Q4, 64, 72, &["Q8_0"], "--allow-requantize"),
    (DType::APR_Q4, 48, 54, &["Q8_0", "--allow-requantize"], "do not end where rows do"),
    (DType::APR_Q8, 64, 132, &["Q8_0"], "do not end where rows do"),
    (DType::APR_Q8, 64, 132, &["F16", "--allow-requantize"], "do not end where rows do"),
    (DType::APR_Q8, 64, 132, &["COPY", "--allow-requantize"], "do not end where rows do"),
];

#[test]
fn the_blocks_of_apr_files_are_read_by_rows_or_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (input, out) = (folder.path().join("in.apr"), folder.path().join("out.gguf"));
    let quantize = |flags: &[&str]| {
        let mut args = vec!["quantize".as_ref(), input.as_os_str(), out.as_os_str()];
        args.extend(flags.iter().map(AsRef::<std::ffi::OsStr>::as_ref));
        run(&args)
    };
    for (dtype, cols, bytes, flags, word) in APR_BLOCKS {
        apr(&input, *dtype, *cols, &vec![0; *bytes]);
        quantize(flags).refused(&format!("{dtype} {flags:?}"), 1, &["`blk.0.attn_q.weight`", word]);
        assert!(!out.exists(), "{dtype} {flags:?}");
    }
    // Scale 1, and 9 - 8 in every element.
    let block = [&[0x00, 0x3c][..], &[0x99; 16]].concat();
    apr(&input, DType::APR_Q4, 64, &block.repeat(4));
    quantize(&["F32", "--allow-requantize", "-q"]).ok("whole rows");
    let made = Gguf::open(&out).expect("a model");
    let tensor = made.tensors().next().expect("a tensor");
    assert_eq!((tensor.dtype, &tensor.data[..]), (DType::F32, &1.0_f32.to_le_bytes().repeat(128)[..]));
}

/// Width of a model of 112 MiB: matrices of heads, and stacks of experts, of 16 MiB each.
#[cfg(target_os = "linux")]
const HIDDEN: usize = 512;
#[cfg(target_os = "linux")]
const HEADS: usize = 256;
#[cfg(target_os = "linux")]
const EXPERTS: usize = 8;
#[cfg(target_os = "linux")]
const FFN: usize = 2048;

/// The model in F16, with the vocabulary of a small one.
#[cfg(target_os = "linux")]
fn large_model(path: &Path) {
    let small = Gguf::open(data("llama-gqa.gguf")).expect("the model");
    let vocab = small.tensor("token_embd.weight").expect("it is there").shape[0];
    let numbers = [
        ("embedding_length", HIDDEN),
        ("block_count", 1),
        ("feed_forward_length", FFN),
        ("attention.head_count", HEADS),
        ("attention.head_count_kv", HEADS),
        ("attention.key_length", 64),
        ("attention.value_length", 64),
        ("rope.dimension_count", 64),
        ("expert_count", EXPERTS),
        ("expert_used_count", 2),
    ];
    let numbers = numbers.map(|(key, number)| (format!("llama.{key}"), number as u32));
    let mut head = GgufWriter::new();
    for key in small.metadata_keys().filter(|key| numbers.iter().all(|(new, _)| new != key)) {
        head.metadata(key, small.metadata(key).expect("a value")).expect("a key");
    }
    for (key, number) in &numbers {
        head.metadata(key, Value::U32(*number)).expect("a key");
    }
    let wide = 64 * HEADS;
    let tensors: [(&str, DType, &[usize]); 13] = [
        ("token_embd.weight", DType::F16, &[vocab, HIDDEN]),
        ("output_norm.weight", DType::F32, &[HIDDEN]),
        ("output.weight", DType::F16, &[vocab, HIDDEN]),
        ("blk.0.attn_norm.weight", DType::F32, &[HIDDEN]),
        ("blk.0.attn_q.weight", DType::F16, &[wide, HIDDEN]),
        ("blk.0.attn_k.weight", DType::F16, &[wide, HIDDEN]),
        ("blk.0.attn_v.weight", DType::F16, &[wide, HIDDEN]),
        ("blk.0.attn_output.weight", DType::F16, &[HIDDEN, wide]),
        ("blk.0.ffn_norm.weight", DType::F32, &[HIDDEN]),
        ("blk.0.ffn_gate_inp.weight", DType::F32, &[EXPERTS, HIDDEN]),
        ("blk.0.ffn_gate_exps.weight", DType::F16, &[EXPERTS, FFN, HIDDEN]),
        ("blk.0.ffn_up_exps.weight", DType::F16, &[EXPERTS, FFN, HIDDEN]),
        ("blk.0.ffn_down_exps.weight", DType::F16, &[EXPERTS, HIDDEN, FFN]),
    ];
    for (name, dtype, dims) in tensors {
        head.tensor(name, dtype, shape(dims)).expect("a tensor");
    }
    let mut file = head.create(path).expect("a file");
    for (number, (_, dtype, dims)) in tensors.into_iter().enumerate() {
        let row: Vec<u8> = match dtype {
            DType::F32 => 1.0_f32.to_le_bytes().repeat(dims[dims.len() - 1]),
            // Small numbers, another row of them for every tensor.
            _ => (0..dims[dims.len() - 1]).flat_map(|i| [(i * 7 + number) as u8, 0x2c]).collect(),
        };
        let rows: usize = dims[..dims.len() - 1].iter().product();
        (0..rows).for_each(|_| file.write(&row).expect("data"));
    }
    file.finish().expect("complete").commit().expect("in place");
}

/// Most memory that a run had, in MiB: the number is looked at until the run ends.
#[cfg(target_os = "linux")]
fn peak(input: &Path, out: &Path) -> u64 {
    let mut command = crate::harness::binary();
    command.arg("quantize").args([input, out]).args(["Q8_0", "--threads", "2", "-q"]);
    let mut child = command.stdout(std::process::Stdio::null()).spawn().expect("the binary starts");
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let found = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        most = most.max(found.unwrap_or(0));
        if let Some(ended) = child.try_wait().expect("the run") {
            assert!(ended.success(), "{}", input.display());
            return most >> 10;
        }
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_model() {
    /// Half of the file and a little; with all pages of the source it would be twice as much.
    const LIMIT: u64 = 64;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    large_model(&at("model.gguf"));
    let mut files = Vec::new();
    for source in ["model.gguf", "folder", "model.apr"] {
        if source != "model.gguf" {
            run(&["convert".as_ref(), at("model.gguf").as_os_str(), at(source).as_os_str(), "-q".as_ref()])
                .ok(source);
        }
        let most = peak(&at(source), &at("out.gguf"));
        assert!((1..LIMIT).contains(&most), "{source}: {most} MiB");
        let made = Gguf::open(at("out.gguf")).expect("a model");
        let sum = |bytes: &[u8]| {
            bytes.chunks(4096).fold(0_u64, |sum, chunk| {
                chunk
                    .iter()
                    .fold(sum.rotate_left(5), |sum, &byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
            })
        };
        let tensors: Vec<_> = made.tensors().map(|t| (t.name.to_owned(), t.dtype, sum(&t.data))).collect();
        files.push(tensors);
    }
    assert_eq!(files[0], files[1], "the folder");
    assert_eq!(files[0], files[2], "the .apr file");
}

#[cfg(target_os = "linux")]
#[test]
fn a_run_that_is_ended_half_way_leaves_no_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = folder.path().join("model.gguf");
    large_model(&input);
    for signal in ["-INT", "-TERM"] {
        let out = tempfile::tempdir().expect("a temporary folder");
        let mut command = crate::harness::binary();
        command.arg("quantize").args([&input, &out.path().join("out.gguf")]);
        command.args(["Q2_K", "--threads", "1", "-q"]).stderr(std::process::Stdio::null());
        let mut child = command.spawn().expect("the binary starts");
        let files = || fs::read_dir(out.path()).expect("a folder").count();
        let start = std::time::Instant::now();
        while files() == 0 {
            assert!(start.elapsed() < std::time::Duration::from_secs(30), "{signal}: nothing is written");
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let id = child.id().to_string();
        let sent = std::process::Command::new("kill").args([signal, &id]).status().expect("kill");
        assert!(sent.success(), "{signal}: it was over before");
        let ended = child.wait().expect("the run");
        assert_eq!((ended.code(), files()), (Some(130), 0), "{signal}");
    }
}
