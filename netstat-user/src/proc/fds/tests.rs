use super::*;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

#[test]
fn finds_the_sockets_of_a_process_with_gaps_and_shares() {
    // This very process, made to have more descriptors than one share, and every tenth of them closed again.
    let sockets: Vec<_> = (0..2500).map_while(|_| std::os::unix::net::UnixDatagram::unbound().ok()).collect();
    let sockets: Vec<_> =
        sockets.into_iter().enumerate().filter(|(at, _)| at % 10 != 3).map(|(_, socket)| socket).collect();
    let inode = |fd: i32| std::fs::metadata(format!("/proc/self/fd/{fd}")).map(|file| file.ino());
    let inodes: Vec<u64> = sockets.iter().map(|socket| inode(socket.as_raw_fd()).unwrap()).collect();
    assert!(inodes.len() > 800, "only {} sockets could be made", inodes.len());

    let mut scan = Scan::start(Path::new("/proc"), usize::MAX);
    let owners = scan.owners(inodes.iter().copied(), false);
    let missing = inodes.iter().filter(|&&inode| !owners.of(inode).any(|h| h.pid == std::process::id())).count();
    assert_eq!(missing, 0);
    assert!(owners.first(1).is_none());
}

fn held(pairs: &[(u32, u64)]) -> HeldSockets {
    let mut held = HeldSockets::new(9);
    pairs.iter().for_each(|&(pid, inode)| held.add(pid, inode));
    held
}

/// A descriptor costs whoever makes it a few bytes, and so it must not cost whoever reads them more.
#[test]
fn however_many_descriptors_of_a_socket_a_process_has_it_holds_it_once() {
    let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
    let copies: Vec<_> = (0..2500).map_while(|_| socket.try_clone().ok()).collect();
    assert!(copies.len() > 500, "only {} copies could be made", copies.len());
    let inode = std::fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap().ino();
    let mut scan = Scan::start(Path::new("/proc"), usize::MAX);
    assert_eq!(scan.links().filter(|&link| link == (std::process::id(), inode)).count(), 1);
    assert!(scan.failure().is_none());
    // More than are kept is a failure that says so, however they are read.
    let _others = [(); 8].map(|()| std::os::unix::net::UnixDatagram::unbound().unwrap());
    let full = || {
        let mut held = HeldSockets::new(3);
        (0..5).for_each(|inode| held.add(1, inode));
        Some(held)
    };
    for mut scan in [Scan::start(Path::new("/proc"), 3), Scan::start_with(Path::new("/proc"), 3, full)] {
        assert_eq!(scan.links().count(), 3);
        assert!(scan.failure().is_some_and(|error| error.to_string().contains("more than 3 sockets")));
    }
}

#[test]
fn other_means_come_first() {
    let mut scan = Scan::start_with(Path::new("/nonexistent"), 9, || Some(held(&[(7, 70), (7, 71), (7, 70), (9, 70)])));
    assert_eq!(scan.blind(), Blind::No);
    assert_eq!(scan.links().collect::<Vec<_>>(), [(7, 70), (7, 71), (9, 70)]);

    let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
    let inode = std::fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap().ino();
    let mut scan = Scan::start_with(Path::new("/proc"), usize::MAX, || None);
    assert_eq!(scan.owners(std::iter::once(inode), false).first(inode).unwrap().comm, None);
    let mut found = Scan::start_with(Path::new("/proc"), 9, move || Some(held(&[(std::process::id(), inode)])));
    assert_eq!(found.owners(std::iter::once(inode), true).first(inode).unwrap().pid, std::process::id());
    let own = found.owners(std::iter::once(inode), true);
    assert!(
        own.first(inode).is_some_and(|own| own.comm.is_some() && own.comm == comm(Path::new("/proc"), own.pid).ok())
    );
}

#[test]
fn links() {
    assert_eq!(socket_inode(b"socket:[12345]"), Some(12345));
    assert_eq!(socket_inode(b"[0000]:77"), Some(77));
    for other in [&b"socket:[]"[..], b"socket:[12", b"socket:[1x]", b"/dev/null", b"pipe:[1]", b"", b"[0000]:"] {
        assert_eq!(socket_inode(other), None);
    }
    assert_eq!(socket_inode(b"socket:[99999999999999999999]"), None);
}

#[test]
fn program_names() {
    assert_eq!(program_name(b"/usr/sbin/sshd\0-D\0"), b"sshd");
    assert_eq!(program_name(b"/usr/lib/prog --opt=/etc/conf"), b"conf");
    assert_eq!(program_name(b"./x/y\0"), b"./x/y");
    assert_eq!(program_name(b""), b"");
    assert_eq!(program_name(b"\0\0"), b"");
    assert_eq!(program_name(b"/"), b"");
}

/// A tree like /proc with one process, whose files are made by `make` in its folder.
fn tree(name: &str, make: impl FnOnce(&Path)) -> std::path::PathBuf {
    let root = std::env::temp_dir().join(format!("netstat-user-fds-{name}-{}", std::process::id()));
    let process = root.join("7");
    std::fs::create_dir_all(&process).unwrap();
    make(&process);
    root
}

/// Whatever it is that failed: no process has gone, and none was refused.
#[test]
fn what_cannot_be_read_of_a_process_is_a_failure() {
    let symlink = |at: &Path| std::os::unix::fs::symlink(at, at).unwrap();
    let unopened = tree("unopened", |process| symlink(&process.join("fd")));
    let mut scan = Scan::start(&unopened, usize::MAX);
    assert_eq!(scan.links().count(), 0);
    let failure = |scan: &mut Scan| scan.failure().and_then(|error| error.raw_os_error());
    assert_eq!((failure(&mut scan), scan.blind()), (Some(libc::ELOOP), Blind::No));
    // Only where its name is asked for.
    let unnamed = tree("unnamed", |process| {
        std::fs::write(process.join("cmdline"), "server\0").unwrap();
        std::fs::create_dir(process.join("comm")).unwrap();
    });
    for (comms, failed) in [(false, None), (true, Some(libc::EISDIR))] {
        let mut scan = Scan::of(&unnamed, vec![(7, 70)]);
        let owners = scan.owners(std::iter::once(70), comms);
        assert_eq!((owners.first(70).unwrap().pid, failure(&mut scan)), (7, failed));
    }
    let gone = tree("gone", |_| ());
    let mut scan = Scan::of(&gone, vec![(7, 70), (8, 70)]);
    assert!(scan.owners(std::iter::once(70), true).first(70).is_none() && scan.failure().is_none());
    let mut scan = Scan::start(&gone, usize::MAX);
    assert!(scan.links().next().is_none() && scan.failure().is_none());
    [unopened, unnamed, gone].iter().for_each(|root| std::fs::remove_dir_all(root).unwrap());
}

/// Whoever ended before all was read of it is no holder by which anything can be decided.
#[test]
fn a_process_that_ends_during_the_look_leaves_the_holder_unknown() {
    let stat = "7 (x) S 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 700 BYTES 2 3\n";
    let named = |name: &str, cmdline: &str, comm: bool, bytes: &str| {
        let root = tree(name, |process| {
            std::fs::write(process.join("cmdline"), cmdline).unwrap();
            std::fs::write(process.join("stat"), stat.replace("BYTES", bytes)).unwrap();
            if comm {
                std::fs::write(process.join("comm"), "ftpd\n").unwrap();
            }
        });
        let mut scan = Scan::of(&root, vec![(7, 70), (7, 71), (8, 71)]);
        let owners = scan.owners([70, 71, 72].into_iter(), true);
        std::fs::remove_dir_all(&root).unwrap();
        assert!(scan.failure().is_none());
        (owners.first(70).is_some(), [70, 71, 72].map(|inode| owners.has_lost(inode)))
    };
    assert_eq!(named("whole", "ftpd\0", true, "4096"), (true, [false, true, false]));
    assert_eq!(named("nameless", "", true, "4096"), (true, [false, true, false]));
    assert_eq!(named("uncommed", "ftpd\0", false, "4096"), (false, [true, true, false]));
    assert_eq!(named("ending", "", true, "0"), (false, [true, true, false]));
}

/// netstat looks before it opens a socket; one that it was begun with is its own all the same.
#[test]
fn sockets_that_were_opened_here_are_not_counted_as_found() {
    let socket = std::os::unix::net::UnixDatagram::unbound().unwrap();
    let inode = std::fs::metadata(format!("/proc/self/fd/{}", socket.as_raw_fd())).unwrap().ino();
    let blind = |pid: u32, refused: bool| {
        let mut scan = Scan::of(Path::new("/proc"), vec![(pid, inode)]);
        scan.found.iter_mut().for_each(|found| found.refused = refused);
        scan.blind()
    };
    let own = std::process::id();
    assert_eq!([blind(own, true), blind(own, false)], [Blind::Wholly, Blind::No]);
    assert_eq!(blind(own + 1, true), Blind::Partly);
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::empty()).unwrap();
    assert_eq!(blind(own, true), Blind::Partly);
}

#[test]
fn its_own_process_is_not_denied() {
    let denied = denied_at(Path::new("/proc")).unwrap();
    assert!(!denied.contains(&std::process::id()), "{denied:?}");
}
