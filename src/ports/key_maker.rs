//! Making deploy keys and secrets, the only things here that need randomness.

use secrecy::SecretString;

use crate::domain::PublicKey;

/// A new key pair. The private half is in OpenSSH's format, unencrypted, with a final newline, and cannot be printed.
#[derive(Clone, Debug)]
pub struct KeyPair {
    /// The public half.
    pub public: PublicKey,
    /// The private half.
    pub private: SecretString,
}

/// Makes key pairs, and tells the public half of a private one.
pub trait KeyMaker: Send + Sync {
    /// Makes a new Ed25519 key pair with `comment`.
    fn generate(&self, comment: &str) -> crate::error::Result<KeyPair>;

    /// Makes a text that nobody can guess: 256 bits of randomness, in letters and digits.
    fn passphrase(&self) -> crate::error::Result<SecretString>;

    /// The public half of a private key in OpenSSH's format; none if it is not one, or is encrypted.
    fn public_half(&self, private: &SecretString) -> Option<PublicKey>;
}
