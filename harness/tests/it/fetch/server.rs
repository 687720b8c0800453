//! A server of one repository that does what a script says: answers, stalls, cuts and lies.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What was asked.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    /// First byte that is wanted.
    pub from: usize,
    pub authorization: Option<String>,
}

/// What is answered.
#[derive(Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// Bytes of the body after which the connection is cut.
    pub cut: Option<usize>,
}

/// Answers on a port of its own until the test is over.
pub struct Server {
    pub url: String,
    asked: Arc<Mutex<Vec<Request>>>,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Reply {
            status,
            ..Reply::default()
        }
    }

    pub fn body(body: impl Into<Vec<u8>>) -> Self {
        Reply {
            body: body.into(),
            ..Reply::status(200)
        }
    }

    /// The rest of some content, as servers send it.
    pub fn part(content: &[u8], from: usize) -> Self {
        if from == 0 {
            return Self::body(content);
        }
        let range = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
        Reply {
            status: 206,
            ..Self::body(&content[from..]).with("content-range", range)
        }
    }

    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }
}

impl Server {
    /// Answers every request by what `answer` makes of it and of the number of requests of the
    /// same method and path before it.
    pub fn new(answer: impl Fn(&Request, usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(Mutex::new(Vec::<Request>::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(request) = read(&stream) else {
                    continue;
                };
                let mut log = log.lock().expect("no panic here");
                let same =
                    |old: &&Request| (&old.method, &old.path) == (&request.method, &request.path);
                let before = log.iter().filter(same).count();
                let reply = answer(&request, before);
                // The client may have left, which is its right.
                let _ = write(&stream, &request, &reply);
                log.push(request);
            }
        });
        Server { url, asked }
    }

    /// What was asked so far of paths that contain this.
    pub fn asked(&self, path: &str) -> Vec<Request> {
        let asked = self.asked.lock().expect("no panic there");
        asked
            .iter()
            .filter(|request| request.path.contains(path))
            .cloned()
            .collect()
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let mut request = Request {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        from: 0,
        authorization: None,
    };
    for line in lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
    {
        let (name, value) = line.split_once(": ")?;
        match name.to_lowercase().as_str() {
            "range" => {
                let from = value.strip_prefix("bytes=")?.strip_suffix('-')?;
                request.from = from.parse().ok()?;
            }
            "authorization" => request.authorization = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(request)
}

fn write(mut stream: &TcpStream, request: &Request, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} -\r\nconnection: close\r\n", reply.status);
    head += &format!("content-length: {}\r\n", reply.body.len());
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    stream.write_all((head + "\r\n").as_bytes())?;
    if request.method != "HEAD" {
        let sent = reply.cut.unwrap_or(reply.body.len());
        stream.write_all(&reply.body[..sent])?;
    }
    stream.flush()
}
