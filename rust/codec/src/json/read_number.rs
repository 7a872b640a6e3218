//! JSON numbers, read.

use super::read_decimal;
use crate::decode::visitor::NumberVisitor;
use crate::error::{BoxedError, cut, invalid};

/// Digits that always fit an u64.
const SAFE_DIGITS: usize = 19;
/// An exponent beyond all floats; more digits of it change nothing.
const ENDLESS: i64 = 1 << 40;

/// Reads the number that starts at `start`; gives the offset after it.
#[inline]
pub(super) fn read(input: &[u8], start: usize, to: &mut impl NumberVisitor) -> Result<usize, BoxedError> {
    let negative = input[start] == b'-';
    let first = start + usize::from(negative);
    // The most common integer parts have one digit, and the processor need not wait to know how many there are.
    let (value, at) = match input.get(first..) {
        Some([digit @ b'0'..=b'9', b'.' | b',' | b'}' | b']', ..]) => (u64::from(digit - b'0'), first + 1),
        _ => digits(input, first, 0)?,
    };
    let count = at - first;
    if input[first] == b'0' && count > 1 {
        return Err(invalid(first, "a number with a leading zero"));
    }
    if matches!(input.get(at), Some(b'.' | b'e' | b'E')) {
        return float(input, start, at, value, to);
    }
    let value = if count <= SAFE_DIGITS { value } else { long(input, start, first, at)? };
    if !negative {
        to.unsigned(value)?;
    } else if value <= 1 << 63 {
        to.signed(0i64.wrapping_sub_unsigned(value))?;
    } else {
        return Err(out_of_range(&input[..at], start));
    }
    Ok(at)
}

/// Reads one digit or more after those of `value`, which wraps where they are too many; the offset after them.
#[inline(always)]
fn digits(input: &[u8], start: usize, mut value: u64) -> Result<(u64, usize), BoxedError> {
    const TENS: [u64; 8] = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000, 10_000_000];
    let mut at = start;
    while let Some(text) = input.get(at..).and_then(<[u8]>::first_chunk) {
        let eight = read_decimal::Eight::of(*text);
        if let Some(more) = eight.all() {
            value = value.wrapping_mul(100_000_000).wrapping_add(more);
            at += 8;
            continue;
        }
        let (more, count) = eight.first();
        at += count;
        if at == start {
            return Err(invalid(at, "expected a digit"));
        }
        return Ok((value.wrapping_mul(TENS[count]).wrapping_add(more), at));
    }
    while let Some(digit) = input.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        value = value.wrapping_mul(10).wrapping_add(digit.into());
        at += 1;
    }
    if at == start { Err(invalid(at, "expected a digit")) } else { Ok((value, at)) }
}

/// An integer of more digits than are always safe.
#[cold]
fn long(input: &[u8], start: usize, first: usize, end: usize) -> Result<u64, BoxedError> {
    let text = std::str::from_utf8(&input[first..end]).ok().filter(|text| text.len() == SAFE_DIGITS + 1);
    text.and_then(|text| text.parse().ok()).ok_or_else(|| out_of_range(&input[..end], start))
}

#[cold]
fn out_of_range(input: &[u8], start: usize) -> BoxedError {
    let digits = String::from_utf8_lossy(&input[start..]);
    invalid(start, format!("integer {} is outside -2**63 .. 2**64-1", cut(&digits)))
}

/// Goes on at `at` with what follows the integer part `value`.
#[inline]
fn float(
    input: &[u8],
    start: usize,
    mut at: usize,
    value: u64,
    to: &mut impl NumberVisitor,
) -> Result<usize, BoxedError> {
    let negative = input[start] == b'-';
    let first = start + usize::from(negative);
    let mut digits_read = at - first;
    let (mut mantissa, mut exponent) = (value, 0i64);
    if input[at] == b'.' {
        let fraction = at + 1;
        (mantissa, at) = digits(input, fraction, value)?;
        exponent = -(at - fraction).cast_signed() as i64;
        digits_read += at - fraction;
        if digits_read > SAFE_DIGITS && input[first] == b'0' {
            digits_read = at - fraction - zeros(&input[fraction..at]);
        }
    }
    if let Some(b'e' | b'E') = input.get(at) {
        let (power, end) = power(input, at + 1)?;
        (exponent, at) = (exponent + power, end);
    }
    if digits_read <= SAFE_DIGITS
        && let Some(value) = read_decimal::float(mantissa, exponent)
    {
        to.float(if negative { -value } else { value })?;
    } else {
        to.float(slow(input, start, at)?)?;
    }
    Ok(at)
}

#[cold]
fn zeros(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte == b'0').count()
}

/// Reads an exponent; the offset after it.
#[inline(never)]
fn power(input: &[u8], start: usize) -> Result<(i64, usize), BoxedError> {
    let signed = matches!(input.get(start), Some(b'+' | b'-'));
    let first = start + usize::from(signed);
    let (_, end) = digits(input, first, 0)?;
    let power = input[first..end].iter().fold(0, |power, digit| (power * 10 + i64::from(digit - b'0')).min(ENDLESS));
    Ok((if input[start] == b'-' { -power } else { power }, end))
}

/// A number of any length and size, as the standard library reads it.
#[cold]
fn slow(input: &[u8], start: usize, end: usize) -> Result<f64, BoxedError> {
    let value = std::str::from_utf8(&input[start..end]).ok().and_then(|text| text.parse::<f64>().ok());
    value.filter(|value| value.is_finite()).ok_or_else(|| invalid(start, "a number that no 64-bit float can hold"))
}
