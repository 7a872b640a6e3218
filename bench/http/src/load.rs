//! The load: connections that each send a request, read its answer to the end, and send the next.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The end of an answer in chunks.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
const EVENT_START: &[u8] = b"data: ";

pub(crate) fn run(
    port: u16,
    connections: usize,
    requests: usize,
    items: usize,
    body: &str,
) -> Result<(), Box<dyn Error>> {
    let request = Arc::new(request(&std::fs::read(body)?));
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let left = Arc::new(AtomicUsize::new(requests));
    let started = Instant::now();
    let received = tokio.block_on(async {
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            clients.spawn(client(port, items, Arc::clone(&request), Arc::clone(&left)));
        }
        let mut received = 0;
        while let Some(part) = clients.join_next().await {
            received += part??;
        }
        Ok::<_, Box<dyn Error + Send + Sync>>(received)
    });
    let received = received.map_err(|error| error.to_string())?;
    println!("{{\"items\":{received},\"requests\":{requests},\"seconds\":{}}}", started.elapsed().as_secs_f64());
    Ok(())
}

fn request(body: &[u8]) -> Vec<u8> {
    let head = "POST / HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\ncontent-type: application/json";
    [format!("{head}\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

/// Bytes of an answer whose head says how long it is; heads come in one piece on loopback.
fn whole_length(start: &[u8]) -> Option<usize> {
    let body = memmem::find(start, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&start[..body]).ok()?.to_ascii_lowercase();
    let length = head.split("content-length:").nth(1)?.lines().next()?;
    length.trim().parse::<usize>().ok().map(|length| body + length)
}

/// One connection; gives the events that it received.
async fn client(
    port: u16,
    items: usize,
    request: Arc<Vec<u8>>,
    left: Arc<AtomicUsize>,
) -> Result<usize, Box<dyn Error + Send + Sync>> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let events = memmem::Finder::new(EVENT_START);
    let mut total = 0;
    let mut read = vec![0; 64 << 10];
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        stream.write_all(&request).await?;
        let (mut kept, mut received) = (0, 0);
        let mut announced = None;
        let mut arrived = 0;
        loop {
            let count = stream.read(&mut read[kept..]).await?;
            if count == 0 {
                return Err("the server closed the connection within an answer".into());
            }
            let seen = &read[..kept + count];
            received += events.find_iter(seen).count();
            if arrived == 0 {
                announced = whole_length(seen);
            }
            arrived += count;
            if announced.map_or(seen.ends_with(LAST_CHUNK), |length| arrived >= length) {
                break;
            }
            // What may be the start of an event or of the end is looked at again; no whole event is.
            let tail = seen.len().min(EVENT_START.len() - 1);
            let from = seen.len() - tail;
            read.copy_within(from..from + tail, 0);
            kept = tail;
        }
        if received != items {
            return Err(format!("{received} of {items} events came").into());
        }
        total += received;
    }
    Ok(total)
}
