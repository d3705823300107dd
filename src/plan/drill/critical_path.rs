//! The critical path: of all that happened at the same time, the chain that determined when the recovery was over.
//!
//! Found backwards from the Application that was well last: each link ends where the next begins, and is what that one waited for.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{ApplicationTimes, Phase};

/// Steps and pauses shorter than this are not told, in milliseconds.
const SHORTEST: u64 = 100;

/// One link of the path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Link {
    /// The step or the Application.
    pub subject: String,
    /// What went on, or what it waited for.
    pub what: String,
    /// When it began, in milliseconds since the recovery began.
    pub from: u64,
    /// When it ended.
    pub to: u64,
}

/// For each Application by name, those that define kinds it uses.
pub type Needs = BTreeMap<String, BTreeSet<String>>;

/// The steps that wait for Applications; the time of one is that of the Application which was well last in it.
const WAITING: [&str; 2] = ["gates", "converge"];

/// The path from the beginning to the end of the last step: steps, and within those that wait the Applications that were waited for.
pub fn critical_path(phases: &[Phase], applications: &[ApplicationTimes], needs: &Needs) -> Vec<Link> {
    let by_name = applications.iter().map(|application| (application.name.as_str(), application)).collect();
    let mut walk = Walk { by_name, applications, needs, links: Vec::new() };
    let mut now = u64::MAX;
    for phase in phases.iter().rev().filter(|phase| phase.from < phase.to) {
        if phase.from >= now {
            continue;
        }
        let end = phase.to.min(now);
        let last = walk.last(phase.from, end).filter(|_| WAITING.contains(&phase.step.as_str()));
        let begin = last.and_then(|last| last.healthy).unwrap_or(phase.from);
        walk.links.push(Link { subject: phase.step.clone(), what: "step".to_owned(), from: begin, to: end });
        now = last.map_or(begin, |last| walk.back_from(last));
    }
    let mut links = walk.links;
    links.reverse();
    links.retain(|link| link.to.saturating_sub(link.from) >= SHORTEST);
    links
}

/// A moment in the life of an Application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Created,
    Attempted,
    Synced,
    Healthy,
}

struct Walk<'a> {
    by_name: BTreeMap<&'a str, &'a ApplicationTimes>,
    applications: &'a [ApplicationTimes],
    needs: &'a Needs,
    /// From the end to the beginning.
    links: Vec<Link>,
}

impl<'a> Walk<'a> {
    /// The Application that was well last within a time; of those at the same moment the one that nothing is below of.
    fn last(&self, after: u64, until: u64) -> Option<&'a ApplicationTimes> {
        self.applications
            .iter()
            .filter(|application| application.healthy.is_some_and(|healthy| healthy > after && healthy <= until))
            .max_by_key(|application| (application.healthy, self.children(application).next().is_none()))
    }

    fn children(&self, application: &'a ApplicationTimes) -> impl Iterator<Item = &'a ApplicationTimes> {
        self.applications.iter().filter(|child| child.parent.as_deref() == Some(application.name.as_str()))
    }

    /// Follows what each moment waited for, until nothing did. When that was.
    fn back_from(&mut self, last: &'a ApplicationTimes) -> u64 {
        let mut seen = BTreeSet::new();
        let mut at = (last, Moment::Healthy);
        loop {
            let now = time(at.0, at.1).unwrap_or_default();
            // Times that were observed a moment too late may point in a circle.
            if !seen.insert((at.0.name.as_str(), at.1)) {
                return now;
            }
            let Some((before, what)) = self.waited_for(at.0, at.1, now) else { return now };
            // A recovery makes some Applications before the one that Argo CD says has made them.
            let Some(then) = time(before.0, before.1).filter(|then| *then <= now) else { return now };
            self.links.push(Link { subject: at.0.name.clone(), what, from: then, to: now });
            at = before;
        }
    }

    /// What a moment of an Application waited for, and how that is said.
    fn waited_for(&self, application: &'a ApplicationTimes, moment: Moment, now: u64) -> Option<((&'a ApplicationTimes, Moment), String)> {
        let here = |moment, what: &str| Some(((application, moment), what.to_owned()));
        match moment {
            Moment::Healthy => match self.last_child(application, application.synced?, now) {
                Some(child) => Some(((child, Moment::Healthy), format!("notices that {} is well", child.name))),
                None => here(Moment::Synced, "its objects become healthy"),
            },
            Moment::Synced => match self.last_child(application, application.last_attempt?, now) {
                Some(child) => Some(((child, Moment::Healthy), format!("goes on after the wave of {}", child.name))),
                None => here(Moment::Attempted, "sync"),
            },
            Moment::Attempted => {
                let first = application.sync_began?;
                if application.retries == 0 || first >= now {
                    return here(Moment::Created, "is taken up by Argo CD");
                }
                match self.last_needed(application, first, now) {
                    Some(needed) => {
                        Some(((needed, Moment::Synced), format!("tries again, now that {} has defined what it uses", needed.name)))
                    }
                    None => here(Moment::Created, &format!("fails and tries again ({} times)", application.retries)),
                }
            }
            Moment::Created => {
                let parent = self.by_name.get(application.parent.as_deref()?)?;
                let began = parent.sync_began?;
                let before = self.children(parent).filter(|sibling| {
                    sibling.name != application.name
                        && sibling.wave < application.wave
                        && sibling.healthy.is_some_and(|healthy| healthy > began && healthy <= now)
                });
                match before.max_by_key(|sibling| sibling.healthy) {
                    Some(sibling) => {
                        Some(((sibling, Moment::Healthy), format!("wave {} follows the wave of {}", application.wave, sibling.name)))
                    }
                    None => Some(((parent, Moment::Attempted), format!("is made by {}", parent.name))),
                }
            }
        }
    }

    /// The child that was well last within a time.
    fn last_child(&self, application: &'a ApplicationTimes, after: u64, until: u64) -> Option<&'a ApplicationTimes> {
        self.children(application)
            .filter(|child| child.healthy.is_some_and(|healthy| healthy > after && healthy <= until))
            .max_by_key(|child| child.healthy)
    }

    /// The Application that defines what `application` uses and was synced last within a time.
    fn last_needed(&self, application: &'a ApplicationTimes, after: u64, until: u64) -> Option<&'a ApplicationTimes> {
        let needed = self.needs.get(&application.name)?.iter().filter_map(|name| self.by_name.get(name.as_str()).copied());
        needed.filter(|needed| needed.synced.is_some_and(|synced| synced > after && synced <= until)).max_by_key(|needed| needed.synced)
    }
}

fn time(application: &ApplicationTimes, moment: Moment) -> Option<u64> {
    match moment {
        Moment::Created => application.created,
        Moment::Attempted => application.last_attempt,
        Moment::Synced => application.synced,
        Moment::Healthy => application.healthy,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(step: &str, from: u64, to: u64) -> Phase {
        Phase { step: step.to_owned(), from, to, done: true }
    }

    /// An Application that was made, synced at once and well at these times.
    fn application(name: &str, parent: &str, [created, began, synced, healthy]: [u64; 4]) -> ApplicationTimes {
        ApplicationTimes {
            name: name.to_owned(),
            parent: Some(parent.to_owned()).filter(|parent| !parent.is_empty()),
            created: Some(created),
            sync_began: Some(began),
            last_attempt: Some(began),
            synced: Some(synced),
            healthy: Some(healthy),
            ..ApplicationTimes::default()
        }
    }

    fn told(links: &[Link]) -> String {
        links.iter().map(|link| format!("{}-{} {}: {}\n", link.from, link.to, link.subject, link.what)).collect()
    }

    fn path(applications: &[ApplicationTimes], needs: &Needs) -> String {
        told(&critical_path(
            &[phase("install", 0, 5000), phase("root-app", 5000, 5200), phase("converge", 5200, 30_000)],
            applications,
            needs,
        ))
    }

    #[test]
    fn without_applications_it_is_the_steps_and_short_ones_are_left_out() {
        let links = critical_path(&[phase("ns", 0, 20), phase("install", 20, 4000)], &[], &Needs::new());
        assert_eq!(told(&links), "20-4000 install: step\n");
    }

    #[test]
    fn it_leads_over_the_slowest_child_and_back_to_the_root() {
        let root = application("root", "", [5200, 5300, 6000, 20_500]);
        let fast = application("fast", "root", [5800, 6000, 6500, 7000]);
        let slow = application("slow", "root", [5800, 6100, 9000, 20_000]);
        assert_eq!(
            path(&[root, fast, slow], &Needs::new()),
            "0-5000 install: step\n5000-5200 root-app: step\n5200-5300 root: is taken up by Argo CD\n5300-5800 slow: is made by root\n\
             5800-6100 slow: is taken up by Argo CD\n6100-9000 slow: sync\n9000-20000 slow: its objects become healthy\n\
             20000-20500 root: notices that slow is well\n20500-30000 converge: step\n"
        );
    }

    #[test]
    fn a_later_wave_waits_for_the_slowest_of_the_wave_before() {
        let root = application("root", "", [5200, 5300, 12_000, 15_000]);
        let first = application("first", "root", [5400, 5500, 6000, 9000]);
        let mut second = application("second", "root", [9100, 9300, 10_000, 14_000]);
        second.wave = 1;
        let told = path(&[root, first, second], &Needs::new());
        assert!(told.contains("9000-9100 second: wave 1 follows the wave of first\n"), "{told}");
        assert!(told.contains("6000-9000 first: its objects become healthy\n"), "{told}");
    }

    #[test]
    fn one_that_tried_again_waited_for_the_definitions_that_came_late() {
        let root = application("root", "", [5200, 5300, 6000, 20_500]);
        let definitions = application("definitions", "root", [5800, 6000, 12_000, 12_500]);
        let mut user = application("user", "root", [5800, 6000, 16_500, 20_000]);
        (user.retries, user.last_attempt) = (2, Some(16_000));
        let needs = Needs::from([("user".to_owned(), BTreeSet::from(["definitions".to_owned()]))]);
        let with = path(&[root.clone(), definitions.clone(), user.clone()], &needs);
        assert!(with.contains("12000-16000 user: tries again, now that definitions has defined what it uses\n"), "{with}");
        assert!(with.contains("6000-12000 definitions: sync\n"), "{with}");
        let without = path(&[root, definitions, user], &Needs::new());
        assert!(without.contains("5800-16000 user: fails and tries again (2 times)\n"), "{without}");
    }

    #[test]
    fn gates_took_as_long_as_what_was_behind_them() {
        let phases =
            [phase("infrastructure", 0, 1000), phase("gates", 1000, 9000), phase("root-app", 9000, 9200), phase("converge", 9200, 15_000)];
        let root = application("root", "", [9100, 9300, 9800, 14_800]);
        let issuer = application("issuer", "root", [900, 1200, 3000, 8800]);
        let web = application("web", "root", [9900, 10_000, 11_000, 14_700]);
        assert_eq!(
            told(&critical_path(&phases, &[root, issuer, web], &Needs::new())),
            "0-900 infrastructure: step\n900-1200 issuer: is taken up by Argo CD\n1200-3000 issuer: sync\n3000-8800 issuer: its objects become healthy\n\
             8800-9000 gates: step\n9000-9100 root-app: step\n9100-9300 root: is taken up by Argo CD\n9300-9900 web: is made by root\n\
             9900-10000 web: is taken up by Argo CD\n10000-11000 web: sync\n11000-14700 web: its objects become healthy\n\
             14700-14800 root: notices that web is well\n14800-15000 converge: step\n"
        );
    }

    #[test]
    fn applications_that_name_each_other_end_it() {
        let left = application("left", "right", [1000, 1100, 1200, 5000]);
        let right = application("right", "left", [1000, 1100, 1200, 5000]);
        assert!(critical_path(&[phase("converge", 0, 6000)], &[left, right], &Needs::new()).len() < 9);
    }

    #[test]
    fn links_follow_each_other_without_a_gap() {
        let root = application("root", "", [5200, 5300, 6000, 20_500]);
        let slow = application("slow", "root", [5800, 6100, 9000, 20_000]);
        let links = critical_path(&[phase("install", 0, 5200), phase("converge", 5200, 21_000)], &[root, slow], &Needs::new());
        assert!(links.windows(2).all(|pair| pair[0].to == pair[1].from), "{}", told(&links));
        assert_eq!((links[0].from, links[links.len() - 1].to), (0, 21_000));
    }
}
