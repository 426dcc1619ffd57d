//! Why there is no CA to work with, and what the operator does about it.

use std::fmt;
use std::path::PathBuf;

use crate::private::PrivateError;

/// Why exeat does not start: its CA can't be read or made, or is not safe.
#[derive(Debug)]
pub enum AuthorityError {
    /// A file or folder can't be used safely, or not at all.
    Private(PrivateError),
    /// The folder has a CA already.
    Exists(PathBuf),
    /// The file does not hold what its name says.
    Unusable {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
    },
    /// The certificate in the folder was made for another key.
    Mismatch(PathBuf),
    /// The certificate has ended, or has not begun.
    Outdated(PathBuf),
    /// The cryptography failed.
    Crypto(String),
}

impl From<PrivateError> for AuthorityError {
    fn from(error: PrivateError) -> Self {
        Self::Private(error)
    }
}

impl fmt::Display for AuthorityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private(error @ PrivateError::Open { .. }) => write!(
                f,
                "who has the CA's key can pose as any server to your agents, and {error}"
            ),
            Self::Private(error) => error.fmt(f),
            Self::Exists(path) => write!(
                f,
                "{path} is there already, and your agents trust its CA; to make another, remove {path} first and let \
                 the agents trust the new one",
                path = path.display()
            ),
            Self::Unusable { path, wanted } => write!(
                f,
                "{} holds no {wanted}; bring back the file, or remove ca.pem and ca.key, start again, and let the \
                 agents trust the new CA",
                path.display()
            ),
            Self::Mismatch(folder) => write!(
                f,
                "ca.pem and ca.key in {} do not belong together; bring back the right pair, or remove both, start \
                 again, and let the agents trust the new CA",
                folder.display()
            ),
            Self::Outdated(path) => write!(
                f,
                "the CA in {} has expired or is not valid yet; check the clock, or remove ca.pem and ca.key, start \
                 again, and let the agents trust the new CA",
                path.display()
            ),
            Self::Crypto(error) => write!(f, "the CA cannot be used or made: {error}"),
        }
    }
}

impl std::error::Error for AuthorityError {}
