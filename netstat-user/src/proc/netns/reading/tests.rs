use super::*;
use std::time::Instant;

/// The number of the namespace that is read where one is looked for by this number and process; `None` where there is none.
fn read(inode: u32, pid: u32) -> Option<u32> {
    let (root, names) = (Path::new("/proc"), Path::new("/nonexistent"));
    let namespace = Namespace { inode, name: None, pid: Some(pid) };
    let mut read =
        each(root, names, vec![namespace], |_, root| fs::metadata(root.join("ns/net")).unwrap().ino() as u32);
    read.pop().unwrap().1.ok()
}

#[test]
fn no_other_namespace_is_read_in_the_place_of_one_that_has_gone() {
    let (inode, me) = (own(Path::new("/proc")).unwrap(), std::process::id());
    assert_eq!(read(inode, me), Some(inode));
    assert_eq!(read(7, me), None, "it is elsewhere");
    let named = Namespace { inode, name: Some(b"blue".to_vec()), pid: None };
    assert!(named.within(Path::new("/proc"), Path::new("/nonexistent"), &|_: &Path| ()).is_err());
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(read(7, child.id()), None, "it has ended");
}

#[test]
fn a_namespace_is_read_through_another_process_where_the_first_has_left_it() {
    let (root, own) = (Path::new("/proc"), own(Path::new("/proc")).unwrap());
    let mut child = std::process::Command::new("unshare").args(["-n", "sleep", "60"]).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    while of(root, child.id()).is_ok_and(|inode| inode == own) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let inode = of(root, child.id());
    // Found by a process that is in one's own namespace now.
    let found = inode.as_ref().ok().map(|&inode| read(inode, std::process::id()));
    child.kill().unwrap();
    child.wait().unwrap();
    match (inode, found) {
        (Ok(inode), Some(found)) if inode != own => assert_eq!(found, Some(inode)),
        _ => println!("skipped: no network namespace can be made"),
    }
}

#[test]
fn a_process_that_runs_is_not_at_rest() {
    let root = Path::new("/proc");
    let turns = |pid: u32| turns(&root.join(pid.to_string()));
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    let is_at_rest = |pid| turns(pid).is_some_and(|before| turns(pid) == Some(before));
    while !is_at_rest(child.id()) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let is_counted = root.join("self/schedstat").exists();
    assert_eq!(is_at_rest(child.id()), is_counted);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!is_at_rest(child.id()), "it has ended");
    // The one that asks has a processor.
    assert_eq!(turns(rustix::thread::gettid().as_raw_nonzero().get() as u32), None);
}

#[test]
fn a_thread_that_visits_a_namespace_comes_back() {
    let here = || fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
    let before = here();
    let root = Path::new("/proc");
    let mut child = std::process::Command::new("unshare").args(["-n", "sleep", "60"]).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(5);
    // Without privilege it ends.
    while of(root, child.id()).is_ok_and(|inode| u64::from(inode) == before) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let file = File::open(root.join(child.id().to_string()).join("ns/net"));
    let _ = child.kill();
    child.wait().unwrap();
    let Ok(file) = file else {
        println!("skipped: no network namespace can be made");
        return;
    };
    let inode = file.metadata().unwrap().ino();
    match visit(file, here) {
        Ok(seen) => assert_eq!(seen, inode),
        Err(_) => assert!(!rustix::process::geteuid().is_root()),
    }
    assert_eq!(here(), before);
}
