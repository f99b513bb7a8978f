//! Weights that are no numbers end an answer with an error.

use crate::harness::run;

#[test]
fn an_answer_ends_with_an_error() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/llama-gqa.gguf");
    let source = realizar_format::open(model).expect("the model");
    let good = std::fs::read(model).expect("its bytes");
    // The whole of a matrix; one number of a norm.
    for (tensor, count) in [("blk.1.ffn_down.weight", usize::MAX), ("output_norm.weight", 1)] {
        let view = source.tensor(tensor).expect("the tensor");
        let start = usize::try_from(view.offset).expect("a file of this size");
        let mut broken = good.clone();
        for four in broken[start..start + view.data.len()].as_chunks_mut::<4>().0.iter_mut().take(count) {
            *four = f32::NAN.to_le_bytes();
        }
        let path = folder.path().join("broken.gguf");
        std::fs::write(&path, broken).expect("written");
        let path = path.to_str().expect("UTF-8");
        let args = ["run", path, "--ids", "1,40,41", "--raw", "--ignore-eos", "-n", "50", "-q"];
        for further in [["--temp", "0"], ["--temp", "1"]] {
            let answer = run(&[args.as_slice(), &further].concat());
            answer.refused(&format!("{tensor}, {further:?}"), 1, &[]);
            assert!(answer.stderr.contains("finite"), "{tensor}: {}", answer.stderr);
        }
    }
}
