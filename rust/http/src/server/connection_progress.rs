//! The state of a connection that its deadlines depend on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::observe::Breach;

/// What a connection does at the moment. Its task, its socket and its requests share it.
#[derive(Debug)]
pub(super) struct Progress {
    accepted: Instant,
    /// How often the connection has been polled.
    turn: AtomicU64,
    /// Bytes that have come from the client, of whatever kind.
    received: AtomicU64,
    /// Bodies that are being read.
    bodies: AtomicUsize,
    /// Requests whose answers are not over.
    live: AtomicUsize,
    /// True once the client has done what it must do in the first `header_timeout`: a head, or over HTTP/2 its first frame. Clients
    /// of HTTP/2 connect before they have a request, as browsers do: from then on the connection counts as idle.
    started: AtomicBool,
    /// When the last answer was over.
    idle: Moment,
    /// When the first bytes of a head came that is not whole.
    begun: Moment,
    /// Since when bytes wait that the client does not take.
    stalled: Moment,
    /// Since when nothing is sent any more, and what still comes is thrown away.
    closing: Moment,
    /// True if requests come on streams: bytes between them are no head that has begun.
    streams: AtomicBool,
    /// True if a body was not read to its end.
    unread: AtomicBool,
    /// True once HTTP has ended the connection by itself: what it has written is to arrive.
    ended: AtomicBool,
    /// True once the client has let a deadline pass.
    late: AtomicBool,
}

/// A moment or none: milliseconds since the connection was accepted, and one.
#[derive(Debug, Default)]
struct Moment(AtomicU64);

impl Moment {
    fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    fn set(&self, accepted: Instant) {
        let millis = u64::try_from(accepted.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.0.store(millis + 1, Ordering::Relaxed);
    }

    fn get(&self, accepted: Instant) -> Option<Instant> {
        let millis = self.0.load(Ordering::Relaxed).checked_sub(1)?;
        Some(accepted + Duration::from_millis(millis))
    }
}

/// Since when a client is waited for, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Its first request, or the rest of a head.
    Head(Instant),
    /// Its next request.
    Request(Instant),
    /// That it ends the connection.
    End(Instant),
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            accepted: Instant::now(),
            turn: AtomicU64::new(0),
            received: AtomicU64::new(0),
            bodies: AtomicUsize::new(0),
            live: AtomicUsize::new(0),
            started: AtomicBool::new(false),
            idle: Moment::default(),
            begun: Moment::default(),
            stalled: Moment::default(),
            closing: Moment::default(),
            streams: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            late: AtomicBool::new(false),
        }
    }
}

impl Progress {
    /// The connection is polled once more.
    pub(super) fn turns(&self) {
        self.turn.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Relaxed)
    }

    /// So many bytes have come from the client.
    pub(super) fn receives(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How many bytes have come from the client, of whatever kind.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// A body is read until what this returns is dropped.
    pub(super) fn read_body(self: &Arc<Self>) -> OpenBody {
        self.bodies.fetch_add(1, Ordering::Relaxed);
        OpenBody(Arc::clone(self))
    }

    /// How many bodies are being read.
    pub(super) fn bodies(&self) -> usize {
        self.bodies.load(Ordering::Relaxed)
    }

    /// A request has begun; it is live until what this returns is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Live {
        self.live.fetch_add(1, Ordering::AcqRel);
        self.started.store(true, Ordering::Relaxed);
        Live(Arc::clone(self))
    }

    pub(super) fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire) > 0
    }

    /// The client speaks HTTP/2.
    pub(super) fn speaks_streams(&self) {
        self.streams.store(true, Ordering::Relaxed);
    }

    fn has_streams(&self) -> bool {
        self.streams.load(Ordering::Relaxed)
    }

    /// A part of a head has come, and more of it has to.
    pub(super) fn head_begun(&self) {
        if !self.begun.is_set() {
            self.begun.set(self.accepted);
        }
    }

    /// No head of HTTP/1.1 has begun that is not whole.
    pub(super) fn head_ended(&self) {
        if self.begun.is_set() {
            self.begun.clear();
        }
    }

    /// A frame of HTTP/2 has come whole, and the head that it belongs to, if it does.
    pub(super) fn frame_ended(&self) {
        self.begun.clear();
        if !self.started.swap(true, Ordering::Relaxed) {
            self.idle.set(self.accepted);
        }
    }

    /// Bytes wait that the client does not take.
    pub(super) fn stalls(&self) {
        if !self.stalled.is_set() {
            self.stalled.set(self.accepted);
        }
    }

    /// The client takes bytes.
    pub(super) fn flows(&self) {
        if self.stalled.is_set() {
            self.stalled.clear();
        }
    }

    /// A body is not read to its end: what comes of it is thrown away when the connection closes.
    pub(super) fn leave_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    pub(super) fn has_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Nothing is sent any more.
    pub(super) fn closes(&self) {
        if !self.closing.is_set() {
            self.closing.set(self.accepted);
        }
    }

    /// HTTP has ended the connection by itself.
    pub(super) fn ends(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    /// The client has let a deadline pass.
    pub(super) fn exceeds(&self) {
        self.late.store(true, Ordering::Relaxed);
    }

    /// What a client did wrong that has let a deadline pass; `None`: it had nothing to ask any more, or has been told.
    pub(super) fn breach(&self) -> Option<Breach> {
        if self.stalled.is_set() {
            return Some(Breach::Unread);
        }
        matches!(self.waiting(), Some(Waiting::Head(_))).then_some(Breach::Head)
    }

    /// True if the connection is ended from outside: for its client's delay, or in the middle of an answer.
    pub(super) fn is_cut_off(&self) -> bool {
        let is_late = self.late.load(Ordering::Relaxed);
        !self.ended.load(Ordering::Relaxed) && (is_late || self.is_live() || self.stalled.is_set())
    }

    /// Since when the client has taken nothing of what waits for it.
    pub(super) fn stalled(&self) -> Option<Instant> {
        self.stalled.get(self.accepted)
    }

    /// What the client is waited for; `None`: it waits itself. While requests of HTTP/2 are live, only for the rest of a head. One
    /// of HTTP/1.1 that came behind a request counts from the end of the answer on: before, it may not be read.
    pub(super) fn waiting(&self) -> Option<Waiting> {
        if let Some(since) = self.closing.get(self.accepted) {
            return Some(Waiting::End(since));
        }
        let begun = self.begun.get(self.accepted);
        if self.is_live() {
            // What a client has sent may not be read while it takes nothing itself.
            return begun.filter(|_| self.has_streams() && !self.stalled.is_set()).map(Waiting::Head);
        }
        if !self.started.load(Ordering::Relaxed) {
            return Some(Waiting::Head(self.accepted));
        }
        let idle = self.idle.get(self.accepted).unwrap_or(self.accepted);
        Some(match begun {
            Some(begun) if self.has_streams() => Waiting::Head(begun),
            Some(begun) => Waiting::Head(begun.max(idle)),
            None => Waiting::Request(idle),
        })
    }
}

/// A request whose answer is not over.
#[derive(Debug)]
pub(super) struct Live(Arc<Progress>);

impl Drop for Live {
    fn drop(&mut self) {
        // Before it counts as idle: whoever sees that must see since when.
        self.0.idle.set(self.0.accepted);
        self.0.live.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A body that is being read.
#[derive(Debug)]
pub(super) struct OpenBody(Arc<Progress>);

impl OpenBody {
    /// Of its connection.
    pub(super) fn progress(&self) -> &Progress {
        &self.0
    }
}

impl Drop for OpenBody {
    fn drop(&mut self) {
        self.0.bodies.fetch_sub(1, Ordering::Relaxed);
    }
}
