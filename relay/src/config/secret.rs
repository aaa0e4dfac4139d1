//! Secrets: read when they are needed, so that a rotated file is picked up.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::libpq;
use super::settings::Secret;

/// Larger than any password or private key; a file beyond it was named by mistake.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Why a secret could not be read from its file.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be read.
    #[error("cannot read the secret file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system or the decoding said.
        source: io::Error,
    },
    /// The file has no content.
    #[error("the secret file {path} is empty")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no connection string with a password.
    #[error("the connection string in {path} {why}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, without a word of it.
        why: String,
    },
    /// The file is too large to be a secret.
    #[error("the secret file {path} is larger than {FILE_BYTES_MAX} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
}

impl Secret {
    /// The secret itself, read from its file now if it is in one.
    pub fn reveal(&self) -> Result<SecretString, SecretError> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::File(path) => read(path),
            Self::InUrl(path) => password(path),
        }
    }
}

fn password(path: &Path) -> Result<SecretString, SecretError> {
    let unusable = |why: String| SecretError::Unusable {
        path: path.to_owned(),
        why,
    };
    match libpq::password(read(path)?.expose_secret()) {
        Ok(Some(password)) => Ok(SecretString::from(password)),
        Ok(None) => Err(unusable("names no password any more".to_owned())),
        Err(why) => Err(unusable(why)),
    }
}

fn read(path: &Path) -> Result<SecretString, SecretError> {
    let failed = |source| SecretError::Read {
        path: path.to_owned(),
        source,
    };
    let mut content = String::new();
    let file = File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut content)
        .map_err(failed)?;
    if content.len() as u64 > FILE_BYTES_MAX {
        return Err(SecretError::TooLarge { path: path.to_owned() });
    }
    let line = content
        .strip_suffix('\n')
        .map_or(content.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if line.is_empty() {
        return Err(SecretError::Empty { path: path.to_owned() });
    }
    content.truncate(line.len());
    Ok(SecretString::from(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revealed(content: &[u8]) -> Result<String, SecretError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, content).expect("written");
        Ok(Secret::File(path).reveal()?.expose_secret().to_owned())
    }

    #[test]
    fn one_trailing_line_break_is_dropped_and_nothing_else() {
        assert_eq!(revealed(b"hunter2\n").expect("read"), "hunter2");
        assert_eq!(revealed(b"hunter2\r\n").expect("read"), "hunter2");
        assert_eq!(revealed(b" a b \n\n").expect("read"), " a b \n");
    }

    #[test]
    fn a_rotated_file_is_picked_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        let secret = Secret::File(path.clone());
        for value in ["old", "new"] {
            std::fs::write(&path, value).expect("written");
            assert_eq!(secret.reveal().expect("read").expose_secret(), value);
        }
    }

    #[test]
    fn a_file_that_cannot_be_a_secret_is_an_error_that_names_it() {
        assert!(matches!(revealed(b""), Err(SecretError::Empty { .. })));
        assert!(matches!(revealed(b"\n"), Err(SecretError::Empty { .. })));
        assert!(matches!(
            revealed("x".repeat(65_537).as_bytes()),
            Err(SecretError::TooLarge { .. })
        ));
        assert!(matches!(revealed(&[0xff, 0xfe]), Err(SecretError::Read { .. })));
        let missing = Secret::File("/no/such/file".into())
            .reveal()
            .expect_err("missing")
            .to_string();
        assert!(missing.contains("/no/such/file"), "{missing}");
    }

    #[test]
    fn no_debug_output_holds_the_secret() {
        let shown = format!("{:?}", Secret::Value("hunter2".into()));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
