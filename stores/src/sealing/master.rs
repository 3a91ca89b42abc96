//! The master key: wraps every other key. Whoever has it and the secrets store reads everything,
//! so it lies apart from the store, in a file of its own.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::content::{ContentKey, derive};
use super::random;

/// Only the file's owner may read or write it.
const FILE_MODE: u32 = 0o600;
/// Bits that let the group or others at the file.
const TOO_OPEN: u32 = 0o077;

#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    #[error("the master key file {} can't be used", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "the master key file {} has permissions {mode:03o}: others than its owner may use it; \
         set them to 600 and consider the key known",
        path.display()
    )]
    TooOpen { path: PathBuf, mode: u32 },
    #[error("a master key is 64 hexadecimal digits")]
    Malformed,
}

/// 32 secret bytes. Never used itself, only keys derived from it.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// The key in the file; makes key and file (and its folder) if there is none. Of several
    /// processes that start at once, one makes it and the others read it. Fails if anyone but the
    /// file's owner may read or write it.
    pub fn load_or_create(path: &Path) -> Result<Self, MasterKeyError> {
        match Self::load(path) {
            Err(MasterKeyError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                create(path).map_err(|source| MasterKeyError::File { path: path.into(), source })?;
                Self::load(path)
            }
            loaded => loaded,
        }
    }

    /// From 64 hexadecimal digits; white space around them does not count.
    pub fn from_hex(text: &str) -> Result<Self, MasterKeyError> {
        let digits = text.trim().as_bytes();
        if digits.len() != 64 {
            return Err(MasterKeyError::Malformed);
        }
        let mut key = Zeroizing::new([0; 32]);
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let nibble = |digit: u8| char::from(digit).to_digit(16).ok_or(MasterKeyError::Malformed);
            *byte = (nibble(pair[0])? << 4 | nibble(pair[1])?) as u8;
        }
        Ok(Self(key))
    }

    /// Wraps the other keys.
    pub(super) fn wrap_key(&self) -> ContentKey {
        ContentKey::new(&derive("roomlog 2026 key wrap", &[&self.0]))
    }

    fn load(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = |source| MasterKeyError::File { path: path.into(), source };
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
        if mode & TOO_OPEN != 0 {
            return Err(MasterKeyError::TooOpen { path: path.into(), mode });
        }
        Self::from_hex(&Zeroizing::new(fs::read_to_string(path).map_err(failed)?))
    }
}

/// Writes a file beside, then links it to its name, which fails if the name exists: at no moment is
/// there half a key, and the first one stays.
fn create(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let unfinished = folder.join(format!(".master-key-{:016x}", u64::from_ne_bytes(random())));
    let created = write(&unfinished).and_then(|()| match fs::hard_link(&unfinished, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = fs::remove_file(&unfinished);
    // First: where nothing was written, there is nothing to remove either.
    created?;
    removed?;
    File::open(folder)?.sync_all()
}

fn write(path: &Path) -> io::Result<()> {
    let key = Zeroizing::new(random::<32>());
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    let mut digits = Zeroizing::new(String::with_capacity(65));
    for byte in key.iter() {
        for nibble in [byte >> 4, byte & 15] {
            digits.push(char::from(b"0123456789abcdef"[usize::from(nibble)]));
        }
    }
    digits.push('\n');
    file.write_all(digits.as_bytes())?;
    file.sync_all()
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(secret)")
    }
}
