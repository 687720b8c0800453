//! Just enough of HTTP/1.1 to ask a server on a plain connection for JSON: one request, one answer,
//! one connection.
#![forbid(unsafe_code)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

/// The longest answer that is read.
const LONGEST: u64 = 256 << 20;

/// A server's address, as a URL names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
    base: String,
}

impl Address {
    /// Of `http://host:port/base`.
    pub fn parse(url: &str) -> Result<Self, String> {
        let rest = url.strip_prefix("http://").ok_or_else(|| {
            format!("{url}: only http:// is spoken; put a proxy in front of anything else")
        })?;
        let (place, base) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = place.rsplit_once(':').unwrap_or((place, "80"));
        let port = port
            .parse()
            .map_err(|_| format!("{url}: `{port}` is no port"))?;
        if host.is_empty() {
            return Err(format!("{url}: there is no host"));
        }
        Ok(Address {
            host: host.to_owned(),
            port,
            base: base.trim_end_matches('/').to_owned(),
        })
    }

    /// Sends JSON to a path, or nothing to read it; the answer, if its status is 200.
    pub fn ask(&self, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let Address { host, port, base } = self;
        let wrong = |why: String| format!("http://{host}:{port}/{path}: {why}");
        let host_name = host.trim_matches(|c| "[]".contains(c));
        let mut stream =
            TcpStream::connect((host_name, *port)).map_err(|e| wrong(e.to_string()))?;
        let method = if body.is_some() { "POST" } else { "GET" };
        let text = body.map_or(String::new(), Value::to_string);
        let slash = if base.is_empty() { "" } else { "/" };
        let request = format!(
            "{method} {slash}{base}/{path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        let sent = stream.write_all(request.as_bytes());
        sent.map_err(|e| wrong(e.to_string()))?;
        let (status, answer) = read(stream).map_err(wrong)?;
        if status != 200 {
            let shown: String = String::from_utf8_lossy(&answer).chars().take(200).collect();
            return Err(wrong(format!("status {status}: {shown}")));
        }
        serde_json::from_slice(&answer).map_err(|e| wrong(format!("no JSON: {e}")))
    }
}

/// The status and the body of an answer.
fn read(stream: impl Read) -> Result<(u16, Vec<u8>), String> {
    let failed = |e: std::io::Error| e.to_string();
    let mut from = BufReader::new(stream.take(LONGEST));
    let mut line = String::new();
    from.read_line(&mut line).map_err(failed)?;
    let status = line
        .split_whitespace()
        .nth(1)
        .and_then(|word| word.parse().ok());
    let status = status.ok_or_else(|| format!("{:?} is no answer", line.trim_end()))?;
    let mut is_chunked = false;
    loop {
        line.clear();
        from.read_line(&mut line).map_err(failed)?;
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        is_chunked |= header.starts_with("transfer-encoding:") && header.ends_with("chunked");
    }
    let mut body = Vec::new();
    if !is_chunked {
        from.read_to_end(&mut body).map_err(failed)?;
        return Ok((status, body));
    }
    loop {
        line.clear();
        from.read_line(&mut line).map_err(failed)?;
        let size = line.trim().split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16).map_err(|_| "a chunk has no size")?;
        if size == 0 {
            return Ok((status, body));
        }
        from.by_ref()
            .take(size)
            .read_to_end(&mut body)
            .map_err(failed)?;
        line.clear();
        from.read_line(&mut line).map_err(failed)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_whole_or_in_chunks() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(read(&whole[..]), Ok((200, b"{}".to_vec())));
        let chunks =
            b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n";
        assert_eq!(read(&chunks[..]), Ok((404, b"abc".to_vec())));
        assert!(read(&b"hello\r\n"[..]).is_err());
        assert!(read(&b""[..]).is_err());
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        let address = Address::parse("http://localhost:8080/v1/").expect("one");
        assert_eq!(
            (&address.host[..], address.port, &address.base[..]),
            ("localhost", 8080, "v1")
        );
        assert_eq!(Address::parse("http://here").map(|a| a.port), Ok(80));
        for wrong in ["https://x", "http://", "http://x:y"] {
            assert!(Address::parse(wrong).is_err(), "{wrong}");
        }
    }
}
