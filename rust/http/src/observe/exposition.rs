//! Samples in Prometheus' text exposition format.

use std::fmt::{Display, Write};

use super::histogram::{Histogram, Reading};

pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// A text that grows by one metric after the other.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// Begins a metric, whose samples follow. `kind`: `counter`, `gauge` or `histogram`.
    pub(super) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    pub(super) fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.0.push_str(name);
        for (index, (label, content)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"{}\"", escape(content));
        }
        self.0.push_str(if labels.is_empty() { "" } else { "}" });
        let _ = writeln!(self.0, " {value}");
    }

    pub(super) fn histogram(&mut self, name: &str, labels: Labels<'_>, histogram: &Histogram) {
        let Reading { up_to, count, seconds } = histogram.read();
        let bounds = up_to.into_iter().map(|(bound, count)| (bound.to_string(), count));
        let bucket = format!("{name}_bucket");
        for (bound, count) in bounds.chain([("+Inf".to_owned(), count)]) {
            self.sample(&bucket, &[labels, &[("le", &bound)]].concat(), count);
        }
        self.sample(&format!("{name}_sum"), labels, seconds);
        self.sample(&format!("{name}_count"), labels, count);
    }

    pub(super) fn text(self) -> String {
        self.0
    }
}

fn escape(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut out = Exposition::default();
        out.family("things", "gauge", "Things.");
        out.sample("things", &[("kind", "a \"b\"\\\nc"), ("x", "y")], 1.5);
        out.sample("things", &[], 2);
        assert_eq!(
            out.text(),
            "# HELP things Things.\n# TYPE things gauge\nthings{kind=\"a \\\"b\\\"\\\\\\nc\",x=\"y\"} 1.5\nthings 2\n"
        );
    }
}
