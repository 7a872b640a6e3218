//! The frames of HTTP/2 that a client sends: where they end, and whether a head is under way.

/// Length of what is in front of each payload: three bytes of length, kind, flags, stream.
const HEAD_BYTES: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// The flag of the last frame of a request's head.
const END_HEADERS: u8 = 4;

/// Follows the frames in what a client sends. Whether they are right is for hyper to say.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// What has come of the head of the frame that is under way.
    head: [u8; HEAD_BYTES],
    seen: usize,
    /// How much of its payload is still to come, once its head is there.
    left: usize,
    /// True between the first frame of a request's head and the last.
    in_request_head: bool,
}

impl Frames {
    /// Takes the next bytes; true: with some of them a frame ended, and the request's head that it belongs to, if it does.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> bool {
        let mut has_ended = false;
        while !bytes.is_empty() {
            if self.seen < HEAD_BYTES {
                let length = bytes.len().min(HEAD_BYTES - self.seen);
                let (part, rest) = bytes.split_at(length);
                self.head[self.seen..][..length].copy_from_slice(part);
                self.seen += length;
                self.left = u32::from_be_bytes([0, self.head[0], self.head[1], self.head[2]]) as usize;
                bytes = rest;
            } else {
                let length = bytes.len().min(self.left);
                self.left -= length;
                bytes = &bytes[length..];
            }
            if self.seen == HEAD_BYTES && self.left == 0 {
                self.seen = 0;
                let [.., kind, flags, _, _, _, _] = self.head;
                if matches!(kind, HEADERS | CONTINUATION) {
                    self.in_request_head = flags & END_HEADERS == 0;
                }
                has_ended |= !self.in_request_head;
            }
        }
        has_ended
    }

    /// True while something is to come at once: the rest of a request's head, or of a frame that is no part of a body.
    pub(super) fn are_open(&self) -> bool {
        let is_body = self.seen == HEAD_BYTES && self.head[3] == DATA;
        self.in_request_head || (self.seen > 0 && !is_body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        [&[0, 0, length, kind, flags, 0, 0, 0, 1][..], &vec![b'x'; length.into()]].concat()
    }

    #[test]
    fn a_head_is_open_from_its_first_byte_to_its_last_however_it_is_cut() {
        const PING: u8 = 6;
        let table = [
            (frame(PING, 0, 8), 17),
            (frame(HEADERS, END_HEADERS, 20), 29),
            (frame(HEADERS, END_HEADERS, 0), 9),
            ([frame(HEADERS, 0, 3), frame(CONTINUATION, 0, 0), frame(CONTINUATION, END_HEADERS, 2)].concat(), 32),
        ];
        for (bytes, end) in table {
            assert_eq!(bytes.len(), end);
            for size in 1..=end {
                let mut frames = Frames::default();
                let mut came = 0;
                for part in bytes.chunks(size) {
                    came += part.len();
                    assert_eq!(frames.take(part), came == end, "{bytes:?} by {size}, after {came}");
                    assert_eq!(frames.are_open(), came < end, "{bytes:?} by {size}, after {came}");
                }
            }
        }
    }

    #[test]
    fn a_body_under_way_is_no_head() {
        let body = frame(DATA, 0, 100);
        let mut frames = Frames::default();
        assert!(!frames.take(&body[..8]) && frames.are_open(), "nobody knows yet what it is");
        assert!(!frames.take(&body[8..50]) && !frames.are_open());
        assert!(frames.take(&[&body[50..], &frame(HEADERS, 0, 4)].concat()) && frames.are_open());
    }
}
