//! JSON numbers.

use crate::codec::events::{Fault, Receiver, invalid};

/// Digits that always fit an u64.
const SAFE_DIGITS: usize = 19;

/// Reads the number that starts at `start`; gives the offset after it.
#[inline]
pub(super) fn read(input: &[u8], start: usize, to: &mut impl Receiver) -> Result<usize, Fault> {
    let negative = input[start] == b'-';
    let first = start + usize::from(negative);
    let (mut at, mut value, mut overflow) = (first, 0u64, false);
    while let Some(digit) = input.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        if at - first < SAFE_DIGITS {
            value = value * 10 + u64::from(digit);
        } else {
            let next = value.checked_mul(10).and_then(|value| value.checked_add(digit.into()));
            (value, overflow) = next.map_or((0, true), |next| (next, overflow));
        }
        at += 1;
    }
    if at == first {
        return Err(invalid(at, "expected a digit"));
    }
    if input[first] == b'0' && at - first > 1 {
        return Err(invalid(first, "a number with a leading zero"));
    }
    if matches!(input.get(at), Some(b'.' | b'e' | b'E')) {
        return float(input, start, at, to);
    }
    if overflow {
        return Err(out_of_range(start));
    }
    if !negative {
        to.unsigned(value)?;
    } else if value <= 1 << 63 {
        to.signed(0i64.wrapping_sub_unsigned(value))?;
    } else {
        return Err(out_of_range(start));
    }
    Ok(at)
}

#[cold]
fn out_of_range(start: usize) -> Fault {
    invalid(start, "an integer outside -2**63 .. 2**64-1")
}

fn float(input: &[u8], start: usize, mut at: usize, to: &mut impl Receiver) -> Result<usize, Fault> {
    if input[at] == b'.' {
        at = digits(input, at + 1)?;
    }
    if let Some(b'e' | b'E') = input.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = input.get(at) {
            at += 1;
        }
        at = digits(input, at)?;
    }
    let value = std::str::from_utf8(&input[start..at]).ok().and_then(|text| text.parse::<f64>().ok());
    match value {
        Some(value) if value.is_finite() => to.float(value)?,
        _ => return Err(invalid(start, "a number that no 64-bit float can hold")),
    }
    Ok(at)
}

/// One digit or more; the offset after them.
fn digits(input: &[u8], start: usize) -> Result<usize, Fault> {
    let count = input[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 { Err(invalid(start, "expected a digit")) } else { Ok(start + count) }
}
