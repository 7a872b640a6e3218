//! Settings of a pool, their checks and their reading from the environment.

use std::time::Duration;

use crate::{available_memory, setters};

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
///
/// ```
/// use pybridge_pool::PoolConfig;
///
/// let config = PoolConfig::default().large_parked_bytes(8 << 20).max_live_bytes(256 << 20);
/// assert_eq!((config.large_parked_bytes, config.max_live_bytes), (8 << 20, Some(256 << 20)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
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

setters!(PoolConfig {
    segment_bytes: usize,
    small_parked_bytes: usize,
    large_parked_bytes: usize,
    max_live_bytes: Option<usize>,
    decay_interval: Duration,
    idle_timeout: Duration,
    zero_on_reuse: bool,
    leak_after: Duration,
});

/// Least size of a segment, and what it must be a multiple of: a page.
const PAGE: usize = 4 << 10;

/// Largest segment: beyond it one live frame pins more than the large tier would.
const MAX_SEGMENT: usize = 1 << 20;

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
        let max_live = self.max_live_bytes.unwrap_or_else(available_memory::default_max_live);
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

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    use super::*;
    use crate::Pool;

    /// The defaults, overridden by one variable.
    fn with(variable: &str, text: &str) -> Result<PoolConfig, ConfigError> {
        PoolConfig::default().overridden(|name| (name == variable).then(|| text.to_owned()))
    }

    /// The defaults, without a look at the machine's memory.
    fn tracked() -> PoolConfig {
        PoolConfig { max_live_bytes: Some(1 << 30), ..PoolConfig::default() }
    }

    /// The settings as text: two are equal if all their fields are.
    fn shown(config: &PoolConfig) -> String {
        format!("{config:?}")
    }

    #[test]
    fn each_variable_sets_its_field_and_no_other() {
        let seconds = Duration::from_secs_f64;
        let default = PoolConfig::default;
        let cases = [
            ("SEGMENT_BYTES", "8KiB", PoolConfig { segment_bytes: 8 << 10, ..default() }),
            ("SMALL_PARKED_BYTES", "1MiB", PoolConfig { small_parked_bytes: 1 << 20, ..default() }),
            ("LARGE_PARKED_BYTES", "0", PoolConfig { large_parked_bytes: 0, ..default() }),
            ("MAX_LIVE_BYTES", "7", PoolConfig { max_live_bytes: Some(7), ..default() }),
            ("DECAY_INTERVAL", "0.25", PoolConfig { decay_interval: seconds(0.25), ..default() }),
            ("IDLE_TIMEOUT", "0", PoolConfig { idle_timeout: seconds(0.0), ..default() }),
            ("ZERO_ON_REUSE", "1", PoolConfig { zero_on_reuse: true, ..default() }),
            ("LEAK_AFTER", " 90 ", PoolConfig { leak_after: seconds(90.0), ..default() }),
        ];
        for (field, text, expected) in cases {
            let read = with(&format!("PYBRIDGE_POOL_{field}"), text).unwrap();
            assert_eq!(shown(&read), shown(&expected), "{field}={text}");
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "Miri starts no processes")]
    fn the_environment_of_the_process_is_read() {
        const VARIABLE: &str = "PYBRIDGE_POOL_SEGMENT_BYTES";
        if env::var_os("A_CHILD_OF_THE_TEST").is_some() {
            assert_eq!(PoolConfig::from_env().unwrap().segment_bytes, 12 << 10);
            return;
        }
        let child = Command::new(env::current_exe().unwrap())
            .args(["config::tests::the_environment_of_the_process_is_read", "--exact"])
            .envs([("A_CHILD_OF_THE_TEST", "1"), (VARIABLE, "12KiB")])
            .status();
        assert!(child.unwrap().success());
    }

    #[test]
    fn none_and_nothing_leave_the_ceiling_to_the_pool() {
        for text in ["none", "None", "", "  "] {
            let read = PoolConfig { max_live_bytes: Some(1), ..PoolConfig::default() }
                .overridden(|name| (name == "PYBRIDGE_POOL_MAX_LIVE_BYTES").then(|| text.to_owned()));
            assert_eq!(read.unwrap().max_live_bytes, None, "{text:?}");
        }
    }

    #[test]
    fn flags_are_words_of_either_case() {
        for (text, value) in [("1", true), ("true", true), ("Yes", true), ("ON", true), ("0", false), ("False", false)]
        {
            let read = PoolConfig { zero_on_reuse: !value, ..PoolConfig::default() }
                .overridden(|name| (name == "PYBRIDGE_POOL_ZERO_ON_REUSE").then(|| text.to_owned()));
            assert_eq!(read.unwrap().zero_on_reuse, value, "{text:?}");
        }
        for (text, value) in [("no", false), ("off", false)] {
            assert_eq!(with("PYBRIDGE_POOL_ZERO_ON_REUSE", text).unwrap().zero_on_reuse, value, "{text:?}");
        }
    }

    #[test]
    fn a_wrong_variable_is_named_with_its_field_and_reason() {
        let cases = [
            ("SEGMENT_BYTES", "many", "segment_bytes: \"many\" is no size such as 65536 or \"64KiB\""),
            ("SEGMENT_BYTES", "5000", "segment_bytes: 5000 is no multiple of 4096"),
            ("MAX_LIVE_BYTES", "0", "max_live_bytes: must be more than zero"),
            ("DECAY_INTERVAL", "soon", "decay_interval: \"soon\" is no number of seconds"),
            ("DECAY_INTERVAL", "0", "decay_interval: must be more than zero"),
            ("ZERO_ON_REUSE", "2", "zero_on_reuse: \"2\" is neither 0 nor 1"),
            ("LEAK_AFTER", "0", "leak_after: must be more than zero"),
        ];
        for (field, text, reason) in cases {
            let variable = format!("PYBRIDGE_POOL_{field}");
            let error = with(&variable, text).unwrap_err().to_string();
            assert_eq!(error, format!("{reason} (from {variable})"));
        }
        let negative = with("PYBRIDGE_POOL_IDLE_TIMEOUT", "-1").unwrap_err();
        assert!(negative.field == "idle_timeout" && negative.reason.starts_with("\"-1\": "), "{negative}");
    }

    #[test]
    fn a_wrong_value_that_no_variable_set_names_none() {
        let wrong = PoolConfig { segment_bytes: 5000, ..PoolConfig::default() };
        let error =
            wrong.clone().overridden(|name| (name == "PYBRIDGE_POOL_LEAK_AFTER").then(|| "9".into())).unwrap_err();
        assert_eq!(error.to_string(), "segment_bytes: 5000 is no multiple of 4096");
        assert_eq!(Pool::new(wrong).unwrap_err().to_string(), error.to_string());
    }

    #[test]
    fn segments_are_whole_pages_from_4_kib_to_1_mib() {
        let takes = |segment_bytes| Pool::new(PoolConfig { segment_bytes, ..tracked() }).is_ok();
        for (bytes, taken) in
            [(4 << 10, true), (12 << 10, true), (1 << 20, true), ((1 << 20) + 4096, false), (0, false)]
        {
            assert_eq!(takes(bytes), taken, "{bytes}");
        }
        let error = Pool::new(PoolConfig { segment_bytes: 2 << 20, ..tracked() }).unwrap_err();
        assert_eq!(error.to_string(), "segment_bytes: 2097152 is not between 4096 and 1048576");
    }

    #[test]
    fn sizes_are_bytes_or_have_a_binary_or_decimal_unit() {
        let cases = [
            ("0", 0),
            ("65536", 65_536),
            ("17b", 17),
            ("64KiB", 64 << 10),
            ("64 kib", 64 << 10),
            ("1.5MiB", 3 << 19),
            ("0.25 GiB", 1 << 28),
            ("1GiB", 1 << 30),
            ("64KB", 64_000),
            ("1.25MB", 1_250_000),
            ("2GB", 2_000_000_000),
            ("1.", 1),
            (".5KiB", 512),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text:?}");
        }
    }

    #[test]
    fn text_that_is_no_whole_number_of_bytes_is_no_size() {
        for text in [
            "",
            "B",
            "KiB",
            ".",
            "-1",
            "1.5",
            "0.3KiB",
            "1.2.3MiB",
            "64TiB",
            "1 K",
            "20000000000GiB",
            "0.00000000000000000000",
        ] {
            let error = parse_bytes(text).unwrap_err();
            assert_eq!(error, format!("{text:?} is no size such as 65536 or \"64KiB\""));
        }
    }
}
