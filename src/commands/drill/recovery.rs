//! The recovery that is rehearsed: the code of `recover`, watched from beside it.

mod record;

use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::time::Instant;

use self::record::Record;
use super::ground::Ground;
use crate::adapters::kubernetes::KubernetesCluster;
use crate::adapters::process::{Output, Program};
use crate::cli::access::Access;
use crate::cli::drill::{Arguments, ForgeDown};
use crate::cli::forge::Login;
use crate::cli::{change, recover as cli, run::Run};
use crate::commands::{Context, recover};
use crate::domain::tree::{ARGOCD_API_VERSION, ARGOCD_NAMESPACE, Tree};
use crate::domain::{Application, ApplicationRef, Object, ObjectRef};
use crate::error::{Failure, Kind, Result};
use crate::event::Events;
use crate::plan::diagnosis::verdict;
use crate::plan::drill::{Phase, Timeline, milliseconds};
use crate::plan::recovery::Recovery;
use crate::ports::Cluster as _;
use crate::ports::cluster::{Change, ClusterError};
use crate::settings::Environment;

/// How often it is looked whether anything has moved.
const PULSE: Duration = Duration::from_secs(1);

/// How long the last news of the Applications may take once the recovery says that it is over.
const LAST_NEWS: Duration = Duration::from_secs(20);

/// How long Argo CD may say nothing before it is asked to look again.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// What the environment of a recovery that is to be killed has of ours. No token is among it.
const VARIABLES: [&str; 8] = ["HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "TMPDIR", "LANG", "LC_ALL", "USER", "LOGNAME"];

/// What was seen of a recovery.
pub(super) struct Rehearsal {
    /// How long it took.
    pub(super) took: Duration,
    /// Its steps.
    pub(super) phases: Vec<Phase>,
    /// What happened to the Applications.
    pub(super) timeline: Timeline,
    /// Why it is not complete, in the recovery's own words.
    pub(super) failure: Option<Failure>,
    /// Whether everything came up. If not, and there is no failure, it was stopped because nothing moved any more, or what is left waits for a person.
    pub(super) recovered: bool,
    /// The evidence of the recovery; none if it was refused.
    pub(super) evidence: Option<Recovery>,
}

/// Recovers on `ground`, and watches until all is well, or until nothing has moved for long.
///
/// # Errors
/// What keeps a drill from being one: Ctrl-C, a sandbox that broke, a bug. That the recovery is refused or does not succeed is a result.
pub(super) async fn rehearse(
    arguments: &Arguments,
    ground: &Ground,
    tree: &Tree,
    cluster: &KubernetesCluster,
    context: &Context,
) -> Result<Rehearsal> {
    let began = Instant::now();
    let record = Record::new(began);
    let mut watch =
        Watch { stream: cluster.watch(&Application::resource(), Some(ARGOCD_NAMESPACE)), tree, began, timeline: Timeline::default() };
    let cancel = context.cancel.child_token();
    let inner = Context {
        environment: Environment { interactive: false, ..context.environment.clone() },
        events: Events::new(record.reporter(context.events.clone())),
        cancel: cancel.clone(),
        ..context.clone()
    };
    let flags = flags(arguments, ground, tree);
    let mut gave_up = false;
    let outcome = {
        let run = async {
            if let Some(point) = &arguments.kill_at {
                run_killed(arguments, ground, tree, point, &record, &inner).await?;
            }
            recover::recover(&flags, &inner).await
        };
        tokio::pin!(run);
        tokio::select! {
            outcome = &mut run => outcome,
            () = watch.until_nothing_moves(arguments.patience) => {
                gave_up = true;
                cancel.cancel();
                run.await
            }
        }
    };
    let took = began.elapsed();
    if context.cancel.is_cancelled() {
        return Err(Failure::new(Kind::Interrupted, "the drill was interrupted"));
    }
    let (evidence, failure) = match outcome {
        Ok(evidence) => {
            let failure = evidence.failure.clone();
            (Some(evidence), failure)
        }
        Err(failure) => (None, Some(failure)),
    };
    let failure = failure.filter(|_| !gave_up);
    if let Some(failure) = &failure
        && !is_a_result(failure.kind)
    {
        return Err(failure.clone());
    }
    watch.catch_up(failure.is_none() && !gave_up, cluster).await;
    let recovered = failure.is_none() && !gave_up && watch.timeline.is_converged();
    // Whoever is well last tells so a moment after the recovery has seen that nothing is left to wait for.
    let took = if recovered { took.max(watch.timeline.last_progress()) } else { took };
    Ok(Rehearsal { took, phases: record.phases(milliseconds(took)), timeline: watch.timeline, failure, recovered, evidence })
}

/// Whether a failure of the recovery says something of the repository, and not of the drill.
const fn is_a_result(kind: Kind) -> bool {
    match kind {
        Kind::Refused
        | Kind::Denied
        | Kind::Conflict
        | Kind::Transient
        | Kind::Unverified
        | Kind::Deadline
        | Kind::InvalidRepository
        | Kind::Found => true,
        Kind::Bug | Kind::Usage | Kind::Locked | Kind::Interrupted | Kind::Terminated => false,
    }
}

/// What `recover` is told. What it asks of a person about a real cluster is answered: this one was made a moment ago.
fn flags(arguments: &Arguments, ground: &Ground, tree: &Tree) -> cli::Arguments {
    let mut target = super::target(&ground.name);
    target.api_flaky = arguments.api_flaky;
    cli::Arguments {
        cluster: arguments.cluster.clone(),
        run: Run {
            change: change::Change {
                target,
                login: Login::default(),
                accept_rename: false,
                wait: true,
                explain: false,
                kill_at: None,
                timeout: arguments.timeout,
            },
            paste_key: false,
            access: Access::default(),
            webhook: None,
            fix_key: false,
            take_ownership: false,
            commit: Some(tree.commit.clone()),
        },
        bundle: None,
        identities: arguments.identities.clone(),
        without_bundle: !super::opens_bundle(arguments),
        report: None,
        open_gates: arguments.open_gates,
        validate: false,
        run_commands: arguments.run_commands,
        prune_stale_key: Vec::new(),
        old_cluster_is_gone: true,
        into_non_empty: true,
        new_identity: true,
        accept_loss: true,
        serve_clone: has_no_git(arguments),
    }
}

/// Whether the forge's Git is switched off for the drill: the tree then runs from the clone, as it would in earnest.
fn has_no_git(arguments: &Arguments) -> bool {
    matches!(arguments.forge_down, Some(ForgeDown::Git | ForgeDown::Both))
}

/// Runs the recovery as a process of its own, which is killed at `point`.
async fn run_killed(arguments: &Arguments, ground: &Ground, tree: &Tree, point: &str, record: &Record, context: &Context) -> Result<()> {
    let program = std::env::current_exe().map_err(|error| Failure::bug("this program does not know its own file").because(error))?;
    let mut words: Vec<String> =
        ["recover", arguments.cluster.as_str(), "--sandbox", "--sandbox-name", ground.name.as_str()].map(str::to_owned).into();
    words.extend(["--commit", tree.commit.as_str(), "--kill-at", point, "--output", "json", "--yes"].map(str::to_owned));
    words.extend(["--new-identity", "--accept-loss", "--old-cluster-is-gone", "--into-non-empty"].map(str::to_owned));
    match super::opens_bundle(arguments) {
        true => words.extend(arguments.identities.files.iter().flat_map(|file| ["--identity".to_owned(), file.display().to_string()])),
        false => words.push("--without-bundle".to_owned()),
    }
    let agreed =
        [("--open-gates", arguments.open_gates), ("--run-commands", arguments.run_commands), ("--serve-clone", has_no_git(arguments))];
    words.extend(agreed.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag.to_owned()));
    words.extend(arguments.api_flaky.into_iter().flat_map(|flakiness| ["--api-flaky".to_owned(), flakiness.to_string()]));
    words.extend(["--fleet".to_owned(), super::named_folder(context).display().to_string()]);
    words.extend(context.global.engine.iter().flat_map(|engine| ["--engine".to_owned(), engine.display().to_string()]));
    let variables = VARIABLES.iter().filter_map(|name| Some((name, context.environment.variable(name)?)));
    let child = Program::new(program).args(words).envs(variables).in_folder(&context.environment.folder).within(arguments.timeout);
    let output = tokio::select! {
        output = child.run() => output.map_err(|error| Failure::new(Kind::Transient, "the recovery that was to be killed could not be run").because(error))?,
        () = context.cancel.cancelled() => return Err(crate::steps::world::interrupted()),
    };
    record.killed(&output.stdout);
    match output {
        Output { status: None, .. } => {
            context.events.warn(format!("the recovery was killed at `{point}`: it is run again"), None);
            Ok(())
        }
        Output { status: Some(0), .. } => Err(Failure::usage(format!("the recovery never came to `{point}`"))
            .hint("name a step of the recovery: `gitops-bootstrap drill --help`")),
        Output { status: Some(status), stderr, .. } => {
            let failure = Failure::usage(format!("the recovery ended with exit status {status} before it came to `{point}`"));
            Err(stderr.lines().filter(|line| !line.trim().is_empty()).take(5).fold(failure, Failure::because))
        }
    }
}

/// Watches the Applications.
struct Watch<'a> {
    stream: BoxStream<'static, Result<Change, ClusterError>>,
    tree: &'a Tree,
    began: Instant,
    timeline: Timeline,
}

impl Watch<'_> {
    /// Watches until nothing has moved for `patience` since the first Application was there.
    async fn until_nothing_moves(&mut self, patience: Duration) {
        loop {
            let change = tokio::time::timeout(PULSE, self.stream.next()).await;
            if let Ok(Some(Ok(change))) = change {
                self.take(&change);
            }
            let moves = self.began.elapsed().saturating_sub(self.timeline.last_progress()) < patience;
            if !moves && !self.timeline.is_empty() && !self.timeline.is_converged() {
                return;
            }
        }
    }

    /// Takes what has happened until now. `is_over` says that the recovery has nothing left to wait for, so everything is
    /// about to be well, unless it waits for a time or a person.
    async fn catch_up(&mut self, is_over: bool, cluster: &KubernetesCluster) {
        if is_over {
            let begun = Instant::now();
            while !self.timeline.is_converged() && begun.elapsed() < LAST_NEWS {
                match tokio::time::timeout(LOOK_AGAIN, self.stream.next()).await {
                    Ok(Some(Ok(change))) => self.take(&change),
                    Ok(_) => tokio::time::sleep(PULSE).await,
                    // Argo CD misses changes of health now and then, and nobody asks it any more.
                    Err(_) => self.have_looked_again(cluster).await,
                }
            }
        } else if let Ok(objects) = cluster.list(&Application::resource(), Some(ARGOCD_NAMESPACE), None).await {
            objects.iter().for_each(|object| self.note(object));
        }
    }

    /// Asks Argo CD to look again at what is not well. If that fails, it is not well.
    async fn have_looked_again(&self, cluster: &KubernetesCluster) {
        let refresh = serde_json::json!({"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}});
        for (application, _) in self.timeline.last_seen().iter().filter(|(_, state)| !state.is_converged()) {
            let ApplicationRef { namespace, name } = &application.reference;
            let object = ObjectRef::namespaced(ARGOCD_API_VERSION, "Application", namespace, name);
            let _as_it_is = cluster.merge_patch(&object, &refresh).await;
        }
    }

    fn take(&mut self, change: &Change) {
        match change {
            Change::Restarted(objects) => objects.iter().for_each(|object| self.note(object)),
            Change::Applied(object) => self.note(object),
            Change::Deleted(gone) => self.timeline.remove(&ApplicationRef {
                namespace: gone.namespace.clone().unwrap_or_else(|| ARGOCD_NAMESPACE.to_owned()),
                name: gone.name.clone(),
            }),
        }
    }

    fn note(&mut self, object: &Object) {
        let Ok(application) = Application::read(object) else { return };
        let expected = Some(&self.tree.commit).filter(|_| application.follows(&self.tree.repository, &self.tree.revision));
        let state = verdict(&application, expected);
        self.timeline.note(self.began.elapsed(), object, &application, &state);
    }
}
