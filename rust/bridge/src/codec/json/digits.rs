//! Short decimal numbers, which most are.

/// Numbers below this have at most four digits.
pub(super) const FEW: u64 = 10_000;

/// Bytes that may be touched.
pub(super) const ROOM: usize = 4;

/// The digits of each number below 100.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + number as u8 / 10, b'0' + number as u8 % 10];
        number += 1;
    }
    pairs
};

/// Writes a number below [`FEW`] to the start of `room`; returns how many bytes.
#[inline]
pub(super) fn write(number: u64, room: &mut [u8]) -> usize {
    let number = number as usize;
    let Some(room) = room.first_chunk_mut::<ROOM>() else { return 0 };
    let ([a, b], [c, d]) = (PAIRS[number / 100 % 100], PAIRS[number % 100]);
    let (digits, len) = match number {
        0..10 => ([d, 0, 0, 0], 1),
        10..100 => ([c, d, 0, 0], 2),
        100..1000 => ([b, c, d, 0], 3),
        _ => ([a, b, c, d], 4),
    };
    *room = digits;
    len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_written_as_the_standard_library_does() {
        let mut room = [0; ROOM];
        for number in 0..FEW {
            let len = write(number, &mut room);
            assert_eq!(room[..len], *number.to_string().as_bytes());
        }
    }
}
