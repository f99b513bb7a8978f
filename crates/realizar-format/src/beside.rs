//! Files that belong to a model and lie beside the one the user named.

use std::path::{Component, Path, PathBuf};

use bytes::Bytes;

use crate::error::{FormatError, Place};
use crate::map::{self, Access, Links};

/// Loads the file `name` in `folder`.
///
/// A link is followed only where it stays inside the folder, or where it is the hub cache's own kind of link
/// (below `snapshots/REVISION`, to `blobs/HEX` beside `snapshots`); what it points to is then opened without following further links.
pub(crate) fn load(folder: &Path, name: &str, access: Access) -> Result<Bytes, FormatError> {
    map::load_path(&resolve(folder, name)?, Links::Refuse, access)
}

/// As [`load`], for a file that is not large.
pub(crate) fn load_small(
    folder: &Path,
    name: &str,
    limit: u64,
    access: Access,
) -> Result<Bytes, FormatError> {
    let bytes = load(folder, name, access)?;
    let found = bytes.len() as u64;
    if found > limit {
        let error = FormatError::TooLarge { at: Place::new("file_len", 0), found, limit };
        return Err(error.in_file(Some(&folder.join(name))));
    }
    Ok(bytes)
}

/// Whether the folder has something by this name, even if it turns out to be of no use.
pub(crate) fn exists(folder: &Path, name: &str) -> bool {
    folder.join(name).symlink_metadata().is_ok()
}

/// Whether a name is one plain component: no separator of any system, no drive, no way up, no control character.
pub(crate) fn is_plain(name: &str) -> bool {
    let forbidden = |char: char| char == '/' || char == '\\' || char == ':' || char.is_control();
    let mut components = Path::new(name).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
        && !name.contains(forbidden)
}

fn resolve(folder: &Path, name: &str) -> Result<PathBuf, FormatError> {
    let path = folder.join(name);
    let fail = |source| FormatError::Io { action: "open", path: path.clone(), source };
    // In a folder of the folder, that one may be the link.
    if !path.symlink_metadata().map_err(fail)?.is_symlink() && is_plain(name) {
        return Ok(path);
    }
    let target = path.canonicalize().map_err(fail)?;
    // An empty folder name means the current one.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let home = folder.canonicalize().map_err(fail)?;
    if target.starts_with(&home) || is_hub_blob(&home, &target) {
        return Ok(target);
    }
    let at = Place::named("link", 0, name.as_bytes());
    let found = format!("`{}`", crate::escape::Escaped::path(&target));
    Err(FormatError::invalid(at, found, "a target inside the model's folder").in_file(Some(&path)))
}

fn is_hub_blob(home: &Path, target: &Path) -> bool {
    let snapshots = home.ancestors().skip(1).find(|folder| folder.ends_with("snapshots"));
    let blobs = snapshots.and_then(Path::parent).map(|model| model.join("blobs"));
    let name = target.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    blobs.is_some()
        && target.parent() == blobs.as_deref()
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::is_plain;

    #[test]
    fn only_one_plain_component_is_a_name() {
        for name in ["model.safetensors", "a b", "größe", "..a", "model-00001-of-00002.safetensors"] {
            assert!(is_plain(name), "{name}");
        }
        for name in
            ["", ".", "..", "../x", "/etc/x", "a/b", "a/", "./a", "C:\\x", "C:x", "a\\b", "a\0b", "a\nb"]
        {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
