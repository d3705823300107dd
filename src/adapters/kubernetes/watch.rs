//! Watching a kind: the `kube` crate's watcher lists and watches again by itself; here it is given fresh credentials, kinds that are not
//! served yet are waited for, and its events become the port's.

use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBuilder;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::utils::ResetTimerBackoff;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::Value;

use super::discovery::{Discovery, Served};
use super::transport::SharedTransport;
use crate::domain::{Object, Resource};
use crate::ports::cluster::{Change, ClusterError, Scope};

/// How long to wait before a kind that is not served, or a server that does not answer, is asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long to wait before a watch that failed is tried again, at first; then twice as long each time.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// How long to wait at most.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// How long nothing may have failed for the next failure to be a first one.
const CALM: Duration = Duration::from_secs(120);

type Events = BoxStream<'static, watcher::Result<watcher::Event<DynamicObject>>>;

/// A watch between two of its changes.
struct Watch {
    transport: SharedTransport,
    discovery: Arc<Discovery>,
    resource: Resource,
    namespace: Option<String>,
    events: Option<Events>,
    /// Which credentials `events` uses.
    generation: u64,
    /// What was listed so far, while a list is being read.
    listed: Vec<Arc<Object>>,
    /// Whether to wait before the next attempt.
    pause: bool,
}

/// Watches until the stream is dropped.
pub(super) fn watch(
    transport: SharedTransport,
    discovery: Arc<Discovery>,
    resource: &Resource,
    namespace: Option<&str>,
) -> BoxStream<'static, Result<Change, ClusterError>> {
    let watch = Watch {
        transport,
        discovery,
        resource: resource.clone(),
        namespace: namespace.map(str::to_owned),
        events: None,
        generation: 0,
        listed: Vec::new(),
        pause: false,
    };
    stream::unfold(watch, |mut watch| async move { Some((watch.next().await, watch)) }).boxed()
}

impl Watch {
    async fn next(&mut self) -> Result<Change, ClusterError> {
        loop {
            if std::mem::take(&mut self.pause) {
                tokio::time::sleep(PAUSE).await;
            }
            let event = match &mut self.events {
                Some(events) => events.next().await,
                None => {
                    if let Err(error) = self.begin().await {
                        self.pause = true;
                        return Err(error);
                    }
                    continue;
                }
            };
            match event {
                Some(Ok(event)) => {
                    if let Some(change) = self.take(event)? {
                        return Ok(change);
                    }
                }
                Some(Err(error)) => {
                    if let Some(error) = self.judge(&error).await {
                        return Err(error);
                    }
                }
                // The watcher never ends; should it, it is begun anew.
                None => {
                    self.events = None;
                    self.pause = true;
                }
            }
        }
    }

    async fn begin(&mut self) -> Result<(), ClusterError> {
        let served = self.discovery.find(&self.transport, &self.resource).await?;
        let served = served.ok_or_else(|| ClusterError::NotServed(self.resource.clone()))?;
        let (client, generation) = self.transport.client().await?;
        let resource = api_resource(&self.resource, &served);
        let api = match (served.scope, &self.namespace) {
            (Scope::Namespaced, Some(namespace)) => kube::Api::namespaced_with(client, namespace, &resource),
            _ => kube::Api::<DynamicObject>::all_with(client, &resource),
        };
        self.generation = generation;
        self.events = Some(watcher(api, watcher::Config::default()).backoff(backoff()).boxed());
        Ok(())
    }

    fn take(&mut self, event: watcher::Event<DynamicObject>) -> Result<Option<Change>, ClusterError> {
        Ok(match event {
            watcher::Event::Init => {
                self.listed.clear();
                None
            }
            watcher::Event::InitApply(object) => {
                let object = self.object(object)?;
                self.listed.push(Arc::new(object));
                None
            }
            watcher::Event::InitDone => Some(Change::Restarted(std::mem::take(&mut self.listed))),
            watcher::Event::Apply(object) => Some(Change::Applied(Arc::new(self.object(object)?))),
            watcher::Event::Delete(object) => Some(Change::Deleted(self.object(object)?.reference())),
        })
    }

    /// What an error of the watcher means to the caller; none if it is part of the trade.
    async fn judge(&mut self, error: &watcher::Error) -> Option<ClusterError> {
        let status = match error {
            watcher::Error::WatchError(status) => Some(status.as_ref()),
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::WatchFailed(kube::Error::Api(status)) => Some(status.as_ref()),
            _ => None,
        };
        match status.map(|status| (status.code, status.message.clone())) {
            // The version that the watch goes on from is too old: the watcher lists again.
            Some((410, _)) => None,
            Some((401, message)) => match self.transport.renew(self.generation).await {
                Ok(true) => {
                    self.events = None;
                    self.pause = true;
                    None
                }
                Ok(false) => Some(ClusterError::Unauthorized(message)),
                Err(error) => Some(error),
            },
            Some((403, message)) => Some(ClusterError::Forbidden(message)),
            Some((404, _)) => {
                self.discovery.forget(&self.resource);
                self.events = None;
                self.pause = true;
                Some(ClusterError::NotServed(self.resource.clone()))
            }
            Some((_, message)) => Some(ClusterError::Transient { server: self.transport.server.clone(), message, retry_after: None }),
            None => Some(match error {
                watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
                    self.transport.error_of(error)
                }
                watcher::Error::WatchError(_) | watcher::Error::NoResourceVersion => {
                    self.transport.unintelligible("a watch without a resourceVersion")
                }
            }),
        }
    }

    /// The object as the port has it, without `managedFields`, which nobody who watches reads and which are half of its size.
    fn object(&self, mut object: DynamicObject) -> Result<Object, ClusterError> {
        object.metadata.managed_fields = None;
        let mut value = serde_json::to_value(object).map_err(|_| self.transport.unintelligible("an object that is not one"))?;
        if let Value::Object(fields) = &mut value {
            // The items of a list do not say what they are.
            fields.insert("apiVersion".to_owned(), Value::from(self.resource.api_version.as_str()));
            fields.insert("kind".to_owned(), Value::from(self.resource.kind.as_str()));
        }
        Object::new(value).map_err(|error| self.transport.unintelligible(format!("an object without what every object has: {error}")))
    }
}

/// The pauses are those of client-go (`tools/cache/reflector.go`) but for the first, which is 0.8 s there: a kind that was defined a moment ago
/// fails for some milliseconds only (429, "storage is (re)initializing"), and what happens until the next try is seen that much too late.
fn backoff() -> ResetTimerBackoff<watcher::ExponentialBackoff> {
    let pauses = ExponentialBuilder::default().with_min_delay(FIRST_BACKOFF).with_max_delay(LONGEST_BACKOFF).with_factor(2.0);
    ResetTimerBackoff::new(pauses.without_max_times().with_jitter().into(), CALM)
}

fn api_resource(resource: &Resource, served: &Served) -> ApiResource {
    ApiResource {
        group: resource.group().to_owned(),
        version: resource.version().to_owned(),
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
        plural: served.plural.clone(),
    }
}
