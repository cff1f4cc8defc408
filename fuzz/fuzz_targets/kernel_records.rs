//! Records of the kernel programs: read or refused, and printed in both forms.
#![no_main]

use libfuzzer_sys::fuzz_target;
use netstat_fuzz::{assert_json, assert_table};
use netstat_user::kernel::decode::{Told, decode};
use netstat_user::model::Event;
use netstat_user::view::event::EventView;

fuzz_target!(|bytes: &[u8]| {
    // Sizes are checked first: every prefix is tried, so that the right one is among them.
    let (mut text, mut lines, mut count) = (Vec::new(), Vec::new(), 0);
    for length in (0..=bytes.len().min(512)).step_by(4) {
        let Ok(Told { birth, event }) = decode(&bytes[..length], 1 << 60) else { continue };
        for event in birth.into_iter().chain([event]).map(Event::Socket) {
            EventView::new(false).write(&mut text, &event);
            EventView::new(true).write(&mut lines, &event);
            count += 1;
        }
    }
    assert_table(&text, count);
    assert_json(&lines, count);
});
