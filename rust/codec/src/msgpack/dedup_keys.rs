//! Copies of messages in which a repeated key keeps only its last value, for deserializers that refuse duplicates.

use std::collections::HashMap;

use super::cursor::Cursor;
use super::marker as m;
use crate::error::{BoxedError, over};
use crate::stack_limit::{self, Room};

/// Rewrites `input`, which was found to be a message: each key at its first place, with its last value.
pub(crate) fn dedup_keys(input: &[u8]) -> Result<Vec<u8>, BoxedError> {
    let mut out = Vec::with_capacity(input.len());
    value(input, &mut Cursor::new(input, 0), &mut out, &Room::new(stack_limit::FOR_LEAVES))?;
    Ok(out)
}

/// As deep as the message, which its limits bound.
fn value(input: &[u8], from: &mut Cursor<'_>, out: &mut Vec<u8>, room: &Room) -> Result<(), BoxedError> {
    if !room.holds(0) {
        return Err(over("max_depth", from.at, stack_limit::TOO_SMALL.into()));
    }
    let start = from.at;
    let marker = from.byte()?;
    let (mut values, mut map) = (0, None);
    match marker {
        m::FIXMAP..m::FIXARRAY => map = Some(u32::from(marker & 15)),
        m::MAP16 | m::MAP32 => map = Some(from.length(marker - m::MAP16 + 1)?),
        m::FIXARRAY..m::FIXSTR => values = u32::from(marker & 15),
        m::ARRAY16 | m::ARRAY32 => values = from.length(marker - m::ARRAY16 + 1)?,
        _ => {
            skip(marker, from)?;
        }
    }
    if let Some(pairs) = map {
        return dedup_pairs(input, pairs, from, out, room);
    }
    out.extend_from_slice(&input[start..from.at]);
    (0..values).try_for_each(|_| value(input, from, out, room))
}

fn dedup_pairs(
    input: &[u8],
    count: u32,
    from: &mut Cursor<'_>,
    out: &mut Vec<u8>,
    room: &Room,
) -> Result<(), BoxedError> {
    let mut places = HashMap::new();
    let mut pairs: Vec<(&[u8], Vec<u8>)> = Vec::new();
    for _ in 0..count {
        let start = from.at;
        let marker = from.byte()?;
        let text = skip(marker, from)?;
        let key = &input[start..from.at];
        let mut made = Vec::new();
        value(input, from, &mut made, room)?;
        let place = *places.entry(&key[key.len() - text..]).or_insert(pairs.len());
        match pairs.get_mut(place) {
            Some((_, before)) => *before = made,
            None => pairs.push((key, made)),
        }
    }
    out.push(m::MAP32);
    out.extend_from_slice(&(pairs.len() as u32).to_be_bytes());
    for (key, made) in pairs {
        out.extend_from_slice(key);
        out.extend_from_slice(&made);
    }
    Ok(())
}

/// Passes what follows the marker of a value that is no container; the length of its content.
fn skip(marker: u8, from: &mut Cursor<'_>) -> Result<usize, BoxedError> {
    let len = match marker {
        m::FIXSTR..m::NIL => (marker & 31).into(),
        m::STR8..=m::STR32 => from.length(marker - m::STR8)? as usize,
        m::BIN8..=m::BIN32 => from.length(marker - m::BIN8)? as usize,
        m::F32 => size_of::<f32>(),
        m::F64 => size_of::<f64>(),
        m::U8..=m::U64 => 1 << (marker - m::U8),
        m::I8..=m::I64 => 1 << (marker - m::I8),
        _ => 0,
    };
    from.take(len).map(<[u8]>::len)
}
