//! The reliability catalogue, rows 71 and 82 to 85: model folders as Hugging Face lays them out.

#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stderr, reason = "test code")]

use std::fs;
use std::path::{Path, PathBuf};

use realizar_format::{
    Access, DType, Format, FormatError, HfFolder, SafetensorsWriter, Shape, Value, open, open_with,
};

fn write_shard(path: &Path, tensors: &[&str]) {
    let mut writer = SafetensorsWriter::new();
    for name in tensors {
        writer.tensor(name, DType::U8, Shape::new(&[1]).unwrap()).unwrap();
    }
    let mut data = writer.create(path).unwrap();
    for name in tensors {
        data.write(&name.as_bytes()[..1]).unwrap();
    }
    data.finish().unwrap().commit().unwrap();
}

const INDEX: &str = "model.safetensors.index.json";
const GOOD: &str = r#"{"metadata":{"total_size":3},"weight_map":{"a":"one.safetensors","b":"one.safetensors","c":"two.safetensors"}}"#;

/// A folder with two shards and this index.
fn sharded(index: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_shard(&folder.path().join("one.safetensors"), &["a", "b"]);
    write_shard(&folder.path().join("two.safetensors"), &["c"]);
    fs::write(folder.path().join(INDEX), index).unwrap();
    folder
}

/// A folder with one file of weights and this `config.json`.
fn whole(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_shard(&folder.path().join("model.safetensors"), &["a"]);
    fs::write(folder.path().join("config.json"), config).unwrap();
    folder
}

fn refuse(folder: &Path, field: &str, file: &str, words: &str) {
    let error = open(folder).unwrap_err();
    let shown = error.to_string();
    let Some(place) = error.place() else { panic!("{shown}") };
    assert_eq!(place.field, field, "{shown}");
    assert_eq!(error.path(), Some(&*folder.join(file)), "{shown}");
    assert!(shown.contains(words) && !shown.contains('\n'), "{shown}");
}

#[test]
fn shards_are_one_source() {
    let folder = sharded(GOOD);
    for access in [Access::Map, Access::Read] {
        let source = open_with(folder.path(), access).unwrap();
        assert_eq!((source.format(), source.path()), (Format::Safetensors, Some(folder.path())));
        let names: Vec<_> = source.tensors().map(|tensor| (tensor.name, tensor.data[0])).collect();
        assert_eq!(names, [("a", b'a'), ("b", b'b'), ("c", b'c')]);
        assert_eq!(source.tensor("c").unwrap().data[0], b'c');
        assert!(source.tensor("d").is_none());
        assert_eq!(source.metadata_keys().count(), 0);
    }
}

#[test]
fn configuration_is_metadata_and_texts_are_companions() {
    let config = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":64,"rms_norm_eps":1e-5,"rope_theta":10000,
        "rope_scaling":{"factor":8.0,"kind":null},"tie_word_embeddings":true,"eos_token_id":[1,2],"mixed":[1,2.5],
        "layers":[{"a":1},"b"],"big":18446744073709551615,"negative":-3,"none":null,"empty":[],"nothing":{},
        "bools":[true,false],"spilled":[true,1],"halves":[0.5,"x"],"huge":[18446744073709551615,1]}"#;
    let folder = whole(config);
    let at = |name| folder.path().join(name);
    fs::write(at("generation_config.json"), r#"{"eos_token_id":2,"do_sample":false}"#).unwrap();
    fs::write(at("tokenizer.json"), b"not looked at").unwrap();
    let source = open(folder.path()).unwrap();
    let expected: [(&str, Value<'_>); 16] = [
        ("config.spilled.0", Value::Bool(true)),
        ("config.halves.0", Value::F64(0.5)),
        ("config.halves.1", Value::from("x")),
        ("config.spilled.1", Value::I64(1)),
        ("config.hidden_size", Value::I64(64)),
        ("config.rms_norm_eps", Value::F64(1e-5)),
        ("config.rope_theta", Value::I64(10_000)),
        ("config.rope_scaling.factor", Value::F64(8.0)),
        ("config.tie_word_embeddings", Value::Bool(true)),
        ("config.layers.0.a", Value::I64(1)),
        ("config.layers.1", Value::from("b")),
        ("config.big", Value::U64(u64::MAX)),
        ("config.negative", Value::I64(-3)),
        ("generation_config.eos_token_id", Value::I64(2)),
        ("generation_config.do_sample", Value::Bool(false)),
        ("config.architectures", source.metadata("config.architectures").unwrap()),
    ];
    for (key, value) in expected {
        assert_eq!(source.metadata(key), Some(value), "{key}");
        assert!(source.metadata_keys().any(|name| name == key), "{key}");
    }
    let array = |key| source.require_array(key).unwrap();
    assert_eq!(array("config.architectures").strings().unwrap().next(), Some(&b"LlamaForCausalLM"[..]));
    assert_eq!(array("config.eos_token_id").to_u32s(), Some(vec![1, 2]));
    assert_eq!(array("config.mixed").to_f32s(), Some(vec![1.0, 2.5]));
    assert!(array("config.empty").is_empty());
    assert_eq!(array("config.bools").to_bools(), Some(vec![true, false]));
    assert_eq!(array("config.huge").to_f32s(), Some(vec![u64::MAX as f32, 1.0]));
    for key in ["config.none", "config.nothing", "config.rope_scaling.kind", "hidden_size"] {
        assert_eq!(source.metadata(key), None, "{key}");
    }
    assert_eq!(source.require_f32("config.rope_theta").unwrap(), 10_000.0);
    assert_eq!(source.require_f32("config.big").unwrap(), u64::MAX as f32);
    assert_eq!(source.companion("tokenizer.json").unwrap(), &b"not looked at"[..]);
    assert_eq!(source.companion("config.json").unwrap(), config.as_bytes());
    assert!(source.companion("merges.txt").is_none() && source.companion("model.safetensors").is_none());
    assert!(source.warnings().is_empty());
}

#[test]
fn a_file_of_weights_is_opened_with_its_folder() {
    let folder = whole(r#"{"hidden_size":64}"#);
    let path = folder.path().join("other.safetensors");
    let mut writer = SafetensorsWriter::new();
    writer.metadata("format", "pt").unwrap();
    writer.create(&path).unwrap().finish().unwrap().commit().unwrap();
    let source = open(&path).unwrap();
    assert_eq!((source.path(), source.tensors().count()), (Some(&*path), 0));
    assert_eq!(source.require_u32("config.hidden_size").unwrap(), 64);
    assert_eq!(source.require_str("__metadata__.format").unwrap(), "pt");
    fs::remove_file(folder.path().join("config.json")).unwrap();
    let source = open(&path).unwrap();
    assert_eq!(source.metadata_keys().collect::<Vec<_>>(), ["format"]);
}

#[test]
fn row_071_nested_index_and_config() {
    let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
    let folder = sharded(&deep);
    refuse(folder.path(), "json_depth", INDEX, "65 is above the limit of 64");
    let folder = whole(&format!(r#"{{"a":{deep}}}"#));
    refuse(folder.path(), "json_depth", "config.json", "65 is above the limit of 64");
}

#[test]
fn row_082_shards_outside_the_folder() {
    for name in [
        "../x.safetensors",
        "/etc/x.safetensors",
        "a/b.safetensors",
        "C:\\\\x.safetensors",
        "a\\u0000.safetensors",
        "x.bin",
        "",
        "..",
    ] {
        let folder = sharded(&format!(r#"{{"weight_map":{{"a":"{name}"}}}}"#));
        refuse(
            folder.path(),
            "weight_map",
            INDEX,
            "expected the name of a .safetensors file in the same folder",
        );
    }
}

#[cfg(unix)]
#[test]
fn row_083_links_that_leave_the_folder() {
    use std::os::unix::fs::symlink;
    let folder = whole("{}");
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("config.json"), r#"{"secret":1}"#).unwrap();
    fs::remove_file(folder.path().join("config.json")).unwrap();
    symlink(outside.path().join("config.json"), folder.path().join("config.json")).unwrap();
    refuse(folder.path(), "link", "config.json", "expected a target inside the model's folder");
    // The folder itself may be reached by a link: the user named it.
    let folder = whole(r#"{"a":1}"#);
    let link = outside.path().join("link");
    symlink(folder.path(), &link).unwrap();
    assert_eq!(open(&link).unwrap().metadata("config.a"), Some(Value::I64(1)));
    // A folder inside may not lead out either.
    fs::create_dir(folder.path().join("1_Pooling")).unwrap();
    fs::write(folder.path().join("1_Pooling/config.json"), r#"{"pooling_mode_cls_token":true}"#).unwrap();
    let source = open(folder.path()).unwrap();
    assert_eq!(source.metadata("pooling.pooling_mode_cls_token"), Some(Value::Bool(true)));
    fs::rename(folder.path().join("1_Pooling"), outside.path().join("1_Pooling")).unwrap();
    symlink(outside.path().join("1_Pooling"), folder.path().join("1_Pooling")).unwrap();
    refuse(folder.path(), "link", "1_Pooling/config.json", "expected a target inside the model's folder");
    fs::remove_file(folder.path().join("1_Pooling")).unwrap();
    // A FIFO in place of a small file does not hang.
    fs::remove_file(folder.path().join("config.json")).unwrap();
    let fifo = folder.path().join("config.json");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    assert!(matches!(open(folder.path()).unwrap_err(), FormatError::NotAFile { found: "a FIFO", .. }));
    fs::remove_file(&fifo).unwrap();
    fs::create_dir(&fifo).unwrap();
    assert!(matches!(open(folder.path()).unwrap_err(), FormatError::NotAFile { found: "a folder", .. }));
}

#[test]
fn row_084_index_and_shards_that_disagree() {
    let map = |entries: &str| format!(r#"{{"weight_map":{{{entries}}}}}"#);
    let all = r#""a":"one.safetensors","b":"one.safetensors","c":"two.safetensors""#;
    let cases = [
        ("tensor in no shard", format!(r#"{all},"d":"two.safetensors""#), "`weight_map` of `d`"),
        (
            "tensor without entry",
            r#""a":"one.safetensors","c":"two.safetensors""#.to_owned(),
            "`weight_map` of `b`",
        ),
        (
            "tensor in the other shard",
            all.replace(r#""b":"one"#, r#""b":"two"#),
            "expected `one.safetensors`",
        ),
        ("entry that is no text", format!(r#"{all},"d":1"#), "`weight_map` of `d`"),
    ];
    for (case, entries, words) in cases {
        let folder = sharded(&map(&entries));
        let error = open(folder.path()).unwrap_err();
        assert!(error.to_string().contains(words), "{case}: {error}");
        refuse(folder.path(), "weight_map", INDEX, words);
    }
    for index in ["{}", r#"{"weight_map":[]}"#, r#"{"weight_map":null}"#] {
        refuse(sharded(index).path(), "weight_map", INDEX, "an object of tensors and files");
    }
    refuse(sharded(r#"{"weight_map":{}}"#).path(), "weight_map", INDEX, "found no tensors");
    refuse(sharded("[]").path(), "index", INDEX, "expected an object");
    refuse(sharded("{").path(), "index", INDEX, "line 1 column 1");
    refuse(sharded(r#"{"a":1,"a":2}"#).path(), "index", INDEX, "duplicate key `a`");

    let folder = sharded(&map(&format!(r#"{all},"d":"three.safetensors""#)));
    let missing = folder.path().join("three.safetensors");
    assert!(matches!(open(folder.path()).unwrap_err(), FormatError::Io { path, .. } if path == missing));
    // The same tensor in two shards.
    write_shard(&missing, &["d", "c"]);
    refuse(folder.path(), "weight_map", INDEX, "`weight_map` of `c`");

    let many: Vec<_> = (0..10_001).map(|index| format!(r#""{index}":"{index}.safetensors""#)).collect();
    refuse(sharded(&map(&many.join(","))).path(), "shards", INDEX, "10001 is above the limit of 10000");
}

#[test]
fn row_084_index_of_a_gigabyte() {
    let folder = sharded("{}");
    let index = fs::OpenOptions::new().write(true).open(folder.path().join(INDEX)).unwrap();
    index.set_len(1 << 30).unwrap();
    refuse(folder.path(), "file_len", INDEX, "1073741824 is above the limit of 67108864");
}

#[test]
fn row_085_hostile_configuration() {
    let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(4 << 20));
    refuse(whole(&large).path(), "file_len", "config.json", "above the limit of 4194304");
    refuse(whole("[1]").path(), "json", "config.json", "expected an object");
    refuse(whole("{\"a\":\"\\ud800\"}").path(), "json", "config.json", "line 1 column");
    refuse(whole(r#"{"a":{"b":1,"b":2}}"#).path(), "json", "config.json", "duplicate key `b`");
    // Two ways to the same name.
    let error = open(whole(r#"{"a":{"b":1},"a.b":2}"#).path()).unwrap_err();
    assert!(error.to_string().contains("two values by the name of `config.a.b`"), "{error}");
    // Lists of objects take memory of their own, and there is a bound to it.
    let objects = vec!["{}"; 300_000].join(",");
    refuse(
        whole(&format!(r#"{{"a":[{objects}]}}"#)).path(),
        "json",
        "config.json",
        "more than 262144 values",
    );
    let spilled = format!(r#"{{"a":[{},"x"]}}"#, vec!["1"; 300_000].join(","));
    refuse(whole(&spilled).path(), "json", "config.json", "more than 262144 values");
    let members: Vec<_> = (0..263_000).map(|index| format!("\"{index}\":0")).collect();
    refuse(
        whole(&format!("{{{}}}", members.join(","))).path(),
        "json",
        "config.json",
        "more than 262144 values",
    );

    let folder = whole(r#"{"auto_map":{"AutoModel":"code.Model"}}"#);
    fs::write(folder.path().join("pytorch_model.bin"), b"\x80\x02").unwrap();
    let source = open(folder.path()).unwrap();
    assert_eq!(source.warnings().len(), 2, "{:?}", source.warnings());
    assert!(source.warnings()[0].contains("auto_map") && source.warnings()[1].contains("pytorch_model.bin"));
}

#[test]
fn numbers_that_python_writes_are_nothing() {
    let folder = whole(
        r#"{"time_step_limit":[0.0,Infinity],"low":-Infinity,"none":NaN,"text":"NaN \" -Infinity","after":-7,"x":[-1.5]}"#,
    );
    let source = open(folder.path()).unwrap();
    for (key, value) in [
        ("config.time_step_limit.0", Some(Value::F64(0.0))),
        ("config.time_step_limit.1", None),
        ("config.low", None),
        ("config.none", None),
        ("config.text", Some(Value::from("NaN \" -Infinity"))),
        ("config.after", Some(Value::I64(-7))),
    ] {
        assert_eq!(source.metadata(key), value, "{key}");
    }
    refuse(whole(r#"{"a":Infinit}"#).path(), "json", "config.json", "line 1 column");
}

#[test]
fn keys_of_gguf_keep_their_names() {
    let folder = whole(r#"{"hidden_size":64}"#);
    let keys = r#"{"general.architecture":"llama","tokenizer.ggml.tokens":["a","b"]}"#;
    fs::write(folder.path().join("gguf.json"), keys).unwrap();
    let source = open(folder.path()).unwrap();
    assert_eq!(source.require_str("general.architecture").unwrap(), "llama");
    assert_eq!(source.require_array("tokenizer.ggml.tokens").unwrap().len(), 2);
    // It cannot say anything that another file says.
    fs::write(folder.path().join("gguf.json"), r#"{"config":{"hidden_size":1}}"#).unwrap();
    assert!(open(folder.path()).unwrap_err().to_string().contains("two values by the name"));
}

/// A file that says by itself what a folder would say.
#[test]
fn a_file_may_hold_keys_of_gguf() {
    let folder = whole(r#"{"hidden_size":64}"#);
    let path = folder.path().join("alone.safetensors");
    let write = |text: &str| {
        let mut writer = SafetensorsWriter::new();
        writer.metadata("gguf.json", text).unwrap();
        writer.create(&path).unwrap().finish().unwrap().commit().unwrap();
    };
    write(r#"{"general.architecture":"llama"}"#);
    let bytes = fs::read(&path).unwrap();
    for source in [open(&path).unwrap(), realizar_format::parse(bytes.into()).unwrap()] {
        assert_eq!(source.require_str("general.architecture").unwrap(), "llama");
        assert_eq!(source.metadata("config.hidden_size"), None);
        assert_eq!(source.metadata_keys().count(), 1);
    }
    assert_eq!(open(&path).unwrap().path(), Some(&*path));
    write("[]");
    assert!(open(&path).unwrap_err().to_string().contains("alone.safetensors: `gguf.json` at byte 0"));
}

/// As many tensors as the largest models have.
#[test]
fn an_index_of_a_quarter_of_a_million_tensors_is_read() {
    let count = 300_000;
    let name = |tensor: usize| format!("model.layers.{}.mlp.experts.{tensor}.w", tensor % 61);
    let map: Vec<String> =
        (0..count).map(|tensor| format!(r#""{}":"one.safetensors""#, name(tensor))).collect();
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join(INDEX),
        format!(r#"{{"metadata":{{}},"weight_map":{{{}}}}}"#, map.join(",")),
    )
    .unwrap();
    let names: Vec<String> = (0..count).map(name).collect();
    write_shard(
        &folder.path().join("one.safetensors"),
        &names.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    assert_eq!(open(folder.path()).unwrap().tensors().count(), count);
    let more: Vec<String> = (0..530_000).map(|tensor| format!(r#""{tensor}":"o.safetensors""#)).collect();
    refuse(
        sharded(&format!(r#"{{"weight_map":{{{}}}}}"#, more.join(","))).path(),
        "index",
        INDEX,
        "more than 524288 values",
    );
}

/// The cache of the hub: names below `snapshots` are links into `blobs`, in folders of folders too.
#[cfg(unix)]
#[test]
fn row_083_links_of_the_hub_cache() {
    use std::os::unix::fs::symlink;
    let model = tempfile::tempdir().unwrap();
    let (blobs, revision) = (model.path().join("blobs"), model.path().join("snapshots/0f1e"));
    let nested = revision.join("weights");
    fs::create_dir_all(&blobs).unwrap();
    fs::create_dir_all(&nested).unwrap();
    write_shard(&blobs.join("ab12"), &["a"]);
    fs::write(blobs.join("cd34"), r#"{"hidden_size":64}"#).unwrap();
    fs::write(blobs.join("not-hex"), "{}").unwrap();
    for (folder, up) in [(&revision, "../../blobs"), (&nested, "../../../blobs")] {
        symlink(format!("{up}/ab12"), folder.join("model.safetensors")).unwrap();
        symlink(format!("{up}/cd34"), folder.join("config.json")).unwrap();
        for path in [folder.clone(), folder.join("model.safetensors")] {
            let source = open(&path).unwrap();
            assert_eq!(source.require_u32("config.hidden_size").unwrap(), 64, "{}", path.display());
        }
        let other = folder.join("tokenizer.json");
        symlink(format!("{up}/not-hex"), &other).unwrap();
        refuse(folder, "link", "tokenizer.json", "expected a target inside the model's folder");
        fs::remove_file(other).unwrap();
    }
}

#[test]
fn a_folder_without_a_model_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let error = HfFolder::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains("without model.safetensors"), "{error}");
    assert!(matches!(error, FormatError::NotAFile { .. }));
}

#[test]
fn the_shared_folder_opens() {
    let data: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/demo-model/demo-hf");
    if !data.is_dir() {
        eprintln!("SKIPPED (no shared/data): the_shared_folder_opens");
        return;
    }
    let source = open(&data).unwrap();
    assert!(source.tensors().count() > 10);
    assert!(source.require_u32("config.hidden_size").unwrap() > 0);
    assert!(source.companion("tokenizer.json").is_some() && source.companion("tokenizer.model").is_some());
    for tensor in source.tensors() {
        assert_eq!(
            tensor.dtype.row_bytes(tensor.shape.elements().unwrap()),
            Some(tensor.data.len()),
            "{}",
            tensor.name
        );
    }
}
