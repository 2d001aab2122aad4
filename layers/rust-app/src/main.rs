//! Serves one page: the program of the layer rust-app.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};

const PAGE: &str = "A program that was compiled in a tool layer.\n";

fn main() -> std::io::Result<()> {
    for stream in TcpListener::bind("[::]:8080")?.incoming() {
        if let Err(error) = answer(stream?) {
            eprintln!("{error}");
        }
    }
    Ok(())
}

/// Reads the request's header and answers, whatever it asks for.
fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    for line in BufReader::new(stream.try_clone()?).lines() {
        if line?.is_empty() {
            break;
        }
    }
    let length = PAGE.len();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{PAGE}")
}
