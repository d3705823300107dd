//! `record`: the record that a recovery has begun, so that a later run knows the cluster for its own.
//!
//! It is written right after the lock. What a run leaves behind that was killed before is a namespace with nothing but that lock in it, and the target guard
//! takes that for empty.

use super::{Step, World, marker};
use crate::domain::Object;
use crate::error::Result;
use crate::event::How;
use crate::plan::preview::{Action, PlannedObject, Preview};
use crate::plan::{StepId, Verdict};

/// Writes the record that a recovery has begun.
pub struct Record;

impl Step for Record {
    type Seen = Option<Object>;

    fn id(&self) -> StepId {
        StepId::Record
    }

    async fn look(&self, world: &World) -> Result<Self::Seen> {
        Ok(world.cluster.get(&marker::reference()).await?)
    }

    fn decide(&self, _world: &World, seen: &Self::Seen) -> Result<Verdict> {
        Ok(match seen.as_ref().and_then(|record| record.text(&format!("/data/{}", marker::RECOVERY))) {
            Some(marker::BEGUN) => Verdict::satisfied("this recovery has begun"),
            Some(state) => Verdict::satisfied(format!("this recovery is {state}")),
            None => Verdict::Needed { because: "the recovery begins".to_owned(), changes: vec![marker::reference().to_string()] },
        })
    }

    async fn preview(&self, world: &World, seen: Self::Seen) -> Result<Preview> {
        if self.decide(world, &seen)?.is_needed() {
            return marker::preview(world, self.id(), begun(world), seen.as_ref()).await;
        }
        Ok(Preview::of(PlannedObject::new(self.id(), marker::reference(), Action::InPlace)))
    }

    async fn apply(&self, world: &World, seen: Self::Seen) -> Result<()> {
        marker::write(world, begun(world)).await?;
        world.changed(self.id(), marker::reference(), if seen.is_none() { How::Created } else { How::Updated });
        Ok(())
    }
}

fn begun(world: &World) -> Vec<(&'static str, String)> {
    let mut record = marker::origin(world);
    record.push((marker::RECOVERY, marker::BEGUN.to_owned()));
    record
}
