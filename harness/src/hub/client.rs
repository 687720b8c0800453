//! Requests to a server, with everything that happens on the way: redirections, a server that asks
//! for patience, connections that are cut.

use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{Response, Uri};
use ureq::{Agent, Body};

use super::{Repository, cache, check_path};
use crate::exit::{Exit, Failure};

const HUGGING_FACE: &str = "https://huggingface.co";
/// Attempts in a row that bring nothing.
pub const ATTEMPTS: u32 = 5;
/// As many as browsers follow is more than any server needs.
const REDIRECTIONS: usize = 10;
/// Listings of the largest repositories are smaller.
const LISTING_LIMIT: u64 = 64 << 20;
/// A server that asks for more patience than this is not there.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// What asks a server.
pub struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
}

/// The files of a revision.
pub struct Listing {
    /// The commit that the revision means.
    pub commit: String,
    /// Every file, by its path.
    pub files: Vec<String>,
}

/// What a server says of a file before it sends it.
#[derive(Debug)]
pub struct About {
    /// The hash it is known by.
    pub etag: String,
    /// Bytes of it.
    pub size: u64,
}

/// How it is asked.
#[derive(Clone, Copy, PartialEq)]
enum Method {
    Head,
    Get,
}

impl Client {
    /// A client of `$HF_ENDPOINT`, with the token of `$HF_TOKEN` or of the file that holds it.
    pub fn from_environment() -> Self {
        let endpoint = std::env::var("HF_ENDPOINT").ok();
        let endpoint = endpoint.filter(|endpoint| !endpoint.is_empty());
        let config = Agent::config_builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(30)))
            .timeout_recv_response(Some(Duration::from_secs(120)))
            .timeout_per_read(Some(Duration::from_secs(60)))
            .user_agent(concat!("bitnet-harness/", env!("CARGO_PKG_VERSION")))
            .build();
        let endpoint = endpoint.unwrap_or(HUGGING_FACE.to_owned());
        Client {
            agent: config.into(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: cache::token(),
        }
    }

    /// The files of a repository.
    pub fn list(&self, repository: &Repository) -> Result<Listing, Failure> {
        let Repository { id, revision } = repository;
        let url = format!("{}/api/models/{id}/revision/{revision}", self.endpoint);
        let response = self.ask(Method::Get, &url, None)?;
        let mut body = response.into_body();
        let text = body.with_config().limit(LISTING_LIMIT).read_to_vec();
        let text = text.map_err(|e| failed(&url, e))?;
        let strange = |what: &str| Failure::environment(format!("{url}: {what}"));
        let listing: Value =
            serde_json::from_slice(&text).map_err(|e| strange(&format!("no JSON: {e}")))?;
        let commit = listing["sha"].as_str().filter(|commit| is_commit(commit));
        let commit = commit.ok_or_else(|| strange("a listing without a commit"))?;
        let siblings = listing["siblings"].as_array();
        let siblings = siblings.ok_or_else(|| strange("a listing without files"))?;
        let names = siblings.iter().filter_map(|one| one["rfilename"].as_str());
        let files: Vec<String> = names.map(str::to_owned).collect();
        for file in &files {
            check_path(file)?;
        }
        Ok(Listing {
            commit: commit.to_owned(),
            files,
        })
    }

    /// What a file is, without its content.
    pub fn about(&self, repository: &Repository, file: &str) -> Result<About, Failure> {
        let url = self.url(repository, file);
        let response = self.ask(Method::Head, &url, None)?;
        let header = |names: [&str; 2]| names.into_iter().find_map(|name| text(&response, name));
        let etag = header(["x-linked-etag", "etag"]).unwrap_or_default();
        let etag = etag.trim_start_matches("W/").trim_matches('"').to_owned();
        let size = header(["x-linked-size", "content-length"]).and_then(|size| size.parse().ok());
        match size {
            Some(size) => Ok(About { etag, size }),
            None => Err(Failure::environment(format!("{url}: a file of no size"))),
        }
    }

    /// The content of a file from some byte on, as far as the server allows to skip: the answer
    /// says where it begins.
    pub fn content(
        &self,
        repository: &Repository,
        file: &str,
        from: u64,
    ) -> Result<(u64, Body), Failure> {
        let url = self.url(repository, file);
        let response = self.ask(Method::Get, &url, (from > 0).then_some(from))?;
        let partial = response.status().as_u16() == 206;
        let begins = text(&response, "content-range").and_then(|range| {
            let range = range.strip_prefix("bytes ")?;
            range.split('-').next()?.parse::<u64>().ok()
        });
        let begins = if partial { begins.unwrap_or(0) } else { 0 };
        Ok((begins, response.into_body()))
    }

    fn url(&self, repository: &Repository, file: &str) -> String {
        let Repository { id, revision } = repository;
        format!(
            "{}/{id}/resolve/{revision}/{}",
            self.endpoint,
            encoded(file)
        )
    }

    /// An answer that is one: asked again where the server is busy or the connection is cut.
    fn ask(&self, method: Method, url: &str, from: Option<u64>) -> Result<Response<Body>, Failure> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let answer = self.follow(method, url, from);
            let (wait, why) = match answer {
                Ok(response) => match response.status().as_u16() {
                    200..=399 => return Ok(response),
                    416 if from.is_some() => return self.ask(method, url, None),
                    status @ (429 | 500..=599) => {
                        let asked = text(&response, "retry-after");
                        let asked = asked.and_then(|seconds| seconds.parse().ok());
                        (asked.map(Duration::from_secs), format!("status {status}"))
                    }
                    status => return Err(self.refused(url, status)),
                },
                Err(error) => (None, error.to_string()),
            };
            let wait = wait.unwrap_or(Duration::from_millis(100 << attempt));
            if attempt == ATTEMPTS || wait > LONGEST_WAIT {
                let message = format!("{url}: {why}, after {attempt} attempts");
                return Err(Failure::environment(message));
            }
            sleep(wait);
        }
    }

    /// Follows redirections; the token is shown to nobody but the server it is for. What a HEAD is
    /// redirected to on another server says nothing of the file, so it stays with the first answer.
    fn follow(
        &self,
        method: Method,
        url: &str,
        from: Option<u64>,
    ) -> Result<Response<Body>, ureq::Error> {
        let mut url: Uri = url.parse().map_err(ureq::http::Error::from)?;
        let own = url.authority().cloned();
        for _ in 0..REDIRECTIONS {
            let mut request = match method {
                Method::Head => self.agent.head(url.clone()),
                Method::Get => self.agent.get(url.clone()),
            };
            // Bytes are counted, so they may not be compressed on the way.
            request = request.header("accept-encoding", "identity");
            if let Some(token) = self
                .token
                .as_ref()
                .filter(|_| url.authority() == own.as_ref())
            {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            if let Some(from) = from {
                request = request.header("range", format!("bytes={from}-"));
            }
            let response = request.call()?;
            let leads = response.status().is_redirection();
            let Some(location) = text(&response, "location").filter(|_| leads) else {
                return Ok(response);
            };
            let next = resolved(&url, &location)?;
            if method == Method::Head && next.authority() != own.as_ref() {
                return Ok(response);
            }
            url = next;
        }
        Err(ureq::Error::TooManyRedirects)
    }

    fn refused(&self, url: &str, status: u16) -> Failure {
        let why = match (status, &self.token) {
            (401 | 403, None) => "it is not public, and there is no HF_TOKEN",
            (401 | 403, Some(_)) => "the token does not open it",
            (404, _) => "there is no such repository, revision or file",
            _ => "the server refuses",
        };
        Failure::new(Exit::BadInput, format!("{url}: status {status}: {why}"))
    }
}

pub(super) fn failed(url: &str, error: impl std::fmt::Display) -> Failure {
    Failure::environment(format!("{url}: {error}"))
}

fn text(response: &Response<Body>, name: &str) -> Option<String> {
    let value = response.headers().get(name)?;
    value.to_str().ok().map(str::to_owned)
}

/// Where a location leads that may leave out the server.
fn resolved(from: &Uri, location: &str) -> Result<Uri, ureq::Error> {
    let absolute = match (
        location.starts_with('/'),
        from.scheme_str(),
        from.authority(),
    ) {
        (true, Some(scheme), Some(authority)) => format!("{scheme}://{authority}{location}"),
        _ => location.to_owned(),
    };
    absolute
        .parse()
        .map_err(|e| ureq::http::Error::from(e).into())
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A path as it may stand in a URL.
fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    let mut url = String::new();
    for byte in path.bytes() {
        if plain(byte) {
            url.push(char::from(byte));
        } else {
            url += &format!("%{byte:02X}");
        }
    }
    url
}
