//! Reading `gitops.yaml`, strictly: what is not understood is an error with its file, line and column.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use super::fields::{Field, Fields};
use super::yaml;
use crate::domain::declaration::{
    Allow, ArgoCd, Cluster, Declaration, Drill, FORMAT, Flavour, Recovery, Repository, RootOfTrust, api_fault, branch_fault,
    client_id_fault, default_branch, default_rendered, default_source, release_fault,
};
use crate::domain::repository_url::Transport;
use crate::domain::{
    ClusterName, DeclaredApp, Gate, HostKey, Identity, ObjectRef, PublicKey, RepositoryPath, RepositoryUrl, Resource, Rule, duration,
    suggestion,
};
use crate::error::{Failure, Result};

/// The name of the file.
pub const FILE: &str = "gitops.yaml";

/// The failure of a cluster that the declaration does not have, with the one that was probably meant.
pub fn unknown_cluster(cluster: &ClusterName, declaration: &Declaration) -> Failure {
    let known: Vec<&str> = declaration.clusters.keys().map(ClusterName::as_str).collect();
    let meant = suggestion(cluster.as_str(), &known);
    Failure::usage(format!("{FILE} has no cluster `{cluster}`{meant}")).hint(format!("its clusters are {}", known.join(", ")))
}

/// Parses the text of a `gitops.yaml`. `path` is how messages call the file.
pub fn parse(text: &str, path: &str) -> Result<Declaration> {
    let document = yaml::parse_located(text, path)?.ok_or_else(|| Failure::repository(format!("{path}:1:1: the file is empty")))?;
    let top = Field::top(path, &document).fields(&[
        "version",
        "repository",
        "argocd",
        "clusters",
        "recipients",
        "rootOfTrust",
        "recovery",
        "drill",
        "lint",
    ])?;
    let version = top.required("version")?;
    if version.integer()? != i64::from(FORMAT) {
        return Err(version
            .fault(format_args!("version {} of this file is not known; this gitops-bootstrap reads version {FORMAT}", version.integer()?))
            .hint("update gitops-bootstrap, or write `version: 1`"));
    }
    Ok(Declaration {
        version: FORMAT,
        repository: repository(&top.required("repository")?)?,
        argocd: argocd(&top.required("argocd")?)?,
        clusters: clusters(&top.required("clusters")?)?,
        recipients: recipients(&top)?,
        root_of_trust: root_of_trust(&top)?,
        recovery: recovery(&top)?,
        drill: drill(&top)?,
        allow: allow(&top)?,
    })
}

fn root_of_trust(top: &Fields<'_>) -> Result<RootOfTrust> {
    let Some(field) = top.optional("rootOfTrust") else { return Ok(RootOfTrust::default()) };
    let fields = field.fields(&["secrets", "sopsKeys", "tls", "acme"])?;
    let names = |key| match fields.optional(key) {
        Some(field) => field.list()?.iter().map(Field::parse).collect(),
        None => Ok(Vec::new()),
    };
    let switch = |key| fields.optional(key).map_or(Ok(false), |field| field.boolean());
    Ok(RootOfTrust { secrets: names("secrets")?, sops_keys: names("sopsKeys")?, tls: switch("tls")?, acme: switch("acme")? })
}

fn repository(field: &Field<'_>) -> Result<Repository> {
    let fields = field.fields(&["url", "branch", "api", "githubApp", "oauthClientId", "knownHosts", "source", "rendered"])?;
    let url: RepositoryUrl = fields.required("url")?.parse()?;
    let branch = match fields.optional("branch") {
        None => default_branch(),
        Some(field) => {
            let branch = field.text()?;
            if let Some(reason) = branch_fault(branch) {
                return Err(field.fault(format_args!("`{}` is not the name of a branch: {reason}", branch.escape_debug())));
            }
            branch.to_owned()
        }
    };
    let api = match fields.optional("api") {
        None => None,
        Some(field) => {
            let api = field.text()?;
            if let Some(reason) = api_fault(api) {
                return Err(field.fault(format_args!("`repository.api` {reason}")));
            }
            Some(api.trim_end_matches('/').to_owned())
        }
    };
    let mut known_hosts = Vec::new();
    if let Some(field) = fields.optional("knownHosts") {
        for line in field.list()? {
            HostKey::parse_line(line.text()?).map_err(|error| line.fault(error))?;
            known_hosts.push(line.text()?.trim().to_owned());
        }
    }
    let (source, rendered) = folders(&fields)?;
    let github_app = fields.optional("githubApp").map(|field| github_app(&field, &url)).transpose()?;
    let oauth_client_id = match fields.optional("oauthClientId") {
        None => None,
        Some(field) => {
            let id = field.text()?;
            if let Some(reason) = client_id_fault(id) {
                return Err(field.fault(format_args!("`repository.oauthClientId` {reason}")));
            }
            Some(id.to_owned())
        }
    };
    Ok(Repository { url, branch, api, github_app, oauth_client_id, known_hosts, source, rendered })
}

fn github_app(field: &Field<'_>, url: &RepositoryUrl) -> Result<DeclaredApp> {
    let fields = field.fields(&["id", "installation"])?;
    let number = |field: &Field<'_>| {
        let number = u64::try_from(field.integer()?).ok().and_then(NonZeroU64::new);
        number.ok_or_else(|| field.fault("this is not a number that GitHub gives"))
    };
    let declared = DeclaredApp {
        id: number(&fields.required("id")?)?,
        installation: fields.optional("installation").map(|field| number(&field)).transpose()?,
    };
    if url.transport() != Transport::Http {
        return Err(field.fault("a GitHub App opens a repository over https only, and `repository.url` is an address for SSH").hint(
            format!("write `url: {}`, and the same into `sourceRepos` in src/argocd/projects; then render, commit and push", url.https()),
        ));
    }
    Ok(declared)
}

fn folders(fields: &Fields<'_>) -> Result<(RepositoryPath, RepositoryPath)> {
    let source = fields.optional("source").map(|field| field.parse()).transpose()?.unwrap_or_else(default_source);
    let rendered = fields.optional("rendered").map(|field| field.parse()).transpose()?.unwrap_or_else(default_rendered);
    if source.is_within(&rendered) || rendered.is_within(&source) {
        let field = fields.optional("rendered").or_else(|| fields.optional("source"));
        let what = format!("the source folder `{source}` and the rendered folder `{rendered}` must not lie in each other");
        return Err(field.map_or_else(|| Failure::repository(what.clone()), |field| field.fault(&what)));
    }
    Ok((source, rendered))
}

fn argocd(field: &Field<'_>) -> Result<ArgoCd> {
    let fields = field.fields(&["version", "flavour", "sha256"])?;
    let version = fields.required("version")?;
    if let Some(reason) = release_fault(version.text()?) {
        return Err(version.fault(format_args!("`argocd.version` {reason}")));
    }
    let flavour = match fields.optional("flavour") {
        None => Flavour::default(),
        Some(field) => {
            let written = field.text()?;
            Flavour::ALL.into_iter().find(|flavour| flavour.name() == written).ok_or_else(|| {
                let names = Flavour::ALL.map(Flavour::name);
                field.fault(format_args!("`argocd.flavour` is `{}` or `{}`{}", names[0], names[1], suggestion(written, &names)))
            })?
        }
    };
    let sha256 = digest(&fields.required("sha256")?, "argocd.sha256")?;
    Ok(ArgoCd { version: version.text()?.to_owned(), flavour, sha256 })
}

fn clusters(field: &Field<'_>) -> Result<BTreeMap<ClusterName, Cluster>> {
    let mut clusters: BTreeMap<ClusterName, Cluster> = BTreeMap::new();
    let entries = field.entries()?;
    if entries.is_empty() {
        return Err(field.fault("`clusters` names no cluster").hint("write at least one, as in `clusters: {staging: {}}`"));
    }
    for (key, value) in entries {
        let name: ClusterName = key.value.parse().map_err(|error| value.fault_at(&key, error))?;
        let cluster = if value.is_null() { Cluster::default() } else { cluster(&value)? };
        if let Some(identity) = &cluster.identity
            && let Some((other, _)) = clusters.iter().find(|(_, other)| other.identity.as_ref() == Some(identity))
        {
            return Err(value.fault(format_args!("`{name}` and `{other}` have the same identity, and one cluster cannot be both")));
        }
        clusters.insert(name, cluster);
    }
    Ok(clusters)
}

fn cluster(field: &Field<'_>) -> Result<Cluster> {
    let fields = field.fields(&["identity", "webhook"])?;
    let webhook = fields.optional("webhook").map(|field| field.parse()).transpose()?;
    let identity = fields.optional("identity").map(|field| identity(&field)).transpose()?;
    Ok(Cluster { identity, webhook })
}

fn identity(field: &Field<'_>) -> Result<Identity> {
    let fields = field.fields(&["kubeSystemUid", "caSha256"])?;
    let uid = fields.required("kubeSystemUid")?;
    let text = uid.text()?;
    let is_uid = text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    if !is_uid {
        return Err(uid
            .fault("`kubeSystemUid` is not a UID")
            .hint("see it with `kubectl get namespace kube-system -o jsonpath={.metadata.uid}`"));
    }
    let ca_sha256 = fields.optional("caSha256").map(|field| digest(&field, "caSha256")).transpose()?;
    Ok(Identity { kube_system_uid: text.to_owned(), ca_sha256 })
}

fn recipients(top: &Fields<'_>) -> Result<Vec<String>> {
    let Some(field) = top.optional("recipients") else { return Ok(Vec::new()) };
    let mut recipients = Vec::new();
    for item in field.list()? {
        let text = item.text()?.trim();
        if text.to_ascii_uppercase().contains("PRIVATE KEY") || text.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") {
            // The value is not repeated: it is a secret.
            return Err(item
                .fault("this is the private half of a key; a recipient is the public half")
                .hint("this key has been seen in a file: make a new one with `age-keygen`"));
        }
        let x25519 =
            text.strip_prefix("age1").is_some_and(|rest| rest.len() == 58 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let ssh = PublicKey::from_openssh(text).is_ok_and(|key| key.algorithm() == "ssh-ed25519");
        if !x25519 && !ssh {
            return Err(item.fault("a recipient is an age public key (`age1...`) or an `ssh-ed25519` public key"));
        }
        recipients.push(text.to_owned());
    }
    Ok(recipients)
}

fn recovery(top: &Fields<'_>) -> Result<Recovery> {
    let Some(field) = top.optional("recovery") else { return Ok(Recovery::default()) };
    let Some(gates) = field.fields(&["gates"])?.optional("gates") else { return Ok(Recovery::default()) };
    Ok(Recovery { gates: gates.list()?.iter().map(gate).collect::<Result<_>>()? })
}

/// One of three forms, told apart by its first key.
fn gate(field: &Field<'_>) -> Result<Gate> {
    const KINDS: [&str; 3] = ["claims", "resource", "command"];
    let fields = field.fields(&["claims", "resource", "condition", "command", "timeout"])?;
    let mut kinds = KINDS.into_iter().filter_map(|kind| Some((kind, fields.optional(kind)?)));
    let (Some((kind, value)), None) = (kinds.next(), kinds.next()) else {
        return Err(field.fault("a gate is one of `claims`, `resource` and `command`"));
    };
    let foreign = |key: &str, owner: &str| match fields.optional(key).filter(|_| kind != owner) {
        Some(found) => Err(found.fault(format_args!("`{key}` belongs to a `{owner}`"))),
        None => Ok(()),
    };
    foreign("condition", "resource")?;
    foreign("timeout", "command")?;
    match kind {
        "claims" => Ok(Gate::Claims { namespace: filled(&value)?.to_owned() }),
        "resource" => {
            let condition = fields.optional("condition").map(|field| filled(&field)).transpose()?.unwrap_or(Gate::CONDITION);
            Ok(Gate::Condition { object: object(&value)?, condition: condition.to_owned() })
        }
        _ => {
            let arguments: Vec<String> = value.list()?.iter().map(|item| item.text().map(str::to_owned)).collect::<Result<_>>()?;
            if arguments.first().is_none_or(String::is_empty) {
                return Err(value.fault("`command` names no program").hint("write it as a list: `command: [./restored.sh, --all]`"));
            }
            let limit = match fields.optional("timeout") {
                Some(field) => duration::parse(field.text()?).map_err(|error| field.fault(error))?,
                None => Gate::COMMAND_LIMIT,
            };
            Ok(Gate::Command { arguments, limit })
        }
    }
}

fn object(field: &Field<'_>) -> Result<ObjectRef> {
    let fields = field.fields(&["apiVersion", "kind", "namespace", "name"])?;
    let text = |key: &str| filled(&fields.required(key)?).map(str::to_owned);
    let namespace = fields.optional("namespace").map(|field| filled(&field).map(str::to_owned)).transpose()?;
    Ok(ObjectRef { resource: Resource { api_version: text("apiVersion")?, kind: text("kind")? }, namespace, name: text("name")? })
}

fn filled<'a>(field: &Field<'a>) -> Result<&'a str> {
    Some(field.text()?).filter(|text| !text.is_empty()).ok_or_else(|| field.fault("this is empty"))
}

fn drill(top: &Fields<'_>) -> Result<Drill> {
    let Some(field) = top.optional("drill") else { return Ok(Drill::default()) };
    let Some(folders) = field.fields(&["standIns"])?.optional("standIns") else { return Ok(Drill::default()) };
    Ok(Drill { stand_ins: folders.list()?.iter().map(Field::parse).collect::<Result<_>>()? })
}

fn allow(top: &Fields<'_>) -> Result<Vec<Allow>> {
    let Some(field) = top.optional("lint") else { return Ok(Vec::new()) };
    let Some(list) = field.fields(&["allow"])?.optional("allow") else { return Ok(Vec::new()) };
    let mut exceptions = Vec::new();
    for item in list.list()? {
        let fields = item.fields(&["rule", "path", "reason"])?;
        let written = fields.required("rule")?;
        let rule = written.text()?.parse().map_err(|error| {
            let known = Rule::ALL.map(Rule::id);
            written.fault(format_args!(
                "`{}`: {error}{}",
                written.text().unwrap_or_default().escape_debug(),
                suggestion(written.text().unwrap_or_default(), &known)
            ))
        })?;
        let path = fields.required("path")?.text()?.to_owned();
        let reason = fields.required("reason")?;
        if reason.text()?.trim().is_empty() {
            return Err(reason.fault("an exception needs a reason, for the next person"));
        }
        let (line, column) = item.place();
        exceptions.push(Allow { rule, path, reason: reason.text()?.trim().to_owned(), line, column });
    }
    Ok(exceptions)
}

fn digest(field: &Field<'_>, name: &str) -> Result<String> {
    let text = field.text()?;
    if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(text.to_owned())
    } else {
        Err(field.fault(format_args!("`{name}` is not a SHA-256: 64 lower-case hexadecimal digits")))
    }
}
