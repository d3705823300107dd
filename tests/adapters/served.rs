//! What a Git server in the cluster is given, served by the installed `git daemon` as the objects say, and cloned.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use gitops_bootstrap::adapters::git::GitPacker;
use gitops_bootstrap::adapters::process::Program;
use gitops_bootstrap::domain::tree::{Rendered, Tree};
use gitops_bootstrap::domain::{Object, RepositoryPath};
use gitops_bootstrap::manifest::git_server;
use gitops_bootstrap::ports::Packer as _;
use gitops_bootstrap::ports::git::{File, GitError};
use serde_json::{Value, json};

fn file(path: &str, content: impl Into<Vec<u8>>) -> File {
    File { path: path.parse().unwrap(), content: content.into() }
}

/// Bytes that do not compress, the same in every run.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

fn tree() -> Tree {
    let path: RepositoryPath = "r/a.yaml".parse().unwrap();
    let rendered = |value: Value| Rendered { path: path.clone(), object: Object::new(value).unwrap() };
    let container = json!({"name": "s", "image": "example.org/argocd:v1", "args": ["argocd-repo-server"]});
    Tree {
        cluster: "staging".parse().unwrap(),
        commit: "1".repeat(40).parse().unwrap(),
        repository: "git@github.com:acme/fleet.git".parse().unwrap(),
        revision: "release/1".to_owned(),
        root: rendered(json!({"apiVersion": "v1", "kind": "Any", "metadata": {"name": "root"}})),
        projects: Vec::new(),
        applications: Vec::new(),
        argocd: vec![rendered(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "any"},
            "spec": {"template": {"spec": {"containers": [container]}}}}))],
        paths: Vec::new(),
    }
}

/// A server that ends with the test.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Lays the ConfigMaps out as a kubelet lays out a projected volume: the files in a folder of their own, and a link to each top-level entry.
fn mount(objects: &[Object], at: &Path) {
    let data = at.join("..data");
    let deployment = objects.iter().find(|object| object.kind() == "Deployment").unwrap();
    for source in deployment.at("/spec/template/spec/volumes/0/projected/sources").unwrap().as_array().unwrap() {
        let name = source.pointer("/configMap/name").unwrap();
        let object = objects.iter().find(|object| object.kind() == "ConfigMap" && object.name() == name).unwrap();
        for item in source.pointer("/configMap/items").unwrap().as_array().unwrap() {
            let key = item["key"].as_str().unwrap();
            let content = match object.text(&format!("/data/{key}")) {
                Some(text) => text.as_bytes().to_vec(),
                None => base64::engine::general_purpose::STANDARD.decode(object.text(&format!("/binaryData/{key}")).unwrap()).unwrap(),
            };
            let path = data.join(item["path"].as_str().unwrap());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
    }
    for entry in std::fs::read_dir(&data).unwrap() {
        let name = entry.unwrap().file_name();
        symlink(Path::new("..data").join(&name), at.join(name)).unwrap();
    }
}

/// Runs the Deployment's container on this machine: its command, with the volume in the place of the mount and a free port of loopback.
#[expect(clippy::disallowed_methods, reason = "a server has to outlive the call that starts it; its environment is closed here")]
fn serve(objects: &[Object], programs: &Path, volume: &Path) -> (Daemon, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let container = objects.last().unwrap().at("/spec/template/spec/containers/0").unwrap();
    let words = |field: &str| container[field].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect::<Vec<_>>();
    let mount = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
    let command = words("command");
    assert_eq!(command, ["git", "daemon"]);
    // Not `git daemon`, which would be the parent of the server and could not be ended with it.
    let mut daemon = Command::new(programs.join("git-daemon"));
    for argument in words("args") {
        let argument = if argument.starts_with("--port=") { format!("--port={port}") } else { argument };
        daemon.arg(argument.replace(mount, volume.to_str().unwrap()));
        if daemon.get_args().len() == 1 {
            daemon.arg("--listen=127.0.0.1");
        }
    }
    daemon.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
    for variable in container["env"].as_array().unwrap() {
        daemon.env(variable["name"].as_str().unwrap(), variable["value"].as_str().unwrap());
    }
    (Daemon(daemon.spawn().unwrap()), port)
}

/// What `git` prints for `arguments`; none if it fails.
async fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let program = Program::new("git").in_folder(folder).envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null")]);
    let output = program.args(arguments.iter().copied()).run().await.unwrap();
    output.is_success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[tokio::test]
async fn the_objects_of_the_server_are_a_repository_that_git_daemon_serves_and_git_clones() {
    let mut files = vec![file("r/a \"b\" ä.yaml", "a: 1\n"), file("r/deep/er/c.yaml", "c: 3\n")];
    files.extend((0..20).map(|number| file(&format!("r/noise/{number}"), noise(number, 60 << 10))));
    let packed = GitPacker.pack(&files, "release/1", "a message", 300 << 10).await.unwrap();
    assert!(packed.packs.len() > 3, "{}", packed.packs.len());
    assert!(packed.packs.iter().all(|pack| pack.content.len() + pack.index.len() <= 300 << 10));

    let objects = git_server::objects(&packed, &tree()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    mount(&objects, folder.path());
    let programs = git(folder.path(), &["--exec-path"]).await.unwrap();
    let (_daemon, port) = serve(&objects, Path::new(&programs), folder.path());
    let cloned = folder.path().join("clone");
    let url = format!("git://127.0.0.1:{port}/fleet.git");
    let listens = async { while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(30), listens).await.expect("the server listens");
    git(folder.path(), &["clone", "--quiet", &url, "clone"]).await.unwrap();
    for file in &files {
        assert!(std::fs::read(cloned.join(file.path.as_str())).unwrap() == file.content, "{}", file.path);
    }
    let head = git(&cloned, &["log", "--format=%H %s %D"]).await.unwrap();
    assert_eq!(head, format!("{} a message HEAD -> release/1, origin/release/1, origin/HEAD", packed.commit));
}

#[tokio::test]
async fn the_same_files_are_the_same_commit_in_the_same_packs_in_whatever_order() {
    let mut files: Vec<File> = (0..50).map(|number| file(&format!("r/{number}.yaml"), format!("number: {number}\n").repeat(50))).collect();
    let first = GitPacker.pack(&files, "main", "m", 1 << 20).await.unwrap();
    files.reverse();
    assert_eq!(GitPacker.pack(&files, "main", "m", 1 << 20).await.unwrap(), first);
    assert_eq!(first.packs.len(), 1);
    files[0].content.push(b'#');
    assert_ne!(GitPacker.pack(&files, "main", "m", 1 << 20).await.unwrap().commit, first.commit);
}

#[tokio::test]
async fn a_file_that_fits_into_no_pack_is_named() {
    let files = [file("r/small.yaml", "a: 1\n"), file("r/large.bin", noise(1, 200 << 10))];
    match GitPacker.pack(&files, "main", "m", 100 << 10).await.unwrap_err() {
        GitError::File { path, reason } => assert!(path == "r/large.bin" && reason.contains("200 KiB"), "{path}: {reason}"),
        other => panic!("{other}"),
    }
}
