//! How a cluster stands, as it changes.
//!
//! The Applications are watched, and so are Argo CD's own workloads. Causes lie in objects that are not watched: they are read again every few
//! seconds, and only for what is not well.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use futures::{FutureExt as _, StreamExt as _};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::interrupted;
use super::survey::{Surroundings, Survey};
use crate::diagnose;
use crate::domain::application::Application;
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{ApplicationRef, ClusterName, Resource};
use crate::error::Result;
use crate::plan::diagnosis::State;
use crate::plan::status::Status;
use crate::ports::Cluster;
use crate::ports::cluster::{Change, ClusterError};

/// The shortest time between two looks at causes.
const LOOK: Duration = Duration::from_secs(5);

/// The shortest time between two pictures, so that a burst of changes is shown as one.
const PICTURE: Duration = Duration::from_millis(250);

/// How long a picture stands although nothing changes: it shows ages, and the window may have another size.
const TICK: Duration = Duration::from_secs(1);

/// The pause before the first attempt to connect again; it doubles with each.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest pause before another attempt to connect.
const LAST_RETRY: Duration = Duration::from_secs(15);

/// What a viewer is told.
pub enum News<'a> {
    /// How it stands at first.
    Stands(&'a Status),
    /// It stands otherwise.
    Changed {
        /// How it stood.
        before: &'a Status,
        /// How it stands.
        now: &'a Status,
    },
    /// Nothing has changed but the time.
    Tick(&'a Status),
    /// The connection was lost, for this reason.
    Lost(&'a str),
    /// The connection is there again.
    Resumed,
}

/// Who watches.
pub trait Viewer: Send {
    /// Takes news, and says whether it wants more.
    ///
    /// # Errors
    /// Only bugs: what was found cannot be written.
    fn on(&mut self, news: News<'_>) -> Result<bool>;

    /// Waits until what it shows must be drawn again although nothing has changed, as when the window gets another size.
    fn disturbed(&mut self) -> BoxFuture<'_, ()> {
        std::future::pending().boxed()
    }
}

/// Watches until `cancel`, or until the viewer wants no more; how it stood last, or none if the cluster has no Argo CD.
///
/// A connection that is lost is made again, however long that takes.
///
/// # Errors
/// Those of the cluster that do not pass, such as missing rights, and a bug of the viewer.
pub async fn watch(
    cluster: &dyn Cluster,
    name: Option<&ClusterName>,
    viewer: &mut dyn Viewer,
    cancel: &CancellationToken,
) -> Result<Option<Status>> {
    let survey = tokio::select! {
        survey = Survey::of(cluster, name) => survey?,
        () = cancel.cancelled() => return Err(interrupted()),
    };
    let Some(survey) = survey else { return Ok(None) };
    Watched::new(cluster, survey).run(viewer, cancel).await?.map_or_else(|| Err(interrupted()), |status| Ok(Some(status)))
}

/// What came of a look at what is not watched.
struct Look {
    surroundings: Result<Surroundings, ClusterError>,
    /// Each cause with the state that it was found for.
    causes: BTreeMap<ApplicationRef, (State, String)>,
}

/// A connection that was lost.
struct Lost {
    attempts: u32,
    /// When the next attempt is due; none while one is under way.
    retry: Option<Instant>,
}

enum Happened {
    Cancelled,
    Looked(Look),
    Application(Result<Change, ClusterError>),
    Workload,
    Disturbed,
    /// It is time to look, to connect again, or to draw.
    Due,
}

/// A cluster that is watched.
struct Watched<'a> {
    cluster: &'a dyn Cluster,
    survey: Survey,
    applications: BoxStream<'static, Result<Change, ClusterError>>,
    workloads: BoxStream<'static, ()>,
    lost: Option<Lost>,
    causes: BTreeMap<ApplicationRef, (State, String)>,
    look: Option<BoxFuture<'a, Look>>,
    next_look: Instant,
    /// Whether anything has happened since the last look began.
    is_stale: bool,
    shown: Option<Status>,
    /// Whether what is known is another thing than what is shown.
    is_changed: bool,
    /// When the next picture is due; none before the first look is over.
    next_picture: Option<Instant>,
}

impl<'a> Watched<'a> {
    fn new(cluster: &'a dyn Cluster, survey: Survey) -> Self {
        // What may not be watched is left out: the surroundings have the warning.
        let workloads = ["Deployment", "StatefulSet"].map(|kind| {
            let changes = cluster.watch(&Resource::new("apps/v1", kind), Some(ARGOCD_NAMESPACE));
            changes.filter_map(|change| std::future::ready(change.ok().map(drop))).boxed()
        });
        Self {
            applications: applications(cluster, &survey),
            workloads: stream::select_all(workloads).boxed(),
            cluster,
            survey,
            lost: None,
            causes: BTreeMap::new(),
            look: None,
            next_look: Instant::now(),
            is_stale: true,
            shown: None,
            is_changed: true,
            next_picture: None,
        }
    }

    async fn run(mut self, viewer: &mut dyn Viewer, cancel: &CancellationToken) -> Result<Option<Status>> {
        loop {
            self.begin_look();
            let goes_on = match self.next(viewer, cancel).await {
                Happened::Cancelled => false,
                Happened::Looked(look) => {
                    self.take(look);
                    true
                }
                Happened::Application(Ok(change)) => {
                    self.note(change);
                    self.lost.take().is_none() || viewer.on(News::Resumed)?
                }
                Happened::Application(Err(error)) => self.lose(error, viewer)?,
                Happened::Workload => {
                    self.is_stale = true;
                    true
                }
                Happened::Disturbed => {
                    self.next_picture = self.next_picture.map(|_| Instant::now());
                    true
                }
                Happened::Due => {
                    self.connect_again();
                    self.draw(viewer)?
                }
            };
            if !goes_on {
                return Ok(self.shown);
            }
        }
    }

    async fn next(&mut self, viewer: &mut dyn Viewer, cancel: &CancellationToken) -> Happened {
        let retry = self.lost.as_ref().and_then(|lost| lost.retry);
        let next_look = Some(self.next_look).filter(|_| self.look.is_none() && self.wants_look());
        let due = [retry, next_look, self.next_picture].into_iter().flatten().min();
        let look = async {
            match &mut self.look {
                Some(look) => look.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Happened::Cancelled,
            () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => Happened::Due,
            look = look => Happened::Looked(look),
            Some(change) = self.applications.next(), if retry.is_none() => Happened::Application(change),
            Some(()) = self.workloads.next() => Happened::Workload,
            () = viewer.disturbed() => Happened::Disturbed,
        }
    }

    fn wants_look(&self) -> bool {
        self.lost.is_none() && (self.is_stale || self.shown.as_ref().is_none_or(|status| !status.converged))
    }

    /// Begins to read what is not watched, if it is time.
    fn begin_look(&mut self) {
        if self.look.is_some() || !self.wants_look() || Instant::now() < self.next_look {
            return;
        }
        self.is_stale = false;
        let cluster = self.cluster;
        let unwell: Vec<_> = self.survey.judged().into_iter().filter(|(_, state)| !state.is_converged()).collect();
        let look = async move {
            let (surroundings, mut found) = tokio::join!(Surroundings::of(cluster), diagnose::causes(cluster, &unwell));
            let causes = unwell.into_iter().filter_map(|(application, state)| {
                let cause = found.remove(&application.reference)?;
                Some((application.reference, (state, cause)))
            });
            Look { surroundings, causes: causes.collect() }
        };
        self.look = Some(look.boxed());
    }

    fn take(&mut self, look: Look) {
        self.look = None;
        self.next_look = Instant::now() + LOOK;
        // What cannot be read just now is as it was: the watch says if the connection is lost.
        if let Ok(surroundings) = look.surroundings {
            self.survey.renew(surroundings);
        }
        self.causes = look.causes;
        self.is_changed = true;
        self.next_picture.get_or_insert_with(Instant::now);
    }

    fn note(&mut self, change: Change) {
        match change {
            Change::Restarted(objects) => self.survey.replace(objects.iter().map(AsRef::as_ref)),
            Change::Applied(object) => self.survey.note(&object),
            Change::Deleted(gone) => self.survey.forget(&gone),
        }
        self.is_stale = true;
        self.hurry();
    }

    /// Has what is new drawn soon, and a burst of it at once.
    fn hurry(&mut self) {
        if !self.is_changed {
            self.is_changed = true;
            self.next_picture = self.next_picture.map(|due| due.min(Instant::now() + PICTURE));
        }
    }

    fn lose(&mut self, error: ClusterError, viewer: &mut dyn Viewer) -> Result<bool> {
        let passes = matches!(error, ClusterError::Transient { .. } | ClusterError::Unintelligible { .. } | ClusterError::NotServed(_));
        if !passes {
            return Err(error.into());
        }
        let attempts = self.lost.as_ref().map_or(0, |lost| lost.attempts);
        let pause = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(attempts)).min(LAST_RETRY);
        self.lost = Some(Lost { attempts: attempts.saturating_add(1), retry: Some(Instant::now() + pause) });
        if attempts == 0 { viewer.on(News::Lost(&error.to_string())) } else { Ok(true) }
    }

    fn connect_again(&mut self) {
        if let Some(lost) = self.lost.as_mut().filter(|lost| lost.retry.is_some_and(|due| due <= Instant::now())) {
            lost.retry = None;
            self.applications = applications(self.cluster, &self.survey);
        }
    }

    /// Draws if it is time; whether the viewer wants more.
    fn draw(&mut self, viewer: &mut dyn Viewer) -> Result<bool> {
        if self.next_picture.is_none_or(|due| Instant::now() < due) {
            return Ok(true);
        }
        self.next_picture = Some(Instant::now() + TICK);
        if let Some(shown) = self.shown.as_ref().filter(|_| !self.is_changed) {
            return viewer.on(News::Tick(shown));
        }
        self.is_changed = false;
        let now = self.status();
        let goes_on = viewer.on(match &self.shown {
            Some(before) => News::Changed { before, now: &now },
            None => News::Stands(&now),
        });
        self.shown = Some(now);
        goes_on
    }

    /// How it stands now. A cause holds as long as the Application stands as it did when the cause was found.
    fn status(&self) -> Status {
        let judged = self.survey.judged();
        let causes = judged.iter().filter_map(|(application, state)| {
            let (then, cause) = self.causes.get(&application.reference)?;
            (then == state).then(|| (application.reference.clone(), cause.clone()))
        });
        self.survey.status(&judged, &causes.collect())
    }
}

/// Watches the Applications that the survey has.
fn applications(cluster: &dyn Cluster, survey: &Survey) -> BoxStream<'static, Result<Change, ClusterError>> {
    cluster.watch(&Application::resource(), Some(ARGOCD_NAMESPACE).filter(|_| !survey.is_everywhere))
}
