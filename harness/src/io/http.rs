//! Asks a server for JSON.
#![forbid(unsafe_code)]

use serde_json::Value;
use ureq::Agent;
use ureq::http::Uri;

/// The longest answer that is read.
const LONGEST: u64 = 256 << 20;
/// As much of a refusal as is shown.
const SHOWN: usize = 200;

/// A server, and the folder on it that requests are made below.
pub struct JsonServer {
    agent: Agent,
    base: String,
}

impl JsonServer {
    /// The one at `http://host:port/base`. It may think as long as it likes: who asks it is
    /// stopped from outside.
    pub fn at(url: &str) -> Result<Self, String> {
        let uri: Uri = url.parse().map_err(|e| format!("{url}: {e}"))?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        let place = uri.authority().map_or("", |authority| authority.as_str());
        let host = uri.host().unwrap_or_default();
        // What stands behind the host and is no number is left out by the parser.
        let has_port = uri.port().is_some() || place == host;
        if !is_web || host.is_empty() || !has_port {
            return Err(format!("{url}: expected http://HOST:PORT or https://HOST"));
        }
        let config = Agent::config_builder().http_status_as_error(false);
        // A server may have closed what lay idle between two questions.
        let config = config.max_idle_connections(0);
        Ok(JsonServer {
            agent: config.build().into(),
            base: url.trim_end_matches('/').to_owned(),
        })
    }

    /// Sends JSON to a path, or nothing to read it; the answer, if its status is 200.
    pub fn ask(&self, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let url = format!("{}/{path}", self.base);
        let wrong = |why: String| format!("{url}: {why}");
        let answer = match body {
            Some(body) => {
                let request = self.agent.post(&url).content_type("application/json");
                request.send(body.to_string())
            }
            None => self.agent.get(&url).call(),
        };
        let mut answer = answer.map_err(|e| wrong(e.to_string()))?;
        let text = answer.body_mut().with_config().limit(LONGEST).read_to_vec();
        let text = text.map_err(|e| wrong(e.to_string()))?;
        let status = answer.status().as_u16();
        if status != 200 {
            let text = String::from_utf8_lossy(&text);
            let shown: String = text.chars().take(SHOWN).collect();
            return Err(wrong(format!("status {status}: {shown}")));
        }
        serde_json::from_slice(&text).map_err(|e| wrong(format!("no JSON: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_a_scheme_and_a_host() {
        let server = JsonServer::at("http://localhost:8080/v1/").expect("one");
        assert_eq!(server.base, "http://localhost:8080/v1");
        for wrong in ["ftp://x", "http://", "http://x:y", "here"] {
            assert!(JsonServer::at(wrong).is_err(), "{wrong}");
        }
    }
}
