//! age (<https://age-encryption.org/v1>): files that the program `age` reads and writes too.

use std::io::{self, Read as _, Write as _};

use age::armor::ArmoredReader;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::error::{Failure, Result};

/// The largest plain text that is read from a file: a bundle has some kilobytes.
const LARGEST: u64 = 64 * 1024 * 1024;

/// The most work that a passphrase may ask for, as a power of two (c2sp.org/age: `scrypt` stanza). It is what `age` itself accepts.
const MOST_WORK: u8 = 22;

/// For whom a file is encrypted.
pub enum Lock<'a> {
    /// For the holders of these keys' private halves: `age1...` or `ssh-ed25519 ...`.
    Recipients(&'a [String]),
    /// For whoever knows a passphrase.
    Passphrase(SecretString),
}

/// What opens a file. It cannot be printed.
pub struct Identity(Box<dyn age::Identity + Send + Sync>);

/// Why a file was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The file is whole as far as can be seen, and none of the keys is for it.
    #[error("it is not encrypted for any of the keys at hand")]
    WrongKey,
    /// The file is cut short or was altered.
    #[error("it is cut short or was altered: {0}")]
    Damaged(&'static str),
    /// A passphrase that asks for more work than is sensible.
    #[error("its passphrase asks for more work than is done")]
    TooMuchWork,
}

impl Identity {
    /// Takes `AGE-SECRET-KEY-1...`; none if it is something else.
    pub fn from_age(text: &str) -> Option<Self> {
        let identity: age::x25519::Identity = text.parse().ok()?;
        Some(Self(Box::new(identity)))
    }

    /// Takes an unencrypted private key in OpenSSH's format; none if it is something else, or of a type that age has no use for.
    pub fn from_openssh(text: &str) -> Option<Self> {
        match age::ssh::Identity::from_buffer(text.as_bytes(), None).ok()? {
            identity @ age::ssh::Identity::Unencrypted(_) => Some(Self(Box::new(identity))),
            age::ssh::Identity::Encrypted(_) | age::ssh::Identity::Unsupported(_) => None,
        }
    }

    /// Takes a passphrase.
    pub fn from_passphrase(passphrase: SecretString) -> Self {
        let mut identity = age::scrypt::Identity::new(passphrase);
        identity.set_max_work_factor(MOST_WORK);
        Self(Box::new(identity))
    }
}

/// Encrypts `plain`. Twice the same gives two different files.
///
/// # Errors
/// A recipient that is not one, naming it.
pub fn encrypt(plain: &[u8], lock: Lock<'_>) -> Result<Vec<u8>> {
    let cannot = |error: io::Error| Failure::bug("the bundle cannot be encrypted").because(error);
    let encryptor = match lock {
        Lock::Passphrase(passphrase) => age::Encryptor::with_user_passphrase(passphrase),
        Lock::Recipients(recipients) => {
            let recipients: Vec<Box<dyn age::Recipient>> = recipients.iter().map(|text| recipient(text)).collect::<Result<_>>()?;
            age::Encryptor::with_recipients(recipients.iter().map(AsRef::as_ref))
                .map_err(|error| Failure::bug("the bundle cannot be encrypted for these recipients").because(error))?
        }
    };
    let mut file = Vec::new();
    let mut writer = encryptor.wrap_output(&mut file).map_err(cannot)?;
    writer.write_all(plain).and_then(|()| writer.finish().map(drop)).map_err(cannot)?;
    Ok(file)
}

fn recipient(text: &str) -> Result<Box<dyn age::Recipient>> {
    if let Ok(recipient) = text.parse::<age::x25519::Recipient>() {
        return Ok(Box::new(recipient));
    }
    if let Ok(recipient) = text.parse::<age::ssh::Recipient>() {
        return Ok(Box::new(recipient));
    }
    Err(Failure::repository(format!("`{text}` is not a recipient: its checksum is wrong, or it was cut short"))
        .hint("see the public key with `age-keygen -y FILE`, and correct `recipients` in gitops.yaml"))
}

/// Whether a file is locked by a passphrase rather than for keys.
///
/// # Errors
/// [`OpenError::Damaged`] if it is no age file.
pub fn is_for_passphrase(file: &[u8]) -> Result<bool, OpenError> {
    Ok(decryptor(file)?.is_scrypt())
}

/// Decrypts a file, armoured or not, into memory that is wiped. Tries each identity in turn.
///
/// # Errors
/// [`OpenError`]; nothing of the content is given out unless all of it is authentic.
pub fn decrypt(file: &[u8], identities: &[Identity]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let mut reader = decryptor(file)?.decrypt(identities.iter().map(|identity| identity.0.as_ref() as &dyn age::Identity)).map_err(
        |error| match error {
            age::DecryptError::NoMatchingKeys | age::DecryptError::DecryptionFailed | age::DecryptError::KeyDecryptionFailed => {
                OpenError::WrongKey
            }
            age::DecryptError::ExcessiveWork { .. } => OpenError::TooMuchWork,
            age::DecryptError::InvalidMac => OpenError::Damaged("its header does not verify"),
            _ => OpenError::Damaged("its header cannot be read"),
        },
    )?;
    // The plain text is shorter than the file, so that the memory is never moved and nothing stays behind.
    let mut plain = Zeroizing::new(Vec::with_capacity(file.len()));
    reader.by_ref().take(LARGEST + 1).read_to_end(&mut plain).map_err(|_| OpenError::Damaged("its content does not verify"))?;
    if plain.len() as u64 > LARGEST {
        return Err(OpenError::Damaged("it is larger than a bundle can be"));
    }
    Ok(plain)
}

fn decryptor(file: &[u8]) -> Result<age::Decryptor<ArmoredReader<io::BufReader<&[u8]>>>, OpenError> {
    age::Decryptor::new_buffered(ArmoredReader::new(file)).map_err(|_| OpenError::Damaged("it does not begin as an age file does"))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn pair() -> (Identity, String) {
        let identity = age::x25519::Identity::generate();
        (Identity::from_age(identity.to_string().expose_secret()).unwrap(), identity.to_public().to_string())
    }

    #[test]
    fn each_of_several_recipients_opens_the_file_and_nobody_else_does() {
        let (one, two, other) = (pair(), pair(), pair());
        let file = encrypt(b"plain", Lock::Recipients(&[one.1, two.1])).unwrap();
        for identity in [one.0, two.0] {
            assert_eq!(&**decrypt(&file, &[identity]).unwrap(), b"plain");
        }
        assert_eq!(decrypt(&file, &[other.0]).unwrap_err(), OpenError::WrongKey);
        assert_eq!(decrypt(&file, &[]).unwrap_err(), OpenError::WrongKey);
    }

    #[test]
    fn a_file_cut_short_anywhere_or_with_any_byte_altered_is_not_opened() {
        let (identity, recipient) = pair();
        let file = encrypt(&[7; 100], Lock::Recipients(&[recipient])).unwrap();
        let identities = [identity];
        for length in 0..file.len() {
            assert!(decrypt(&file[..length], &identities).is_err(), "cut at {length}");
        }
        for place in 0..file.len() {
            let mut altered = file.clone();
            altered[place] ^= 1;
            assert!(decrypt(&altered, &identities).is_err(), "altered at {place}");
        }
        // Behind the header the key is right, and the damage is told from a wrong key.
        let mut altered = file;
        *altered.last_mut().unwrap() ^= 1;
        assert_eq!(decrypt(&altered, &identities).unwrap_err(), OpenError::Damaged("its content does not verify"));
    }

    #[test]
    fn a_passphrase_opens_its_file_and_another_one_does_not() {
        let file = encrypt(b"plain", Lock::Passphrase("correct horse".into())).unwrap();
        assert!(is_for_passphrase(&file).unwrap());
        assert_eq!(&**decrypt(&file, &[Identity::from_passphrase("correct horse".into())]).unwrap(), b"plain");
        assert_eq!(decrypt(&file, &[Identity::from_passphrase("battery staple".into())]).unwrap_err(), OpenError::WrongKey);
    }

    #[test]
    fn a_recipient_with_a_mistyped_letter_is_named() {
        let (_, recipient) = pair();
        let last = if recipient.ends_with('q') { 'p' } else { 'q' };
        let mistyped = format!("{}{last}", &recipient[..recipient.len() - 1]);
        let failure = encrypt(b"", Lock::Recipients(std::slice::from_ref(&mistyped))).unwrap_err();
        assert!(failure.message.contains(&mistyped), "{failure}");
    }
}
