//! The reliability catalogue, row 46: models in several GGUF files.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::path::{Path, PathBuf};

use realizar_format::{DType, Format, FormatError, GgufWriter, Shape, Value, open, parse};

/// `split.no`, `split.count`, `split.tensors.count`, names of the tensors.
type Part<'a> = (Option<u16>, u16, i32, &'a [&'a str]);

fn write(path: &Path, (no, count, total, tensors): Part<'_>) {
    let mut writer = GgufWriter::new();
    writer.metadata("general.architecture", Value::from("llama")).unwrap();
    if let Some(no) = no {
        writer.metadata("split.no", Value::U16(no)).unwrap();
    }
    writer.metadata("split.count", Value::U16(count)).unwrap();
    writer.metadata("split.tensors.count", Value::I32(total)).unwrap();
    for name in tensors {
        writer.tensor(name, DType::I8, Shape::new(&[1]).unwrap()).unwrap();
    }
    let mut data = writer.create(path).unwrap();
    for name in tensors {
        data.write(&name.as_bytes()[..1]).unwrap();
    }
    data.finish().unwrap().commit().unwrap();
}

const GOOD: [Part<'_>; 3] =
    [(Some(0), 3, 4, &["a", "b"]), (Some(1), 3, 4, &[]), (Some(2), 3, 4, &["c", "d"])];

/// Writes a model of three parts in which part `index` is `part`; gives the path of the first.
fn model(folder: &Path, index: usize, part: Part<'_>) -> PathBuf {
    let mut parts = GOOD;
    parts[index] = part;
    for (no, part) in (1..).zip(parts) {
        write(&folder.join(format!("m-{no:05}-of-00003.gguf")), part);
    }
    folder.join("m-00001-of-00003.gguf")
}

#[test]
fn parts_are_one_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = model(folder.path(), 0, GOOD[0]);
    let source = open(&path).unwrap();
    assert_eq!((source.format(), source.path()), (Format::Gguf, Some(&*path)));
    let names: Vec<_> = source.tensors().map(|tensor| (tensor.name, tensor.data[0])).collect();
    assert_eq!(names, [("a", b'a'), ("b", b'b'), ("c", b'c'), ("d", b'd')]);
    assert_eq!(source.tensor("d").unwrap().data[0], b'd');
    assert!(source.tensor("e").is_none());
    assert_eq!(source.require_str("general.architecture").unwrap(), "llama");
    assert_eq!(source.metadata_keys().count(), 4);
}

#[test]
fn row_046_splits_that_do_not_fit() {
    // Case, which part, that part, field, file named, words of the message.
    let cases: &[(&str, usize, Part<'_>, &str, &str, &str)] = &[
        (
            "first is not first",
            0,
            (Some(1), 3, 4, &["a", "b"]),
            "split_name",
            "m-00001",
            "-00002-of-00003.gguf",
        ),
        ("no number", 0, (None, 3, 4, &["a", "b"]), "split_no", "m-00001", "found nothing, expected 0"),
        ("other count", 0, (Some(0), 4, 4, &["a", "b"]), "split_name", "m-00001", "-00001-of-00004.gguf"),
        ("second says third", 1, (Some(2), 3, 4, &[]), "split_no", "m-00002", "found 2, expected 1"),
        (
            "third without number",
            2,
            (None, 3, 4, &["c", "d"]),
            "split_no",
            "m-00003",
            "found nothing, expected 2",
        ),
        ("third of four", 2, (Some(2), 4, 4, &["c", "d"]), "split_count", "m-00003", "found 4, expected 3"),
        ("tensor twice", 2, (Some(2), 3, 4, &["b", "d"]), "duplicate_tensor", "m-00003", "`b`"),
        ("too few tensors", 2, (Some(2), 3, 4, &["c"]), "split_tensors_count", "m-00001", "3 tensors"),
    ];
    for (case, index, part, field, file, words) in cases {
        let folder = tempfile::tempdir().unwrap();
        let error = open(model(folder.path(), *index, *part)).unwrap_err();
        let shown = error.to_string();
        let Some(place) = error.place() else { panic!("{case}: {shown}") };
        assert_eq!(place.field, *field, "{case}: {shown}");
        assert!(error.path().unwrap().to_str().unwrap().contains(file), "{case}: {shown}");
        assert!(shown.contains(words), "{case}: {shown}");
    }
}

#[test]
fn row_046_missing_part_and_other_entry_points() {
    let folder = tempfile::tempdir().unwrap();
    let path = model(folder.path(), 0, GOOD[0]);
    let second = folder.path().join("m-00002-of-00003.gguf");
    let error = open(&second).unwrap_err();
    assert!(error.to_string().contains("open the first part, m-00001-of-00003.gguf"), "{error}");

    std::fs::write(&second, b"GGUF").unwrap();
    assert_eq!(open(&path).unwrap_err().path(), Some(&*second));
    std::fs::remove_file(&second).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(&error, FormatError::Io { path, .. } if *path == second), "{error}");

    let bytes = std::fs::read(&path).unwrap();
    let error = parse(bytes.into()).unwrap_err();
    assert_eq!(error.place().unwrap().field, "split_count");
    assert!(error.to_string().contains("opened by path"), "{error}");

    let huge = folder.path().join("h-00001-of-65535.gguf");
    write(&huge, (Some(0), 65_535, 1, &["a"]));
    assert!(open(&huge).unwrap_err().path().unwrap().ends_with("h-00002-of-65535.gguf"));

    let whole = folder.path().join("whole.gguf");
    write(&whole, (Some(0), 1, 1, &["a"]));
    assert_eq!(open(&whole).unwrap().tensors().count(), 1);
}

#[test]
fn row_046_counts_of_the_wrong_type() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m-00001-of-00002.gguf");
    for (key, value) in [
        ("split.count", Value::U32(65_536)),
        ("split.count", Value::from("2")),
        ("split.no", Value::I32(-1)),
        ("split.tensors.count", Value::F32(1.0)),
    ] {
        let mut writer = GgufWriter::new();
        for (good, number) in [("split.count", 2), ("split.no", 0), ("split.tensors.count", 0)] {
            writer.metadata(good, if good == key { value } else { Value::U16(number) }).unwrap();
        }
        writer.create(&path).unwrap().finish().unwrap().commit().unwrap();
        let error = open(&path).unwrap_err();
        assert!(
            matches!(error.root(), FormatError::WrongType { key: named, .. } if named == key),
            "{key}: {error}"
        );
        assert_eq!(error.path(), Some(&*path));
    }
}

#[cfg(unix)]
#[test]
fn row_083_links_of_parts_stay_inside() {
    use std::os::unix::fs::symlink;
    let folder = tempfile::tempdir().unwrap();
    // The hub cache: the folder holds links to blobs.
    let snapshot = folder.path().join("snapshots/abc");
    let blobs = folder.path().join("blobs");
    std::fs::create_dir_all(&snapshot).unwrap();
    std::fs::create_dir_all(&blobs).unwrap();
    model(&snapshot, 0, GOOD[0]);
    let (second, third) = (snapshot.join("m-00002-of-00003.gguf"), snapshot.join("m-00003-of-00003.gguf"));
    std::fs::rename(&second, blobs.join("00ff")).unwrap();
    symlink("../../blobs/00ff", &second).unwrap();
    std::fs::rename(&third, snapshot.join("part")).unwrap();
    symlink("part", &third).unwrap();
    let first = snapshot.join("m-00001-of-00003.gguf");
    assert_eq!(open(&first).unwrap().tensors().count(), 4);

    for target in [blobs.join("not-hex"), folder.path().join("elsewhere")] {
        std::fs::remove_file(&second).unwrap();
        std::fs::copy(blobs.join("00ff"), &target).unwrap();
        symlink(&target, &second).unwrap();
        let error = open(&first).unwrap_err();
        assert_eq!((error.path(), error.place().unwrap().field), (Some(&*second), "link"), "{error}");
    }
    std::fs::remove_file(&second).unwrap();
    symlink("nowhere", &second).unwrap();
    assert!(matches!(open(&first).unwrap_err(), FormatError::Io { .. }));
}
