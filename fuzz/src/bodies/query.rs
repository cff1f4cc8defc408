//! The agent's frames: the same bytes as a stream of requests and of answers. What is understood is written and understood
//! again as the same, and an answer's event is printed.

use bytes::{Bytes, BytesMut};
use netstat_user::query::{Answer, MAX_ANSWER, MAX_REQUEST, Request, next_frame};
use std::fmt::Debug;

/// Reads frames until one is not whole or too long, and the bodies in them.
fn check<T: PartialEq + Debug>(
    stream: &[u8],
    max: usize,
    decode: impl Fn(Bytes) -> Option<T>,
    encode: impl Fn(&T, &mut BytesMut),
) {
    let mut arrived = BytesMut::from(stream);
    while let Ok(Some(body)) = next_frame(&mut arrived, max) {
        assert!(body.len() <= max);
        let Some(read) = decode(body) else { continue };
        let mut frame = BytesMut::new();
        encode(&read, &mut frame);
        let body = next_frame(&mut frame, usize::MAX).ok().flatten().unwrap();
        assert!(frame.is_empty());
        assert_eq!(decode(body), Some(read));
    }
}

/// Runs one input.
///
/// # Panics
/// On an input that breaks what the module says.
pub fn run(stream: &[u8]) {
    check(stream, MAX_REQUEST, |body| Request::decode(body).ok(), Request::encode);
    check(stream, MAX_ANSWER, |body| Answer::decode(body).ok(), Answer::encode);
}
