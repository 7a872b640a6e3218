//! State of engines and streams that all threads share, with its timers and the dispatcher; no event loops.

mod admission;
mod call_options;
#[cfg(feature = "tracing")]
mod call_span;
mod call_timeouts;
pub(crate) mod cancel_grace;
mod cancel_nested;
mod command;
mod credit;
mod dispatcher;
mod ending;
mod engine_state;
mod failure_report;
pub(crate) mod flow_settings;
mod metrics;
mod outbox;
mod queue;
mod start_request;
mod stream_state;
mod wait_cancelled;
mod wakers;
pub(crate) mod write_timeout;

pub(crate) use admission::{AdmissionOutcome, PermitOutcome};
pub use call_options::CallOptions;
pub(crate) use command::{Command, CommandSink, Notify};
pub(crate) use credit::{FRAME_OVERHEAD, charged_bytes};
pub(crate) use dispatcher::run_dispatcher;
pub use ending::{Cancellation, Ending};
pub(crate) use engine_state::{
    EngineHooks, EngineState, Lifecycle, LifespanGuard, OnFailure, activity, close_all, live_engines, pools_of_engines,
    post_start, request_of, streams_of,
};
pub(crate) use failure_report::{fail, report};
pub(crate) use flow_settings::Flow;
pub use flow_settings::Flush;
pub(crate) use metrics::{BATCH_ITEMS, Bounds, Ranges, SECONDS};
pub(crate) use outbox::Outbox;
pub(crate) use start_request::{ItemCodec, Request, RequestCodec, StartRequest};
pub(crate) use stream_state::{ConsumerKind, StreamState};
