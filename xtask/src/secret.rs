//! Files that are nobody else's business.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use uuid::Uuid;

/// Whole or not at all, and readable by its owner alone.
pub fn write(path: &Path, contents: &str) -> Result<()> {
    let context = || format!("cannot write {}", path.display());
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".partial");
    let mut file = std::fs::OpenOptions::new();
    let file = file.write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
    let mut file = file.with_context(context)?;
    file.write_all(contents.as_bytes()).with_context(context)?;
    file.sync_all().and_then(|()| std::fs::rename(&unfinished, path)).with_context(context)
}

/// Without the end of its line.
pub fn read(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim().to_owned())
}

/// For a server of development: 122 random bits.
pub fn password() -> String {
    Uuid::new_v4().simple().to_string()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_secret_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for secret in ["first", "second"] {
            write(&path, &format!("{secret}\n")).unwrap();
            assert_eq!(read(&path).unwrap(), secret);
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished is left");
        assert_ne!(password(), password());
    }
}
