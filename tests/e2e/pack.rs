//! `pack` and `unpack`, with the real Argo CD, the real Sealed Secrets controller and the real `kubeseal`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::support::logs::Mark;
use crate::support::{Fleet, Ran, TestSandbox, Traces, assert_words, engine_prints, eventually};

/// How long the controller may take to start and to decrypt.
const SOON: Duration = Duration::from_secs(60);

/// The keys of the Sealed Secrets controller.
const KEYS: [&str; 5] = ["secrets", "--namespace", "kube-system", "--selector", "sealedsecrets.bitnami.com/sealed-secrets-key"];

/// Where the sealed Secret is in the fleet repository.
const SEALED: &str = "rendered/staging/services/shop/SealedSecret.password.yaml";

struct Scene {
    sandbox: TestSandbox,
    fleet: Fleet,
    identity: age::x25519::Identity,
    sealed_secrets: String,
}

#[test]
fn the_root_of_trust_is_packed_checked_lost_and_restored_and_a_sealed_secret_opens_again() {
    let sandbox = TestSandbox::start();
    let fleet = Fleet::of(&sandbox);
    sandbox.cli(&["init", "staging", "--sandbox"]).run().exits(0);
    let sealed_secrets = file(&sandbox, "sealed-secrets.yaml", &engine_prints(&["manifest", "sealed-secrets"], ""));
    let scene = Scene { sandbox, fleet, identity: age::x25519::Identity::generate(), sealed_secrets };
    install_sealed_secrets(&scene);
    seal(&scene);

    without_a_recipient_nothing_is_written(&scene);
    packed_twice_there_is_no_diff_and_no_secret_is_anywhere(&scene);
    a_bundle_that_is_what_the_cluster_has_passes(&scene);
    a_change_in_the_cluster_is_found_and_packed(&scene);
    what_the_bundle_does_not_decrypt_is_found(&scene);
    a_bundle_that_cannot_be_trusted_changes_nothing(&scene);
    what_is_lost_is_restored_before_its_controller_makes_its_own(&scene);
}

impl Scene {
    fn run(&self, arguments: &[&str]) -> Ran {
        let all = [arguments, &["--sandbox", "--output", "json"]].concat();
        self.sandbox.cli(&all).in_folder(self.fleet.folder()).run()
    }

    /// The same with the key that opens the bundle in the environment, as a job in CI has it.
    fn run_with_key(&self, arguments: &[&str]) -> Ran {
        let all = [arguments, &["--sandbox", "--output", "json"]].concat();
        let key = self.identity.to_string().expose_secret().to_owned();
        self.sandbox.cli(&all).in_folder(self.fleet.folder()).env("GITOPS_BOOTSTRAP_IDENTITY", key).run()
    }

    fn run_as_text(&self, arguments: &[&str]) -> Ran {
        self.sandbox.cli(&[arguments, &["--sandbox"]].concat()).in_folder(self.fleet.folder()).run()
    }

    fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.fleet.folder().join("bundles").join(name)).unwrap()
    }
}

fn file(sandbox: &TestSandbox, name: &str, content: &str) -> String {
    let path = sandbox.home().path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().unwrap()).unwrap()
}

/// The only key of the Sealed Secrets controller, once there is one.
fn sealing_key(scene: &Scene) -> Value {
    eventually("a sealing key", SOON, || {
        let mut keys = scene.sandbox.list(&KEYS);
        assert!(keys.len() < 2, "the controller made a second key");
        keys.pop()
    })
}

fn install_sealed_secrets(scene: &Scene) {
    scene.sandbox.kubectl(&["apply", "--server-side", "--filename", &scene.sealed_secrets]);
    sealing_key(scene);
}

/// Seals a Secret into a file of the tree, and applies it.
fn seal(scene: &Scene) {
    let certificate = String::from_utf8(decoded(&sealing_key(scene)["data"]["tls.crt"])).unwrap();
    let certificate = file(&scene.sandbox, "tls.crt", &certificate);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "shop", "name": "password"},
        "stringData": {"text": "correct horse battery"}});
    let sealed = engine_prints(&["kubeseal", "--format", "yaml", "--cert", &certificate], &secret.to_string());
    scene.fleet.write(SEALED, &sealed);
    scene.sandbox.kubectl(&["create", "namespace", "shop"]);
    until_unsealed(scene);
}

fn until_unsealed(scene: &Scene) {
    let path = scene.fleet.folder().join(SEALED);
    eventually("the kind of SealedSecrets", SOON, || {
        let applied = scene.sandbox.cli(&["sandbox", "kubectl", "--", "apply", "--filename", path.to_str().unwrap()]).run();
        (applied.status == Some(0)).then_some(())
    });
    eventually("the unsealed Secret", SOON, || scene.sandbox.has(&["secret", "password", "--namespace", "shop"]).then_some(()));
    let secret = scene.sandbox.get(&["secret", "password", "--namespace", "shop"]);
    assert_eq!(decoded(&secret["data"]["text"]), b"correct horse battery");
}

fn without_a_recipient_nothing_is_written(scene: &Scene) {
    let ran = scene.run(&["pack", "staging"]).exits(2);
    assert!(ran.stdout.contains("age-keygen"), "{ran}");
    assert!(!scene.fleet.folder().join("bundles").exists());
    let recipients = format!("{}\nrecipients:\n  - {}\n", scene.fleet.read("gitops.yaml"), scene.identity.to_public());
    scene.fleet.write("gitops.yaml", &recipients);
}

fn packed_twice_there_is_no_diff_and_no_secret_is_anywhere(scene: &Scene) {
    let mark = Mark::now(&scene.sandbox.state);
    let first = scene.run(&["pack", "staging"]).exits(0);
    let result = first.result();
    assert_eq!(result["written"], true, "{first}");
    let whys: Vec<&str> = result["entries"].as_array().unwrap().iter().map(|entry| entry["why"].as_str().unwrap()).collect();
    assert_eq!(whys, ["argo-cd", "repository", "sealing-key"], "{first}");
    assert_eq!((&result["tree"]["encrypted"], &result["tree"]["undecryptable"]), (&1.into(), &json!([])), "{first}");
    let before = (scene.file("staging.age"), scene.file("staging.index.yaml"));
    let second = scene.run(&["pack", "staging"]).exits(0);
    assert_eq!(second.result()["written"], false, "{second}");
    assert_words("pack", &scene.run_as_text(&["pack", "staging"]).exits(0));
    assert!(before == (scene.file("staging.age"), scene.file("staging.index.yaml")), "the same content gives no diff");
    mark.assert_unchanged(&scene.sandbox.state);

    let own = scene.sandbox.get(&["secret", "argocd-secret", "--namespace", "argocd"]);
    let secrets = [
        decoded(&own["data"]["server.secretkey"]),
        decoded(&sealing_key(scene)["data"]["tls.key"]),
        scene.sandbox.private_key().into_bytes(),
    ];
    let traces = Traces::of(&secrets.each_ref().map(Vec::as_slice));
    for (what, text) in [("the first run", first.to_string()), ("the second run", second.to_string())] {
        traces.are_not_in(what, text);
    }
    traces.are_not_below(scene.fleet.folder(), Path::new(""));
    let identity = Traces::of(&[scene.identity.to_string().expose_secret().as_bytes()]);
    identity.are_not_below(scene.fleet.folder(), Path::new(""));
}

fn a_bundle_that_is_what_the_cluster_has_passes(scene: &Scene) {
    let unopened = scene.run(&["pack", "staging", "--check"]).exits(0).result();
    assert_eq!(unopened["opened"], false);
    let ran = scene.run_with_key(&["pack", "staging", "--check"]).exits(0);
    let opened = ran.result();
    assert_eq!((&opened["opened"], &opened["tree"]["encrypted"], &opened["findings"]), (&true.into(), &1.into(), &json!([])));
    let identity = Traces::of(&[scene.identity.to_string().expose_secret().as_bytes()]);
    identity.are_not_in("a run with the key in its environment", ran.to_string());
    scene.run_with_key(&["pack", "staging", "--check", "--offline"]).exits(0);
    assert_words("pack_check", &scene.run_as_text(&["pack", "staging", "--check"]).exits(0));
}

fn a_change_in_the_cluster_is_found_and_packed(scene: &Scene) {
    scene.sandbox.kubectl(&[
        "create",
        "secret",
        "generic",
        "all-of-acme",
        "--namespace",
        "argocd",
        "--from-literal",
        "url=https://github.com/acme/",
    ]);
    scene.sandbox.kubectl(&["label", "secret", "all-of-acme", "--namespace", "argocd", "argocd.argoproj.io/secret-type=repo-creds"]);
    let found = scene.run(&["pack", "staging", "--check"]).exits(11);
    assert!(found.stdout.contains("argocd/all-of-acme is in the cluster and not in the bundle"), "{found}");
    scene.run(&["pack", "staging"]).exits(0);
    scene.run(&["pack", "staging", "--check"]).exits(0);

    let patch = json!({"stringData": {"password": "the password of all of acme"}});
    scene.sandbox.kubectl(&["patch", "secret", "all-of-acme", "--namespace", "argocd", "--patch", &patch.to_string()]);
    let found = scene.run(&["pack", "staging", "--check"]).exits(11);
    assert!(found.stdout.contains("argocd/all-of-acme is another one in the cluster"), "{found}");
    assert!(!found.to_string().contains("the password of all"), "{found}");
    scene.run(&["pack", "staging"]).exits(0);
}

fn what_the_bundle_does_not_decrypt_is_found(scene: &Scene) {
    let sealed = scene.fleet.read(SEALED);
    // What is sealed is sealed for its name.
    scene.fleet.write(SEALED, &sealed.replace("name: password", "name: renamed"));
    for flags in [&["pack", "staging", "--check"][..], &["pack", "staging", "--check", "--offline"]] {
        let found = scene.run_with_key(flags).exits(11);
        assert!(found.stdout.contains("shop/renamed") && found.stdout.contains(SEALED), "{found}");
    }
    scene.fleet.write(SEALED, &sealed);
    scene.run_with_key(&["pack", "staging", "--check"]).exits(0);
}

fn a_bundle_that_cannot_be_trusted_changes_nothing(scene: &Scene) {
    let whole = scene.file("staging.age");
    let path = scene.fleet.folder().join("bundles/staging.age");
    let alone = scene.fleet.folder().join("alone.age");
    let mark = Mark::now(&scene.sandbox.state);

    let stranger = age::x25519::Identity::generate();
    let key = file(&scene.sandbox, "stranger.txt", stranger.to_string().expose_secret());
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let refused = scene.run(&["unpack", "staging", "--identity", &key]).exits(3);
    assert!(refused.stdout.contains(&scene.identity.to_public().to_string()), "who can open it is named\n{refused}");
    scene.run(&["unpack", "staging"]).exits(3);

    let mut altered = whole.clone();
    *altered.last_mut().unwrap() ^= 1;
    for (what, content) in [("truncated", &whole[..whole.len() / 2]), ("altered", &altered)] {
        fs::write(&path, content).unwrap();
        scene.run_with_key(&["unpack", "staging"]).exits(8);
        scene.run_with_key(&["pack", "staging", "--check"]).exits(8);
        // Without an index it is the encryption that tells.
        fs::write(&alone, content).unwrap();
        let ran = scene.run_with_key(&["unpack", "staging", "--bundle", alone.to_str().unwrap()]).exits(8);
        assert!(ran.stdout.contains("nothing was changed"), "{what}: {ran}");
    }
    fs::remove_file(&path).unwrap();
    scene.run_with_key(&["unpack", "staging"]).exits(8);
    fs::write(&path, whole).unwrap();
    fs::remove_file(alone).unwrap();
    mark.assert_unchanged(&scene.sandbox.state);
}

fn what_is_lost_is_restored_before_its_controller_makes_its_own(scene: &Scene) {
    let key = sealing_key(scene);
    scene.sandbox.kubectl(&["delete", "--filename", &scene.sealed_secrets]);
    scene.sandbox.kubectl(&["delete", "namespace", "shop"]);
    scene.sandbox.kubectl(&["delete", "secret", "--namespace", "kube-system", key["metadata"]["name"].as_str().unwrap()]);
    let running =
        || scene.sandbox.cli(&["sandbox", "status", "--output", "json"]).run().exits(0).stdout.contains("sealed-secrets-controller");
    eventually("the end of the controller", SOON, || (!running()).then_some(()));

    // A cluster that has lost a key is not packed over the bundle that still has it.
    let refused = scene.run(&["pack", "staging"]).exits(3);
    assert!(refused.stdout.contains("--forget-keys") && refused.stdout.contains("unpack"), "{refused}");

    let listed = scene.run(&["unpack", "staging", "--list"]).exits(0);
    assert_eq!(listed.result()["entries"].as_array().unwrap().len(), 4, "{listed}");
    assert_words("unpack_list", &scene.run_as_text(&["unpack", "staging", "--list"]).exits(0));
    let restored = scene.run_with_key(&["unpack", "staging"]).exits(0);
    let created: Vec<Value> = restored.events().into_iter().filter(|event| event["event"] == "changed").collect();
    assert_eq!(created.len(), 1, "{restored}");
    scene.sandbox.kubectl(&["apply", "--server-side", "--filename", &scene.sealed_secrets]);
    scene.sandbox.kubectl(&["create", "namespace", "shop"]);
    until_unsealed(scene);
    assert_eq!(sealing_key(scene)["data"], key["data"], "the old key, and no other");
    scene.run(&["pack", "staging", "--check"]).exits(0);
    let mark = Mark::now(&scene.sandbox.state);
    let key = file(&scene.sandbox, "identity.txt", scene.identity.to_string().expose_secret());
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    assert_words("unpack", &scene.run_as_text(&["unpack", "staging", "--identity", &key]).exits(0));
    mark.assert_unchanged(&scene.sandbox.state);
}
