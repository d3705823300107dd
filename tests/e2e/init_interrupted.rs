//! `init`, stopped by the person or by the machine.

use std::time::{Duration, Instant};

use crate::support::process::{hold_up, interrupt, let_go_on, terminate};
use crate::support::{Fleet, Running, TestSandbox, cluster::SYNC, eventually};

/// How long a run may take to end well.
const GRACE: Duration = Duration::from_secs(5);

/// How long it may take to end at once: 100 ms, and what a busy machine takes to start and end threads.
const AT_ONCE: Duration = Duration::from_secs(1);

#[test]
fn one_signal_ends_a_run_well_and_a_second_one_ends_it_at_once() {
    let sandbox = TestSandbox::start();
    let fleet = Fleet::of(&sandbox);
    never_starts(&fleet, "services/whoami/Deployment.whoami.yaml");
    let head = fleet.head();

    never_starts(&fleet, "infrastructure/argocd/Deployment.argocd-repo-server.yaml");
    let mut run = until_waiting(&sandbox, "rollout");
    interrupt(run.pid());
    assert_ends_well(&sandbox, &mut run, 130);
    fleet.go_back_to(&head);

    let mut run = until_waiting(&sandbox, "converge");
    terminate(run.pid());
    assert_ends_well(&sandbox, &mut run, 143);

    let mut run = until_waiting(&sandbox, "converge");
    let server = sandbox.state.components.iter().find(|component| component.name == "kube-apiserver").unwrap().pid;
    // Nothing answers any more, so giving the lock back takes as long as it may.
    hold_up(server);
    interrupt(run.pid());
    // Signals that come at the same moment count as one: as a person does, it is pressed until the run is over.
    eventually("the end of the run", AT_ONCE, || {
        interrupt(run.pid());
        run.is_over().then_some(())
    });
    let_go_on(server);
    run.end().exits(130);

    let mut run = until_waiting(&sandbox, "converge");
    interrupt(run.pid());
    assert_ends_well(&sandbox, &mut run, 130);
}

/// Makes a Deployment of the fleet wait for a scheduler that nobody runs, so that a run waits for it until it is stopped.
fn never_starts(fleet: &Fleet, deployment: &str) {
    let file = format!("rendered/staging/{deployment}");
    fleet.replace(&file, "      containers:", "      schedulerName: nobody\n      containers:");
    fleet.commit("Wait for a scheduler that nobody runs");
    fleet.push();
}

fn until_waiting(sandbox: &TestSandbox, step: &str) -> Running {
    let mut run = sandbox.cli(&["init", "staging", "--sandbox"]).start();
    run.until(&format!("waiting in {step}"), SYNC, |event| event["event"] == "waiting" && event["step"] == step);
    run
}

/// Checks that a run that was told to stop a moment ago does so in time, gives the lock back and says how to go on.
#[track_caller]
fn assert_ends_well(sandbox: &TestSandbox, run: &mut Running, status: i32) {
    let told = Instant::now();
    let ran = run.end().exits(status);
    assert!(told.elapsed() < GRACE, "{:?}", told.elapsed());
    let last = ran.events().pop().unwrap();
    assert_eq!((&last["event"], &last["status"]), (&"failed".into(), &status.into()), "{ran}");
    let hints = last["failure"]["hints"].to_string();
    assert!(hints.contains("gitops-bootstrap init staging --sandbox"), "{hints}");
    assert_eq!(sandbox.lock_holder(), None, "the lock is given back");
}
