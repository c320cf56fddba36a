//! A server that answers what a test tells it to, and nothing else.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

/// Answers each request's target, such as `/api/v1/query?query=up`, with a status and a body of JSON, on a port of its own
/// until the test ends; its URL.
pub fn serve(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that hangs up is no problem of the server's.
            let _ = answer_one(stream, &answer);
        }
    });
    url
}

fn answer_one(
    mut stream: TcpStream,
    answer: &impl Fn(&str) -> (u16, String),
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    for header in lines {
        if header?.is_empty() {
            break;
        }
    }
    let (status, body) = answer(request.split(' ').nth(1).unwrap_or_default());
    write!(
        stream,
        "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
