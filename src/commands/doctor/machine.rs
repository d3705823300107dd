//! This machine: the programs, the clock and the proxies.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::SignedDuration;

use super::Context;
use super::board::Board;
use crate::adapters::tools::Tool;
use crate::adapters::{git, installed, proxy};
use crate::domain::{CheckId, ClusterName, Declaration};
use crate::plan::checkup::{self, Need, Program};
use crate::render::Sources;
use crate::sandbox::engine::{self, sources::oldest_go};

/// The first OpenSSH with all options that are used.
const OLDEST_SSH: [u32; 2] = [8, 4];

/// What a server was heard to say of the time, and how it is reached.
#[derive(Default)]
pub(super) struct Heard {
    /// How far this machine's clock is ahead of each server's.
    pub(super) clocks: Vec<(String, SignedDuration)>,
    /// By which proxy each server is reached, if by one.
    pub(super) routes: Vec<(String, Option<String>)>,
}

/// Looks for the programs. `fleet` is what they would have to render.
pub(super) async fn programs(board: &Board, fleet: Option<(&Path, &Declaration)>, sandbox: bool, context: &Context) {
    let (git_found, ssh, helm, kustomize, go, engine) = tokio::join!(
        found("git", &["version"]),
        found("ssh", &["-V"]),
        found("helm", &["version", "--short"]),
        found("kustomize", &["version"]),
        found("go", &["version"]),
        engine::find(context),
    );
    let engine_is_there = engine.is_ok_and(|engine| engine.is_some());
    let needed = fleet.map(|(folder, declaration)| tools(folder, declaration)).unwrap_or_default();
    let by = |tool: Tool| match needed.contains(&tool) {
        true => Need::StoodInFor { by: "what `render` makes of the sources", by_what: "the sandbox's engine" },
        false => Need::Nothing,
    };
    let go_for = match (engine_is_there, sandbox) {
        (true, _) => Need::Nothing,
        (false, true) => Need::Always,
        (false, false) => Need::For("the sandbox (`drill`, `--sandbox`), which is built with it, once,"),
    };
    let oldest: Vec<u32> = oldest_go().split('.').filter_map(|part| part.parse().ok()).collect();
    let package = |name: &str| format!("install the package `{name}`");
    board.note(checkup::program(CheckId::Git, &git_found, Some(&[git::OLDEST.0, git::OLDEST.1]), &Need::Always, &package("git")));
    board.note(checkup::program(CheckId::Ssh, &ssh, Some(&OLDEST_SSH), &Need::Always, &package("openssh-client")));
    board.note(checkup::program(CheckId::Helm, &helm, None, &by(Tool::Helm), "install it: https://helm.sh/docs/intro/install"));
    let install = "install it: https://kubectl.docs.kubernetes.io/installation/kustomize";
    board.note(checkup::program(CheckId::Kustomize, &kustomize, None, &by(Tool::Kustomize), install));
    let install = format!("install Go {} or newer from https://go.dev/dl/", oldest_go());
    board.note(checkup::program(CheckId::Go, &go, Some(&oldest), &go_for, &install));
}

async fn found(name: &str, arguments: &[&str]) -> Program {
    match installed::version(name, arguments).await {
        Ok(Some(text)) => Program::Says(text),
        Ok(None) => Program::Missing,
        Err(why) => Program::Broken(why),
    }
}

/// The tools that the sources are written for; none where these cannot be read, which `lint` says.
fn tools(folder: &Path, declaration: &Declaration) -> BTreeSet<Tool> {
    let clusters: Vec<ClusterName> = declaration.clusters.keys().cloned().collect();
    let read = Sources::read(folder, declaration).and_then(|sources| Ok(sources.plan(&clusters)?.tools()));
    read.unwrap_or_default()
}

/// Judges the clock and the proxies by what the servers have told.
pub(super) fn surroundings(board: &Board, heard: &Heard, context: &Context) {
    board.note(checkup::clock(&heard.clocks));
    board.note(checkup::proxy(&proxy::variables(&context.environment.variables), &heard.routes));
}
