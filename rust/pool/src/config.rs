//! What a pool may hold.

use std::time::Duration;

use crate::system;

/// A setting that cannot be.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct ConfigError {
    /// Name of the field.
    pub field: &'static str,
    /// What is wrong with its value.
    pub reason: String,
}

/// Sizes in bytes, validated once by [`Pool::new`](crate::Pool::new).
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// Size of one shared segment: whole pages of 4 KiB, at most 1 MiB.
    pub segment_bytes: usize,
    /// Idle bytes that the segments of one pool may keep.
    pub small_parked_bytes: usize,
    /// Idle bytes that the large classes may keep.
    pub large_parked_bytes: usize,
    /// Ceiling of all bytes handed out; `None`: a quarter of the memory limit, at most 1 GiB.
    pub max_live_bytes: Option<usize>,
    /// Time between two maintenance ticks.
    pub decay_interval: Duration,
    /// Time without use after which everything parked is given back, at the next tick.
    pub idle_timeout: Duration,
    /// Zero memory before it is used again.
    pub zero_on_reuse: bool,
    /// Age at which a sampled lease is reported.
    pub leak_after: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 10,
            small_parked_bytes: 4 << 20,
            large_parked_bytes: 32 << 20,
            max_live_bytes: None,
            decay_interval: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(5),
            zero_on_reuse: false,
            leak_after: Duration::from_secs(60),
        }
    }
}

/// Least size of a segment, and what it must be a multiple of: a page.
const PAGE: usize = 4 << 10;

/// Largest segment: beyond it one live frame pins more than the large tier would.
const MAX_SEGMENT: usize = 1 << 20;

/// Most that `max_live_bytes` is by default.
const DEFAULT_LIVE: usize = 1 << 30;

/// Prefix of the environment variables that [`PoolConfig::from_env`] reads.
const ENV_PREFIX: &str = "PYBRIDGE_POOL_";

impl PoolConfig {
    /// The defaults, overridden by `PYBRIDGE_POOL_<FIELD>`: sizes as `65536` or `64KiB`, times in seconds, flags
    /// as `0` or `1`.
    ///
    /// # Errors
    /// A variable that is not a value of its field.
    pub fn from_env() -> Result<Self, ConfigError> {
        Self::default().overridden(|name| std::env::var(name).ok())
    }

    /// `self` overridden by what `look_up` knows of `PYBRIDGE_POOL_<FIELD>`.
    ///
    /// # Errors
    /// A value that is none of its field, or cannot be.
    pub fn overridden(mut self, look_up: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let value = |field: &'static str| {
            let text = look_up(&format!("{ENV_PREFIX}{}", field.to_uppercase()))?;
            Some((field, text))
        };
        set(value("segment_bytes"), parse_bytes, &mut self.segment_bytes)?;
        set(value("small_parked_bytes"), parse_bytes, &mut self.small_parked_bytes)?;
        set(value("large_parked_bytes"), parse_bytes, &mut self.large_parked_bytes)?;
        set(value("max_live_bytes"), parse_optional_bytes, &mut self.max_live_bytes)?;
        set(value("decay_interval"), parse_seconds, &mut self.decay_interval)?;
        set(value("idle_timeout"), parse_seconds, &mut self.idle_timeout)?;
        set(value("zero_on_reuse"), parse_flag, &mut self.zero_on_reuse)?;
        set(value("leak_after"), parse_seconds, &mut self.leak_after)?;
        self.check().map_err(|error| match value(error.field) {
            Some(_) => from_variable(error),
            None => error,
        })?;
        Ok(self)
    }

    /// The validated configuration with every default filled in, and its `max_live_bytes`.
    pub(crate) fn effective(mut self) -> Result<(Self, usize), ConfigError> {
        self.check()?;
        let max_live = self.max_live_bytes.unwrap_or_else(default_max_live);
        self.max_live_bytes = Some(max_live);
        Ok((self, max_live))
    }

    fn check(&self) -> Result<(), ConfigError> {
        let segment = self.segment_bytes;
        check("segment_bytes", (PAGE..=MAX_SEGMENT).contains(&segment), || {
            format!("{segment} is not between {PAGE} and {MAX_SEGMENT}")
        })?;
        check("segment_bytes", segment.is_multiple_of(PAGE), || format!("{segment} is no multiple of {PAGE}"))?;
        check("max_live_bytes", self.max_live_bytes != Some(0), || "must be more than zero".into())?;
        check("decay_interval", !self.decay_interval.is_zero(), || "must be more than zero".into())?;
        check("leak_after", !self.leak_after.is_zero(), || "must be more than zero".into())
    }
}

fn default_max_live() -> usize {
    system::memory_limit().map_or(DEFAULT_LIVE, |limit| (limit / 4).min(DEFAULT_LIVE)).max(1)
}

fn check(field: &'static str, holds: bool, reason: impl FnOnce() -> String) -> Result<(), ConfigError> {
    if holds { Ok(()) } else { Err(ConfigError { field, reason: reason() }) }
}

fn from_variable(ConfigError { field, reason }: ConfigError) -> ConfigError {
    ConfigError { field, reason: format!("{reason} (from {ENV_PREFIX}{})", field.to_uppercase()) }
}

fn set<T>(
    value: Option<(&'static str, String)>,
    parse: impl Fn(&str) -> Result<T, String>,
    field: &mut T,
) -> Result<(), ConfigError> {
    if let Some((name, text)) = value {
        *field = parse(text.trim()).map_err(|reason| from_variable(ConfigError { field: name, reason }))?;
    }
    Ok(())
}

/// Reads `65536`, `64KiB`, `64 KiB`, `1.5MiB` or `2GB` as bytes.
///
/// # Errors
/// Text that is no size, with the reason.
pub fn parse_bytes(text: &str) -> Result<usize, String> {
    let invalid = || format!("{text:?} is no size such as 65536 or \"64KiB\"");
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(invalid()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let scale = 10_u64.checked_pow(fraction.len() as u32).ok_or_else(invalid)?;
    let digits: u64 = format!("{whole}{fraction}").parse().map_err(|_| invalid())?;
    let scaled = digits.checked_mul(factor).filter(|scaled| scaled.is_multiple_of(scale)).ok_or_else(invalid)?;
    usize::try_from(scaled / scale).map_err(|_| invalid())
}

/// As [`parse_bytes`]; nothing and `none` are `None`.
fn parse_optional_bytes(text: &str) -> Result<Option<usize>, String> {
    if text.is_empty() || text.eq_ignore_ascii_case("none") { Ok(None) } else { parse_bytes(text).map(Some) }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?;
    Duration::try_from_secs_f64(seconds).map_err(|error| format!("{text:?}: {error}"))
}

fn parse_flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(format!("{text:?} is neither 0 nor 1")),
    }
}
