//! A program meets another build of the package in its process.

use std::ffi::CStr;

use pyo3::prelude::*;

/// Stands in for an installed wheel that something imported before the program installed its own.
const FOREIGN: &CStr = c"
import sys, types
extension = types.ModuleType('pybridge._pybridge')
extension.__file__ = '/site-packages/pybridge/_pybridge.so'
extension.Engine = type('Engine', (), {})
package = types.ModuleType('pybridge')
package._pybridge = extension
sys.modules |= {'pybridge': package, 'pybridge._pybridge': extension}
";

#[test]
#[expect(clippy::disallowed_methods, reason = "a host's own thread is no thread of the runtime")]
fn a_package_imported_from_elsewhere_is_refused_with_both_names_and_the_remedy() {
    Python::initialize();
    Python::attach(|py| {
        py.run(FOREIGN, None, None).expect("it runs");
        let error = pybridge::embed::install(py).expect_err("its types are not ours").to_string();
        assert!(error.starts_with("ImportError: "), "{error}");
        for part in ["/site-packages/pybridge/_pybridge.so", env!("CARGO_PKG_VERSION"), "embed::install"] {
            assert!(error.contains(part), "{part} is not in {error}");
        }
    });
}
