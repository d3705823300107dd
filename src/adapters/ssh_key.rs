//! Making Ed25519 keys in this process: the private half is in memory only, and is wiped when it is dropped.

use secrecy::{ExposeSecret as _, SecretString};
use ssh_key::rand_core::{OsRng, RngCore as _};
use ssh_key::{Algorithm, LineEnding, PrivateKey};
use zeroize::Zeroizing;

use crate::domain::PublicKey;
use crate::error::{Failure, Result};
use crate::ports::KeyMaker;
use crate::ports::key_maker::KeyPair;

/// Makes keys with the randomness of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SshKeyMaker;

impl KeyMaker for SshKeyMaker {
    fn generate(&self, comment: &str) -> Result<KeyPair> {
        let failed = |error: ssh_key::Error| Failure::bug("no key could be made").because(error);
        let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).map_err(failed)?;
        key.set_comment(comment);
        let private = key.to_openssh(LineEnding::LF).map_err(failed)?;
        let public = key.public_key().to_openssh().map_err(failed)?;
        let public =
            PublicKey::from_openssh(&public).map_err(|error| Failure::bug("a key that was just made is not one").because(error))?;
        Ok(KeyPair { public, private: SecretString::from(private.as_str()) })
    }

    fn passphrase(&self) -> Result<SecretString> {
        let mut bytes = Zeroizing::new([0_u8; 32]);
        OsRng.try_fill_bytes(bytes.as_mut()).map_err(|error| Failure::bug("there is no randomness").because(error))?;
        Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
    }

    fn public_half(&self, private: &SecretString) -> Option<PublicKey> {
        let key = read(private)?;
        PublicKey::from_openssh(&key.public_key().to_openssh().ok()?).ok()
    }
}

/// The columns of base64 that OpenSSH writes, and the only number that the `ssh-key` crate reads.
const COLUMNS: usize = 70;

/// Reads a private key in OpenSSH's format that is not encrypted, however its lines are broken: other programs write 64 columns.
pub(super) fn read(private: &SecretString) -> Option<PrivateKey> {
    let mut lines = private.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty());
    let (first, last) = (lines.next()?, lines.next_back()?);
    let body: Zeroizing<Vec<char>> = Zeroizing::new(lines.flat_map(str::chars).collect());
    // All of it at once, since a text that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(2 * private.expose_secret().len() + COLUMNS));
    text.push_str(first);
    for line in body.chunks(COLUMNS) {
        text.push('\n');
        text.extend(line);
    }
    text.push('\n');
    text.push_str(last);
    text.push('\n');
    PrivateKey::from_openssh(text.as_str()).ok().filter(|key| !key.is_encrypted())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::process::Program;

    #[tokio::test]
    async fn ssh_keygen_reads_the_key_and_agrees_with_us() {
        let made = SshKeyMaker.generate("gitops-bootstrap/staging").unwrap();
        let private = made.private.expose_secret();
        assert!(private.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n") && private.ends_with("-----END OPENSSH PRIVATE KEY-----\n"));

        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        std::fs::write(&file, private).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let ask = async |flag: &str| {
            let output = Program::new("ssh-keygen").args([flag.as_ref(), "-f".as_ref(), file.as_os_str()]).run().await.unwrap();
            assert!(output.is_success(), "{}", output.stderr);
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(ask("-y").await.trim(), format!("{} gitops-bootstrap/staging", made.public));
        let listed = ask("-l").await;
        assert!(listed.starts_with("256 ") && listed.contains(made.public.fingerprint().as_str()), "{listed}");
    }

    #[test]
    fn the_public_half_is_that_of_the_pair_and_no_two_pairs_are_alike() {
        let (one, other) = (SshKeyMaker.generate("one").unwrap(), SshKeyMaker.generate("other").unwrap());
        assert_eq!(SshKeyMaker.public_half(&one.private), Some(one.public.clone()));
        assert_ne!(one.public, other.public);
    }

    #[test]
    fn lines_may_be_broken_where_other_programs_break_them() {
        let made = SshKeyMaker.generate("x").unwrap();
        let lines: Vec<_> = made.private.expose_secret().lines().collect();
        let [first, body @ .., last] = lines.as_slice() else { panic!("no lines") };
        let body: Vec<char> = body.concat().chars().collect();
        let body: Vec<String> = body.chunks(64).map(|line| line.iter().collect()).collect();
        let other = format!("{first}\r\n{}\r\n{last}", body.join("\r\n"));
        assert_eq!(SshKeyMaker.public_half(&SecretString::from(other)), Some(made.public));
    }

    #[test]
    fn what_is_no_private_key_or_is_encrypted_has_no_public_half() {
        let mut key = PrivateKey::random(&mut OsRng, Algorithm::Ed25519).unwrap();
        key = key.encrypt(&mut OsRng, "password").unwrap();
        let encrypted = SecretString::from(key.to_openssh(LineEnding::LF).unwrap().as_str());
        assert_eq!(SshKeyMaker.public_half(&encrypted), None);
        for rubbish in ["", "ssh-ed25519 AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n"] {
            assert_eq!(SshKeyMaker.public_half(&SecretString::from(rubbish)), None, "{rubbish}");
        }
    }

    #[test]
    fn a_pair_cannot_be_printed() {
        let made = SshKeyMaker.generate("x").unwrap();
        assert!(!format!("{made:?}").contains("PRIVATE KEY"));
    }
}
