//! `webhook`: the forge tells Argo CD of every push, so that nothing waits for the next look at the repository; `webhook-remove` takes that back.
//!
//! Both sides have one secret, by which Argo CD knows that it was the forge. The forge never shows it, so that both have the same one is written down, as an
//! annotation of the Secret of Argo CD, once the forge was told: a run that died before is continued by telling the forge again.
//!
//! The Secret is made by Argo CD's manifest, without a value, and filled by Argo CD. Of it only this value and this annotation are ours, under a field
//! manager of our own, so Argo CD finds nothing to put right in it, and goes on to write its own values.

use base64::Engine as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::secret_create::field;
use super::{Step, World};
use crate::domain::tree::ARGOCD_NAMESPACE;
use crate::domain::{Object, ObjectRef, WebhookUrl};
use crate::error::{Failure, Kind, Result};
use crate::event::How;
use crate::plan::preview::{Action, PlannedObject, Preview};
use crate::plan::{StepId, Verdict};
use crate::ports::Forge;
use crate::ports::cluster::ApplyOptions;
use crate::ports::forge::Webhook as Registered;

/// The value from which Argo CD takes the secret (docs/operator-manual/webhook.md of Argo CD).
const VALUE: &str = "webhook.github.secret";

/// The annotation with the number at the forge of the webhook that has this secret.
const RECORD: &str = "gitops-bootstrap/webhook";

/// The field manager of the value and of the annotation.
const MANAGER: &str = "gitops-bootstrap-webhook";

/// Registers the webhook.
pub struct Webhook;

/// Removes the webhook that [`Webhook`] has registered.
pub struct WebhookRemove;

/// Both sides.
pub struct Seen {
    /// Argo CD's Secret; none before Argo CD is installed.
    secret: Option<Object>,
    /// The webhooks of the repository.
    registered: Vec<Registered>,
}

/// Argo CD's own Secret.
fn reference() -> ObjectRef {
    ObjectRef::namespaced("v1", "Secret", ARGOCD_NAMESPACE, "argocd-secret")
}

/// The number that is written down.
fn recorded(secret: &Object) -> Option<u64> {
    secret.at("/metadata/annotations")?.get(RECORD)?.as_str()?.parse().ok()
}

fn value(secret: &Object) -> Option<SecretString> {
    field(secret, VALUE).filter(|value| !value.is_empty()).map(SecretString::from)
}

fn describe(webhook: &Registered) -> String {
    format!("webhook {} (id {})", webhook.url, webhook.id)
}

fn wanted(world: &World) -> Result<&WebhookUrl> {
    world.webhook.as_ref().ok_or_else(|| Failure::bug("a webhook is to be registered that nobody wants"))
}

fn forge(world: &World) -> Result<&dyn Forge> {
    world.forge.as_deref().ok_or_else(|| {
        Failure::usage("there is no token to register the webhook with")
            .because("nothing was changed by this step")
            .hint("give one with `--token-file FILE`, or in GITHUB_TOKEN")
    })
}

impl Seen {
    /// The webhook for this address, if it is as wanted and both sides have the same secret.
    fn in_place(&self, url: &WebhookUrl) -> Option<&Registered> {
        let secret = self.secret.as_ref()?;
        value(secret)?;
        let mut ours = self.registered.iter().filter(|webhook| webhook.url == url.as_str());
        let (Some(webhook), None) = (ours.next(), ours.next()) else { return None };
        Some(webhook).filter(|webhook| webhook.is_as_wanted && recorded(secret) == Some(webhook.id))
    }

    /// The webhook that we have registered before for another address, and others for this address than the first.
    fn superfluous(&self, url: &WebhookUrl) -> impl Iterator<Item = &Registered> {
        let recorded = self.secret.as_ref().and_then(recorded);
        let first = self.registered.iter().find(|webhook| webhook.url == url.as_str()).map(|webhook| webhook.id);
        let is_for_this = |webhook: &Registered| webhook.url == url.as_str();
        self.registered.iter().filter(move |webhook| Some(webhook.id) != first && (is_for_this(webhook) || Some(webhook.id) == recorded))
    }
}

impl Step for Webhook {
    type Seen = Seen;

    fn id(&self) -> StepId {
        StepId::Webhook
    }

    async fn look(&self, world: &World) -> Result<Seen> {
        let registered = forge(world)?.webhooks().await?;
        Ok(Seen { secret: world.cluster.get(&reference()).await?, registered })
    }

    fn decide(&self, world: &World, seen: &Seen) -> Result<Verdict> {
        let url = wanted(world)?;
        let because = match (seen.in_place(url), seen.superfluous(url).next()) {
            (Some(webhook), None) => return Ok(Verdict::satisfied(format!("{} is told of pushes (id {})", webhook.url, webhook.id))),
            (_, Some(other)) => format!("{} is not needed any more", describe(other)),
            (None, None) if seen.registered.iter().any(|webhook| webhook.url == url.as_str()) => {
                "the one that the forge has is not as it has to be, or has another secret".to_owned()
            }
            (None, None) => "the forge does not tell Argo CD of pushes".to_owned(),
        };
        Ok(Verdict::Needed { because, changes: vec![format!("webhook {url}"), reference().to_string()] })
    }

    async fn preview(&self, world: &World, seen: Seen) -> Result<Preview> {
        if !self.decide(world, &seen)?.is_needed() {
            return Ok(Preview::of(PlannedObject::new(self.id(), reference(), Action::InPlace)));
        }
        let action = if seen.secret.is_some() { Action::Change } else { Action::Create };
        let because = "the forge is told of it, and it gets the number that the webhook has there";
        Ok(Preview::of(PlannedObject::new(self.id(), reference(), action).known_after_apply(because)))
    }

    async fn apply(&self, world: &World, seen: Seen) -> Result<()> {
        let (url, forge) = (wanted(world)?, forge(world)?);
        let Some(secret) = &seen.secret else {
            return Err(Failure::new(Kind::Conflict, format!("{} is not there", reference()))
                .because("Argo CD's manifest brings it, and Argo CD reads the webhook's secret from it")
                .hint("put it into the folder of Argo CD in the fleet repository, render, commit and push"));
        };
        let value = match value(secret) {
            Some(value) => value,
            None => world.keys.passphrase()?,
        };
        world.go_on()?;
        write(world, &value, None).await?;
        world.go_on()?;
        let webhook = forge.register_webhook(url, &value).await?;
        let was_there = seen.registered.iter().any(|other| other.id == webhook.id);
        world.changed(self.id(), describe(&webhook), if was_there { How::Updated } else { How::Created });
        for other in seen.superfluous(url).filter(|other| other.id != webhook.id) {
            world.go_on()?;
            forge.delete_webhook(other.id).await?;
            world.changed(self.id(), describe(other), How::Deleted);
        }
        write(world, &value, Some(webhook.id)).await?;
        world.changed(self.id(), reference(), How::Updated);
        Ok(())
    }
}

/// Writes the value, and the record if the forge has it too.
async fn write(world: &World, value: &SecretString, record: Option<u64>) -> Result<()> {
    let mut object = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": reference().name, "namespace": ARGOCD_NAMESPACE},
        "data": {VALUE: base64::engine::general_purpose::STANDARD.encode(value.expose_secret())},
    });
    if let Some(id) = record {
        object["metadata"]["annotations"] = json!({RECORD: id.to_string()});
    }
    let object = Object::new(object).map_err(|error| Failure::bug(error.to_string()))?;
    world.cluster.apply(&object, ApplyOptions { manager: MANAGER, force: false }).await?;
    Ok(())
}

/// What a detachment finds of the webhook.
pub enum Ours {
    /// None was ever registered by us.
    Never,
    /// One was, and the forge's API is not to be asked.
    NotAsked(u64),
    /// One was; none if the forge does not have it any more.
    Asked(Option<Registered>),
}

impl Step for WebhookRemove {
    type Seen = Ours;

    fn id(&self) -> StepId {
        StepId::WebhookRemove
    }

    async fn look(&self, world: &World) -> Result<Ours> {
        let Some(id) = world.cluster.get(&reference()).await?.as_ref().and_then(recorded) else { return Ok(Ours::Never) };
        Ok(match &world.forge {
            None => Ours::NotAsked(id),
            Some(forge) => Ours::Asked(forge.webhooks().await?.into_iter().find(|webhook| webhook.id == id)),
        })
    }

    fn decide(&self, world: &World, seen: &Ours) -> Result<Verdict> {
        Ok(match seen {
            Ours::Never => Verdict::satisfied("none was registered"),
            Ours::NotAsked(id) if world.detachment().keep_key => Verdict::satisfied(format!("left at the forge: id {id}")),
            Ours::NotAsked(_) => {
                return Err(Failure::usage("there is no token to remove the webhook with").hint("`--keep-key` leaves it at the forge"));
            }
            Ours::Asked(None) => Verdict::satisfied("the forge does not have it"),
            Ours::Asked(Some(webhook)) => {
                Verdict::Needed { because: "nobody listens any more".to_owned(), changes: vec![describe(webhook)] }
            }
        })
    }

    async fn apply(&self, world: &World, seen: Ours) -> Result<()> {
        let Ours::Asked(Some(webhook)) = seen else { return Err(Failure::bug("a webhook is to be removed that is not there")) };
        forge(world)?.delete_webhook(webhook.id).await?;
        world.changed(self.id(), describe(&webhook), How::Deleted);
        world.note_detachment(|detachment| detachment.removed_webhooks.push(webhook));
        Ok(())
    }
}
