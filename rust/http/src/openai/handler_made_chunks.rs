//! Chunks that a handler makes itself: passed on as they lie, but for usage and empty finish reasons.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::item_shape::{Outline, Shape, no_known_key, no_part};
use super::json_walk::{elements, is_empty_text, members};

const CHOICES: &[u8] = b"\"choices\":";

/// What becomes of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is passed on as it is.
    Pass,
    /// It is passed on, with `null` in these places of its text.
    Null(Vec<Range<usize>>),
    /// It tells the usage and comes last, or not at all.
    Hold,
}

/// One of these follows `choices` in each chunk that is not passed on as it is: in an empty finish reason, or as no choices.
static EMPTY: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| [Finder::new(b"\"\""), Finder::new(b"[]")]);

/// Looks at each chunk of one stream.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// Where `choices` was found last: what comes before is as long in each chunk of a stream.
    choices_at: usize,
}

impl Chunks {
    /// What becomes of the chunk `item`; an error says what it is if it is none.
    #[inline]
    pub(super) fn look(&mut self, item: &[u8]) -> Result<Fate, Cow<'static, str>> {
        let choices = item.get(self.choices_at..).filter(|rest| rest.starts_with(CHOICES));
        let passes = |choices| EMPTY.iter().all(|empty| empty.find(choices).is_none());
        if item.first() == Some(&b'{') && choices.is_some_and(passes) {
            return Ok(Fate::Pass);
        }
        self.look_closely(item)
    }

    fn look_closely(&mut self, item: &[u8]) -> Result<Fate, Cow<'static, str>> {
        if item.first() != Some(&b'{') {
            return Err(if Shape::of(item) == Ok(Shape::Text) { "text among chunks".into() } else { no_part(item) });
        }
        let outline = Outline::of(item)?;
        match outline.shape() {
            Some(Shape::Envelope) => {}
            Some(_) => return Err("a delta among chunks".into()),
            None => return Err(no_known_key(item)),
        }
        let Some(choices) = outline.choices else { return Ok(Fate::Pass) };
        self.choices_at = choices.key_at;
        if outline.is_usage_chunk() {
            return Ok(Fate::Hold);
        }
        let mut places = Vec::new();
        for choice in elements(choices.value).into_iter().flatten().flatten() {
            for member in members(choice.value).into_iter().flatten().flatten() {
                if member.key == b"finish_reason" && is_empty_text(member.value) {
                    let at = choices.at + choice.at + member.at;
                    places.push(at..at + member.value.len());
                }
            }
        }
        Ok(if places.is_empty() { Fate::Pass } else { Fate::Null(places) })
    }
}
