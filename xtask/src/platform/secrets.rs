//! What all processes of a platform must share: master key and administrator's token, made once.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::secret;

pub struct Secrets {
    /// 64 hexadecimal digits.
    pub master_key: PathBuf,
    pub administrator_token: PathBuf,
}

impl Secrets {
    /// Keeps those that are there: what is stored is sealed with the key.
    pub fn ensure(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let secrets = Self {
            master_key: folder.join("master.key"),
            administrator_token: folder.join("administrator.token"),
        };
        ensure(&secrets.master_key, "")?;
        ensure(&secrets.administrator_token, "rla_")?;
        Ok(secrets)
    }

    /// For calls that need an administrator.
    pub fn administrator_token(&self) -> Result<String> {
        secret::read(&self.administrator_token)
    }
}

/// For development: 244 of the 256 bits are random.
fn ensure(path: &Path, prefix: &str) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    secret::write(path, &format!("{prefix}{}{}\n", secret::password(), secret::password()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn secrets_are_made_once_and_for_their_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let first = Secrets::ensure(folder.path()).unwrap();
        let key = std::fs::read_to_string(&first.master_key).unwrap();
        assert!(key.trim().len() == 64 && key.trim().chars().all(|digit| digit.is_ascii_hexdigit()), "{key}");
        assert_eq!(std::fs::metadata(&first.master_key).unwrap().mode() & 0o777, 0o600);
        let token = first.administrator_token().unwrap();
        assert!(token.starts_with("rla_") && token.len() == 68, "{token}");

        let second = Secrets::ensure(folder.path()).unwrap();
        assert_eq!(std::fs::read_to_string(second.master_key).unwrap(), key);
    }
}
