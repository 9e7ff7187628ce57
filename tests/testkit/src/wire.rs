//! HTTP/1.1 with kept connections in as few instructions as it takes, so that
//! what a benchmark measures is the platform and not its tools.
//!
//! It speaks what our own peers speak: messages framed by `Content-Length`, one
//! at a time on a connection. Everything else is an error, never a guess.

use std::{io, net::SocketAddr, ops::Range};

use tokio::net::TcpStream;

const HEAD_MAX_BYTES: usize = 64 * 1_024;
const BODY_MAX_BYTES: usize = 16 * 1_024 * 1_024;
const READ_BYTES: usize = 16 * 1_024;

/// A connection and what was read from it ahead of its use.
pub(crate) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Bytes at the front of the buffer that the last message took.
    used: usize,
}

/// One message, borrowed from the connection it came on.
pub(crate) struct Frame<'w> {
    /// The first line and the headers.
    pub(crate) head: &'w str,
    pub(crate) body: &'w [u8],
}

impl Wire {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect(address).await?)
    }

    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new(), used: 0 })
    }

    pub(crate) async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.stream.try_write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stream.writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The next message, or none when the peer closed the connection between
    /// two messages.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Frame<'_>>> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let Some(head) = self.read_head().await? else {
            return Ok(None);
        };
        let text = as_text(&self.buffer[head.clone()])?;
        if header(text, "transfer-encoding").is_some() {
            return Err(invalid("a message without Content-Length"));
        }
        let length = match header(text, "content-length") {
            Some(value) => value.parse().map_err(|_| invalid("a wrong Content-Length"))?,
            None => 0,
        };
        if length > BODY_MAX_BYTES {
            return Err(invalid("a body too large"));
        }
        let body = head.end..head.end + length;
        while self.buffer.len() < body.end {
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        self.used = body.end;
        Ok(Some(Frame { head: as_text(&self.buffer[head])?, body: &self.buffer[body] }))
    }

    async fn read_head(&mut self) -> io::Result<Option<Range<usize>>> {
        let mut searched: usize = 0;
        loop {
            // The end of the head may straddle two reads.
            let from = searched.saturating_sub(3);
            let end = self.buffer[from..].windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(at) = end {
                return Ok(Some(0..from + at + 4));
            }
            if self.buffer.len() > HEAD_MAX_BYTES {
                return Err(invalid("headers too large"));
            }
            searched = self.buffer.len();
            if !self.fill().await? {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    /// Reads once; false at the end of the stream.
    async fn fill(&mut self) -> io::Result<bool> {
        let filled = self.buffer.len();
        loop {
            self.buffer.resize(filled + READ_BYTES, 0);
            let read = self.stream.try_read(&mut self.buffer[filled..]);
            self.buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(count) => return Ok(count > 0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.stream.readable().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// The value of the header `name`, whatever its case.
pub(crate) fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    headers(head).find_map(|(key, value)| key.eq_ignore_ascii_case(name).then_some(value))
}

/// Names and values in order, without the first line.
pub(crate) fn headers(head: &str) -> impl Iterator<Item = (&str, &str)> {
    head.split("\r\n").skip(1).filter_map(|line| line.split_once(':')).map(|(name, value)| (name, value.trim()))
}

fn as_text(bytes: &[u8]) -> io::Result<&str> {
    std::str::from_utf8(bytes).map_err(|_| invalid("headers that are not UTF-8"))
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the peer sent {what}"))
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, net::TcpListener};

    use super::*;

    #[tokio::test]
    async fn messages_are_framed_however_their_bytes_arrive() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let first = "POST /a HTTP/1.1\r\nX-Name:  b \r\ncontent-length: 5\r\n\r\nhello";
        let both = format!("{first}GET /c HTTP/1.1\r\n\r\n");
        let writer = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_nodelay(true).unwrap();
            for byte in both.as_bytes() {
                stream.write_all(&[*byte]).unwrap();
            }
        });

        let mut wire = Wire::connect(address).await.unwrap();
        let frame = wire.next().await.unwrap().unwrap();
        assert_eq!(frame.body, b"hello");
        assert_eq!(header(frame.head, "x-name"), Some("b"));
        let frame = wire.next().await.unwrap().unwrap();
        assert!(frame.head.starts_with("GET /c ") && frame.body.is_empty());
        assert!(wire.next().await.unwrap().is_none());
        writer.join().unwrap();
    }

    #[tokio::test]
    async fn a_message_cut_short_or_unframed_is_an_error() {
        for bytes in [
            "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel",
            "POST / HTTP/1.1\r\nConte",
            "POST / HTTP/1.1\r\nContent-Length: five\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut wire = Wire::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(bytes.as_bytes()).unwrap();
            drop(stream);
            assert!(wire.next().await.is_err(), "{bytes}");
        }
    }
}
