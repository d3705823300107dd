//! A Secret that is not there, followed to what should have made it.

use serde_json::{Value, json};

use super::{deepest, samples};
use crate::domain::application::samples::{healthy, patched, read};
use crate::plan::diagnosis::verdict;

fn object(api_version: &str, kind: &str, namespace: &str, name: &str, rest: &Value) -> Value {
    patched(json!({"apiVersion": api_version, "kind": kind, "metadata": {"namespace": namespace, "name": name}}), rest)
}

/// The Pod `web-0` of the StatefulSet `web`, which waits for the Secret `db`.
fn waiting(live: Vec<Value>) -> String {
    let resource = json!({"group": "apps", "version": "v1", "kind": "StatefulSet", "namespace": "web", "name": "web", "status": "Synced"});
    let application = read(patched(healthy("web"), &json!({"status": {"health": {"status": "Progressing"}, "resources": [resource]}})));
    let state = verdict(&application, None);
    let waiting =
        json!({"name": "app", "state": {"waiting": {"reason": "CreateContainerConfigError", "message": "secret \"db\" not found"}}});
    let own = [
        object("apps/v1", "StatefulSet", "web", "web", &json!({"metadata": {"uid": "s-1"}})),
        object(
            "v1",
            "Pod",
            "web",
            "web-0",
            &json!({"metadata": {"uid": "p-1", "ownerReferences": [{"uid": "s-1"}]}, "status": {"phase": "Pending", "containerStatuses": [waiting]}}),
        ),
    ];
    let applications = [(application, state)];
    let evidence = samples::evidence(&applications, own.into_iter().chain(live).collect());
    deepest(&applications[0].0, &applications[0].1, &evidence).unwrap()
}

fn not(condition: &str, reason: &str, message: &str) -> Value {
    json!({"conditions": [{"type": condition, "status": "False", "reason": reason, "message": message}]})
}

fn external_secret(store: &str) -> Value {
    let status = not("Ready", "SecretSyncedError", "could not get secret data from provider");
    object(
        "external-secrets.io/v1",
        "ExternalSecret",
        "web",
        "web-db",
        &json!({
        "spec": {"target": {"name": "db"}, "secretStoreRef": {"kind": store, "name": "aws"}}, "status": status}),
    )
}

fn store(kind: &str) -> Value {
    let reference = |key: &str| json!({"namespace": "external-secrets", "name": "aws-credentials", "key": key});
    let auth = json!({"secretRef": {"accessKeyIDSecretRef": reference("id"), "secretAccessKeySecretRef": reference("key")}});
    let mut store = object(
        "external-secrets.io/v1",
        kind,
        "web",
        "aws",
        &json!({
        "spec": {"provider": {"aws": {"service": "SecretsManager", "auth": auth}}}, "status": not("Ready", "InvalidProviderConfig", "unable to create client")}),
    );
    if kind == "ClusterSecretStore" {
        store["metadata"].as_object_mut().unwrap().remove("namespace");
    }
    store
}

#[test]
fn the_chain_from_a_secret_to_the_credential_of_its_store_is_told_in_one_line() {
    assert_eq!(
        waiting(vec![external_secret("ClusterSecretStore"), store("ClusterSecretStore")]),
        "Pod web/web-0 waits for Secret web/db: ExternalSecret web/web-db cannot read its values, since ClusterSecretStore aws is not valid: \
         Secret external-secrets/aws-credentials is not there"
    );
    // A store in a namespace reads the Secrets of that namespace only, whatever it says.
    assert!(
        waiting(vec![external_secret("SecretStore"), store("SecretStore")])
            .ends_with("SecretStore web/aws is not valid: Secret web/aws-credentials is not there")
    );
}

#[test]
fn a_credential_that_something_else_should_have_made_is_followed_further() {
    let sealed = object(
        "bitnami.com/v1alpha1",
        "SealedSecret",
        "external-secrets",
        "aws-credentials",
        &json!({"status": not("Synced", "", "no key could decrypt secret (id, key)")}),
    );
    let said = waiting(vec![external_secret("ClusterSecretStore"), store("ClusterSecretStore"), sealed]);
    assert!(
        said.ends_with("Secret external-secrets/aws-credentials is not there: SealedSecret external-secrets/aws-credentials cannot be decrypted: no sealing key of this cluster opens it"),
        "{said}"
    );
}

#[test]
fn a_credential_without_the_key_and_a_store_that_is_not_there_are_told_apart() {
    let credential = object("v1", "Secret", "external-secrets", "aws-credentials", &json!({"data": {"id": null, "other": "eA=="}}));
    let with_id = patched(credential, &json!({"data": {"id": "eA=="}}));
    let said = waiting(vec![external_secret("ClusterSecretStore"), store("ClusterSecretStore"), with_id]);
    assert!(said.ends_with("is not valid: Secret external-secrets/aws-credentials has no key `key`"), "{said}");
    let said = waiting(vec![external_secret("ClusterSecretStore")]);
    assert!(said.ends_with("ExternalSecret web/web-db cannot read its values: ClusterSecretStore aws is not there"), "{said}");
}

#[test]
fn with_a_valid_store_the_external_secret_speaks_for_itself() {
    let ready = patched(store("ClusterSecretStore"), &json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}));
    let said = waiting(vec![external_secret("ClusterSecretStore"), ready]);
    assert_eq!(
        said,
        "Pod web/web-0 waits for Secret web/db: ExternalSecret web/web-db cannot read its values: could not get secret data from provider"
    );
}

#[test]
fn a_secret_that_nobody_makes_is_said_to_be_one() {
    assert_eq!(
        waiting(Vec::new()),
        "Pod web/web-0 waits for Secret web/db, which is not there and which no ExternalSecret, SealedSecret or Certificate makes"
    );
}

#[test]
fn a_certificate_is_followed_to_its_issuer() {
    let certificate = object(
        "cert-manager.io/v1",
        "Certificate",
        "web",
        "site",
        &json!({
        "spec": {"secretName": "db", "issuerRef": {"kind": "ClusterIssuer", "name": "letsencrypt"}},
        "status": not("Ready", "DoesNotExist", "Issuing certificate as Secret does not exist")}),
    );
    assert!(waiting(vec![certificate.clone()]).ends_with("Certificate web/site cannot be issued: ClusterIssuer letsencrypt is not there"));
    let mut issuer = object(
        "cert-manager.io/v1",
        "ClusterIssuer",
        "",
        "letsencrypt",
        &json!({"status": not("Ready", "ErrRegisterACMEAccount", "the account cannot be registered")}),
    );
    issuer["metadata"].as_object_mut().unwrap().remove("namespace");
    let said = waiting(vec![certificate, issuer]);
    assert!(
        said.ends_with(
            "Certificate web/site cannot be issued, since ClusterIssuer letsencrypt is not ready: the account cannot be registered"
        ),
        "{said}"
    );
}

#[test]
fn an_object_that_nobody_acts_on_is_told() {
    let silent = object("external-secrets.io/v1", "ExternalSecret", "web", "db", &json!({}));
    let said = waiting(vec![silent]);
    assert!(
        said.ends_with(
            "nobody has acted on ExternalSecret web/db yet: the External Secrets controller does not run, or has not come to it"
        ),
        "{said}"
    );
}
