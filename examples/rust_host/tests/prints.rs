//! Runs the program and looks at what it prints.

use std::process::Command;

#[test]
fn every_kind_of_ending_is_printed() {
    let output = Command::new(env!("CARGO_BIN_EXE_rust_host")).args(["two", "words"]).output().expect("it starts");
    let (printed, noted) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{printed}\n{noted}", output.status);

    let lines: Vec<&str> = printed.lines().collect();
    let (last, exact) = lines.split_last().expect("it prints something");
    assert_eq!(
        exact,
        [
            "token 0: two",
            "token 1: words",
            ": warming up",
            "token: two",
            "token: words",
            "done",
            "enough after: two",
            "token 0: some",
            "the handler raised RuntimeError: the model is gone",
            "token 0: some",
            "cancelled: deadline",
            "token 0: some",
        ]
    );
    assert!(last.starts_with("not a token: wrong msgpack marker"), "{last}");
    let mut cleaned: Vec<&str> = noted.lines().filter_map(|line| line.strip_prefix("cleaned up after ")).collect();
    assert_eq!(noted.matches("the handler failed\nTraceback (most recent call last):").count(), 1, "{noted}");
    cleaned.sort_unstable();
    let expected = ["'some odd!'", "'some raise!'", "'some wait!'", "'two words wait!'", "'two words'", "'two words'"];
    assert_eq!(cleaned, expected);
}
