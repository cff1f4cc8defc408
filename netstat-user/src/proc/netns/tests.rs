use super::*;

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
    let turns = |pid: u32| turns(&root.join(pid.to_string()), pid);
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

#[test]
fn our_own_is_there_and_can_be_looked_into() {
    let (root, names) = (Path::new("/proc"), Path::new(NAMES));
    let own = fs::metadata("/proc/self/ns/net").unwrap().ino() as u32;
    let all = all(root, names);
    let own = all.namespaces.iter().find(|namespace| namespace.inode == own).unwrap();
    let read = own.within(root, names, &|root: &Path| fs::read(root.join("net/tcp"))).unwrap();
    assert!(read.unwrap().starts_with(b"  sl"));
}
