//! An ssh-agent for one key and one connection, in this process, so that the private key never touches the disk.
//!
//! Of the protocol (draft-ietf-sshm-ssh-agent) it speaks two requests: list the keys, and sign. There is a crate for it, `ssh-agent-lib`,
//! which brings RSA and three more curves with it for a hundred lines' work.

use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;
use signature::Signer as _;
use ssh_key::{PrivateKey, Signature};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::adapters::ssh_key::read as read_private_key;
use crate::ports::git::GitError;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;

/// The longest message that is taken (OpenSSH's own limit).
const LONGEST: u32 = 256 * 1024;

/// The name of the socket in the agent's folder.
pub(super) const SOCKET: &str = "agent";

/// An agent that listens until it is dropped.
pub(super) struct Agent {
    listening: JoinHandle<()>,
}

impl Agent {
    /// Listens in `folder`, which nobody else may enter.
    pub(super) fn start(folder: &Path, key: &SecretString) -> Result<Self, GitError> {
        let key = read_private_key(key)
            .filter(|key| key.algorithm() == ssh_key::Algorithm::Ed25519)
            .ok_or_else(|| GitError::Other("the deploy key is not an Ed25519 key in OpenSSH's format".to_owned()))?;
        let listener = UnixListener::bind(folder.join(SOCKET))
            .map_err(|error| GitError::Other(format!("no socket for the deploy key in {}: {error}", folder.display())))?;
        Ok(Self { listening: tokio::spawn(listen(listener, Arc::new(key))) })
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn listen(listener: UnixListener, key: Arc<PrivateKey>) {
    // Dropped with this task, which ends the connections and wipes the key.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let key = key.clone();
        connections.spawn(async move { serve(stream, &key).await });
    }
}

/// Answers until the other side has no more to ask, or says what cannot be understood.
async fn serve(mut stream: UnixStream, key: &PrivateKey) -> std::io::Result<()> {
    loop {
        let length = stream.read_u32().await?;
        if length == 0 || length > LONGEST {
            return Ok(());
        }
        let mut message = vec![0; length as usize];
        stream.read_exact(&mut message).await?;
        let answer = answer(&message, key).unwrap_or_else(|| vec![FAILURE]);
        stream.write_u32(answer.len() as u32).await?;
        stream.write_all(&answer).await?;
    }
}

/// The answer to a message; none if it is not understood, or about another key.
fn answer(message: &[u8], key: &PrivateKey) -> Option<Vec<u8>> {
    let (kind, rest) = message.split_first()?;
    let blob = key.public_key().to_bytes().ok()?;
    match *kind {
        REQUEST_IDENTITIES => {
            let mut answer = vec![IDENTITIES_ANSWER];
            answer.extend(1_u32.to_be_bytes());
            put(&mut answer, &blob)?;
            put(&mut answer, b"deploy key")?;
            Some(answer)
        }
        SIGN_REQUEST => {
            let (wanted, rest) = take(rest)?;
            let (data, _flags) = take(rest)?;
            if wanted != blob {
                return None;
            }
            let signature: Signature = key.try_sign(data).ok()?;
            let mut body = Vec::new();
            put(&mut body, signature.algorithm().as_str().as_bytes())?;
            put(&mut body, signature.as_bytes())?;
            let mut answer = vec![SIGN_RESPONSE];
            put(&mut answer, &body)?;
            Some(answer)
        }
        _ => None,
    }
}

/// Appends a `string` (RFC 4251, section 5): its length and its bytes.
fn put(message: &mut Vec<u8>, bytes: &[u8]) -> Option<()> {
    message.extend(u32::try_from(bytes.len()).ok()?.to_be_bytes());
    message.extend(bytes);
    Some(())
}

/// Takes a `string` off the front.
fn take(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = message.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::process::Program;
    use crate::adapters::ssh_key::SshKeyMaker;
    use crate::ports::KeyMaker as _;

    #[tokio::test]
    async fn openssh_lists_the_one_key_signs_with_it_and_verifies_the_signature() {
        let folder = tempfile::tempdir().unwrap();
        let pair = SshKeyMaker.generate("deploy").unwrap();
        let _agent = Agent::start(folder.path(), &pair.private).unwrap();
        let program = |name: &str| Program::new(name).in_folder(folder.path()).env("SSH_AUTH_SOCK", SOCKET);
        let listed = program("ssh-add").args(["-L"]).run().await.unwrap();
        assert_eq!(String::from_utf8(listed.stdout).unwrap(), format!("{} deploy key\n", pair.public));

        std::fs::write(folder.path().join("key.pub"), pair.public.to_openssh()).unwrap();
        std::fs::write(folder.path().join("text"), "what is signed").unwrap();
        let signed = program("ssh-keygen").args(["-Y", "sign", "-f", "key.pub", "-n", "test", "text"]).run().await.unwrap();
        assert!(signed.is_success(), "{}", signed.stderr);
        let verify = program("ssh-keygen").args(["-Y", "check-novalidate", "-n", "test", "-s", "text.sig"]);
        let verified = verify.input(b"what is signed".to_vec()).run().await.unwrap();
        assert!(verified.is_success(), "{}", verified.stderr);
        assert!(String::from_utf8_lossy(&verified.stdout).contains(pair.public.fingerprint().as_str()));
    }

    #[test]
    fn nothing_is_signed_for_another_key_and_rubbish_is_refused() {
        let pair = SshKeyMaker.generate("deploy").unwrap();
        let key = read_private_key(&pair.private).unwrap();
        let mut other = vec![SIGN_REQUEST];
        put(&mut other, b"another key").unwrap();
        put(&mut other, b"data").unwrap();
        for message in [other.as_slice(), &[], &[SIGN_REQUEST], &[SIGN_REQUEST, 255, 255, 255, 255, 0], &[27, 0], &[17]] {
            assert_eq!(answer(message, &key), None, "{message:?}");
        }
    }
}
