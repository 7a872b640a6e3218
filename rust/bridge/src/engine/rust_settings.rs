//! Settings of engines as a Rust host gives them; the Python package's classes of the same names check them.

use std::time::Duration;

use pybridge_pool::setters;

use crate::state::Flush;

/// How items travel from handlers to consumers; a value that cannot be is refused when the engine is made.
///
/// *In flight* means queued and not yet taken by the consumer. A field that has its default takes the value of the environment
/// variable `PYBRIDGE_FLOW_<FIELD>`, if that is set.
///
/// ```
/// use std::time::Duration;
///
/// use pybridge::{FlowConfig, Flush};
///
/// let flow = FlowConfig::default().flush(Flush::Suspend).max_concurrency(64).cancel_grace(Duration::from_secs(1));
/// assert_eq!((flow.max_concurrency, flow.max_queue), (Some(64), None));
/// assert_eq!(flow.max_concurrency(None), FlowConfig::default().flush(Flush::Suspend).cancel_grace(Duration::from_secs(1)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlowConfig {
    /// When items leave the worker; [`Flush::Turn`] unless set.
    pub flush: Flush,
    /// Items after which a batch leaves at once; 64 unless set.
    pub batch_items: usize,
    /// Bytes after which a batch leaves at once; 1 MiB unless set.
    pub batch_bytes: usize,
    /// Bytes in flight of one stream above which its handler waits at its `yield`; each frame counts its length and 64 bytes.
    /// 1 MiB unless set.
    pub high_water: usize,
    /// Items in flight of one stream above which its handler waits at its `yield`; 1,024 unless set.
    pub high_water_items: usize,
    /// Bytes in flight at or below which it goes on; `None`, unless set: a quarter of `high_water`.
    pub low_water: Option<usize>,
    /// How long a consumer may let a waiting handler wait before the stream is cancelled with
    /// [`Reason::SlowConsumer`](crate::Reason::SlowConsumer); `None`, unless set: without bound.
    pub write_timeout: Option<Duration>,
    /// Calls whose handlers run at the same time; `None`, unless set: no limit.
    pub max_concurrency: Option<usize>,
    /// Calls that may wait for a place; one more is [`Overloaded`](crate::FailureKind::Overloaded). `None`, unless set:
    /// no limit; 0: none.
    pub max_queue: Option<usize>,
    /// Bytes of decoded requests that running handlers may hold together, of which one call always passes; `None`, unless
    /// set: a quarter of the memory limit.
    pub max_held_bytes: Option<usize>,
    /// How long a cancelled handler may take for its cleanup before it is let go; 5 s unless set.
    pub cancel_grace: Duration,
    /// How long a stream whose reader is a Python task waits for its next read after one was cancelled; `None`: for ever, 30 s
    /// unless set.
    /// Streams that Rust reads do not wait: they end when they are dropped.
    pub abandon_timeout: Option<Duration>,
}

impl Default for FlowConfig {
    fn default() -> Self {
        Self {
            flush: Flush::Turn,
            batch_items: 64,
            batch_bytes: 1 << 20,
            high_water: 1 << 20,
            high_water_items: 1024,
            low_water: None,
            write_timeout: None,
            max_concurrency: None,
            max_queue: None,
            max_held_bytes: None,
            cancel_grace: Duration::from_secs(5),
            abandon_timeout: Some(Duration::from_secs(30)),
        }
    }
}

setters!(FlowConfig {
    flush: Flush,
    batch_items: usize,
    batch_bytes: usize,
    high_water: usize,
    high_water_items: usize,
    low_water: Option<usize>,
    write_timeout: Option<Duration>,
    max_concurrency: Option<usize>,
    max_queue: Option<usize>,
    max_held_bytes: Option<usize>,
    cancel_grace: Duration,
    abandon_timeout: Option<Duration>,
});

/// How models of pydantic are written: the arguments of the same names of its `model_dump`. What has its default is left to
/// the models' own configuration.
///
/// ```
/// use pybridge::ModelDump;
///
/// let dump = ModelDump::default().by_alias(true).exclude_none(true);
/// assert_eq!((dump.by_alias, dump.exclude_unset), (Some(true), false));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "options that do not depend on each other")]
pub struct ModelDump {
    /// Keys are the fields' aliases; `None`: as the model says.
    pub by_alias: Option<bool>,
    /// Fields that were not given are left out.
    pub exclude_unset: bool,
    /// Fields that have their default are left out.
    pub exclude_defaults: bool,
    /// Fields that are None are left out.
    pub exclude_none: bool,
    /// Values are written so that they validate again.
    pub round_trip: bool,
    /// Values that do not fit their field's annotation are warned of.
    pub warnings: bool,
    /// Fields are written by the types of their values and not by their annotations.
    pub serialize_as_any: bool,
}

impl Default for ModelDump {
    fn default() -> Self {
        Self {
            by_alias: None,
            exclude_unset: false,
            exclude_defaults: false,
            exclude_none: false,
            round_trip: false,
            warnings: true,
            serialize_as_any: false,
        }
    }
}

setters!(ModelDump {
    by_alias: Option<bool>,
    exclude_unset: bool,
    exclude_defaults: bool,
    exclude_none: bool,
    round_trip: bool,
    warnings: bool,
    serialize_as_any: bool,
});
