//! Servers, which tell the most likely tokens only. One is made here of what the built-in engine
//! computes, and does one thing wrong if it is told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use harness::case::ability::Ability;
use harness::numbers::metrics::log_softmax;
use serde_json::{Value, json};

use super::{Desk, ids_of_the_prompt};
use crate::program::ends::assert_ends;

/// What the server knows.
struct Known {
    rows: Vec<Vec<f64>>,
    ids: Vec<u64>,
    fault: &'static str,
    speaks_llama: bool,
}

impl Known {
    /// The ten likeliest of the position behind so many tokens.
    fn top(&self, count: usize) -> Vec<(usize, f64)> {
        let last = self.rows.len();
        let shift = usize::from(self.fault == "shift");
        let row = &self.rows[(count.min(last) - 1).saturating_sub(shift)];
        let mut ids: Vec<usize> = (0..row.len()).collect();
        ids.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
        ids[..10].iter().map(|&id| (id, row[id])).collect()
    }

    fn answer(&self, path: &str, body: &Value) -> Option<Value> {
        let count = body["prompt"].as_array().map_or(0, Vec::len);
        let asked = body["n_predict"].as_u64().or(body["max_tokens"].as_u64());
        let rows = (0..asked.unwrap_or(0)).map(|_| self.top(count));
        match (path, self.speaks_llama) {
            ("/props", true) => Some(json!({ "model_path": "/models/canned.gguf" })),
            ("/v1/models", false) => Some(json!({ "data": [{ "id": "canned" }] })),
            ("/tokenize", true) => Some(json!({ "tokens": self.ids })),
            ("/completion", true) => {
                let row = |top: Vec<(usize, f64)>| {
                    let top = top.iter().map(|(id, p)| json!({ "id": id, "logprob": p }));
                    json!({ "top_logprobs": top.collect::<Vec<_>>() })
                };
                let rows: Vec<Value> = rows.map(row).collect();
                Some(json!({ "completion_probabilities": rows }))
            }
            ("/v1/completions", false) => {
                let row = |top: Vec<(usize, f64)>| {
                    let top = top
                        .iter()
                        .map(|(id, p)| (format!("token_id:{id}"), json!(p)));
                    Value::Object(top.collect())
                };
                let rows: Vec<Value> = rows.map(row).collect();
                Some(json!({ "choices": [{ "logprobs": { "top_logprobs": rows } }] }))
            }
            _ => None,
        }
    }

    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut from = BufReader::new(stream.try_clone()?);
        let (mut line, mut length) = (String::new(), 0);
        from.read_line(&mut line)?;
        let path = line
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .to_owned();
        while !line.trim().is_empty() {
            line.clear();
            from.read_line(&mut line)?;
            if let Some(count) = line.to_lowercase().strip_prefix("content-length: ") {
                length = count.trim().parse().expect("a number");
            }
        }
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        let body = serde_json::from_slice(&body).unwrap_or_default();
        if path.ends_with("ompletion") || path.ends_with("ompletions") {
            match self.fault {
                "hang" => std::thread::sleep(std::time::Duration::from_secs(30)),
                "die" => return Ok(()),
                _ => {}
            }
        }
        let (status, text) = match self.answer(&path, &body) {
            _ if self.fault == "garbage" => ("200 OK", "hello".into()),
            Some(_) if self.fault == "short" && path == "/completion" => ("200 OK", "{}".into()),
            Some(answer) => ("200 OK", answer.to_string()),
            None => ("404 Not Found", "{}".into()),
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        )
    }
}

/// A server that answers until the test ends; its address.
fn start(desk: &Desk, speaks_llama: bool, fault: &'static str) -> String {
    let (shape, values) = desk.ours();
    let rows = values
        .chunks(shape[1])
        .map(|row| log_softmax(row).expect("finite"));
    let ids = ids_of_the_prompt(desk);
    let known = Arc::new(Known {
        rows: rows.collect(),
        ids: ids
            .split(',')
            .map(|id| id.parse().expect("an id"))
            .collect(),
        fault,
        speaks_llama,
    });
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let known = Arc::clone(&known);
            std::thread::spawn(move || known.serve(stream));
        }
    });
    format!("http://{address}")
}

#[test]
fn the_likeliest_tokens_are_judged_and_the_verdict_says_so() {
    let desk = Desk::new();
    let url = start(&desk, true, "");
    let words = [
        "judged: server of canned.gguf",
        "by its most likely tokens alone",
        "positions 33/33",
    ];
    // It goes on with the same token for ever, which nobody else does.
    let said = assert_ends(&desk.judge(&url, &[]), 1, &words);
    assert!(said.contains("greedy step"), "{said}");
    let claims = &desk.receipt().cases[0].claims;
    assert_eq!(claims.validation.compute, "server");
    assert!(claims.engine.lacking.contains(&Ability::Rows));
    assert_ends(
        &desk.judge(&url, &["--kl", "1e-4", "--top1", "1"]),
        0,
        &["own tolerance"],
    );
    let url = start(&desk, false, "");
    assert_ends(
        &desk.judge(&url, &["--top1", "1"]),
        0,
        &["judged: server of canned"],
    );
}

#[test]
fn a_wrong_server_is_named() {
    let desk = Desk::new();
    let judge = |fault, code, words: &[&str]| {
        let url = start(&desk, true, fault);
        let own = ["--top1", "0.9", "--patience", "2"];
        assert_ends(&desk.judge(&url, &own), code, words);
    };
    judge(
        "shift",
        1,
        &["the most likely token is the same less often"],
    );
    judge("short", 2, &["no ids with log-probabilities"]);
    judge("garbage", 2, &["no JSON"]);
    judge("die", 2, &["disconnected"]);
    judge("hang", 7, &["ran out of time while asking for position 0"]);
    for nobody in ["http://127.0.0.1:1", "https://127.0.0.1:1"] {
        assert_ends(&desk.judge(nobody, &[]), 2, &["refused"]);
    }
}
