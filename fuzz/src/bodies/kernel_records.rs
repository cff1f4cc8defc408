//! Records of the kernel programs: read or refused, and printed in both forms.

use crate::{assert_json, assert_table};
use netstat_user::kernel::decode::{Decoded, decode};
use netstat_user::model::{Comm, Event};
use netstat_user::view::event::{EventView, Form};

/// Runs one input.
///
/// # Panics
/// On an input that breaks what the module says.
pub fn run(bytes: &[u8]) {
    // Sizes are checked first: every prefix is tried, so that the right one is among them.
    let (mut text, mut lines, mut count) = (Vec::new(), Vec::new(), 0);
    for length in (0..=bytes.len().min(512)).step_by(4) {
        let name_of = |(pid, _): (u32, u32)| Comm::new(&pid.to_ne_bytes());
        let Ok(Decoded::Event { birth, event }) = decode(&bytes[..length], 1 << 60, name_of) else { continue };
        for event in birth.into_iter().chain([event]).map(Event::Socket) {
            EventView::new(Form::Full).write(&mut text, &event, None);
            EventView::new(Form::Json).write(&mut lines, &event, None);
            count += 1;
        }
    }
    assert_table(&text, count);
    assert_json(&lines, count);
}
