//! Where in an item: `$.choices[3].delta`.

use std::fmt;

/// One step from a container to something in it.
#[derive(Debug)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

/// Steps from the failure outwards.
#[derive(Debug, Default)]
pub(super) struct Path(Vec<Segment>);

/// Characters of a path before it is cut; a key may be as long as a frame.
const MAX_KEY: usize = 64;

impl Path {
    pub(super) fn push(&mut self, segment: Segment) {
        self.0.push(segment);
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        for segment in self.0.iter().rev() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) if is_identifier(key) => write!(f, ".{key}")?,
                Segment::Key(key) => match key.char_indices().nth(MAX_KEY) {
                    Some((end, _)) => write!(f, "[{:?}…]", &key[..end])?,
                    None => write!(f, "[{key:?}]")?,
                },
            }
        }
        Ok(())
    }
}

fn is_identifier(key: &str) -> bool {
    key.len() <= MAX_KEY
        && key
            .chars()
            .enumerate()
            .all(|(i, c)| c == '_' || if i == 0 { c.is_alphabetic() } else { c.is_alphanumeric() })
        && !key.is_empty()
}
