//! A fleet repository, worked on as a person does: with an editor and with `git`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Home, TestSandbox};

/// The clone of a sandbox's demonstration fleet.
pub(crate) struct Fleet {
    folder: PathBuf,
    home: PathBuf,
}

impl Fleet {
    /// The demonstration in the home folder of `sandbox`. If there is none yet, `init` makes it; that run is killed before it changes the cluster.
    pub(crate) fn of(sandbox: &TestSandbox) -> Self {
        let home = sandbox.home().path();
        let fleet = Self { folder: home.join("fleet"), home: home.to_owned() };
        if !fleet.folder.exists() {
            let ran = sandbox.cli(&["init", "staging", "--sandbox", "--kill-at", "ns.before"]).run();
            assert!(ran.status.is_none() && fleet.folder.exists(), "{ran}");
        }
        fleet
    }

    /// The example as `new` writes it, committed, for a repository at `url` that nobody has pushed to.
    #[track_caller]
    pub(crate) fn example(home: &Home, url: &str) -> Self {
        home.cli(&["new", "fleet", "--offline", "--repository", url, "--cluster", "staging"]).run().exits(0);
        let fleet = Self { folder: home.path().join("fleet"), home: home.path().to_owned() };
        fleet.git(&["init", "--quiet", "--initial-branch", "main"]);
        fleet.commit("A new fleet");
        fleet
    }

    /// Adds an Application with its objects, each file a name and a text, to the rendered tree of `staging` below `rendered`.
    #[track_caller]
    pub(crate) fn add(&self, rendered: &str, tier: &str, name: &str, objects: &[(&str, &str)]) {
        let sample = self.read(&format!("{rendered}/staging/argocd/services/Application.whoami.yaml"));
        let application = sample.replace("/services/whoami", &format!("/{tier}/{name}")).replace("whoami", name);
        let application = application.replace("project: services", &format!("project: {tier}"));
        self.write(&format!("{rendered}/staging/argocd/{tier}/Application.{name}.yaml"), &application);
        for (file, text) in objects {
            self.write(&format!("{rendered}/staging/{tier}/{name}/{file}"), text);
        }
    }

    /// Another clone of it, beside it.
    #[track_caller]
    pub(crate) fn copy(&self, name: &str) -> Self {
        let copy = Self { folder: self.home.join(name), home: self.home.clone() };
        self.git(&["clone", "--quiet", ".", copy.folder.to_str().unwrap()]);
        for setting in ["core.sshCommand", "remote.origin.url"] {
            copy.git(&["config", setting, &self.git(&["config", setting])]);
        }
        copy
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// What `git` prints for `arguments`, without the end of its last line.
    #[track_caller]
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.home, &self.folder, arguments)
    }

    /// The commit that is checked out.
    #[track_caller]
    pub(crate) fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    /// The text of a file.
    #[track_caller]
    pub(crate) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.folder.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Writes a file.
    #[track_caller]
    pub(crate) fn write(&self, path: &str, text: &str) {
        std::fs::create_dir_all(self.folder.join(path).parent().unwrap()).unwrap();
        std::fs::write(self.folder.join(path), text).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Replaces a text in a file that has it.
    #[track_caller]
    pub(crate) fn replace(&self, path: &str, old: &str, new: &str) {
        let text = self.read(path);
        assert!(text.contains(old), "{path} has no `{old}`:\n{text}");
        self.write(path, &text.replacen(old, new, 1));
    }

    /// Commits everything.
    #[track_caller]
    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// Pushes what is committed.
    #[track_caller]
    pub(crate) fn push(&self) {
        self.git(&["push", "--quiet", "origin", "HEAD:main"]);
    }

    /// Pushes what is committed in place of what the forge has.
    #[track_caller]
    pub(crate) fn push_by_force(&self) {
        self.git(&["push", "--quiet", "--force", "origin", "HEAD:main"]);
    }

    /// Goes back to a commit, here and at the forge.
    #[track_caller]
    pub(crate) fn go_back_to(&self, commit: &str) {
        self.git(&["reset", "--quiet", "--hard", commit]);
        self.git(&["clean", "--quiet", "--force", "-d"]);
        self.push_by_force();
    }
}

/// What `git` prints for `arguments` in `folder`, for a person with the home folder `home`.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "the environment is closed here")]
pub(crate) fn git(home: &Path, folder: &Path, arguments: &[&str]) -> String {
    let path: OsString = std::env::var_os("PATH").unwrap_or_default();
    let mut command = Command::new("git");
    command.args(["-c", "user.name=Test", "-c", "user.email=test@localhost"]).args(arguments).current_dir(folder);
    let output = command.env_clear().env("HOME", home).env("PATH", path).env("GIT_CONFIG_NOSYSTEM", "1").output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "git {arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout).trim_end_matches('\n').to_owned()
}
