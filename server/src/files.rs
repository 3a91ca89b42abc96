//! Small files in the data folder: made on first start, readable by their owner only.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use uuid::Uuid;

/// The administrator's token, made on first start.
pub fn administrator_token(path: &Path) -> anyhow::Result<String> {
    if !path.exists() {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        write_private(path, &format!("rla_{hex}\n"))?;
    }
    read_administrator_token(path)
}

pub fn read_administrator_token(path: &Path) -> anyhow::Result<String> {
    let token = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let token = token.trim().to_owned();
    if token.len() < 32 {
        bail!("{} does not hold a token of at least 32 characters", path.display());
    }
    Ok(token)
}

/// A data folder belongs to one log: what it stores means nothing to another.
pub fn bind_to_log(data: &Path, log_id: Uuid) -> anyhow::Result<()> {
    let path = data.join("log_id");
    match std::fs::read_to_string(&path) {
        Ok(text) if text.trim() == log_id.to_string() => Ok(()),
        Ok(text) => bail!(
            "the data folder {} belongs to the log {}, this is the log {log_id}: name another folder with ROOMLOG_DATA",
            data.display(),
            text.trim()
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            write_private(&path, &format!("{log_id}\n"))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Whole or not at all, even if the machine stops here.
fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let context = || format!("cannot write {}", path.display());
    let new = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new).with_context(context)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(context)?;
    std::fs::rename(&new, path).with_context(context)?;
    if let Some(folder) = path.parent() {
        std::fs::File::open(folder).and_then(|folder| folder.sync_all()).with_context(context)?;
    }
    Ok(())
}
