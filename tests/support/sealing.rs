//! Sealed Secrets in a fleet, and keys that open bundles, made past the program that is tested.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use serde_json::json;

use super::{Fleet, TestSandbox, engine, eventually};

/// How long the controller may take to start and to decrypt.
const SOON: Duration = Duration::from_secs(120);

const KEYS: [&str; 5] = ["secrets", "--namespace", "kube-system", "--selector", "sealedsecrets.bitnami.com/sealed-secrets-key"];

/// What a command of the engine prints for `arguments` and `input`.
#[expect(clippy::disallowed_methods, reason = "the environment is closed here")]
pub(crate) fn engine_prints(arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(engine());
    let mut child = command.args(arguments).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

impl Fleet {
    /// Adds an app with one file to a tier, renders and commits.
    #[track_caller]
    pub(crate) fn add_app(&self, sandbox: &TestSandbox, tier: &str, name: &str, settings: &str, manifest: &str) {
        self.write(&format!("src/{tier}/{name}/manifest.yaml"), manifest);
        let values = format!("src/argocd/{tier}/values.yaml");
        self.replace(&values, "applications:\n", &format!("applications:\n  {name}: {settings}\n"));
        sandbox.cli(&["render"]).in_folder(self.folder()).run().exits(0);
        self.commit(name);
    }
}

impl TestSandbox {
    /// Adds the real controller of Sealed Secrets to the infrastructure.
    #[track_caller]
    pub(crate) fn add_sealed_secrets(&self, fleet: &Fleet) {
        let manifest = engine_prints(&["manifest", "sealed-secrets"], "");
        fleet.add_app(self, "infrastructure", "sealed-secrets", "{enabled: true, wave: -5, namespace: kube-system}", &manifest);
    }

    /// Seals `text` for the Secret `vault/password` with the key of the controller that runs, and adds it to the services.
    #[track_caller]
    pub(crate) fn add_sealed(&self, fleet: &Fleet, text: &str) {
        let key = eventually("a key of the controller", SOON, || self.list(&KEYS).pop());
        let certificate = base64::engine::general_purpose::STANDARD.decode(key["data"]["tls.crt"].as_str().unwrap()).unwrap();
        let file = self.home().path().join("tls.crt");
        std::fs::write(&file, certificate).unwrap();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "vault", "name": "password"}, "stringData": {"text": text}});
        let sealed = engine_prints(&["kubeseal", "--cert", file.to_str().unwrap()], &secret.to_string());
        fleet.add_app(self, "services", "vault", "{enabled: true}", &sealed);
    }

    /// Waits until the controller has decrypted it, and returns the text.
    #[track_caller]
    pub(crate) fn unsealed(&self) -> String {
        let secret = ["secret", "password", "--namespace", "vault"];
        eventually("the decrypted Secret", SOON, || self.has(&secret).then_some(()));
        let text = self.get(&secret)["data"]["text"].as_str().unwrap().to_owned();
        String::from_utf8(base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
    }

    /// How many keys the controller has.
    #[track_caller]
    pub(crate) fn sealing_keys(&self) -> usize {
        self.list(&KEYS).len()
    }

    /// A key that opens bundles: the file with its private half, and its public half.
    #[track_caller]
    #[expect(clippy::disallowed_methods, reason = "the program is found by the PATH")]
    pub(crate) fn recipient(&self, name: &str) -> (PathBuf, String) {
        let file = self.home().path().join(name);
        let mut command = Command::new("ssh-keygen");
        let output = command.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&file).stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let public = std::fs::read_to_string(file.with_extension("pub")).unwrap();
        (file, public.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
    }

    /// The UID of the cluster.
    #[track_caller]
    pub(crate) fn uid(&self) -> String {
        self.get(&["namespace", "kube-system"])["metadata"]["uid"].as_str().unwrap().to_owned()
    }
}
