//! Keys that are the same in every run.

use std::sync::Arc;

use gitops_bootstrap::domain::PublicKey;
use gitops_bootstrap::error::{Failure, Result};
use gitops_bootstrap::ports::KeyMaker;
use gitops_bootstrap::ports::key_maker::KeyPair;
use secrecy::{ExposeSecret as _, SecretString};

use super::Outside;

/// Keys from a counter: each run of a test makes the same ones.
pub(crate) struct CountedKeys(pub(crate) Arc<Outside>);

impl KeyMaker for CountedKeys {
    fn generate(&self, _comment: &str) -> Result<KeyPair> {
        let seed = self.0.with(|state| {
            state.next_key += 1;
            state.next_key
        });
        Ok(pair(seed))
    }

    fn passphrase(&self) -> Result<SecretString> {
        let number = self.0.with(|state| {
            state.next_key += 1;
            state.next_key
        });
        Ok(format!("secret {number}").into())
    }

    fn public_half(&self, private: &SecretString) -> Option<PublicKey> {
        public_half(private.expose_secret())
    }
}

pub(super) fn pair(seed: u8) -> KeyPair {
    let pair = ssh_key::private::Ed25519Keypair::from_seed(&[seed; 32]);
    let key = ssh_key::PrivateKey::from(pair);
    let private = key.to_openssh(ssh_key::LineEnding::LF).map_err(|error| Failure::bug(error.to_string())).unwrap();
    KeyPair {
        public: PublicKey::from_openssh(&key.public_key().to_openssh().unwrap()).unwrap(),
        private: SecretString::from(private.to_string()),
    }
}

/// A private key that is the same in every run.
pub(crate) fn private_key(seed: u8) -> String {
    pair(seed).private.expose_secret().to_owned()
}

pub(super) fn public_half(private: &str) -> Option<PublicKey> {
    let key = ssh_key::PrivateKey::from_openssh(private).ok()?;
    PublicKey::from_openssh(&key.public_key().to_openssh().ok()?).ok()
}
