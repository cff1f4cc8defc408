use super::*;
use crate::proc::tree::{NetNs, Tree, TreeProcess};
use std::cell::Cell;
use std::process::{Child, Command};
use std::time::Instant;

/// How long a machine under load takes at most until a child is where it goes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A child in a network namespace of its own; ended when it is dropped.
struct Apart {
    child: Child,
    inode: u32,
}

impl Apart {
    /// Runs a program so; `None` where there can be no such namespace.
    fn run(program: &[&str]) -> Option<Self> {
        if !Command::new("unshare").args(["-n", "true"]).status().is_ok_and(|status| status.success()) {
            println!("skipped: no network namespace can be made");
            return None;
        }
        let (root, until) = (Path::new("/proc"), Instant::now() + PATIENCE);
        let own = own(root).unwrap();
        let mut apart = Self { child: Command::new("unshare").arg("-n").args(program).spawn().unwrap(), inode: own };
        while apart.inode == own {
            assert!(Instant::now() < until, "the child stays in this namespace");
            std::thread::sleep(Duration::from_millis(5));
            apart.inode = of(root, apart.pid()).unwrap();
        }
        Some(apart)
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
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
    let Some(apart) = Apart::run(&["sleep", "600"]) else { return };
    // Found by a process that is in one's own namespace now.
    assert_eq!(read(apart.inode, std::process::id()), Some(apart.inode));
}

/// What is read through a process, and whether for sure; `None` where it is not there.
fn through<T: Send>(
    root: &Path,
    (inode, pid): (u32, u32),
    witness: Witness,
    f: impl Fn(&Path) -> T + Sync,
) -> Option<(bool, T)> {
    match (Namespace { inode, name: None, pid: Some(pid) }).through(root, pid, witness, &f) {
        Ok(NamespaceReading::Sure(read)) => Some((true, read)),
        Ok(NamespaceReading::Unsure(read)) => Some((false, read)),
        Err(error) => {
            assert_eq!(error.kind(), io::ErrorKind::NotFound);
            None
        }
    }
}

/// Where no namespace may be entered, the process that it is read through says by what it does whether that is for sure.
#[test]
fn a_namespace_that_may_not_be_entered_is_read_through_a_process() {
    let tree = Tree::new("through");
    let blue = NetNs::Other("blue");
    tree.add(7, TreeProcess { uids: None, net: blue, state: 'S' });
    let at = (tree.netns("blue"), 7);
    let both = |f: &(dyn Fn() + Sync)| {
        [Witness::AtRest, Witness::Any].map(|witness| {
            tree.put(7, blue);
            tree.run(7, 'S', 1);
            through(tree.root(), at, witness, |folder| {
                f();
                folder == tree.root().join("7")
            })
        })
    };
    let (sure, unsure) = (Some((true, true)), Some((false, true)));
    assert_eq!(both(&|| ()), [sure; 2], "it is at rest");
    // It may have gone elsewhere and come back.
    assert_eq!(both(&|| tree.run(7, 'S', 2)), [unsure; 2], "it had a processor meanwhile");
    assert_eq!(both(&|| tree.run(7, 'R', 1)), [unsure; 2], "it runs then");
    assert_eq!(both(&|| tree.put(7, NetNs::Other("red"))), [None; 2], "it is elsewhere then");
    // One that runs before is not asked where it has to be at rest.
    let running = |witness| {
        tree.put(7, blue);
        tree.run(7, 'R', 1);
        through(tree.root(), at, witness, |_| ())
    };
    assert_eq!([Witness::AtRest, Witness::Any].map(running), [None, Some((false, ()))]);
    tree.put(7, NetNs::Other("red"));
    assert_eq!(through(tree.root(), at, Witness::Any, |_| ()), None, "it is elsewhere");
    tree.remove(7);
    assert_eq!(through(tree.root(), at, Witness::Any, |_| ()), None, "it has ended");
}

/// The same with processes of the kernel's.
#[test]
fn a_process_at_rest_is_read_through_for_sure_and_one_that_runs_is_not() {
    let is_counted = Path::new("/proc/self/schedstat").exists();
    let tree = Tree::new("processes");
    for (program, is_at_rest) in [(&["sleep", "600"][..], is_counted), (&["sh", "-c", "while :; do :; done"], false)] {
        let Some(apart) = Apart::run(program) else { return };
        let at = (apart.inode, apart.pid());
        tree.link(apart.pid());
        let read = |witness| {
            let place = |folder: &Path| fs::metadata(folder.join("ns/net")).unwrap().ino() as u32;
            through(tree.root(), at, witness, place)
        };
        let expected = [is_at_rest.then_some((true, apart.inode)), Some((is_at_rest, apart.inode))];
        // It may still be on its way to what it does.
        let until = Instant::now() + PATIENCE;
        let mut found = [Witness::AtRest, Witness::Any].map(read);
        while found != expected && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
            found = [Witness::AtRest, Witness::Any].map(read);
        }
        assert_eq!(found, expected, "{program:?}");
    }
}

/// However many processes are in a namespace, a few of them are asked.
#[test]
fn a_few_of_many_processes_are_asked_for_their_namespace() {
    let tree = Tree::new("others");
    (1..=3 * OTHERS).for_each(|pid| tree.add(pid, TreeProcess { uids: None, net: NetNs::Other("blue"), state: 'S' }));
    let inode = tree.netns("blue");
    // How many were asked that answered so, and what counts in the end.
    let ask = |answer: &dyn Fn(u32) -> io::Result<NamespaceReading<u32>>| {
        let first = Namespace { inode, name: None, pid: Some(1_000) };
        let mut all = vec![(first, Err(io::ErrorKind::NotFound.into()))];
        let asked = Cell::new(0);
        look_through_others(tree.root(), &mut all, |namespace| {
            asked.set(asked.get() + 1);
            answer(namespace.pid.unwrap())
        });
        let (namespace, read) = all.pop().unwrap();
        let read = read.map(|read| match read {
            NamespaceReading::Sure(pid) => (pid, true),
            NamespaceReading::Unsure(pid) => (pid, false),
        });
        if let Ok((pid, _)) = read {
            assert_eq!(namespace.pid, Some(pid));
        }
        (asked.get(), read.map(|(_, is_sure)| is_sure).map_err(|error| Scarce::of(&error)))
    };
    assert_eq!(ask(&|_| Err(io::ErrorKind::NotFound.into())), (OTHERS, Err(None)));
    assert_eq!(ask(&|pid| Ok(NamespaceReading::Unsure(pid))), (4, Ok(false)), "reading takes long");
    assert_eq!(ask(&|pid| Ok(NamespaceReading::Sure(pid))), (1, Ok(true)));
    let few = |_| Err(io::Error::from_raw_os_error(libc::EMFILE));
    assert_eq!(ask(&few), (1, Err(Some(Scarce::OpenFiles))), "what ran out does so for the others");
    let (asked, is_first) = (Cell::new(0), Cell::new(true));
    let at_last = |pid| {
        asked.set(asked.get() + 1);
        if asked.get() == OTHERS { Ok(NamespaceReading::Sure(pid)) } else { Err(io::ErrorKind::NotFound.into()) }
    };
    assert_eq!(ask(&at_last), (OTHERS, Ok(true)));
    // One that may have been elsewhere, and then one that was not.
    let second = |pid| Ok(if is_first.replace(false) { NamespaceReading::Unsure } else { NamespaceReading::Sure }(pid));
    assert_eq!(ask(&second), (2, Ok(true)));
}

#[test]
fn a_process_that_runs_is_not_at_rest() {
    let root = Path::new("/proc");
    let turns = |pid: u32| turns(&root.join(pid.to_string()));
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let until = Instant::now() + PATIENCE;
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
fn a_thread_that_enters_a_namespace_comes_back() {
    let here = || fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
    let before = here();
    let Some(apart) = Apart::run(&["sleep", "600"]) else { return };
    let file = File::open(Path::new("/proc").join(apart.pid().to_string()).join("ns/net")).unwrap();
    let inode = apart.inode;
    drop(apart);
    let thread = rustix::thread::gettid();
    let there = || (here(), rustix::thread::gettid());
    // No thread is made for it: there may be no room for one.
    assert_eq!(enter(file, there).unwrap(), (u64::from(inode), thread));
    assert_eq!(here(), before);
}
