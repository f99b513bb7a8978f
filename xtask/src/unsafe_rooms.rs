//! `unsafe` stays in its rooms, and no source hides from this check.
//!
//! The compiler holds `#![forbid(unsafe_code)]` where it stands; this check holds that it stands everywhere else.

use crate::error::GateError;
use crate::finding::Finding;
use crate::gate::{Gate, Note};
use crate::source::{Kind, Token, code};
use crate::workspace::{File, Workspace, files, relative};

/// A file, or a folder with its slash, that may say `unsafe`.
#[derive(Debug)]
struct Room {
    path: &'static str,
    reason: &'static str,
}

const ROOMS: &[Room] = &[
    Room { path: "crates/realizar-format/src/map.rs", reason: "mapping a file" },
    Room { path: "crates/realizar-tensor/src/pool.rs", reason: "tasks that borrow the caller's stack" },
    Room { path: "crates/realizar-tensor/src/pool/", reason: "tasks that borrow the caller's stack" },
    Room { path: "crates/realizar-tensor/src/x86/", reason: "SIMD loads, stores and gated calls" },
    Room { path: "crates/realizar-tensor/src/aarch64.rs", reason: "the table of gated calls" },
    Room { path: "crates/realizar-tensor/src/aarch64/", reason: "SIMD loads, stores and gated calls" },
    Room { path: "crates/realizar-tensor/src/wasm/", reason: "SIMD loads, stores and gated calls" },
    Room { path: "crates/realizar-tensor/src/trueno.rs", reason: "the door to Trueno" },
    Room { path: "crates/realizar-tensor/src/gpu/", reason: "mapped device buffers" },
];

/// Crate roots above the rooms: they deny what their rooms open, and all other roots forbid it.
const DENYING_ROOTS: &[&str] = &["crates/realizar-format/src/lib.rs", "crates/realizar-tensor/src/lib.rs"];

/// Where Rust source may lie.
const FOLDERS: &[&str] = &["crates", "xtask", "benches", "docs", "fuzz"];

/// Refuses `unsafe` outside its rooms, roots without their lint, and source that this check would not see.
pub(crate) fn run(gate: &mut Gate<'_>) -> Result<Note, GateError> {
    let workspace = Workspace::read(gate)?;
    let sources = files(gate.root, FOLDERS, ".rs")?;
    let mut findings: Vec<Finding> = sources.iter().flat_map(words).collect();
    for target in workspace.packages.iter().flat_map(|package| &package.targets) {
        let path = relative(gate.root, &target.src_path);
        let shipped = target.kind.iter().any(|kind| !["test", "bench", "example"].contains(&kind.as_str()));
        if let Some(file) = sources.iter().find(|file| shipped && file.path == path) {
            findings.extend(root(file));
        }
    }
    let used =
        ROOMS.iter().filter(|room| sources.iter().any(|file| file.path.starts_with(room.path))).count();
    gate.report("unsafe-rooms", findings)?;
    Ok(format!("{} files, {used} rooms in use", sources.len()))
}

/// The words of one file that are out of place.
fn words(file: &File) -> Vec<Finding> {
    let in_room = ROOMS.iter().any(|room| is_in(&file.path, room.path));
    let tokens = code(&file.text);
    let mut findings = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map(|token| token.kind);
        match token.kind {
            Kind::Word("unsafe") if !in_room => {
                findings.push(Finding::line(&file.path, token.line, outside()));
            }
            Kind::Word("include") if next == Some(Kind::Mark('!')) => {
                findings.push(Finding::line(
                    &file.path,
                    token.line,
                    "`include!` hides source; make it a module",
                ));
            }
            Kind::Word("path")
                if at > 1
                    && is_attribute(&tokens[at - 2..at])
                    && next == Some(Kind::Mark('='))
                    && !shares_a_test(&file.path, tokens.get(at + 2)) =>
            {
                findings.push(Finding::line(
                    &file.path,
                    token.line,
                    "`#[path]` hides source; name the file after the module",
                ));
            }
            _ => {}
        }
    }
    findings
}

/// Whether a test names Rust source beside another crate's tests: suites that hold a library and the program to one list,
/// fuzz targets that make the tests' files, examples whose output a test checks. Such source is looked at where it lies.
fn shares_a_test(path: &str, target: Option<&Token<'_>>) -> bool {
    let tests = ["/tests/", "/fuzz_targets/", "/examples/"].iter().any(|folder| path.contains(folder));
    tests
        && matches!(target, Some(Token { kind: Kind::Text(text), .. }) if text.contains("/tests/") && text.ends_with(".rs\""))
}

fn outside() -> String {
    let rooms: Vec<String> = ROOMS.iter().map(|room| format!("{} ({})", room.path, room.reason)).collect();
    format!("`unsafe` outside its rooms, which are {}", rooms.join(", "))
}

fn is_in(path: &str, room: &str) -> bool {
    path == room || (room.ends_with('/') && path.starts_with(room))
}

fn is_attribute(before: &[Token<'_>]) -> bool {
    matches!(before, [Token { kind: Kind::Mark('#'), .. }, Token { kind: Kind::Mark('['), .. }])
}

/// What a crate root lacks.
fn root(file: &File) -> Option<Finding> {
    let level = if DENYING_ROOTS.contains(&file.path.as_str()) { "deny" } else { "forbid" };
    let wanted = ['#', '!', '['].map(Kind::Mark);
    let wanted: Vec<Kind<'_>> = wanted
        .into_iter()
        .chain([
            Kind::Word(level),
            Kind::Mark('('),
            Kind::Word("unsafe_code"),
            Kind::Mark(')'),
            Kind::Mark(']'),
        ])
        .collect();
    let kinds: Vec<Kind<'_>> = code(&file.text).into_iter().map(|token| token.kind).collect();
    let found = kinds.windows(wanted.len()).any(|window| window == wanted);
    (!found).then(|| Finding::file(&file.path, format!("this crate root needs `#![{level}(unsafe_code)]`")))
}

#[cfg(test)]
mod tests {
    use super::{root, run, words};
    use crate::gate::tests::Scene;
    use crate::workspace::File;

    /// Name, path, source, lines that are refused.
    const SOURCES: &[(&str, &str, &str, &[usize])] = &[
        ("safe", "crates/realizar-quant/src/dtype.rs", "fn f() {}", &[]),
        ("outside", "crates/realizar-quant/src/dtype.rs", "fn f() {\n    unsafe { g() }\n}", &[2]),
        ("odd line break", "crates/realizar-quant/src/dtype.rs", "fn f() { unsafe\n{ g() } }", &[1]),
        ("in a comment", "crates/realizar-quant/src/dtype.rs", "// unsafe\n/* unsafe */ fn f() {}", &[]),
        ("in a text", "crates/realizar-quant/src/dtype.rs", "const A: &str = \"unsafe\";", &[]),
        ("the lint's name", "crates/realizar-quant/src/lib.rs", "#![forbid(unsafe_code)]", &[]),
        ("a room", "crates/realizar-format/src/map.rs", "unsafe { map() }", &[]),
        ("a room's folder", "crates/realizar-tensor/src/x86/avx2.rs", "unsafe { load() }", &[]),
        ("beside a room", "crates/realizar-tensor/src/x86.rs", "unsafe { load() }", &[1]),
        ("a longer name", "crates/realizar-format/src/map.rs.rs", "unsafe { map() }", &[1]),
        ("the same name elsewhere", "crates/realizar-model/src/map.rs", "unsafe { map() }", &[1]),
        ("included source", "crates/realizar-quant/src/a.rs", "include!(\"b.txt\");", &[1]),
        (
            "included text",
            "crates/realizar-quant/src/a.rs",
            "include_str!(\"b.txt\"); include_bytes!(\"c\");",
            &[],
        ),
        ("moved module", "crates/realizar-quant/src/a.rs", "#[path = \"b.txt\"]\nmod b;", &[1]),
        (
            "moved example",
            "crates/realizar-quant/examples/a.rs",
            "#[path = \"../tests/c/mod.rs\"]\nmod c;",
            &[],
        ),
        ("moved test", "crates/realizar-cli/tests/a.rs", "#[path = \"../../b/tests/c.rs\"]\nmod c;", &[]),
        (
            "moved test that is no source",
            "crates/realizar-cli/tests/a.rs",
            "#[path = \"../tests/c.txt\"]\nmod c;",
            &[1],
        ),
        (
            "moved source in a test",
            "crates/realizar-cli/tests/a.rs",
            "#[path = \"../src/c.rs\"]\nmod c;",
            &[1],
        ),
        ("a variable named path", "crates/realizar-quant/src/a.rs", "let path = 1; a[path = 2];", &[]),
    ];

    fn file(path: &str, text: &str) -> File {
        File { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn unsafe_and_hidden_source_are_found() {
        for &(name, path, text, expected) in SOURCES {
            let lines: Vec<usize> = words(&file(path, text)).iter().map(|finding| finding.line).collect();
            assert_eq!(lines, expected, "{name}");
        }
    }

    #[test]
    fn roots_carry_their_lint() {
        let cases = [
            ("forbids", "crates/realizar-quant/src/lib.rs", "//! A.\n#![forbid(unsafe_code)]", true),
            ("says nothing", "crates/realizar-quant/src/lib.rs", "//! A.", false),
            ("only in a comment", "crates/realizar-quant/src/lib.rs", "// #![forbid(unsafe_code)]", false),
            (
                "denies where it must forbid",
                "crates/realizar-quant/src/lib.rs",
                "#![deny(unsafe_code)]",
                false,
            ),
            ("has rooms and denies", "crates/realizar-tensor/src/lib.rs", "#![deny(unsafe_code)]", true),
            ("has rooms and says nothing", "crates/realizar-tensor/src/lib.rs", "", false),
        ];
        for (name, path, text, good) in cases {
            assert_eq!(root(&file(path, text)).is_none(), good, "{name}");
        }
    }

    #[test]
    fn a_tree_with_faults_is_refused_by_file_and_line() {
        let metadata = r#"{"target_directory":"/t","packages":[{"name":"xtask","manifest_path":"/w/xtask/Cargo.toml",
            "features":{},"dependencies":[],"targets":[
            {"kind":["bin"],"src_path":"ROOT/xtask/src/main.rs"},{"kind":["test"],"src_path":"ROOT/xtask/tests/t.rs"}]}]}"#;
        let files = [("xtask/src/main.rs", "fn main() {}\nunsafe fn f() {}"), ("xtask/tests/t.rs", "")];
        let mut scene = Scene::new(&files).answering("metadata", metadata);
        assert_eq!(run(&mut scene.gate()).unwrap_err().to_string(), "unsafe-rooms: 2 to fix");
        let printed = scene.printed();
        assert!(printed.contains("xtask/src/main.rs:2: `unsafe` outside its rooms"), "{printed}");
        assert!(
            printed.contains("xtask/src/main.rs: this crate root needs `#![forbid(unsafe_code)]`"),
            "{printed}"
        );
    }
}
