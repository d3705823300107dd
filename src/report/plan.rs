//! A plan, as people see it.

use std::collections::BTreeMap;

use super::step;
use super::text::{self, Line, Look, Paint};
use crate::plan::StepId;
use crate::plan::preview::{Action, Equality, GitSide, KeyAction, Plan, PlannedKey, PlannedObject, PlannedStep};

/// How a plan is shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShownPlan<'a> {
    /// Whether nothing is folded or cut.
    pub whole: bool,
    /// The command that carries the plan out; none where it would be refused.
    pub next: Option<&'a str>,
}

/// How many objects of a step are named where there are more.
const FEW: usize = 6;

/// How many objects are shown with what changes in them.
const MOST: usize = 10;

/// How many lines of a diff are shown.
const DIFF: usize = 24;

/// How many fields of an object are named.
const FIELDS: usize = 8;

/// The screen of `plan`: the steps, Git and the deploy key, and the objects by what is done to them.
pub(super) fn plan(plan: &Plan, shown: &ShownPlan<'_>, look: Look) -> Vec<Line> {
    let mut lines = step::plan(&steps(plan), look);
    lines.push(Line::new());
    lines.push(step::fact("git", &git(&plan.git)));
    for key in &plan.keys {
        lines.push(step::fact("deploy key", &deploy_key(key)));
    }
    for action in [Action::Refused, Action::Conflict, Action::Create, Action::Adopt, Action::Change, Action::Remove, Action::LeftAlone] {
        let objects: Vec<&PlannedObject> = plan.having(action).collect();
        if objects.is_empty() {
            continue;
        }
        lines.push(Line::new());
        lines.push(heading(action, objects.len()));
        lines.extend(match action {
            Action::Create | Action::Remove => names(&objects, shown, look),
            _ => details(&objects, shown, look),
        });
        lines.extend(known_after_apply(&objects));
    }
    lines.push(Line::new());
    lines.extend(in_place(plan, shown, look));
    if !plan.skipped.is_empty() {
        lines.push(Line::new().with(Paint::Faint, format!("left to Argo CD: {}", text::count(plan.skipped.len(), "object"))));
        let most = if shown.whole { plan.skipped.len() } else { FEW };
        lines.extend(plan.skipped.iter().take(most).map(|left| Line::of("    ").with(Paint::Faint, left).hanging(6)));
    }
    if let Some(next) = shown.next.filter(|_| plan.is_needed()) {
        lines.push(Line::new());
        lines.push(Line::new().with(Paint::Strong, "next"));
        lines.push(Line::new().with(Paint::Faint, "  carries this out"));
        lines.push(Line::new().with(Paint::Busy, format!("    {next}")).whole());
    }
    lines
}

/// The steps without the objects, which stand below. What the gates wait for is no object.
fn steps(plan: &Plan) -> Vec<PlannedStep> {
    let without = |step: &PlannedStep| PlannedStep { changes: Vec::new(), ..step.clone() };
    plan.steps.iter().map(|step| if step.step == StepId::Gates { step.clone() } else { without(step) }).collect()
}

fn git(git: &GitSide) -> String {
    let at = format!("{}, {} at {}", git.repository, git.revision, git.commit.short());
    match git.remote {
        Equality::SameCommit => format!("{at}: the commit of this clone"),
        Equality::SameFiles => format!("{at}: the clone is at {}, with the same files for this cluster", git.clone.short()),
        Equality::KnownAfterApply => format!("{at}: whether the remote serves that is known after apply, once the deploy key works"),
        Equality::Named => format!("{at}: the commit that was named, whatever the remote serves"),
        Equality::Served => format!("{at}: served from this clone, inside of the cluster"),
    }
}

fn deploy_key(key: &PlannedKey) -> String {
    let named = match (&key.title, key.id) {
        (Some(title), Some(id)) => format!("\"{title}\" (id {id})"),
        (Some(title), None) => format!("\"{title}\""),
        (None, _) => "the one in the cluster".to_owned(),
    };
    let what = match (key.action, &key.fingerprint) {
        (KeyAction::Register, None) => format!("a new one is made and registered as {named}"),
        (KeyAction::Register, Some(_)) => format!("it is registered as {named}"),
        (KeyAction::RegisterByHand, None) => "a new one is made, and a person has to register it".to_owned(),
        (KeyAction::RegisterByHand, Some(_)) => "a person has to register it".to_owned(),
        (KeyAction::Keep, _) => format!("{named} stays"),
        (KeyAction::Remove, _) => format!("{named} is removed"),
    };
    match &key.fingerprint {
        Some(fingerprint) => format!("{what}\n{fingerprint}"),
        None if key.action == KeyAction::Remove => what,
        None => format!("{what}\nits fingerprint is known after apply"),
    }
}

fn heading(action: Action, number: usize) -> Line {
    let objects = text::count(number, "object");
    let (paint, word, more) = match action {
        Action::Refused => (Paint::Bad, "refused", "by the API server, which stops the run"),
        Action::Conflict => {
            (Paint::Bad, "conflict", "somebody else's, which stops the run; `--take-ownership` takes over what can be taken")
        }
        Action::Create => (Paint::Good, "create", ""),
        Action::Adopt => (Paint::Caution, "adopt", "there already, and taken over"),
        Action::Change => (Paint::Caution, "change", ""),
        Action::Remove => (Paint::Caution, "remove", ""),
        Action::LeftAlone => {
            (Paint::Caution, "left alone", "as declared but for fields that others own; `--take-ownership` takes them over")
        }
        Action::InPlace => (Paint::Faint, "already there", ""),
    };
    let more = if more.is_empty() { String::new() } else { format!(", {more}") };
    Line::new().with(paint, format!("{word}: ")).with(Paint::Strong, objects).plain(more).hanging(2)
}

/// The objects by the steps that send them.
fn names(objects: &[&PlannedObject], shown: &ShownPlan<'_>, look: Look) -> Vec<Line> {
    let mut lines = Vec::new();
    for of_step in objects.chunk_by(|one, other| one.step == other.step) {
        let most = if shown.whole || of_step.len() == FEW + 1 { of_step.len() } else { FEW };
        let (named, folded) = of_step.split_at_checked(most).unwrap_or((of_step, &[]));
        let mut name = of_step.first().map(|object| object.step.name()).unwrap_or_default();
        for object in named {
            let before = Line::new().with(Paint::Faint, format!("    {name} ")).pad(step::NAME + 4);
            lines.push(step::column(before, &object.object.to_string(), step::NAME + 4, look));
            name = "";
        }
        if !folded.is_empty() {
            let more = format!("and {} more: {} (`-v` names them)", folded.len(), kinds(folded));
            let before = Line::of("    ").pad(step::NAME + 4);
            lines.push(before.with(Paint::Faint, more).hanging(step::NAME + 4));
        }
    }
    lines
}

/// `ConfigMap 8, Deployment 7`, the most first.
fn kinds(objects: &[&PlannedObject]) -> String {
    let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
    for object in objects {
        *numbers.entry(object.object.resource.kind.as_str()).or_default() += 1;
    }
    let mut numbers: Vec<(&str, usize)> = numbers.into_iter().collect();
    numbers.sort_by_key(|&(_, number)| std::cmp::Reverse(number));
    numbers.iter().map(|(kind, number)| format!("{kind} {number}")).collect::<Vec<_>>().join(", ")
}

/// The objects, each with the owners of its fields and what changes.
fn details(objects: &[&PlannedObject], shown: &ShownPlan<'_>, look: Look) -> Vec<Line> {
    let most = if shown.whole { objects.len() } else { MOST };
    let (shown_objects, folded) = objects.split_at_checked(most).unwrap_or((objects, &[]));
    let mut lines = Vec::new();
    for object in shown_objects {
        let before = Line::new().with(Paint::Faint, format!("    {} ", object.step)).pad(step::NAME + 4);
        lines.push(step::column(before, &object.object.to_string(), step::NAME + 4, look));
        let taken = object.taken.iter().map(|field| format!("{} was changed by `{}`, and is taken back", field.field, field.manager));
        let and_is_left = if object.action == Action::Change { ", and is left to it" } else { "" };
        let left = object.left.iter().map(|field| format!("{} belongs to `{}`{and_is_left}", field.field, field.manager));
        let fields: Vec<String> = taken.chain(left).collect();
        let most = if shown.whole { fields.len() } else { FIELDS };
        lines.extend(fields.iter().take(most).map(|field| Line::of("      ").plain(field).hanging(8)));
        if fields.len() > most {
            lines.push(Line::new().with(Paint::Faint, format!("      and {} more (`-v` names them)", fields.len() - most)));
        }
        lines.extend(object.refusal.iter().map(|refusal| Line::of("      ").with(Paint::Bad, refusal).hanging(8)));
        lines.extend(object.diff.iter().flat_map(|diff| self::diff(diff, shown, look)));
    }
    if !folded.is_empty() {
        lines.push(Line::new().with(Paint::Faint, format!("    and {} more: {} (`-v` shows them)", folded.len(), kinds(folded))));
    }
    lines
}

/// The lines of a diff. Colour only repeats the mark at their beginning.
fn diff(diff: &str, shown: &ShownPlan<'_>, look: Look) -> Vec<Line> {
    let number = diff.lines().count();
    let most = if shown.whole || number == DIFF + 1 { number } else { DIFF };
    let mut lines: Vec<Line> = Vec::with_capacity(number.min(most) + 1);
    for line in diff.lines().take(most) {
        let paint = match line.chars().next() {
            Some('+') => Paint::Good,
            Some('-') => Paint::Bad,
            Some('@') => Paint::Busy,
            _ => Paint::Faint,
        };
        let line = if shown.whole { line.to_owned() } else { text::cut(line, look.width.saturating_sub(6), look) };
        lines.push(Line::of("      ").with(paint, line).whole());
    }
    if number > most {
        lines.push(Line::new().with(Paint::Faint, format!("      {} more lines (`-v` shows them)", number - most)));
    }
    lines
}

/// What only a later step makes known of some objects, and why.
fn known_after_apply(objects: &[&PlannedObject]) -> Vec<Line> {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for reason in objects.iter().filter_map(|object| object.known_after_apply.as_deref()) {
        *reasons.entry(reason).or_default() += 1;
    }
    let of = |number: usize| if number == objects.len() { "all of them".to_owned() } else { format!("{number} of them") };
    let mut reasons: Vec<(&str, usize)> = reasons.into_iter().collect();
    reasons.sort_by_key(|&(_, number)| std::cmp::Reverse(number));
    reasons
        .into_iter()
        .map(|(reason, number)| {
            let text = format!("    known after apply: what the server says to {}, since {reason}", of(number));
            Line::new().with(Paint::Faint, text).hanging(6)
        })
        .collect()
}

fn in_place(plan: &Plan, shown: &ShownPlan<'_>, look: Look) -> Vec<Line> {
    let objects: Vec<&PlannedObject> = plan.having(Action::InPlace).collect();
    if objects.is_empty() {
        return vec![Line::new().with(Paint::Faint, "already there: nothing")];
    }
    if shown.whole {
        let mut lines = vec![heading(Action::InPlace, objects.len())];
        lines.extend(names(&objects, shown, look));
        return lines;
    }
    vec![heading(Action::InPlace, objects.len()).with(Paint::Faint, format!(" ({}; `-v` names them)", kinds(&objects))).hanging(4)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{FieldConflict, Identity, ObjectRef};
    use crate::plan::preview::Preview;

    const LOOK: Look = Look { colour: false, unicode: false, width: 100 };

    fn object(step: StepId, kind: &str, name: &str, action: Action) -> PlannedObject {
        PlannedObject::new(step, ObjectRef::namespaced("v1", kind, "argocd", name), action)
    }

    fn sample(objects: Vec<PlannedObject>, keys: Preview) -> Plan {
        let planned = |step, needed, because: &str| PlannedStep {
            step,
            needed,
            because: because.to_owned(),
            changes: vec!["not shown twice".to_owned()],
            why: None,
        };
        Plan {
            run: "init",
            cluster: "staging".parse().unwrap(),
            context: "kind-staging".to_owned(),
            server: "https://127.0.0.1:6443".to_owned(),
            identity: Identity { kube_system_uid: "0".to_owned(), ca_sha256: None },
            git: GitSide {
                repository: "git@github.com:acme/fleet.git".parse().unwrap(),
                revision: "main".to_owned(),
                clone: "a".repeat(40).parse().unwrap(),
                commit: "b".repeat(40).parse().unwrap(),
                remote: Equality::SameFiles,
            },
            keys: keys.keys,
            objects,
            skipped: vec!["Certificate argocd: the cluster does not serve cert-manager.io/v1".to_owned()],
            steps: vec![planned(StepId::Install, true, "9 to create, 1 to change"), planned(StepId::Ns, false, "it is there")],
        }
    }

    fn shown(plan: &Plan, whole: bool) -> String {
        let next = Some("gitops-bootstrap init staging");
        text::page(&super::plan(plan, &ShownPlan { whole, next }, LOOK), LOOK)
    }

    fn with_everything() -> Plan {
        let created = (0..9).map(|number| {
            let kind = if number == 8 { "Secret" } else { "ConfigMap" };
            object(StepId::Install, kind, &format!("made-{number}"), Action::Create).known_after_apply("namespace argocd is not there yet")
        });
        let field = |manager: &str, field: &str| FieldConflict { manager: manager.to_owned(), field: field.to_owned() };
        let lines: String = (0..40).map(|number| format!("+line {number}\n")).collect();
        let changed = PlannedObject {
            taken: vec![field("kubectl-edit", ".data.url")],
            left: vec![field("somebody", ".data.other")],
            diff: Some(format!("@@ -1 +1,41 @@\n-url: there\n{lines}")),
            ..object(StepId::Install, "ConfigMap", "argocd-cm", Action::Change)
        };
        let left = PlannedObject {
            left: vec![field("somebody", ".metadata.labels.a")],
            ..object(StepId::Install, "Service", "argocd-metrics", Action::LeftAlone)
        };
        let refused = PlannedObject {
            refusal: Some("the API server refuses it: spec.x is no field".to_owned()),
            ..object(StepId::RootApp, "Application", "root", Action::Refused)
        };
        let in_place = [object(StepId::Install, "Role", "r", Action::InPlace), object(StepId::Install, "Role", "s", Action::InPlace)];
        let title = || Some("gitops-bootstrap staging 1".to_owned());
        sample(
            created.chain([changed, left, refused]).chain(in_place).collect(),
            Preview::all([
                Preview::of_key(KeyAction::Register, title(), None, None),
                Preview::of_key(KeyAction::Remove, title(), Some(3), None),
            ]),
        )
    }

    #[test]
    fn what_a_run_would_do_is_grouped_counted_and_folded() {
        insta::assert_snapshot!(shown(&with_everything(), false));
    }

    #[test]
    fn with_v_nothing_is_folded_and_nothing_cut() {
        let text = shown(&with_everything(), true);
        for words in ["ConfigMap argocd/made-7", "Secret argocd/made-8", "+line 39", "Role argocd/s"] {
            assert!(text.contains(words), "{words}\n{text}");
        }
        assert!(!text.contains("-v"), "{text}");
    }

    #[test]
    fn a_plan_with_nothing_to_do_says_so() {
        let mut plan = sample(vec![object(StepId::Install, "Role", "r", Action::InPlace)], Preview::default());
        plan.steps.iter_mut().for_each(|step| step.needed = false);
        plan.skipped.clear();
        insta::assert_snapshot!(shown(&plan, false));
    }
}
