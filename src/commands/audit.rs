//! `audit`: how much of a live cluster neither Git nor the bundle would bring back.

mod look;

use serde_json::json;

use self::look::Live;
use super::bundle::{self, Locked, Place};
use super::status::flags;
use super::{Context, connect};
use crate::adapters::git::GitWorktree;
use crate::cli::Output;
use crate::cli::audit::Arguments;
use crate::domain::application::Application;
use crate::domain::bundle::Index;
use crate::domain::{Object, RepositoryPath};
use crate::error::{Failure, Kind, Result};
use crate::event::{self, Event};
use crate::manifest::bundle as format;
use crate::plan::audit::{Audit, Evidence, Harm, audit};
use crate::plan::packing::drift;
use crate::ports::cluster::ClusterFacts;
use crate::preflight::{self, Fleet};
use crate::report::{self, Circumstances};
use crate::steps::world::interrupted;

/// Runs `audit`.
pub async fn run(arguments: Arguments, context: &Context) -> Result<()> {
    if context.global.output == Output::Json {
        let cluster = Some(arguments.cluster.to_string());
        context.events.send(Event::Started { version: event::VERSION, tool: env!("CARGO_PKG_VERSION"), verb: "audit", cluster });
    }
    let looked = tokio::select! {
        looked = look(&arguments, context) => looked?,
        () = context.cancel.cancelled() => return Err(interrupted()),
    };
    let found = audit(&looked.evidence());
    let minimum = arguments.min_score.map(usize::from);
    let passes = found.passes(minimum);
    for warning in looked.warnings() {
        context.events.warn(warning, None);
    }
    match context.global.output {
        Output::Json => context.events.send(Event::Finished { result: looked.result(&found, minimum, passes) }),
        Output::Text => {
            let style = report::style(&Circumstances::of(&context.global, &context.environment));
            let about = looked.about();
            let shown = report::Audited { cluster: arguments.cluster.as_str(), about: &about, audit: &found, all: arguments.all };
            context.events.suspend(&mut || report::audit(&shown, &style));
        }
    }
    if passes { Ok(()) } else { Err(refused(&arguments, &found, minimum)) }
}

/// What was looked at: a commit of the fleet repository, the bundle in it, and a cluster.
struct Looked {
    fleet: Fleet,
    bundle: Option<Index>,
    facts: ClusterFacts,
    live: Live,
}

async fn look(arguments: &Arguments, context: &Context) -> Result<Looked> {
    let worktree = GitWorktree::new(bundle::fleet_folder(context)?);
    let (fleet, connected) =
        tokio::try_join!(preflight::load(&worktree, &arguments.cluster, None), connect::connect(&arguments.target, context))?;
    let facts = preflight::check_identity(&connected.cluster, &arguments.cluster, fleet.declaration.as_ref()).await?;
    let locked = bundle::locked(Place::Commit(&worktree, &fleet.clone.head), &arguments.cluster).await?;
    if matches!(locked, Some(Locked { index: None, .. })) {
        let path = format::index_path(&arguments.cluster)?;
        context.events.warn(format!("the bundle has no index {path}: it is not known what is in it, and nothing of it is counted"), None);
    }
    let bundle = locked.and_then(|locked| locked.index);
    let live = Live::read(&connected.cluster, &fleet, bundle.as_ref(), &facts, &context.events).await?;
    Ok(Looked { fleet, bundle, facts, live })
}

impl Looked {
    fn evidence(&self) -> Evidence<'_> {
        let Live { applications, settings, argocd_secret, trust, namespaces, objects, backups, unseen, .. } = &self.live;
        Evidence {
            tree: &self.fleet.reading.tree,
            declared: &self.fleet.reading.objects,
            bundle: self.bundle.as_ref(),
            applications,
            settings,
            argocd_secret: argocd_secret.clone(),
            trust: trust.as_ref(),
            namespaces,
            objects,
            backups,
            unseen,
        }
    }

    /// How many objects were looked at.
    fn count(&self) -> usize {
        let Live { applications, settings, namespaces, objects, .. } = &self.live;
        applications.len() + settings.len() + namespaces.len() + objects.len()
    }

    /// What people are told of what was looked at.
    fn about(&self) -> Vec<(&'static str, String)> {
        let tree = &self.fleet.reading.tree;
        let bundle = match &self.bundle {
            Some(index) => format!("{} Secrets, made {}", index.entries.len(), index.made),
            None => "none".to_owned(),
        };
        vec![("context", self.facts.context.clone()), ("Git", format!("{} at {}", tree.repository, tree.commit)), ("bundle", bundle)]
    }

    /// What a person should know beside the findings.
    fn warnings(&self) -> Vec<String> {
        let tree = &self.fleet.reading.tree;
        let mut warnings = self.live.warnings.clone();
        let is_counted = |path: &&String| {
            path.parse::<RepositoryPath>().is_ok_and(|path| path.is_within(&self.fleet.folder)) || path.starts_with("bundles/")
        };
        let dirty = self.fleet.clone.dirty.iter().filter(is_counted).count();
        if dirty > 0 {
            warnings
                .push(format!("{dirty} files of this cluster are not committed: the cluster is compared with the commit, without them"));
        }
        let is_root = |object: &&Object| object.kind() == "Application" && object.name() == tree.root.object.name();
        let root = self.live.applications.iter().find(is_root).and_then(|root| Application::read(root).ok());
        if let Some(followed) = root.as_ref().and_then(|root| root.revisions().next()).filter(|followed| *followed != tree.commit.as_str())
        {
            warnings
                .push(format!("the cluster follows {followed}, and this clone is at {}: `git pull`, or push what you have", tree.commit));
        }
        if let Some((bundle, trust)) = self.bundle.as_ref().zip(self.live.trust.as_ref()) {
            let drift = drift(bundle, &trust.index);
            if drift.identity {
                warnings.push("the bundle was made of an earlier cluster of this name".to_owned());
            }
            if drift.unknown {
                warnings.push(
                    "whether the Secrets in the bundle are still the same cannot be told: Argo CD's signing key is another one".to_owned(),
                );
            }
        }
        warnings
    }

    fn result(&self, found: &Audit, minimum: Option<usize>, passes: bool) -> serde_json::Value {
        let counts: serde_json::Map<String, serde_json::Value> =
            found.counts().into_iter().map(|(harm, count)| (key(harm).to_owned(), count.into())).collect();
        json!({
            "cluster": self.fleet.reading.tree.cluster,
            "context": self.facts.context,
            "server": self.facts.server,
            "identity": self.facts.identity,
            "commit": self.fleet.reading.tree.commit,
            "bundle": self.bundle.as_ref().map(|index| json!({"made": index.made, "secrets": index.entries.len()})),
            "objects": self.count(),
            "score": found.score(),
            "minimum": minimum,
            "passes": passes,
            "counts": counts,
            "findings": found.findings,
            "allowed": found.allowed,
        })
    }
}

/// The name of a harm among the counts of the result.
const fn key(harm: Harm) -> &'static str {
    match harm {
        Harm::LostData => "lostData",
        Harm::LostAccess => "lostAccess",
        Harm::LostWorkload => "lostWorkload",
        Harm::LostSetting => "lostSetting",
    }
}

fn refused(arguments: &Arguments, found: &Audit, minimum: Option<usize>) -> Failure {
    let cluster = &arguments.cluster;
    let message = match minimum {
        Some(minimum) => format!("`{cluster}` scores {} of 100, and {minimum} are wanted", found.score()),
        None => format!("a rebuild of `{cluster}` would lose data"),
    };
    Failure::new(Kind::Found, message)
        .hint("put right what is named above, the worst first; docs/audit.md says of each what it means")
        .hint(format!("then look again: gitops-bootstrap audit {cluster}{}", flags(&arguments.target)))
}
