//! The sum of several pages of metrics.

use std::collections::HashMap;
use std::fmt::Write;

/// One metric, its lines in the order of their coming.
#[derive(Default)]
struct Family<'text> {
    /// Its help and its type.
    head: Vec<&'text str>,
    /// Places of its samples.
    samples: Vec<usize>,
}

#[derive(Default)]
struct Sum<'text> {
    families: Vec<Family<'text>>,
    /// Place of the family of each name.
    names: HashMap<&'text str, usize>,
    /// What is before the value in a line, and the sum.
    samples: Vec<(&'text str, f64)>,
    places: HashMap<&'text str, usize>,
}

/// Adds up the samples of pages in Prometheus' text format that have the same name and labels. Lines that are none are left out.
pub(super) fn sum<'text>(pages: impl IntoIterator<Item = &'text str>) -> String {
    Sum::of(pages).text()
}

/// The same of what is counted only, which stays true when who counted it has ended: counters and histograms.
pub(super) fn totals<'text>(pages: impl IntoIterator<Item = &'text str>) -> String {
    let mut sum = Sum::of(pages);
    sum.families.retain(Family::is_counted);
    sum.text()
}

impl Family<'_> {
    fn is_counted(&self) -> bool {
        self.head.iter().any(|line| {
            line.starts_with("# TYPE ") && [" counter", " histogram"].iter().any(|kind| line.ends_with(kind))
        })
    }
}

impl<'text> Sum<'text> {
    fn of(pages: impl IntoIterator<Item = &'text str>) -> Self {
        let mut sum = Self::default();
        pages.into_iter().for_each(|page| sum.add(page));
        sum
    }

    fn add(&mut self, page: &'text str) {
        let mut name = "";
        for line in page.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.split(' ');
                if let (Some("HELP" | "TYPE"), Some(named)) = (words.next(), words.next()) {
                    name = named;
                    let head = &mut self.family(name).head;
                    if !head.contains(&line) {
                        head.push(line);
                    }
                }
            } else if let Some((sample, value)) = line.rsplit_once(' ')
                && let Ok(value) = value.parse::<f64>()
            {
                self.add_sample(name, sample, value);
            }
        }
    }

    /// `name`: of the metric that its page has it under.
    fn add_sample(&mut self, name: &'text str, sample: &'text str, value: f64) {
        if let Some(&place) = self.places.get(sample) {
            self.samples[place].1 += value;
            return;
        }
        let place = self.samples.len();
        self.places.insert(sample, place);
        self.samples.push((sample, value));
        self.family(name).samples.push(place);
    }

    fn family(&mut self, name: &'text str) -> &mut Family<'text> {
        let place = *self.names.entry(name).or_insert_with(|| {
            self.families.push(Family::default());
            self.families.len() - 1
        });
        &mut self.families[place]
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for Family { head, samples } in &self.families {
            for line in head {
                text.push_str(line);
                text.push('\n');
            }
            for &place in samples {
                let (sample, value) = self.samples[place];
                // Times are counted in nanoseconds. What is beyond comes of adding, and depends on the order.
                let value = (value * 1e9).round() / 1e9;
                let _ = writeln!(text, "{sample} {value}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_of_the_same_labels_add_up_and_metrics_are_described_once() {
        let one = "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1 2\"} 3\na_total{x=\"2\"} 1\n\
                   # HELP b B.\n# TYPE b gauge\nb 0.5\n";
        let other = "# HELP b B.\n# TYPE b gauge\nb 1\n# HELP c C.\n# TYPE c histogram\nc_bucket{le=\"+Inf\"} 2\nc_sum 4\n\
                     # HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1 2\"} 9007199254740980\n";
        assert_eq!(
            sum([one, other]),
            "# HELP a_total A.\n# TYPE a_total counter\na_total{x=\"1 2\"} 9007199254740983\na_total{x=\"2\"} 1\n\
             # HELP b B.\n# TYPE b gauge\nb 1.5\n# HELP c C.\n# TYPE c histogram\nc_bucket{le=\"+Inf\"} 2\nc_sum 4\n"
        );
    }

    #[test]
    fn the_order_of_pages_makes_no_difference_to_a_sum() {
        let pages = ["s 0.1\n", "s 0.018330115\n", "s 0.2\n", "s 0.3\n", "s 12.000000007\n"];
        for turn in 0..pages.len() {
            let mut turned = pages;
            turned.rotate_left(turn);
            assert_eq!(sum(turned), "s 12.618330122\n");
        }
    }

    #[test]
    fn totals_hold_what_is_counted_and_no_gauges() {
        let page = "# HELP a_total A.\n# TYPE a_total counter\na_total 3\n# TYPE b gauge\nb 1\n# TYPE c histogram\n\
                    c_bucket{le=\"+Inf\"} 2\nc_sum 4\nd 5\n";
        assert_eq!(
            totals(["# one two\n", page, page]),
            "# HELP a_total A.\n# TYPE a_total counter\na_total 6\n# TYPE c histogram\nc_bucket{le=\"+Inf\"} 4\nc_sum 8\nd 10\n"
        );
    }

    #[test]
    fn a_page_alone_stays_as_it_is() {
        let page = crate::metrics_text();
        assert_eq!(sum([&*page]), page);
    }

    #[test]
    fn lines_that_are_no_samples_are_left_out() {
        assert_eq!(sum(["# HELP a A.\n# EOF\n#\n\na\na b\na 1\n", "a 1 2", "\u{0}"]), "# HELP a A.\na 1\na 1 2\n");
    }
}
