//! What `cargo metadata` says of the workspace, and its files on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::error::GateError;
use crate::gate::Gate;
use crate::launch::{Invocation, Watch};

/// The members of the workspace and where cargo builds.
#[derive(Debug, Deserialize)]
pub(crate) struct Workspace {
    pub(crate) packages: Vec<Package>,
    pub(crate) target_directory: PathBuf,
}

/// One member.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
    pub(crate) features: BTreeMap<String, Vec<String>>,
}

/// One row of a member's dependency tables.
#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `None` for a normal one, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// Set where the dependency lies in this workspace.
    pub(crate) path: Option<PathBuf>,
}

/// One crate that cargo builds of a member.
#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) kind: Vec<String>,
    pub(crate) src_path: PathBuf,
}

impl Workspace {
    /// Asks cargo, which needs no network for this.
    pub(crate) fn read(gate: &mut Gate<'_>) -> Result<Self, GateError> {
        let invocation = Invocation::cargo("metadata --no-deps --format-version 1").watch(Watch::Stdout);
        let mut json = String::new();
        if !gate.programs.run(gate.root, &invocation, &mut |line| json.push_str(line))? {
            return Err(GateError::Failed { invocation: invocation.to_string() });
        }
        Self::parse(&json)
    }

    pub(crate) fn parse(json: &str) -> Result<Self, GateError> {
        let parsed = serde_json::from_str(json);
        parsed.map_err(|source| GateError::Json { what: "the answer of `cargo metadata`", source })
    }

    /// Names of the foreign crates that some member names in its manifest.
    pub(crate) fn foreign(&self) -> BTreeSet<&str> {
        let all = self.packages.iter().flat_map(|package| &package.dependencies);
        all.filter(|dependency| dependency.path.is_none())
            .map(|dependency| dependency.name.as_str())
            .collect()
    }
}

impl Package {
    /// The folder of the member, relative to `root`.
    pub(crate) fn folder(&self, root: &Path) -> String {
        relative(root, self.manifest_path.parent().unwrap_or(root))
    }
}

/// `path` below `root`, with `/` between folders.
pub(crate) fn relative(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    below.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// A file of the workspace.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every file below `folders` of `root` whose name ends with `ending`, in order of path. Hidden folders and what
/// cargo builds are left out; a folder that does not exist has no files.
pub(crate) fn files(root: &Path, folders: &[&str], ending: &str) -> Result<Vec<File>, GateError> {
    let mut paths = Vec::new();
    for folder in folders {
        let folder = root.join(folder);
        if folder.is_dir() {
            collect(&folder, ending, &mut paths)?;
        }
    }
    paths.sort();
    paths.into_iter().map(|path| Ok(File { text: read(&path)?, path: relative(root, &path) })).collect()
}

/// The text of one file.
pub(crate) fn read(path: &Path) -> Result<String, GateError> {
    fs::read_to_string(path).map_err(|source| GateError::Read { path: path.to_owned(), source })
}

fn collect(folder: &Path, ending: &str, paths: &mut Vec<PathBuf>) -> Result<(), GateError> {
    let failed = |source| GateError::Read { path: folder.to_owned(), source };
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !name.starts_with('.') && !name.starts_with("target") {
                collect(&path, ending, paths)?;
            }
        } else if name.ends_with(ending) {
            paths.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{Dependency, Package, Workspace, files, read, relative};
    use crate::gate::tests::Scene;
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::{Path, PathBuf};

    /// A member as a test writes it down: `name`, then dependencies as `KIND:NAME`, ours by their prefix.
    pub(crate) fn package(name: &str, dependencies: &[&str]) -> Package {
        let dependencies = dependencies.iter().map(|row| {
            let (kind, name) = row.split_once(':').unwrap();
            let path = name.starts_with("realizar-").then(|| PathBuf::from(name));
            Dependency { name: name.to_owned(), kind: (kind != "normal").then(|| kind.to_owned()), path }
        });
        Package {
            name: name.to_owned(),
            manifest_path: PathBuf::from("/w/crates").join(name).join("Cargo.toml"),
            dependencies: dependencies.collect(),
            targets: vec![],
            features: BTreeMap::new(),
        }
    }

    #[test]
    fn this_workspace_can_be_read() {
        let mut scene = Scene::real();
        let workspace = Workspace::read(&mut scene.gate()).unwrap();
        let xtask = workspace.packages.iter().find(|package| package.name == "xtask").unwrap();
        assert_eq!(xtask.folder(&scene.root), "xtask");
        assert!(workspace.foreign().contains("serde_json"));
        assert!(!workspace.foreign().contains("realizar-quant"));
    }

    #[test]
    fn failures_of_cargo_are_named() {
        let mut scene = Scene::new(&[]).failing("metadata");
        let error = Workspace::read(&mut scene.gate()).unwrap_err().to_string();
        assert_eq!(error, "`cargo metadata --no-deps --format-version 1` failed");
        let error = Workspace::parse("{").unwrap_err().to_string();
        assert_eq!(error, "the answer of `cargo metadata` is not the JSON that was expected");
    }

    #[test]
    fn files_are_found_by_their_ending() {
        let root = tempfile::tempdir().unwrap();
        for path in ["a/src/x.rs", "a/src/y.txt", "a/target/z.rs", "a/.git/z.rs", "b/w.rs"] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        let found = files(root.path(), &["a", "b", "absent"], ".rs").unwrap();
        let paths: Vec<&str> = found.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["a/src/x.rs", "b/w.rs"]);
        assert_eq!(found[0].text, "text");
    }

    #[test]
    fn a_missing_file_is_named() {
        assert_eq!(read(Path::new("/no/such")).unwrap_err().to_string(), "cannot read /no/such");
        assert_eq!(relative(Path::new("/a"), Path::new("/b/c")), "//b/c");
    }
}
