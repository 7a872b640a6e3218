//! Conversion of decimal digits to numbers: eight digits at once, and to the nearest float by one or two
//! multiplications (the method of Eisel and Lemire).

/// Powers of ten that the table holds; all others are left to the standard library.
const LEAST: i64 = -54;
const MOST: i64 = 55;

/// For each power of ten the first 128 bits of that power of five.
static FIVES: [(u64, u64); (MOST - LEAST + 1) as usize] = fives();

const fn fives() -> [(u64, u64); (MOST - LEAST + 1) as usize] {
    let mut table = [(0, 0); (MOST - LEAST + 1) as usize];
    let mut power = LEAST;
    while power <= MOST {
        let bits = if power < 0 { reciprocal(-power) } else { five(power) << five(power).leading_zeros() };
        table[(power - LEAST).cast_unsigned() as usize] = ((bits >> 64) as u64, bits as u64);
        power += 1;
    }
    table
}

const fn five(power: i64) -> u128 {
    let (mut value, mut left) = (1, power);
    while left > 0 {
        value *= 5;
        left -= 1;
    }
    value
}

/// The first 128 bits of one divided by a power of five, by long division; rounded up where that is exact enough to tell
/// a tie.
const fn reciprocal(power: i64) -> u128 {
    let divisor = five(power);
    let (mut rest, mut bits) = (1u128, 0u128);
    while rest < divisor {
        rest <<= 1;
    }
    let mut count = 0;
    while count < 128 {
        bits <<= 1;
        if rest >= divisor {
            rest -= divisor;
            bits |= 1;
        }
        rest <<= 1;
        count += 1;
    }
    if power <= 27 { bits + 1 } else { bits }
}

/// Eight bytes of text and how many digits they begin with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Eight {
    digits: u64,
    /// The first byte that is no digit has its highest bit set; no borrow or carry reaches a byte before it.
    others: u64,
}

impl Eight {
    #[inline]
    pub(super) fn of(text: [u8; 8]) -> Self {
        let text = u64::from_le_bytes(text);
        let digits = text.wrapping_sub(0x3030_3030_3030_3030);
        let above = text.wrapping_add(0x4646_4646_4646_4646);
        Self { digits, others: (digits | above) & 0x8080_8080_8080_8080 }
    }

    /// The number that they are, if all are digits.
    #[inline]
    pub(super) fn all(self) -> Option<u64> {
        (self.others == 0).then(|| together(self.digits))
    }

    /// The number that the digits before the first other byte are, and how many; not all eight are.
    #[inline]
    pub(super) fn first(self) -> (u64, usize) {
        let count = self.others.trailing_zeros() / 8 % 8;
        (together(self.digits << (56 - 8 * count) << 8), count as usize)
    }
}

/// The number that eight digits are, the first in the lowest byte.
#[inline]
fn together(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff
}

/// The float nearest to `mantissa * 10^power`, if the table says for certain which it is.
#[inline]
pub(super) fn float(mantissa: u64, power: i64) -> Option<f64> {
    const FRACTION: u32 = 52;
    const BIAS: i64 = 1023;
    if mantissa == 0 {
        return Some(0.0);
    }
    let &(high, low) = FIVES.get(usize::try_from(power - LEAST).ok()?)?;
    let shift = mantissa.leading_zeros();
    let mantissa = mantissa << shift;
    let mut product = u128::from(mantissa) * u128::from(high);
    if (product >> 64) as u64 & 0x1ff == 0x1ff {
        product += (u128::from(mantissa) * u128::from(low)) >> 64;
        if product as u64 == u64::MAX && power < -27 {
            return None;
        }
    }
    let (upper, lower) = ((product >> 64) as u64, product as u64);
    let carry = (upper >> 63) as u32;
    let cut = carry + 64 - FRACTION - 3;
    let mut fraction = upper >> cut;
    let exponent = ((217_706 * power) >> 16) + 63 + i64::from(carry) - i64::from(shift) + BIAS;
    if exponent <= 0 {
        return None;
    }
    if lower <= 1 && (-4..=23).contains(&power) && fraction & 3 == 1 && fraction << cut == upper {
        fraction &= !1;
    }
    fraction = fraction.div_ceil(2);
    let exponent = exponent.cast_unsigned() + (fraction >> (FRACTION + 1));
    Some(f64::from_bits(exponent << FRACTION | fraction & ((1 << FRACTION) - 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(state: &mut u64) -> u64 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *state ^ *state >> 29
    }

    #[test]
    fn floats_are_those_of_the_standard_library() {
        let mut state = 7;
        let mut certain = 0;
        for _ in 0..400_000 {
            let mantissa = next(&mut state) >> (next(&mut state) % 64) as u32;
            let power = (next(&mut state) % 130).cast_signed() - 65;
            if let Some(value) = float(mantissa, power) {
                certain += 1;
                let text = format!("{mantissa}e{power}");
                assert_eq!(value.to_bits(), text.parse::<f64>().unwrap().to_bits(), "{text}");
            }
        }
        assert!(certain > 300_000);
    }

    #[test]
    fn ties_go_to_the_even_float() {
        for (mantissa, power) in [(9_007_199_254_740_993, 0), (9_007_199_254_740_995, 0), (45_035_996_273_704_975, -1)]
        {
            let text = format!("{mantissa}e{power}");
            assert_eq!(float(mantissa, power), Some(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn digits_are_a_number_up_to_the_first_byte_that_is_none() {
        assert_eq!(Eight::of(*b"01234567").all(), Some(1_234_567));
        assert_eq!(Eight::of(*b"99999999").all(), Some(99_999_999));
        for at in 0..8 {
            for byte in (0..=255u8).filter(|byte| !byte.is_ascii_digit()) {
                for after in [b'0', b'9', byte, 0, 0xff] {
                    let mut text = *b"12345678";
                    text[at..].fill(after);
                    text[at] = byte;
                    let eight = Eight::of(text);
                    assert_eq!(eight.all(), None, "{byte:x}");
                    assert_eq!(eight.first(), (12_345_678 / 10u64.pow(8 - at as u32), at), "{byte:x}");
                }
            }
        }
    }
}
