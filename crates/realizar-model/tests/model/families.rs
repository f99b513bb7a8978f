//! An architecture is facts and nothing else: its name stands in no code but its own file, and a page of the book lists
//! what each one says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use realizar_model::{ARCHITECTURES, ArchFacts};

/// Where names of architectures may stand: the facts themselves, and tables of what checkpoints call their classes.
const TABLES: &[&str] = &["arch.rs", "arch/", "hf/families.rs", "hf/encoders.rs", "hf/gguf_only.rs"];

/// What a field of the facts needs beside the pass that all share: the field, how its value begins, the file.
const FEATURES: &[(&str, &str, &str)] = &[
    ("state", "DeltaNet", "state/delta_net.rs"),
    ("state", "KeyDelta", "state/delta_net.rs"),
    ("state", "Mamba2", "state/mamba2.rs"),
    ("state", "Mamba,", "state/mamba.rs"),
    ("state", "ShortConvolution", "state/short_convolution.rs"),
    ("state", "Rwkv7", "state/rwkv7.rs"),
    ("per_layer", "", "per_layer.rs"),
    ("streams", "", "streams.rs"),
    ("indexer", "", "indexer.rs"),
    ("stretch", "", "session.rs"),
    ("latent", "", "config/heads.rs"),
    ("moe", "", "config/experts.rs"),
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            out.push(path);
        }
    }
}

#[test]
fn no_code_asks_for_an_architecture_by_name() {
    let mut findings = Vec::new();
    for name in ["realizar-model", "realizar-tensor"] {
        let root = crates().join(name).join("src");
        let mut files = Vec::new();
        if root.is_dir() {
            sources(&root, &mut files);
        }
        for path in files {
            let place = path.strip_prefix(&root).unwrap().display().to_string();
            if name == "realizar-model" && TABLES.iter().any(|table| place.starts_with(table)) {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            // What tests of a file say is theirs.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for facts in ARCHITECTURES.iter().filter(|facts| code.contains(&format!("\"{}\"", facts.name))) {
                findings.push(format!("{name}/src/{place} says \"{}\"", facts.name));
            }
        }
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

/// The fields and their values, as they print.
fn fields(facts: &ArchFacts) -> BTreeMap<String, String> {
    let mut out: BTreeMap<String, String> = BTreeMap::new();
    let mut field = String::new();
    for line in format!("{facts:#?}").lines().skip(1) {
        let inner = line.strip_prefix("    ").unwrap_or_default();
        match inner.split_once(": ").filter(|_| !inner.starts_with([' ', ')', '}'])) {
            Some((name, value)) => {
                field = name.to_owned();
                out.insert(field.clone(), value.to_owned());
            }
            None => {
                if let Some(value) = out.get_mut(&field) {
                    value.push_str(inner.trim());
                }
            }
        }
    }
    out.remove("name");
    out
}

/// The page of the book.
fn page() -> String {
    let plain = fields(ArchFacts::find("internlm2").unwrap());
    let mut out = "\
# What each architecture says

An architecture is one constant in one file under `crates/realizar-model/src/arch`: the plainest decoder, which is Llama without experts, and the
facts in which it differs. No other code of the model or the kernels asks for an architecture by name; the test `families` looks for that, and
holds this table to the facts. A fact that needs code of its own names the file of that feature; all other facts are read where the pass, the
binding of weights or the reading of numbers makes the step in question.

The architectures of 2025 and 2026 came in two commits, together with the files of their features, so that single differences per family can no
longer be shown for them. XVERSE, Orion, StarCoder and CodeShell came later, each in a commit of its own: a file, two lines of `arch.rs`, what
llama.cpp says of a tiny model, and a row here.

| `general.architecture` | facts beside Llama's | files of features |
|---|---|---|
"
    .to_owned();
    for facts in ARCHITECTURES {
        let own = fields(facts);
        let differs: Vec<&String> = own.keys().filter(|key| own[*key] != plain[*key]).collect();
        let needs = |(field, begins, _): &&(&str, &str, &str)| {
            differs.iter().any(|name| *name == field) && own[*field].contains(begins)
        };
        let mut files: Vec<String> =
            FEATURES.iter().filter(needs).map(|(_, _, file)| format!("`{file}`")).collect();
        files.dedup();
        let words: Vec<String> = differs.iter().map(|name| format!("`{name}`")).collect();
        let none = |list: Vec<String>| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
        out.push_str(&format!("| `{}` | {} | {} |\n", facts.name, none(words), none(files)));
    }
    out
}

#[test]
fn the_book_lists_the_facts_of_each() {
    let path = crates().join("../docs/src/transformer/families.md");
    if !path.parent().unwrap().is_dir() {
        return;
    }
    let page = page();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "{} is out of date: run this test with UPDATE_GOLDEN=1", path.display());
}
