use super::*;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;

#[test]
fn names_are_looked_up_as_they_are_met() {
    let folder = std::env::temp_dir().join(format!("netstat-user-names-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("blue"), "").unwrap();
    let blue = fs::metadata(folder.join("blue")).unwrap().ino() as u32;
    let mut names = NamespaceNames::new(&folder);
    assert_eq!(names.of(None), None);
    assert_eq!(names.of(Some(0)), None);
    assert_eq!(names.of(Some(blue)), Some(b"blue".as_slice()));
    assert_eq!(NamespaceNames::new(Path::new("/nonexistent")).of(Some(blue)), None);
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_namespace_of_a_thread_alone_is_found() {
    let (root, names) = (Path::new("/proc"), Path::new(NAMES));
    let own = own(root).unwrap();
    let mut child = std::process::Command::new("unshare").args(["-n", "sleep", "60"]).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    // Without privilege it ends, and the thread stays where it is: that has to be found all the same.
    while of(root, child.id()).is_ok_and(|inode| inode == own) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let file = File::open(root.join(child.id().to_string()).join("ns/net"));
    let (inside, end) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    std::thread::spawn(move || {
        let _ = file.map(|file| move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)));
        let inode = fs::metadata("/proc/thread-self/ns/net").unwrap().ino() as u32;
        inside.0.send(inode).unwrap();
        let _ = end.1.recv();
    });
    let inode = inside.1.recv().unwrap();
    let _ = child.kill();
    child.wait().unwrap();
    let found = all(root, names).namespaces;
    let found = found.iter().find(|namespace| namespace.inode == inode).unwrap();
    let read = found.within(root, names, &|root: &Path| fs::read(root.join("net/tcp"))).unwrap();
    assert!(read.unwrap().starts_with(b"  sl"));
    assert!(inode != own || !rustix::process::geteuid().is_root());
    drop(end.0);
}

#[test]
fn our_own_is_there_and_can_be_looked_into() {
    let (root, names) = (Path::new("/proc"), Path::new(NAMES));
    let own = fs::metadata("/proc/self/ns/net").unwrap().ino() as u32;
    let all = all(root, names);
    let own = all.namespaces.iter().find(|namespace| namespace.inode == own).unwrap();
    let read = own.within(root, names, &|root: &Path| fs::read(root.join("net/tcp"))).unwrap();
    assert!(read.unwrap().starts_with(b"  sl"));
}

/// Whoever looks for the processes in a namespace asks each of them once: one that goes to and fro would use up what there is for all.
#[test]
fn a_process_of_several_threads_is_met_once() {
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || ended.recv());
    let own = std::process::id();
    let mut met = 0;
    let _ = walk(Path::new("/proc"), |seen| {
        met += u32::from(seen.is_ok_and(|(pid, _)| pid == own));
        ControlFlow::Continue(())
    });
    assert_eq!(met, 1);
    drop(end);
    assert!(other.join().unwrap().is_err());
}
