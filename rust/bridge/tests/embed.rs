//! The Python package that a program carries inside itself.

mod support;

use support::{Script, python};

#[test]
fn the_package_comes_from_the_program_whatever_is_installed() {
    let script = Script::new("import sys, pybridge, pybridge.engine, pybridge._pybridge");
    assert_eq!(script.eval("pybridge.__file__"), "<embedded>/pybridge/__init__.py");
    assert_eq!(script.eval("pybridge.engine.__spec__.parent"), "pybridge");
    assert_eq!(script.eval("pybridge._pybridge.__name__"), "pybridge._pybridge");
    assert_eq!(script.eval("sys.modules['pybridge._pybridge'].Frame is pybridge.Frame"), "True");
    assert_eq!(script.eval("pybridge.decode(pybridge.encode({'a': [1]}))"), "{'a': [1]}");
}

#[test]
fn installing_again_changes_nothing() {
    let script = Script::new("import sys");
    let finders = script.eval("sys.meta_path");
    python(|py| pybridge::embed::install(py).expect("it is there"));
    assert_eq!(script.eval("sys.meta_path"), finders);
}

#[test]
fn tracebacks_show_lines_of_embedded_sources() {
    let script = Script::new(
        "
import pybridge, traceback
try:
    pybridge.PooledEngine(1)
except TypeError:
    text = traceback.format_exc()
",
    );
    let text = script.eval("text");
    assert!(text.contains("<embedded>/pybridge/engine.py") && text.contains("check_handler(handler)"), "{text}");
}

#[test]
fn what_is_not_embedded_is_an_import_error_that_names_it() {
    let script = Script::new(
        "
try:
    import pybridge.bench
except ModuleNotFoundError as error:
    missing = error.name
",
    );
    assert_eq!(script.eval("missing"), "pybridge.bench");
}
