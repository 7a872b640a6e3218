//! The path to a value in an item: `$.choices[3].delta`.

use std::{fmt, iter};

use crate::error::MAX_QUOTED;

/// One step from a container to something in it.
#[derive(Debug)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

/// Steps from the failure outwards, each with the address of the container that it leads from, or 0.
#[derive(Debug, Default)]
pub(super) struct Path(Vec<(Segment, usize)>);

impl Path {
    pub(super) fn push(&mut self, segment: Segment, container: usize) {
        self.0.push((segment, container));
    }

    /// If a container on the way is inside itself: the path to it, and the path where it is met again.
    pub(super) fn cycle(&self) -> Option<(String, String)> {
        let steps = &self.0;
        (0..steps.len()).rev().find_map(|met| {
            let (_, container) = steps[met];
            let open = (met + 1..steps.len()).find(|&open| container != 0 && steps[open].1 == container)?;
            Some((shown(&steps[open + 1..]), shown(&steps[met + 1..])))
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.0))
    }
}

fn shown(steps: &[(Segment, usize)]) -> String {
    let steps = steps.iter().rev().map(|(segment, _)| match segment {
        Segment::Index(index) => format!("[{index}]"),
        Segment::Key(key) if is_identifier(key) => format!(".{key}"),
        Segment::Key(key) => match key.char_indices().nth(MAX_QUOTED) {
            Some((end, _)) => format!("[{:?}…]", &key[..end]),
            None => format!("[{key:?}]"),
        },
    });
    iter::once("$".to_owned()).chain(steps).collect()
}

fn is_identifier(key: &str) -> bool {
    key.len() <= MAX_QUOTED
        && key
            .chars()
            .enumerate()
            .all(|(i, c)| c == '_' || if i == 0 { c.is_alphabetic() } else { c.is_alphanumeric() })
        && !key.is_empty()
}
