//! The load: connections that each send a request, read its answer to the end, and send the next.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// The end of an answer in chunks.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";
const EVENT_START: &[u8] = b"data: ";

type Failed = Box<dyn Error + Send + Sync>;

/// What a request asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// So many server-sent events.
    Events(usize),
    /// One value of JSON.
    Json,
}

/// What one connection received, times in microseconds.
struct Received {
    items: usize,
    /// From each request to the first bytes of its answer's body.
    first: Histogram<u64>,
    /// Between two arrivals of one answer.
    gaps: Histogram<u64>,
}

impl Received {
    fn new() -> Result<Self, Failed> {
        let times = || Histogram::new_with_bounds(1, 600_000_000, 3);
        Ok(Self { items: 0, first: times()?, gaps: times()? })
    }

    fn add(&mut self, other: &Self) -> Result<(), Failed> {
        self.items += other.items;
        self.first.add(&other.first)?;
        self.gaps.add(&other.gaps)?;
        Ok(())
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

pub(crate) fn run(
    port: u16,
    connections: usize,
    requests: usize,
    wanted: Wanted,
    body: &str,
) -> Result<(), Box<dyn Error>> {
    let request = Arc::new(request(wanted, &std::fs::read(body)?));
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let left = Arc::new(AtomicUsize::new(requests));
    let started = Instant::now();
    let received = tokio.block_on(async {
        let mut clients = JoinSet::new();
        for _ in 0..connections {
            clients.spawn(client(port, wanted, Arc::clone(&request), Arc::clone(&left)));
        }
        let mut received = Received::new()?;
        while let Some(part) = clients.join_next().await {
            received.add(&part??)?;
        }
        Ok::<_, Failed>(received)
    });
    let Received { items, first, gaps } = received.map_err(|error| error.to_string())?;
    let quantile = |times: &Histogram<u64>, at| if times.is_empty() { 0 } else { times.value_at_quantile(at) };
    let found = serde_json::json!({
        "items": items,
        "requests": requests,
        "seconds": started.elapsed().as_secs_f64(),
        "first_p50_us": quantile(&first, 0.5),
        "first_p99_us": quantile(&first, 0.99),
        "gap_p50_us": quantile(&gaps, 0.5),
        "gap_p99_us": quantile(&gaps, 0.99),
    });
    println!("{found}");
    Ok(())
}

fn request(wanted: Wanted, body: &[u8]) -> Vec<u8> {
    let accept = match wanted {
        Wanted::Events(_) => "text/event-stream",
        Wanted::Json => "application/json",
    };
    let head = format!("POST / HTTP/1.1\r\nhost: bench\r\naccept: {accept}\r\ncontent-type: application/json");
    [format!("{head}\r\ncontent-length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
}

/// Bytes of an answer whose head says how long it is; heads come in one piece on loopback.
fn whole_length(start: &[u8]) -> Option<usize> {
    let body = memmem::find(start, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&start[..body]).ok()?.to_ascii_lowercase();
    let length = head.split("content-length:").nth(1)?.lines().next()?;
    length.trim().parse::<usize>().ok().map(|length| body + length)
}

/// One connection.
async fn client(port: u16, wanted: Wanted, request: Arc<Vec<u8>>, left: Arc<AtomicUsize>) -> Result<Received, Failed> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    let events = memmem::Finder::new(EVENT_START);
    let mut total = Received::new()?;
    let mut read = vec![0; 64 << 10];
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let mut last = Instant::now();
        stream.write_all(&request).await?;
        let (mut kept, mut received, mut arrivals) = (0, 0, 0);
        let mut announced = None;
        let mut arrived = 0;
        loop {
            let count = stream.read(&mut read[kept..]).await?;
            if count == 0 {
                return Err("the server closed the connection within an answer".into());
            }
            let seen = &read[..kept + count];
            if arrived == 0 && !seen.starts_with(b"HTTP/1.1 200") {
                return Err(String::from_utf8_lossy(seen).into());
            }
            let found = events.find_iter(seen).count();
            if found > 0 {
                let now = Instant::now();
                let times = if arrivals == 0 { &mut total.first } else { &mut total.gaps };
                times.saturating_record(micros(now - last));
                last = now;
                arrivals += 1;
            }
            received += found;
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
        match wanted {
            Wanted::Events(items) if received != items => {
                return Err(format!("{received} of {items} events came").into());
            }
            Wanted::Events(items) => total.items += items,
            Wanted::Json => {
                total.first.saturating_record(micros(last.elapsed()));
                total.items += 1;
            }
        }
    }
    Ok(total)
}
