//! Nobody but this machine reaches a sandbox.
#![cfg(target_os = "linux")]

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::time::Duration;

use crate::support::{Home, TestSandbox, engine, eventually};

/// How long Argo CD's programs may take to start.
const SOON: Duration = Duration::from_secs(120);

/// The programs behind pods, all of which open ports.
const PROGRAMS: [&str; 6] = [
    "argocd-application-controller",
    "argocd-applicationset-controller",
    "argocd-repo-server",
    "argocd-server",
    "redis",
    "sealed-secrets-controller",
];

/// What the engine prints as the manifest called `name`, applied.
#[expect(clippy::disallowed_methods, reason = "the environment is closed here")]
fn install(sandbox: &TestSandbox, name: &str, namespace: &str) {
    let manifest = Command::new(engine()).args(["manifest", name]).env_clear().output().unwrap();
    let path = sandbox.home().path().join(name);
    fs::write(&path, manifest.stdout).unwrap();
    sandbox.kubectl(&["apply", "--server-side", "--namespace", namespace, "--filename", path.to_str().unwrap()]);
}

/// A process and all that it started (proc_pid_children(5)).
fn family(process: u32) -> Vec<u32> {
    let mut found = vec![process];
    let mut next = 0;
    while let Some(process) = found.get(next) {
        for thread in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        next += 1;
    }
    found
}

/// The inodes of the sockets that a process holds, as in `socket:[INODE]` (proc_pid_fd(5)).
fn sockets(process: u32) -> impl Iterator<Item = String> {
    let links = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    links.filter_map(|entry| {
        let target = fs::read_link(entry.path()).ok()?;
        Some(target.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned())
    })
}

/// The addresses on which those sockets listen (proc_pid_net(5): state 0A, addresses as words in the machine's byte order).
fn listening(inodes: &BTreeSet<String>) -> Vec<(IpAddr, u16)> {
    let mut found = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap().lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            if fields[3] == "0A" && inodes.contains(fields[9]) {
                let (address, port) = fields[1].split_once(':').unwrap();
                let word = |at: usize| u32::from_str_radix(&address[at..at + 8], 16).unwrap().to_ne_bytes();
                let bytes: Vec<u8> = (0..address.len()).step_by(8).flat_map(word).collect();
                let address = match <[u8; 16]>::try_from(bytes.as_slice()) {
                    Ok(bytes) => Ipv6Addr::from(bytes).to_canonical(),
                    Err(_) => IpAddr::from(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
                };
                found.push((address, u16::from_str_radix(port, 16).unwrap()));
            }
        }
    }
    found
}

#[test]
fn every_port_of_every_program_is_on_loopback() {
    let sandbox = TestSandbox::start_with(Home::new(), &["--serve-host", "git.example.org", "--stand-ins", "default"]);
    sandbox.kubectl(&["create", "namespace", "argocd"]);
    install(&sandbox, "argocd", "argocd");
    install(&sandbox, "sealed-secrets", "kube-system");
    eventually("all programs behind pods", SOON, || {
        let content = fs::read(sandbox.state.folder.join("pods/state.json")).ok()?;
        let state: serde_json::Value = serde_json::from_slice(&content).ok()?;
        let ready: Vec<_> = state["pods"].as_array()?.iter().filter(|pod| pod["ready"] == true).map(|pod| pod["program"].clone()).collect();
        PROGRAMS.iter().all(|program| ready.contains(&(*program).into())).then_some(())
    });
    let processes = family(sandbox.state.supervisor.pid);
    let inodes = processes.iter().copied().flat_map(sockets).collect();
    let ports = listening(&inodes);
    assert!(processes.len() > 12 && ports.len() > 20, "{processes:?}\n{ports:?}");
    let open: Vec<_> = ports.iter().filter(|(address, _)| !address.is_loopback()).collect();
    assert!(open.is_empty(), "not on loopback: {open:?}");
}
