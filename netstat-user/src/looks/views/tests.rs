use super::*;
use crate::proc::tree::{NetNs, Tree, TreeProcess};
use std::cell::Cell;
use std::path::Path;

/// A process of this user, in this process's network namespace.
const MINE: TreeProcess = TreeProcess { uids: None, net: NetNs::Own, state: 'S' };

fn views(tree: &Tree) -> Views {
    Views::new(tree.root().into(), Arc::default())
}

/// Another look is taken whenever somebody asks, and the same number is given out while it finds the same.
#[test]
fn looks_that_find_the_same_have_one_number() {
    let tree = Tree::new("views");
    // One that may not be looked into, for its other user ids; in a namespace that no other process is in.
    let besides = TreeProcess { uids: Some([7_777, tree.uid(), tree.uid()]), net: NetNs::Other("besides"), ..MINE };
    tree.add(11, MINE);
    tree.add(20, besides);
    let views = views(&tree);
    let ask = |pid, since| {
        let begun = views.begun(pid).unwrap();
        let peer = Peer { uid: tree.uid(), gid: tree.gid(), pid: Some(pid), begun, id: None };
        views.own_since(&peer, since).unwrap()
    };
    let look = |pid| ask(pid, Some(Instant::now()));
    let first = look(11);
    assert_eq!((first.processes.keys().collect::<Vec<_>>(), first.namespaces.len()), (vec![&11], 1));
    assert!(first.look.is_some() && Arc::ptr_eq(&first, &ask(11, None)), "it was looked a moment ago");
    let again = look(11);
    assert!(!Arc::ptr_eq(&first, &again), "it was looked again");
    assert_eq!(again.look, first.look);
    // Who asks is shown their own namespace, whoever may look into them.
    let from_besides = look(20);
    assert_eq!(from_besides.namespaces, [tree.netns("besides")].into_iter().chain(first.namespaces.clone()).collect());
    assert_ne!(from_besides.look, first.look);
    assert_eq!([look(20).look, look(11).look, look(20).look], [from_besides.look, first.look, from_besides.look]);
    // From another namespace something else is seen.
    tree.add(21, TreeProcess { net: NetNs::Other("elsewhere"), ..besides });
    let from_elsewhere = look(21).look;
    assert!(from_elsewhere != from_besides.look && from_elsewhere != first.look);
    // What another user's processes do changes nothing.
    tree.add(30, TreeProcess { uids: Some([7_777; 3]), ..MINE });
    assert_eq!([look(11).look, look(20).look], [first.look, from_besides.look]);
    // Another one of the user's does.
    tree.add(12, MINE);
    let two = [look(11).look, look(20).look];
    assert!(two.iter().all(|look| ![first.look, from_besides.look, from_elsewhere].contains(look)) && two[0] != two[1]);
    assert_eq!([look(12).look, look(20).look], two);
    // What was seen before is seen anew.
    tree.remove(12);
    let one = [look(11).look, look(20).look];
    assert!(one.iter().all(|look| ![first.look, from_besides.look, two[0], two[1]].contains(look)));
}

/// The process that asked has gone, and another one has its number: it lends nobody what it could see.
#[test]
fn whoever_has_the_number_has_not_asked() {
    let tree = Tree::new("number");
    tree.add(11, MINE);
    let views = views(&tree);
    let shown = |begun| {
        let peer = Peer { uid: tree.uid(), gid: tree.gid(), pid: Some(11), begun, id: None };
        views.own_since(&peer, Some(Instant::now())).unwrap().namespaces.len()
    };
    let begun = views.begun(11).unwrap();
    assert_eq!([begun, begun.map(|begun| begun + 1), None].map(shown), [1, 0, 0]);
}

/// Whoever has processes that are slow to be looked at is refused at once for a while, and nobody else is.
#[test]
fn a_look_that_takes_too_long_is_remembered() {
    let tree = Tree::new("slow-look");
    let views = views(&tree);
    let place = Vantage::own(Path::new("/proc")).unwrap();
    let viewer = |uid| Viewer { uid, gid: uid, place, is_nested: false };
    let looks = Cell::new(0);
    let see = |uid, since, found: io::Result<Own>| {
        let look = |viewer: &Viewer| {
            looks.set(looks.get() + 1);
            found.map(|own| Own { uid: viewer.uid, ..own })
        };
        let seen = views.seen_by(viewer(uid), since, look).map(|own| (own.uid, own.look.is_some()));
        (seen.map_err(|error| Scarce::of(&error)), looks.replace(0))
    };
    let found = || Ok(Own::default());
    let refused = Err(Some(Scarce::Time));
    assert_eq!(see(7, None, Err(too_slow())), (refused, 1));
    assert_eq!(see(7, None, found()), (refused, 0));
    assert_eq!(see(7, Some(Instant::now()), found()), (refused, 0), "whenever the look should begin");
    assert_eq!(see(8, None, found()), (Ok((8, true)), 1));
    // When that is over, it is looked again.
    lock(&views.own).get_mut(&viewer(7)).unwrap().until = Instant::now();
    assert_eq!(see(7, None, found()), (Ok((7, true)), 1));
    assert_eq!(see(7, None, Err(too_slow())), (Ok((7, true)), 0), "it was looked a moment ago");
    // What ran out of the agent's is tried again at once.
    let few = || Err(io::Error::from_raw_os_error(libc::EMFILE));
    assert_eq!([see(9, None, few()), see(9, None, few())], [(Err(Some(Scarce::OpenFiles)), 1); 2]);
}
