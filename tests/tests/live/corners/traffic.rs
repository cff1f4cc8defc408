//! Traffic that goes on by itself: thousands of short connections a second over loopback, and refused ones among them.

use super::first::REFUSING_PORT;
use crate::actor::{listen_up, say};
use crate::lives::reset;
use crate::made::{self, tcp};
use socket2::Domain;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Clients, and threads that serve them.
const CLIENTS: usize = 2;

/// More would be lost on the way to a reader that shares two processors with them.
const PAUSE: Duration = Duration::from_micros(150);

/// Goes on until it is nudged, and then says how many nanoseconds the longest life of a connection was.
pub fn run() {
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", "1024 65000").unwrap();
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (over, longest) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (listener, over, longest) = (&listener, &over, &longest);
            scope.spawn(move || {
                for number in 0.. {
                    if over.load(Ordering::Relaxed) {
                        // Ends one of the servers.
                        return drop(TcpStream::connect((Ipv4Addr::LOCALHOST, port)));
                    }
                    let start = Instant::now();
                    visit(client, number, port);
                    longest.fetch_max(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
                    thread::sleep(PAUSE);
                }
            });
            scope.spawn(move || {
                // Whoever has asked is served, also when it is over: a client would wait for ever.
                loop {
                    let (stream, _) = listener.accept().unwrap();
                    let start = Instant::now();
                    let asked = serve(stream);
                    longest.fetch_max(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
                    if !asked && over.load(Ordering::Relaxed) {
                        return;
                    }
                }
            });
        }
        thread::sleep(Duration::from_millis(200));
        say(&true);
        listen_up();
        over.store(true, Ordering::Relaxed);
    });
    say(&longest.load(Ordering::Relaxed));
    while listen_up() {}
}

/// Asks, hears the answer, and is gone: mostly by a reset, so that the ports last.
fn visit(client: usize, number: u64, port: u16) {
    // Some addresses to divide the ports in TIME_WAIT among.
    let address = Ipv4Addr::new(127, 0, client as u8, 1 + (number % 100) as u8);
    if number % 16 == 15 {
        tcp(Domain::IPV4).connect(&SocketAddr::from((address, REFUSING_PORT)).into()).unwrap_err();
        return;
    }
    let Ok(mut stream) = made::connect(Domain::IPV4, (address, port).into()) else { return };
    if stream.write_all(b"ask").is_ok() && stream.read_exact(&mut [0; 6]).is_ok() && !number.is_multiple_of(8) {
        reset(stream);
    }
}

/// Whether anything was asked.
fn serve(mut stream: TcpStream) -> bool {
    let asked = stream.read_exact(&mut [0; 3]).is_ok();
    // A client may be gone at any time.
    if asked && stream.write_all(b"answer").is_ok() {
        let _ = stream.read(&mut [0; 1]);
    }
    asked
}
