//! Bundles against the stock program `age`: each reads what the other wrote.
//!
//! Skipped, with a word on standard error, where `age` is not installed (Debian: `apt install age`).

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use gitops_bootstrap::adapters::age::{Identity, Lock, decrypt, encrypt, is_for_passphrase};

const PLAIN: &[u8] = b"{\"kind\": \"List\"}\n";

/// Runs a program in `folder`; none if it is not installed.
#[expect(clippy::disallowed_methods, reason = "programs are found by the PATH, and nothing else of the environment counts")]
fn run(folder: &Path, program: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let output = match Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        output => output.unwrap(),
    };
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Some(output.stdout)
}

/// Whether `age` is there.
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
fn is_installed() -> bool {
    let found = run(Path::new("/"), "age", &["--version"]).is_some();
    if !found {
        eprintln!("skipped: the program `age` is not installed");
    }
    found
}

/// Makes a key of each kind: the files with the private halves, and the public halves.
fn keys(folder: &Path) -> [(String, String); 2] {
    run(folder, "age-keygen", &["-o", "x25519.txt"]).unwrap();
    let public = String::from_utf8(run(folder, "age-keygen", &["-y", "x25519.txt"]).unwrap()).unwrap();
    run(folder, "ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "ssh"]).unwrap();
    let ssh = fs::read_to_string(folder.join("ssh.pub")).unwrap();
    [("x25519.txt".to_owned(), public.trim().to_owned()), ("ssh".to_owned(), ssh.trim().to_owned())]
}

fn identity(folder: &Path, file: &str) -> Identity {
    let text = fs::read_to_string(folder.join(file)).unwrap();
    text.lines().find_map(Identity::from_age).or_else(|| Identity::from_openssh(&text)).unwrap()
}

#[test]
fn age_opens_what_we_encrypt_for_several_recipients_with_the_key_of_each() {
    if !is_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let keys = keys(folder.path());
    let recipients = keys.clone().map(|(_, public)| public);
    fs::write(folder.path().join("bundle.age"), encrypt(PLAIN, Lock::Recipients(&recipients)).unwrap()).unwrap();
    for (file, _) in keys {
        assert_eq!(run(folder.path(), "age", &["--decrypt", "--identity", &file, "bundle.age"]).unwrap(), PLAIN, "{file}");
    }
}

#[test]
fn we_open_what_age_encrypts_armoured_or_not() {
    if !is_installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("plain"), PLAIN).unwrap();
    for (file, public) in keys(folder.path()) {
        for armour in [&[][..], &["--armor"]] {
            let encrypted = run(folder.path(), "age", &[&["--recipient", &public], armour, &["plain"]].concat()).unwrap();
            assert!(!is_for_passphrase(&encrypted).unwrap());
            assert_eq!(&**decrypt(&encrypted, &[identity(folder.path(), &file)]).unwrap(), PLAIN, "{file} {armour:?}");
        }
    }
}
