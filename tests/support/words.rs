//! What a verb says, compared with what is stored, so that a change of words is seen.

use super::Ran;

/// What differs from run to run, and what stands for it in a stored text. The first that fits is put in first.
const CHANGING: &[(&str, &str)] = &[
    // How far the rendering of several apps at once is.
    (r"(?m)^rendered .*\n", ""),
    // A program of a sandbox: its number, and how often and when it was started.
    (r"(?m) +\d+  (yes|no) +\d+  \d{4}-\S+$", "  PROCESS  $1  RESTARTS  TIME"),
    (r"(/[\w.@+-]+)*/(\.tmp|gb-)\w{6}", "FOLDER"),
    (r"\[::1\]:\d+|\[?127\.0\.0\.1\]?:\d+|localhost:\d+", "LOOPBACK:PORT"),
    (r"SHA256:[A-Za-z0-9+/]{43}=?", "SHA256:FINGERPRINT"),
    (r"ssh-ed25519 AAAA[A-Za-z0-9+/=]+", "ssh-ed25519 PUBLIC-KEY"),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UID"),
    (r"\b[0-9a-f]{64}\b", "SHA-256"),
    (r"\b[0-9a-f]{40}\b", "COMMIT"),
    (r"\bage1[02-9ac-hj-np-z]{58}\b", "age1RECIPIENT"),
    (r"\b[0-9a-f]{7,16}\b", "SHORT"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", "TIME"),
    (r"\d{4}-\d\d-\d\d( \d\d:\d\d(:\d\d)?( UTC)?)?", "DATE"),
    (r"\b(\d+ m )?\d+(\.\d+)? ?(ms|s|min)\b( \d+ s\b)?", "DURATION"),
    (r"\bsealed-secrets-key\w{5}\b", "sealed-secrets-keyNAME"),
    (r"[ \t]+\n", "\n"),
];

/// What differs from run to run in what a run that went well ends with, after the same: the chart of the steps, when each Application was synced, if it
/// had to be, and the part of its fingerprint that a key has in its title.
const CHANGING_AT_THE_END: &[(&str, &str)] = &[
    (r"(?m)^.*(━|other steps together).*\n", ""),
    (r"\n{3,}", "\n\n"),
    (r"(?m)SHORT +DURATION$", "SHORT"),
    ("SHORT [A-Za-z0-9+/]{8}\"", "SHORT PART\""),
];

/// What differs from run to run in the report of a drill, after the same: a time for each of the steps and Applications that took longest, and how it
/// compares with the drill before.
const CHANGING_IN_A_DRILL: &[(&str, &str)] = &[
    (r"(?m)^(?: +DURATION  .*\n)+", "    TIMES\n"),
    (r"DURATION → DURATION in all: .*", "DURATION → DURATION in all: COMPARED"),
    (r"(?m)^    .*DURATION → DURATION\n", ""),
];

/// Compares what was said, and the exit status, with what is stored under `name` in `tests/e2e/snapshots`.
///
/// What is new or was changed on purpose is stored by running the test with `INSTA_UPDATE=always`.
#[track_caller]
pub(crate) fn assert_words(name: &str, ran: &Ran) {
    assert_text(name, &ran.to_string(), CHANGING.to_vec());
}

/// The same for what a run that went well says once its steps are over: what stands before that depends on how fast the machine is.
#[track_caller]
pub(crate) fn assert_ending(name: &str, ran: &Ran) {
    let ending = ran.stderr.find("\n✔ ").and_then(|place| ran.stderr.get(place + 1..)).unwrap_or_else(|| panic!("no ending\n{ran}"));
    assert_text(name, ending, [CHANGING, CHANGING_AT_THE_END].concat());
}

/// The same for the report of a drill, and for what it says was found.
#[track_caller]
pub(crate) fn assert_drill(name: &str, ran: &Ran) {
    let found =
        ran.stderr.find("\nfound: ").and_then(|place| ran.stderr.get(place..)).unwrap_or_else(|| panic!("nothing was found\n{ran}"));
    assert_text(name, &format!("{}{found}", ran.stdout), [CHANGING, CHANGING_IN_A_DRILL].concat());
}

#[track_caller]
fn assert_text(name: &str, text: &str, filters: Vec<(&str, &str)>) {
    insta::with_settings!({filters => filters, snapshot_path => "../e2e/snapshots", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, text);
    });
}
