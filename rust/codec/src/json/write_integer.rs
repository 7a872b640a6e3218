//! Integers of at most twelve digits, written.

/// Numbers below this have at most twelve digits.
pub(super) const FEW: u64 = 1_000_000_000_000;
/// Bytes that may be touched.
pub(super) const ROOM: usize = 12;

/// Numbers below this have at most four digits.
const SHORT: u64 = 10_000;

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
    let Some(room) = room.first_chunk_mut::<ROOM>() else { return 0 };
    if number < SHORT {
        return short(number, room);
    }
    if number < SHORT * SHORT {
        let len = short(number / SHORT, room);
        return four(number % SHORT, room, len);
    }
    let len = short(number / (SHORT * SHORT), room);
    let len = four(number / SHORT % SHORT, room, len);
    four(number % SHORT, room, len)
}

#[inline]
fn pairs(number: u64) -> ([u8; 2], [u8; 2]) {
    let number = number as usize;
    (PAIRS[number / 100 % 100], PAIRS[number % 100])
}

/// Writes a number below [`SHORT`] to the start of `room`.
#[inline]
fn short(number: u64, room: &mut [u8; ROOM]) -> usize {
    let ([a, b], [c, d]) = pairs(number);
    let (digits, len) = match number {
        0..10 => ([d, 0, 0, 0], 1),
        10..100 => ([c, d, 0, 0], 2),
        100..1000 => ([b, c, d, 0], 3),
        _ => ([a, b, c, d], 4),
    };
    room[..4].copy_from_slice(&digits);
    len
}

/// Writes the four digits of a number below [`SHORT`] at `at`; returns where they end.
#[inline]
fn four(number: u64, room: &mut [u8; ROOM], at: usize) -> usize {
    let ([a, b], [c, d]) = pairs(number);
    room[at..at + 4].copy_from_slice(&[a, b, c, d]);
    at + 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_does() {
        let mut room = [0; ROOM];
        let all = (0..2 * SHORT).chain((0..40).flat_map(|bit| (1 << bit) - 1..(1 << bit) + 3));
        let tens = (1..12).flat_map(|power| 10u64.pow(power) - 1..10u64.pow(power) + 2).chain([FEW - 1]);
        for number in all.chain(tens).filter(|number| *number < FEW) {
            let len = write(number, &mut room);
            assert_eq!(room[..len], *number.to_string().as_bytes());
        }
    }
}
