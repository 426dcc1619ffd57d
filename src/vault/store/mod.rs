//! The secret store: one encrypted file of named secrets, and the key that opens it.
//!
//! Both stand in one folder: `store.age` in the age format (<https://age-encryption.org/v1>), which the `age` program
//! can read with `store.key`. The key is a file and not a passphrase in the environment, since the environment of
//! exeat is handed to every program that it starts, the agent of `exeat exec` and the commands of secrets among them.
//! Encryption keeps the values out of backups, images and accidental copies of the store. For that the key has to be
//! kept apart from it: `store.key` may be a symbolic link to where a machine keeps such things, a tmpfs for example.
//! Whoever is exeat's user on this machine can read both, as it can read exeat's memory.

mod lines;

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::secrecy::ExposeSecret;
use age::x25519::Identity;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::name::SecretName;
use crate::private::{self, PrivateError, Turn};
use crate::secret::Secret;
use crate::vault::store::lines::Entry;

const STORE: &str = "store.age";
const KEY: &str = "store.key";

/// The most bytes of the store: hundreds of the longest secrets. It is read whole.
const LONGEST: usize = 16 * 1024 * 1024;

/// An identity of age is one line of 74 characters; people add comments.
const LONGEST_KEY: usize = 4 * 1024;

/// A store in a folder. Nothing is kept in memory: each question reads the file.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    file: PathBuf,
}

/// What may be told about a stored secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name in the store.
    pub name: SecretName,
    /// When its value was set.
    pub set: OffsetDateTime,
}

/// Why the store cannot be used.
#[derive(Debug)]
pub enum StoreError {
    /// A file can't be used safely, or not at all.
    Private(PrivateError),
    /// There is a store, and its key is gone.
    NoKey(PathBuf),
    /// The key's file holds no key.
    BadKey(PathBuf),
    /// The store was made for another key, or has been damaged.
    Sealed(PathBuf),
    /// It opened, and is not in the form of this release.
    Form(PathBuf),
    /// It would become longer than what is ever read.
    Full,
    /// The cryptography failed.
    Crypto(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private(error) => error.fmt(f),
            Self::NoKey(path) => write!(
                f,
                "the key of the secret store, {}, is missing; bring it back, or remove {STORE} beside it and set the \
                 secrets again",
                path.display()
            ),
            Self::BadKey(path) => write!(
                f,
                "{} does not hold the key of a secret store; bring back the right file",
                path.display()
            ),
            Self::Sealed(path) => write!(
                f,
                "{} cannot be opened with {KEY} beside it; bring back the pair from one backup, or remove both and set \
                 the secrets again",
                path.display()
            ),
            Self::Form(path) => write!(
                f,
                "{} is not in the form that this release reads; was it written by a later one?",
                path.display()
            ),
            Self::Full => f.write_str("the secret store is full; remove secrets that are not used"),
            Self::Crypto(error) => write!(f, "the secret store cannot be written: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<PrivateError> for StoreError {
    fn from(error: PrivateError) -> Self {
        Self::Private(error)
    }
}

impl Store {
    /// The store of a folder, which need not exist yet.
    pub fn at(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            file: folder.join(STORE),
        }
    }

    /// The encrypted file. It is another one after each change.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The value of a secret, if it is there.
    ///
    /// # Errors
    /// The store is there and cannot be read.
    pub fn get(&self, name: &SecretName) -> Result<Option<Secret>, StoreError> {
        let found = self.read()?.into_iter().find(|it| it.name == *name);
        Ok(found.map(|it| it.secret))
    }

    /// What is in it, by name; never the values.
    ///
    /// # Errors
    /// The store is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Stored>, StoreError> {
        let stored = |Entry { name, set, .. }| Stored { name, set };
        Ok(self.read()?.into_iter().map(stored).collect())
    }

    /// Puts a secret in, and says whether it replaced another. The store and its key are made when the first one is.
    ///
    /// # Errors
    /// The store cannot be read or written. It is then as it was.
    pub fn set(
        &self,
        name: &SecretName,
        secret: Secret,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        let turn = Turn::wait(&self.folder)?;
        let mut entries = self.read()?;
        let replaced = take_out(&mut entries, name);
        entries.push(Entry {
            name: name.clone(),
            set: now,
            secret,
        });
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        self.write(&turn, &entries)?;
        Ok(replaced)
    }

    /// Takes a secret out, and says whether it was there.
    ///
    /// # Errors
    /// The store cannot be read or written. It is then as it was.
    pub fn remove(&self, name: &SecretName) -> Result<bool, StoreError> {
        let turn = Turn::wait(&self.folder)?;
        let mut entries = self.read()?;
        let removed = take_out(&mut entries, name);
        if removed {
            self.write(&turn, &entries)?;
        }
        Ok(removed)
    }

    fn read(&self) -> Result<Vec<Entry>, StoreError> {
        let Some(sealed) = private::read(&self.file, LONGEST)? else {
            return Ok(Vec::new());
        };
        let path = self.folder.join(KEY);
        let key = self.key()?.ok_or(StoreError::NoKey(path))?;
        let plain = open(&key, &sealed).ok_or_else(|| StoreError::Sealed(self.file.clone()))?;
        lines::read(&plain).ok_or_else(|| StoreError::Form(self.file.clone()))
    }

    fn write(&self, turn: &Turn, entries: &[Entry]) -> Result<(), StoreError> {
        let key = match self.key()? {
            Some(key) => key,
            None => self.new_key(turn)?,
        };
        let sealed = seal(&key, &lines::write(entries))?;
        if sealed.len() > LONGEST {
            return Err(StoreError::Full);
        }
        Ok(turn.write(STORE, &sealed)?)
    }

    fn key(&self) -> Result<Option<Identity>, StoreError> {
        let path = self.folder.join(KEY);
        let Some(bytes) = private::read(&path, LONGEST_KEY)? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&bytes).ok();
        // As `age-keygen` writes it: comments, and one identity.
        let is_key = |line: &&str| !line.is_empty() && !line.starts_with('#');
        let line = text.and_then(|it| it.lines().map(str::trim).find(is_key));
        let key = line.and_then(|it| Identity::from_str(it).ok());
        key.map(Some).ok_or(StoreError::BadKey(path))
    }

    fn new_key(&self, turn: &Turn) -> Result<Identity, StoreError> {
        let key = Identity::generate();
        let text = key.to_string();
        let line = Zeroizing::new(format!("{}\n", text.expose_secret()));
        turn.write(KEY, line.as_bytes())?;
        Ok(key)
    }
}

fn take_out(entries: &mut Vec<Entry>, name: &SecretName) -> bool {
    let before = entries.len();
    entries.retain(|it| it.name != *name);
    entries.len() < before
}

fn seal(key: &Identity, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let crypto = |error: &dyn fmt::Display| StoreError::Crypto(error.to_string());
    let recipient = key.to_public();
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as _));
    let encryptor = encryptor.map_err(|error| crypto(&error))?;
    let mut sealed = Vec::with_capacity(plain.len() + 1024);
    let written = encryptor.wrap_output(&mut sealed).and_then(|mut writer| {
        writer.write_all(plain)?;
        writer.finish()
    });
    written.map_err(|error| crypto(&error))?;
    Ok(sealed)
}

/// `None` for another key and for bytes that were changed: age does not tell them apart, nor does the remedy.
fn open(key: &Identity, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let decryptor = age::Decryptor::new_buffered(sealed).ok()?;
    let mut reader = decryptor.decrypt(std::iter::once(key as _)).ok()?;
    // What is inside is shorter than what is around it, so this never grows and leaves nothing behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
    reader.read_to_end(&mut plain).ok()?;
    Some(plain)
}

#[cfg(test)]
mod tests;
