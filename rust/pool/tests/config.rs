//! What a pool's settings take, and what they read from environment variables.

mod support;

use std::env;
use std::process::Command;
use std::time::Duration;

use pybridge_pool::{ConfigError, Pool, PoolConfig, memory_limit, parse_bytes};

/// The defaults, overridden by one variable.
fn with(variable: &str, text: &str) -> Result<PoolConfig, ConfigError> {
    PoolConfig::default().overridden(|name| (name == variable).then(|| text.to_owned()))
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
        .args(["the_environment_of_the_process_is_read", "--exact"])
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
    for (text, value) in [("1", true), ("true", true), ("Yes", true), ("ON", true), ("0", false), ("False", false)] {
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
    let error = wrong.clone().overridden(|name| (name == "PYBRIDGE_POOL_LEAK_AFTER").then(|| "9".into())).unwrap_err();
    assert_eq!(error.to_string(), "segment_bytes: 5000 is no multiple of 4096");
    assert_eq!(Pool::new(wrong).unwrap_err().to_string(), error.to_string());
}

#[test]
fn segments_are_whole_pages_from_4_kib_to_1_mib() {
    let takes = |segment_bytes| Pool::new(PoolConfig { segment_bytes, ..support::defaults() }).is_ok();
    for (bytes, taken) in [(4 << 10, true), (12 << 10, true), (1 << 20, true), ((1 << 20) + 4096, false), (0, false)] {
        assert_eq!(takes(bytes), taken, "{bytes}");
    }
    let error = Pool::new(PoolConfig { segment_bytes: 2 << 20, ..support::defaults() }).unwrap_err();
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

#[test]
#[cfg_attr(miri, ignore = "reads files of the system")]
fn the_ceiling_is_by_default_a_quarter_of_the_memory_limit_and_at_most_1_gib() {
    let pool = Pool::new(PoolConfig::default()).unwrap();
    let quarter = memory_limit().expect("this system tells its memory") / 4;
    assert_eq!(pool.config().max_live_bytes, Some(quarter.min(1 << 30)));
}
