//! The check before typed values accepts what decoding accepts, with the same words for what it does not; and typed
//! values are those that Python gets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pybridge_codec::{from_frame, scan};
use pybridge_fuzz::{Input, Tree, attach, decoded, encoded};

fuzz_target!(|data: &[u8]| {
    let Some((options, message)) = data.split_first() else { return };
    // The check knows text keys only, and no objects whose bytes could be limited.
    let options = options & !2 & if options >> 3 & 3 == 3 { !0x18 } else { !0 };
    let data = [&[options], message].concat();
    let input = Input::new(&data).expect("not empty");
    let (format, limits) = (input.format(), input.limits());
    attach(|py| {
        let scanned = scan(format, &limits, message).map_err(|error| error.to_string());
        let value = match decoded(py, &input) {
            Ok(value) => value,
            Err(error) => return assert_eq!(scanned, Err(error)),
        };
        assert_eq!(scanned, Ok(()));
        let typed: Tree = from_frame(format, &limits, message).expect("accepted");
        let frame = encoded(input.spec(), &value).expect("a decoded value is of types that encode");
        let again: Tree = from_frame(format, &limits, &frame).expect("our own frame");
        assert!(typed.is(&again), "{typed:?} and {again:?}");
    });
});
