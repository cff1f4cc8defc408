//! /proc/net/dev and /proc/net/if_inet6: the same bytes read as each, and printed in every form, with flags and hardware
//! taken from them.

use crate::{assert_json, assert_table};
use netstat_user::lang::Lang;
use netstat_user::model::net::{DeviceMap, Interface};
use netstat_user::proc::dev::{inet6, traffic};
use netstat_user::view::interfaces::{block, json, row};

/// Runs one input.
///
/// # Panics
/// On an input that breaks what the module says.
pub fn run(file: &[u8]) {
    let byte = |at: usize| file.get(at).copied().unwrap_or_default();
    let short = |at: usize| u16::from_le_bytes([byte(at), byte(at + 1)]);
    let addresses = inet6(file);
    let mut interfaces: Vec<Interface> = traffic(file)
        .into_iter()
        .map(|(name, counters)| Interface {
            name,
            flags: short(0),
            mtu: i32::from(short(2)),
            hardware: Some(short(4)).filter(|kind| *kind != 0),
            address: std::array::from_fn(byte),
            queue: Some(i32::from(byte(6))),
            map: DeviceMap {
                mem_start: 1,
                mem_end: 2,
                base_addr: short(7),
                irq: byte(9),
                dma: byte(10),
                port: byte(11),
            },
            inet: None,
            inet6: addresses.iter().map(|(_, address)| *address).collect(),
            counters: Some(counters),
        })
        .collect();
    interfaces.extend(addresses.iter().map(|(name, _)| Interface { name: name.clone(), ..Interface::default() }));
    let (mut text, mut blocks, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for interface in &interfaces {
        row(&mut text, interface, &Lang::ENGLISH);
        block(&mut blocks, interface, &Lang::ENGLISH);
        json(&mut lines, interface);
    }
    assert_table(&text, interfaces.len());
    assert_table(&blocks, blocks.iter().filter(|&&byte| byte == b'\n').count());
    assert_json(&lines, interfaces.len());
}
