//! `harness fetch` against a server that behaves well, and against every one that does not.

mod server;

use std::fs;
use std::path::PathBuf;

use harness::file::provenance::sha256;

use crate::program::{Folder, Harness, run::Answer};
use server::{Reply, Request, Server};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const LISTING: &str = "/api/models/o/n/revision/main";
const WEIGHTS: &str = "model.safetensors";
/// What git calls a file that holds `{}`.
const BRACES: &str = "9e26dfeeb6e641a33dae4961196235bdb965b21b";

/// Large enough that a cut is in its middle.
fn weights() -> Vec<u8> {
    (0..200_000_u32)
        .flat_map(|x| x.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

fn listing(files: &[&str]) -> Reply {
    let siblings: Vec<_> = files
        .iter()
        .map(|file| serde_json::json!({ "rfilename": file }))
        .collect();
    Reply::body(serde_json::json!({ "sha": COMMIT, "siblings": siblings }).to_string())
}

/// A server as it should be, but for what `content` does with the requests for the weights.
fn server(content: impl Fn(&Request, usize) -> Reply + Send + 'static) -> Server {
    Server::new(move |request, before| {
        let whole = weights();
        match (request.method.as_str(), request.path.rsplit('/').next()) {
            _ if request.path == LISTING => listing(&["README.md", "config.json", WEIGHTS]),
            (_, Some("config.json")) => Reply::body("{}").with("etag", format!("\"{BRACES}\"")),
            ("HEAD", Some(WEIGHTS)) => Reply::status(200)
                .with("x-linked-etag", format!("\"{}\"", sha256(&whole)))
                .with("x-linked-size", whole.len()),
            (_, Some(WEIGHTS)) => content(request, before),
            _ => Reply::status(404),
        }
    })
}

/// A cache that is gone when the test is over.
struct Home(Folder);

impl Home {
    fn new() -> Self {
        Home(Folder::new())
    }

    fn fetch(&self, server: &Server, words: &str) -> Answer {
        let fetch = Harness::new("fetch")
            .args(words)
            .env("HF_ENDPOINT", &server.url);
        fetch
            .env("HF_HOME", &self.0.path().display().to_string())
            .run()
    }

    fn repository(&self) -> PathBuf {
        self.0.path().join("hub/models--o--n")
    }

    fn weights(&self) -> Option<Vec<u8>> {
        fs::read(
            self.repository()
                .join("snapshots")
                .join(COMMIT)
                .join(WEIGHTS),
        )
        .ok()
    }

    /// Files that were begun, with their lengths.
    fn begun(&self) -> Vec<u64> {
        let blobs = fs::read_dir(self.repository().join("blobs"));
        let files = blobs.into_iter().flatten().flatten();
        let begun = files.filter(|file| file.path().extension().is_some_and(|e| e == "incomplete"));
        begun
            .map(|file| file.metadata().expect("there").len())
            .collect()
    }
}

#[test]
fn a_checkpoint_is_fetched_once_into_the_layout_that_every_program_reads() {
    let server = server(|request, _| Reply::part(&weights(), request.from));
    let home = Home::new();
    let answer = home.fetch(&server, "o/n").exits(0);
    let snapshot = home.repository().join("snapshots").join(COMMIT);
    assert_eq!(answer.stdout.trim_end(), snapshot.display().to_string());
    assert_eq!(home.weights().as_deref(), Some(&weights()[..]));
    assert_eq!(
        fs::read(snapshot.join("config.json")).expect("there"),
        b"{}"
    );
    assert!(!snapshot.join("README.md").exists(), "no part of the model");
    let reference = fs::read_to_string(home.repository().join("refs/main")).expect("there");
    assert_eq!(reference, COMMIT);
    #[cfg(unix)]
    {
        let link = fs::read_link(snapshot.join(WEIGHTS)).expect("a link");
        assert_eq!(
            link,
            PathBuf::from(format!("../../blobs/{}", sha256(&weights())))
        );
    }
    let again = home.fetch(&server, "--id o/n --json").exits(0).json();
    assert_eq!(again["received"], 0);
    assert_eq!(again["files"].as_array().map(Vec::len), Some(2));
    let gets = |server: &Server| {
        server
            .asked(WEIGHTS)
            .iter()
            .filter(|request| request.method == "GET")
            .count()
    };
    assert_eq!(gets(&server), 1);
}

#[test]
fn offline_is_what_was_fetched_and_nothing_else() {
    let server = server(|request, _| Reply::part(&weights(), request.from));
    let home = Home::new();
    let never = home.fetch(&server, "o/n --offline").exits(4);
    assert!(
        never.stderr.contains("was never fetched"),
        "{}",
        never.stderr
    );
    home.fetch(&server, "o/n").exits(0);
    let asked = server.asked("").len();
    let kept = home.fetch(&server, "o/n --offline --json").exits(0).json();
    assert_eq!(kept["files"].as_array().map(Vec::len), Some(2));
    home.fetch(&server, "o/n --offline --file other.json")
        .exits(4);
    assert_eq!(server.asked("").len(), asked, "no server was asked");
}

#[test]
fn a_connection_that_is_cut_is_gone_on_with() {
    let server = server(|request, before| Reply {
        cut: (before < 3).then_some(150_000),
        ..Reply::part(&weights(), request.from)
    });
    let home = Home::new();
    home.fetch(&server, "o/n").exits(0);
    assert_eq!(home.weights().as_deref(), Some(&weights()[..]));
    let asked = server.asked(WEIGHTS);
    let from: Vec<usize> = asked
        .iter()
        .filter(|r| r.method == "GET")
        .map(|r| r.from)
        .collect();
    assert_eq!(from, [0, 150_000, 300_000, 450_000]);
}

#[test]
fn what_is_never_sent_is_given_up_and_what_came_is_kept_for_the_next_time() {
    let fails = server(|request, before| Reply {
        cut: Some(if before == 0 { 100_000 } else { 0 }),
        ..Reply::part(&weights(), request.from)
    });
    let home = Home::new();
    let answer = home.fetch(&fails, "o/n").exits(4);
    assert!(
        answer.stderr.contains("100000 of 800000 bytes"),
        "{}",
        answer.stderr
    );
    assert_eq!(home.begun(), [100_000]);
    assert!(home.weights().is_none());
    let works = server(|request, _| Reply::part(&weights(), request.from));
    let told = home.fetch(&works, "o/n --json").exits(0).json();
    assert_eq!(told["received"], 700_000);
    assert_eq!(home.weights().as_deref(), Some(&weights()[..]));
}

#[test]
fn a_server_that_cannot_skip_begins_again() {
    let server = server(|_, before| Reply {
        cut: (before == 0).then_some(300_000),
        ..Reply::body(weights())
    });
    let home = Home::new();
    home.fetch(&server, "o/n").exits(0);
    assert_eq!(home.weights().as_deref(), Some(&weights()[..]));
}

#[test]
fn content_of_another_hash_is_thrown_away() {
    let server = server(|request, _| {
        let mut other = weights();
        other[123_456] ^= 1;
        Reply::part(&other, request.from)
    });
    let home = Home::new();
    let answer = home.fetch(&server, "o/n").exits(1);
    assert!(
        answer.stderr.contains(&sha256(&weights())),
        "{}",
        answer.stderr
    );
    assert!(home.weights().is_none() && home.begun().is_empty());
}

#[test]
fn a_server_that_asks_for_patience_gets_it() {
    let server = server(|request, before| match before {
        0 => Reply::status(429).with("retry-after", 1),
        1 => Reply::status(503),
        _ => Reply::part(&weights(), request.from),
    });
    let home = Home::new();
    let begin = std::time::Instant::now();
    home.fetch(&server, "o/n").exits(0);
    assert!(
        begin.elapsed().as_secs_f64() >= 1.0,
        "as long as it asked for"
    );
    assert_eq!(home.weights().as_deref(), Some(&weights()[..]));
    let impatient = Server::new(|_, _| Reply::status(429).with("retry-after", 1_000_000));
    let answer = home.fetch(&impatient, "o/n").exits(4);
    assert!(answer.stderr.contains("status 429"), "{}", answer.stderr);
}

#[test]
fn a_redirection_is_followed_and_the_token_is_not_shown_there() {
    let store = Server::new(|request, _| Reply::part(&weights(), request.from));
    let elsewhere = format!("{}/stored?signature=1", store.url);
    let server = server(move |_, _| Reply::status(302).with("location", &elsewhere));
    let home = Home::new();
    let fetch = Harness::new("fetch o/n").env("HF_ENDPOINT", &server.url);
    let fetch = fetch.env("HF_HOME", &home.0.path().display().to_string());
    fetch.env("HF_TOKEN", "hf_secret").run().exits(0);
    assert_eq!(home.weights().as_deref(), Some(&weights()[..]));
    let own = server.asked(LISTING);
    assert_eq!(own[0].authorization.as_deref(), Some("Bearer hf_secret"));
    assert_eq!(store.asked("stored").len(), 1);
    assert_eq!(store.asked("stored")[0].authorization, None);
    let circle = Server::new(|_, _| Reply::status(302).with("location", "/again"));
    home.fetch(&circle, "o/n").exits(4);
}

#[test]
fn what_is_not_there_or_not_public_is_told_as_that() {
    let home = Home::new();
    let nothing = Server::new(|_, _| Reply::status(404));
    let answer = home.fetch(&nothing, "o/n").exits(2);
    assert!(
        answer.stderr.contains("no such repository"),
        "{}",
        answer.stderr
    );
    let closed = Server::new(|_, _| Reply::status(401));
    let answer = home.fetch(&closed, "o/n").exits(2);
    assert!(answer.stderr.contains("HF_TOKEN"), "{}", answer.stderr);
    home.fetch(&closed, "no-owner").exits(2);
    home.fetch(&closed, "o/n --file ../../etc/passwd").exits(2);
    assert_eq!(closed.asked("passwd").len(), 0, "nothing was asked for it");
}

#[test]
fn a_server_that_names_what_lies_elsewhere_is_not_believed() {
    let home = Home::new();
    let path = Server::new(|_, _| listing(&["config.json", "../../../x.safetensors"]));
    let answer = home.fetch(&path, "o/n").exits(2);
    assert!(
        answer.stderr.contains("no path inside a repository"),
        "{}",
        answer.stderr
    );
    let etag = Server::new(|request, _| match request.path.as_str() {
        LISTING => listing(&[WEIGHTS]),
        _ => Reply::body("x").with("etag", "\"../../../../x\""),
    });
    let answer = home.fetch(&etag, "o/n").exits(4);
    assert!(answer.stderr.contains("is no hash"), "{}", answer.stderr);
    let rubbish = Server::new(|_, _| Reply::body("<html>"));
    home.fetch(&rubbish, "o/n").exits(4);
}
