//! The limits of connections, as settings of hyper: sizes, streams, and resets of HTTP/2, a flood of which ends a connection.

use hyper_util::rt::TokioTimer;
use hyper_util::server::conn::auto;

use super::http2_tasks::Streams;
use super::server_options::ServerOptions;

/// Most bytes of one connection that wait to be written before an answer is asked for more, and longest head of a request.
const BUFFER_BYTES: usize = 64 << 10;

/// Longest list of headers over HTTP/2, in bytes: that of HTTP/1.1.
const HEADER_LIST_BYTES: u32 = 64 << 10;

/// Most bytes of a body over HTTP/2 that may be under way before they are read.
const STREAM_WINDOW: u32 = 256 << 10;

/// The same of all bodies of a connection.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// Requests that a client may reset before they are looked at; one more ends the connection (`ENHANCE_YOUR_CALM`).
const EARLY_RESETS: usize = 20;

/// Streams that the server may reset for errors of the client; one more ends the connection.
const ERROR_RESETS: usize = 1024;

pub(super) fn builder(options: &ServerOptions) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(Streams::new(options.write_timeout));
    // The time of a head is held by the connection's own deadlines.
    builder.http1().max_buf_size(BUFFER_BYTES).header_read_timeout(None);
    builder
        .http2()
        .timer(TokioTimer::new())
        // A ping waits behind what was sent before: a client that reads slowly answers late.
        .keep_alive_interval(options.write_timeout * 2 / 3)
        .keep_alive_timeout(options.write_timeout)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(options.max_streams)
        .max_header_list_size(HEADER_LIST_BYTES)
        .max_local_error_reset_streams(ERROR_RESETS)
        .max_pending_accept_reset_streams(EARLY_RESETS)
        .max_send_buf_size(BUFFER_BYTES);
    builder
}
