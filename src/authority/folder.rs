//! The CA's two files in their folder: the key for exeat's user alone, the certificate for everybody.

use std::path::Path;

use zeroize::Zeroizing;

use crate::authority::error::AuthorityError;
use crate::private::{self, Turn};

/// The file with the certificate, in the folder of a CA.
pub const CERTIFICATE: &str = "ca.pem";
pub(super) const KEY: &str = "ca.key";

/// Each is one PEM block of less than a kilobyte; an RSA chain that somebody brings along has a few.
const LONGEST: usize = 64 * 1024;

/// The content of both files.
pub(super) struct Files {
    pub(super) certificate: String,
    pub(super) key: Zeroizing<String>,
}

/// Reads the CA, if the folder has a key.
///
/// The key decides: a folder with a certificate alone is one where making the CA was cut short.
pub(super) fn read(folder: &Path) -> Result<Option<Files>, AuthorityError> {
    let path = folder.join(KEY);
    let Some(key) = private::read(&path, LONGEST)? else {
        return Ok(None);
    };
    let unusable = |name, wanted| AuthorityError::Unusable {
        path: folder.join(name),
        wanted,
    };
    let key = str::from_utf8(&key).map_err(|_| unusable(KEY, "private key of a CA in PEM"))?;
    let certificate = private::read_public(&folder.join(CERTIFICATE), LONGEST)?;
    let certificate = String::from_utf8(certificate);
    Ok(Some(Files {
        certificate: certificate.map_err(|_| unusable(CERTIFICATE, "certificate in PEM"))?,
        key: Zeroizing::new(key.to_owned()),
    }))
}

/// Writes a new CA where there is none. The key comes last, since it is what makes a CA. Of several processes that
/// start at once, one writes and the others find that it has.
pub(super) fn write_new(
    folder: &Path,
    make: impl FnOnce() -> Result<Files, AuthorityError>,
) -> Result<(), AuthorityError> {
    let turn = Turn::wait(folder)?;
    let key = folder.join(KEY);
    if key.symlink_metadata().is_ok() {
        return Err(AuthorityError::Exists(key));
    }
    let files = make()?;
    turn.write_public(CERTIFICATE, files.certificate.as_bytes())?;
    turn.write(KEY, files.key.as_bytes())?;
    Ok(())
}
