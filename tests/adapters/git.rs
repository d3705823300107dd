//! The Git adapter with the installed `git`, on clones that mean harm and on servers that say no. `ssh` is a script that serves
//! repositories of this machine and writes down how it was called.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use gitops_bootstrap::adapters::git::publish::{Access, Author, NewRepository};
use gitops_bootstrap::adapters::git::{GitRemote, GitWorktree};
use gitops_bootstrap::adapters::process::Program;
use gitops_bootstrap::adapters::ssh_key::SshKeyMaker;
use gitops_bootstrap::domain::{Commit, HostKeys, RepositoryPath, RepositoryUrl};
use gitops_bootstrap::ports::git::GitError;
use gitops_bootstrap::ports::{KeyMaker as _, Remote as _, Worktree as _};
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::TempDir;

/// A repository with `files`, committed.
async fn repository(files: &[(&str, &str)]) -> (TempDir, NewRepository, Commit) {
    let folder = tempfile::tempdir().unwrap();
    for (path, content) in files {
        write(folder.path(), path, content);
    }
    let repository = NewRepository::init(folder.path(), "main").await.unwrap();
    let commit = repository.commit_all(&author(), "first").await.unwrap();
    (folder, repository, commit)
}

fn author() -> Author {
    Author { name: "Somebody".to_owned(), email: "somebody@example.com".to_owned() }
}

fn write(folder: &Path, path: &str, content: &str) {
    let file = folder.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, content).unwrap();
}

fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    write(folder, name, &format!("#!/bin/sh\n{text}\n"));
    let file = folder.join(name);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file
}

fn paths(folders: &[&str]) -> Vec<RepositoryPath> {
    folders.iter().map(|folder| folder.parse().unwrap()).collect()
}

#[tokio::test]
async fn a_clean_clone_says_where_it_is_and_a_dirty_one_names_its_files() {
    let (folder, repository, commit) = repository(&[("a b.yaml", "a"), ("gone.yaml", "b")]).await;
    repository.set_origin(&"git@github.com:acme/fleet.git".parse().unwrap()).await.unwrap();
    let worktree = GitWorktree::new(folder.path());
    let facts = worktree.facts().await.unwrap();
    assert_eq!((facts.head, facts.branch.as_deref(), facts.dirty), (commit, Some("main"), Vec::<String>::new()));
    assert_eq!(facts.origin.unwrap().as_str(), "git@github.com:acme/fleet.git");

    write(folder.path(), "a b.yaml", "changed");
    write(folder.path(), "new/ä.yaml", "untracked");
    std::fs::remove_file(folder.path().join("gone.yaml")).unwrap();
    assert_eq!(worktree.facts().await.unwrap().dirty, ["a b.yaml", "gone.yaml", "new/ä.yaml"]);
}

#[tokio::test]
async fn a_detached_head_has_no_branch_and_no_folder_is_taken_for_a_clone() {
    let (folder, _, commit) = repository(&[("a", "a")]).await;
    std::fs::write(folder.path().join(".git/HEAD"), format!("{commit}\n")).unwrap();
    assert_eq!(GitWorktree::new(folder.path()).facts().await.unwrap().branch, None);

    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(GitWorktree::new(empty.path()).facts().await, Err(GitError::NotARepository(_))));
    assert!(matches!(GitWorktree::new(empty.path().join("none")).facts().await, Err(GitError::NotARepository(_))));
    NewRepository::init(empty.path(), "main").await.unwrap();
    let error = GitWorktree::new(empty.path()).facts().await.unwrap_err();
    assert!(error.to_string().contains("no commit yet"), "{error}");
}

#[tokio::test]
async fn files_come_from_the_commit_and_not_from_the_folder() {
    let content = "line\n\nwith\0zero and no end";
    let (folder, _, commit) = repository(&[("rendered/a/x.yaml", content), ("rendered/b.yaml", ""), ("src/c.yaml", "c")]).await;
    write(folder.path(), "rendered/a/x.yaml", "rewritten after the check");
    let worktree = GitWorktree::new(folder.path());
    let files = worktree.files(&commit, &paths(&["rendered", "rendered/a", "missing"])).await.unwrap();
    let found: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.content.as_slice())).collect();
    assert_eq!(found, [("rendered/a/x.yaml", content.as_bytes()), ("rendered/b.yaml", b"".as_slice())]);
    assert_eq!(worktree.files(&commit, &paths(&["."])).await.unwrap().len(), 3);
    let unknown: Commit = "1".repeat(40).parse().unwrap();
    let error = worktree.files(&unknown, &paths(&["."])).await.unwrap_err();
    assert!(error.to_string().contains("git fetch"), "{error}");
}

#[tokio::test]
async fn what_changed_between_two_commits_is_named() {
    let (folder, repository, first) = repository(&[("rendered/a.yaml", "a"), ("rendered/b.yaml", "b"), ("src/c.yaml", "c")]).await;
    write(folder.path(), "rendered/a.yaml", "other");
    write(folder.path(), "src/c.yaml", "other");
    std::fs::rename(folder.path().join("rendered/b.yaml"), folder.path().join("rendered/moved.yaml")).unwrap();
    let second = repository.commit_all(&author(), "second").await.unwrap();
    let changed = GitWorktree::new(folder.path()).changed(&first, &second, &paths(&["rendered"])).await.unwrap();
    assert_eq!(changed, paths(&["rendered/a.yaml", "rendered/b.yaml", "rendered/moved.yaml"]));
}

#[tokio::test]
async fn links_submodules_and_lfs_pointers_are_refused_by_name() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
    let (folder, repository, commit) = repository(&[("lfs/big.yaml", pointer), ("fine/a.yaml", "a")]).await;
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("fine/link.yaml")).unwrap();
    let linked = repository.commit_all(&author(), "a link").await.unwrap();
    let worktree = GitWorktree::new(folder.path());
    let refused = async |commit: &Commit, folder: &str| match worktree.files(commit, &paths(&[folder])).await {
        Err(GitError::File { path, .. }) => path,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&linked, "fine").await, "fine/link.yaml");
    assert_eq!(refused(&commit, "lfs").await, "lfs/big.yaml");
    assert!(worktree.files(&commit, &paths(&["fine"])).await.is_ok());

    let tree = format!("160000 commit {commit}\tsub\n");
    let git = |arguments: &[&str]| Program::new("git").in_folder(folder.path()).args(arguments.iter().copied());
    let tree = git(&["mktree", "--missing"]).input(tree.into_bytes()).run().await.unwrap();
    let tree = String::from_utf8(tree.stdout).unwrap();
    let committed = git(&["commit-tree", tree.trim(), "-m", "x"])
        .envs(["GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"].map(|name| (name, "x")));
    let committed = String::from_utf8(committed.run().await.unwrap().stdout).unwrap();
    assert_eq!(refused(&committed.trim().parse().unwrap(), ".").await, "sub");
}

#[tokio::test]
async fn nothing_that_a_clone_names_is_ever_run() {
    let (folder, _, commit) = repository(&[("rendered/a.yaml", "a"), (".gitattributes", "*.yaml filter=evil diff=evil\n")]).await;
    let canary = folder.path().join("canary");
    let evil = script(folder.path(), ".git/evil", &format!("touch '{}'; cat", canary.display()));
    let evil = evil.display();
    let hooks = ["post-index-change", "fsmonitor-watchman", "post-checkout", "pre-commit"];
    for hook in hooks {
        script(folder.path(), &format!(".git/hooks/{hook}"), &format!("touch '{}'", canary.display()));
    }
    let config = format!(
        "[core]\n fsmonitor = {evil}\n hooksPath = .git/hooks\n sshCommand = {evil}\n pager = {evil}\n askPass = {evil}\n \
         [filter \"evil\"]\n clean = {evil}\n smudge = {evil}\n required = true\n [diff \"evil\"]\n textconv = {evil}\n command = {evil}\n \
         [diff]\n external = {evil}\n [credential]\n helper = !{evil}\n [remote \"origin\"]\n url = ext::{evil}\n promisor = true\n \
         [extensions]\n partialClone = origin\n"
    );
    let file = folder.path().join(".git/config");
    let before = std::fs::read_to_string(&file).unwrap().replace("repositoryformatversion = 0", "repositoryformatversion = 1");
    std::fs::write(&file, before + &config).unwrap();
    // Of the same size, so that `git status` has to compare the content, for which it would run the filter.
    write(folder.path(), "rendered/a.yaml", "b");

    let worktree = GitWorktree::new(folder.path());
    let facts = worktree.facts().await.unwrap();
    assert_eq!((facts.dirty, facts.origin), (vec!["rendered/a.yaml".to_owned()], None));
    worktree.files(&commit, &paths(&["."])).await.unwrap();
    let missing: Commit = "2".repeat(40).parse().unwrap();
    assert!(worktree.files(&missing, &paths(&["."])).await.is_err());
    assert!(worktree.changed(&commit, &missing, &paths(&["."])).await.is_err());
    assert!(!canary.exists(), "the clone ran a program");
}

/// A server by a script in the place of `ssh`, which runs `before` and then serves the repository, and logs its arguments,
/// its environment, and the keys that it is offered.
struct Server {
    folder: TempDir,
    url: RepositoryUrl,
    remote: GitRemote,
    key: SecretString,
    public: String,
}

impl Server {
    async fn new(before: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bare = folder.path().join("fleet.git");
        let made =
            Program::new("git").args(["init", "--quiet", "--bare", "--initial-branch=main"]).args([bare.as_os_str()]).run().await.unwrap();
        assert!(made.is_success(), "{}", made.stderr);
        let log = folder.path().join("log");
        let text = format!(
            "{{ echo \"$@\"; env; pwd; ls -l; cat known_hosts; SSH_AUTH_SOCK=agent ssh-add -L; }} >>'{log}' 2>&1\n{before}\n\
             for last; do :; done\nexec sh -c \"$last\"",
            log = log.display()
        );
        let ssh = script(folder.path(), "it's ssh", &text);
        let pair = SshKeyMaker.generate("deploy").unwrap();
        Self {
            url: format!("ssh://git@forge.test{}", bare.display()).parse().unwrap(),
            remote: GitRemote::new(BTreeMap::new()).with_ssh(ssh.display().to_string()),
            key: pair.private,
            public: pair.public.to_openssh(),
            folder,
        }
    }

    async fn head(&self) -> Result<Option<Commit>, GitError> {
        let hosts =
            HostKeys::from_known_hosts("forge.test ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl\n");
        self.remote.branch_head(&self.url, "main", &self.key, &hosts).await
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

#[tokio::test]
async fn a_branch_is_asked_for_with_one_key_and_the_pinned_hosts_alone() {
    let server = Server::new("").await;
    assert_eq!(server.head().await, Ok(None), "an empty repository has no branch");
    let (folder, _, commit) = repository(&[("a", "a")]).await;
    let bare = server.folder.path().join("fleet.git");
    let push = Program::new("git").in_folder(folder.path()).args(["push".as_ref(), "--quiet".as_ref(), bare.as_os_str(), "main".as_ref()]);
    let pushed = push.run().await.unwrap();
    assert!(pushed.is_success(), "{}", pushed.stderr);
    assert_eq!(server.head().await, Ok(Some(commit)));

    let log = server.log();
    for option in ["-F none", "IdentitiesOnly=no", "IdentityFile=none", "BatchMode=yes", "StrictHostKeyChecking=yes", "UpdateHostKeys=no"] {
        assert!(log.contains(option), "{option}: {log}");
    }
    assert!(log.contains("\nforge.test ssh-ed25519 AAAA"), "the pins: {log}");
    let offered: Vec<_> = log.lines().filter(|line| line.ends_with(" deploy key")).collect();
    let offer = format!("{} deploy key", server.public);
    assert_eq!(offered, [&offer, &offer], "one key each time");
}

#[tokio::test]
async fn the_private_key_is_in_no_argument_no_environment_and_no_file() {
    let look = "for file in * /proc/self/environ /proc/self/cmdline; do [ -f \"$file\" ] && tr '\\0' '\\n' <\"$file\" >>\"$0.seen\"; done";
    let server = Server::new(look).await;
    server.head().await.unwrap();
    let seen = std::fs::read_to_string(server.folder.path().join("it's ssh.seen")).unwrap() + &server.log();
    assert!(seen.contains("forge.test"), "the script has looked: {seen}");
    for line in server.key.expose_secret().lines().filter(|line| !line.starts_with("--")) {
        assert!(!seen.contains(line), "the private key was seen");
    }
    let folder = server.log().lines().find(|line| line.contains("/gitops-") && !line.contains('=')).unwrap().to_owned();
    assert!(!Path::new(&folder).exists(), "{folder} is left behind");
}

#[tokio::test]
async fn what_a_server_says_is_told_apart() {
    let says = async |text: &str| Server::new(&format!("echo '{text}' >&2; exit 255")).await.head().await.unwrap_err();
    let shown = "debug1: Server host key: ssh-rsa SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8\nHost key verification failed.";
    let host_key = says(shown).await;
    let GitError::HostKey { host, shown } = host_key else { panic!("{host_key:?}") };
    assert_eq!((host.as_str(), shown.as_deref()), ("forge.test", Some("SHA256:nThbg6kXUpJWGl7E1IGOCspRomTxdCARLviKw6E5SY8")));
    assert!(matches!(says("git@forge.test: Permission denied (publickey).").await, GitError::Denied(_)));
    assert!(matches!(says("ERROR: Repository not found.").await, GitError::NotFound(_)));
    assert!(matches!(says("ssh: connect to host forge.test port 22: Connection timed out").await, GitError::Unreachable { .. }));
    assert!(matches!(says("command-line: line 0: Bad configuration option: updatehostkeys").await, GitError::Program(_)));
    let missing = Server::new("").await;
    let missing = Server { remote: GitRemote::new(BTreeMap::new()).with_ssh("/no/such/ssh"), ..missing };
    assert!(matches!(missing.head().await, Err(GitError::Program(_))), "{:?}", missing.head().await);
}

#[tokio::test]
async fn without_pins_no_host_key_is_trusted() {
    let server = Server::new("[ -s known_hosts ] || { echo 'Host key verification failed.' >&2; exit 255; }").await;
    let error = server.remote.branch_head(&server.url, "main", &server.key, &HostKeys::default()).await.unwrap_err();
    assert!(matches!(error, GitError::HostKey { shown: None, .. }), "{error}");
}

#[tokio::test]
async fn a_deploy_key_is_not_sent_anywhere_but_over_ssh() {
    let server = Server::new("").await;
    let url = "https://forge.test/acme/fleet.git".parse().unwrap();
    let error = server.remote.branch_head(&url, "main", &server.key, &HostKeys::default()).await.unwrap_err();
    assert!(error.to_string().contains("not reached over SSH"), "{error}");
}

#[tokio::test]
async fn a_person_uses_their_own_configuration_and_is_never_asked() {
    let server = Server::new("").await;
    let home = tempfile::tempdir().unwrap();
    let ssh = format!("'{}'", server.folder.path().join("it's ssh").display().to_string().replace('\'', r"'\''"));
    write(home.path(), ".gitconfig", &format!("[core]\n sshCommand = \"{}\"\n", ssh.replace('\\', r"\\")));
    let environment: BTreeMap<_, _> = [("HOME", home.path().to_str().unwrap()), ("GITHUB_TOKEN", "ghp_hidden"), ("GIT_DIR", "/elsewhere")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    assert_eq!(GitRemote::new(environment).branch_head_as_person(&server.url, "main").await, Ok(None));
    let log = server.log();
    assert!(log.contains("SSH_ASKPASS_REQUIRE=force") && log.contains("GIT_TERMINAL_PROMPT=0"), "{log}");
    assert!(!log.contains("ghp_hidden") && !log.contains("/elsewhere"), "{log}");
}

#[tokio::test]
async fn a_new_repository_is_pushed_and_followed_but_nothing_is_overwritten() {
    let server = Server::new("").await;
    let home = tempfile::tempdir().unwrap();
    let ssh = format!("'{}'", server.folder.path().join("it's ssh").display().to_string().replace('\'', r"'\''"));
    let environment: BTreeMap<_, _> = [("HOME", home.path().to_str().unwrap()), ("GIT_SSH_COMMAND", ssh.as_str())]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let (folder, repository, commit) = repository(&[("a", "a")]).await;
    repository.set_origin(&server.url).await.unwrap();
    repository.push(&server.url, "main", Access::Person(&environment)).await.unwrap();
    assert_eq!(server.head().await, Ok(Some(commit)));
    let config = std::fs::read_to_string(folder.path().join(".git/config")).unwrap();
    assert!(config.contains("[branch \"main\"]\n\tremote = origin\n\tmerge = refs/heads/main"), "{config}");

    let (_other, other, _) = self::repository(&[("b", "b")]).await;
    let error = other.push(&server.url, "main", Access::Person(&environment)).await.unwrap_err();
    assert!(matches!(error, GitError::Other(_)), "{error}");
}
