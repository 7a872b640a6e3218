//! A host's settings as arguments of the Python package's classes, which check them.

use std::time::Duration;

use pybridge_pool::PoolConfig;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::rust_settings::{FlowConfig, ModelDump};
use crate::codec::{CodecSpec, DuplicateKeys, Format, Limits};
use crate::state::Flush;

/// A value of one setting as Python has it.
trait Argument {
    fn argument<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>>;
}

impl Argument for usize {
    fn argument<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.into_pyobject(py)?.into_any())
    }
}

impl Argument for bool {
    fn argument<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.into_pyobject(py)?.to_owned().into_any())
    }
}

impl Argument for Duration {
    fn argument<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.as_secs_f64().into_pyobject(py)?.into_any())
    }
}

impl Argument for Flush {
    fn argument<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let name = match self {
            Self::Turn => "turn",
            Self::Suspend => "suspend",
        };
        Ok(name.into_pyobject(py)?.into_any())
    }
}

impl Argument for DuplicateKeys {
    fn argument<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let name = if *self == Self::Error { "error" } else { "last" };
        Ok(name.into_pyobject(py)?.into_any())
    }
}

impl<T: Argument> Argument for Option<T> {
    fn argument<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.as_ref().map_or_else(|| Ok(py.None().into_bound(py)), |value| value.argument(py))
    }
}

/// The named fields that differ from their defaults, as keyword arguments: what is not given, Python reads from the environment.
macro_rules! differing {
    ($py:expr, $config:expr, $default:expr, $($field:ident),+ $(,)?) => {{
        let (config, default) = ($config, $default);
        let keywords = PyDict::new($py);
        $(if config.$field != default.$field {
            keywords.set_item(stringify!($field), config.$field.argument($py)?)?;
        })+
        keywords
    }};
}

fn make<'py>(class: &str, keywords: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyAny>> {
    keywords.py().import("pybridge")?.getattr(class)?.call((), Some(keywords))
}

/// The fields of `config` that differ from those of `default`.
fn flow_fields<'py>(py: Python<'py>, config: &FlowConfig, default: &FlowConfig) -> PyResult<Bound<'py, PyDict>> {
    Ok(differing!(
        py,
        config,
        default,
        flush,
        batch_items,
        batch_bytes,
        high_water,
        high_water_items,
        low_water,
        write_timeout,
        max_concurrency,
        max_queue,
        max_held_bytes,
        cancel_grace,
        abandon_timeout,
    ))
}

/// As [`flow_fields`].
fn limits_fields<'py>(py: Python<'py>, config: &Limits, default: &Limits) -> PyResult<Bound<'py, PyDict>> {
    Ok(differing!(
        py,
        config,
        default,
        max_depth,
        max_nodes,
        max_frame_bytes,
        max_decoded_bytes,
        max_metadata_bytes,
        max_metadata_entries,
        duplicate_keys,
        max_expansion,
    ))
}

/// As [`flow_fields`].
fn pool_fields<'py>(py: Python<'py>, config: &PoolConfig, default: &PoolConfig) -> PyResult<Bound<'py, PyDict>> {
    Ok(differing!(
        py,
        config,
        default,
        segment_bytes,
        small_parked_bytes,
        large_parked_bytes,
        max_live_bytes,
        decay_interval,
        idle_timeout,
        zero_on_reuse,
        leak_after,
    ))
}

/// `pybridge.FlowConfig`.
pub(super) fn flow<'py>(py: Python<'py>, config: &FlowConfig) -> PyResult<Bound<'py, PyAny>> {
    make("FlowConfig", &flow_fields(py, config, &FlowConfig::default())?)
}

/// `pybridge.Limits`.
pub(super) fn limits<'py>(py: Python<'py>, config: &Limits) -> PyResult<Bound<'py, PyAny>> {
    make("Limits", &limits_fields(py, config, &Limits::default())?)
}

/// `pybridge.PoolConfig`.
pub(super) fn pool<'py>(py: Python<'py>, config: &PoolConfig) -> PyResult<Bound<'py, PyAny>> {
    make("PoolConfig", &pool_fields(py, config, &PoolConfig::default())?)
}

/// `pybridge.MsgpackCodec`, `JsonCodec` or `RawCodec`. An option that the class does not have is its `TypeError`.
pub(super) fn codec<'py>(
    py: Python<'py>,
    spec: &CodecSpec,
    default: Option<Bound<'py, PyAny>>,
    model_dump: Option<&ModelDump>,
) -> PyResult<Bound<'py, PyAny>> {
    let keywords = PyDict::new(py);
    for (given, name, value) in [
        (spec.any_keys, "keys", "any"),
        (spec.bytes_base64, "bytes", "base64"),
        (spec.nonfinite_null, "nonfinite", "null"),
    ] {
        if given {
            keywords.set_item(name, value)?;
        }
    }
    if spec.ascii {
        keywords.set_item("ascii", true)?;
    }
    if let Some(default) = default {
        keywords.set_item("default", default)?;
    }
    if let Some(dump) = model_dump {
        let arguments = differing!(
            py,
            dump,
            ModelDump::default(),
            by_alias,
            exclude_unset,
            exclude_defaults,
            exclude_none,
            round_trip,
            warnings,
            serialize_as_any,
        );
        keywords.set_item("model_dump", arguments)?;
    }
    let class = match spec.format {
        Format::Msgpack => "MsgpackCodec",
        Format::Json => "JsonCodec",
        _ => "RawCodec",
    };
    make(class, &keywords)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn as_json(py: Python<'_>, value: &Bound<'_, PyAny>) -> serde_json::Value {
        let text: String = py.import("json").unwrap().call_method1("dumps", (value,)).unwrap().extract().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn fields<'py>(made: &Bound<'py, PyAny>) -> Bound<'py, PyAny> {
        made.py().import("dataclasses").unwrap().call_method1("asdict", (made,)).unwrap()
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own thread")]
    fn attached(act: impl FnOnce(Python<'_>)) {
        Python::attach(|py| {
            crate::embed::install(py).expect("the package is compiled in");
            act(py);
        });
    }

    #[test]
    fn every_field_of_the_python_settings_has_its_rust_value_with_the_same_default() {
        let second = Duration::from_secs(1);
        let flow_config = FlowConfig::default()
            .flush(Flush::Suspend)
            .batch_items(1)
            .batch_bytes(2)
            .high_water(400)
            .high_water_items(3)
            .low_water(5)
            .write_timeout(second)
            .max_concurrency(6)
            .max_queue(0)
            .max_held_bytes(7)
            .cancel_grace(Duration::ZERO)
            .abandon_timeout(None);
        let limits_config = Limits::default()
            .max_depth(1)
            .max_nodes(2)
            .max_frame_bytes(3)
            .max_decoded_bytes(4)
            .max_metadata_bytes(5)
            .max_metadata_entries(6)
            .duplicate_keys(DuplicateKeys::Error)
            .max_expansion(7);
        let pool_config = PoolConfig::default()
            .segment_bytes(4 << 10)
            .small_parked_bytes(1)
            .large_parked_bytes(2)
            .max_live_bytes(3)
            .decay_interval(2 * second)
            .idle_timeout(Duration::ZERO)
            .zero_on_reuse(true)
            .leak_after(second);
        attached(|py| {
            let given = [
                flow_fields(py, &flow_config, &FlowConfig::default()).unwrap(),
                limits_fields(py, &limits_config, &Limits::default()).unwrap(),
                pool_fields(py, &pool_config, &PoolConfig::default()).unwrap(),
            ];
            let defaults = [
                flow_fields(py, &FlowConfig::default(), &flow_config).unwrap(),
                limits_fields(py, &Limits::default(), &limits_config).unwrap(),
                pool_fields(py, &PoolConfig::default(), &pool_config).unwrap(),
            ];
            let made =
                [flow(py, &flow_config).unwrap(), limits(py, &limits_config).unwrap(), pool(py, &pool_config).unwrap()];
            for ((given, default), made) in given.iter().zip(&defaults).zip(&made) {
                assert_eq!(as_json(py, &fields(made)), as_json(py, given));
                let unset = made.get_type().call0().unwrap();
                assert_eq!(as_json(py, &fields(&unset)), as_json(py, default), "{unset:?}");
            }
        });
    }

    #[test]
    fn options_of_a_codec_reach_its_class_which_refuses_those_that_it_does_not_have() {
        attached(|py| {
            let made = codec(py, &CodecSpec::json().any_keys(true).ascii(true), None, None).unwrap().to_string();
            assert!(
                made.starts_with("JsonCodec(") && made.contains("keys='any'") && made.contains("ascii=True"),
                "{made}"
            );
            let spec = CodecSpec::json().bytes_base64(true).nonfinite_null(true);
            let dump = ModelDump::default().by_alias(false).exclude_none(true).warnings(false);
            let made = codec(py, &spec, None, Some(&dump)).unwrap();
            let expected = serde_json::json!({
                "default": null, "bytes": "base64", "nonfinite": "null", "keys": "str", "ascii": false,
                "model_dump": {"by_alias": false, "exclude_none": true, "warnings": false},
            });
            assert_eq!(as_json(py, &fields(&made)), expected);
            let error = codec(py, &CodecSpec::msgpack().ascii(true), None, None).unwrap_err().to_string();
            assert!(
                error.starts_with("TypeError: ") && error.contains("MsgpackCodec") && error.contains("'ascii'"),
                "{error}"
            );
        });
    }
}
