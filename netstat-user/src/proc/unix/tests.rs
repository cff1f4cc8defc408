use super::*;

const HEADINGS: &str = "Num       RefCount Protocol Flags    Type St Inode Path\n";

fn parse_lines(lines: &str) -> (Vec<(u64, String)>, usize) {
    let table = format!("{HEADINGS}{lines}");
    let UnixRows { rows, bogus } = parse(table.as_bytes());
    (rows.iter().map(|r| (r.inode, String::from_utf8_lossy(r.path).into_owned())).collect(), bogus)
}

#[test]
fn every_column() {
    let table = format!("{HEADINGS}0000000000000000: 00000002 00000000 00010000 0005 01 12345 /run/x\n");
    let row = UnixRow { refcnt: 2, protocol: 0, flags: 0x10000, kind: 5, state: 1, inode: 12345, path: b"/run/x" };
    assert_eq!(parse(table.as_bytes()), UnixRows { rows: vec![row], bogus: 0 });
}

#[test]
fn whole_paths() {
    let (rows, bogus) = parse_lines(
        "000000000000000a: 00000002 00000000 00010000 0001 01 11 /a b  c \n\
         000000000000000b: 00000002 00000000 00010000 0001 01 12  /blank\n\
         000000000000000c: 00000003 00000000 00000000 0001 03 13\n\
         000000000000000d: 00000003 00000000 00000000 0001 03     0 @a@\n\
         000000000000000e: 00000002 00000000 00010000 0001 01 15 /new\nline\n\n\
         000000000000000f: 00000002 00000000 00010000 0001 01 16 \n\n\
         0000000000000010: 00000002 00000000 00010000 0001 01 17 /last-and-long-enough-to-be-no-part-of-the-name-before-it-which-has-a-newline-in-it-\
         and-may-have-been-made-to-deceive\n\n",
    );
    let expected = [
        (11, "/a b  c "),
        (12, " /blank"),
        (13, ""),
        (0, "@a@"),
        (15, "/new\nline\n"),
        (
            17,
            "/last-and-long-enough-to-be-no-part-of-the-name-before-it-which-has-a-newline-in-it-\
             and-may-have-been-made-to-deceive\n",
        ),
    ];
    assert_eq!(rows, expected.map(|(inode, path)| (inode, path.to_owned())));
    // The row of 16, which could belong to the name before it, and what follows it.
    assert_eq!(bogus, 2);
}

#[test]
fn lines_that_are_no_rows() {
    let (rows, bogus) = parse_lines(
        "foo\n\
         000000000000000a: 00000002 00000000 00010000 0001\n\
         000000000000000b: 00000002 00000000 00010000 0001 01 99999999999999999999 /a\n\
         000000000000000c: 1FFFFFFFF 00000000 00010000 0001 01 1 /a\n\
         000000000000000d: 00000002 00000000 00010000 0001 01 14\nrubbish\n",
    );
    assert_eq!(rows, [(14, String::new())]);
    assert_eq!(bogus, 5);
}

#[test]
fn a_socket_once() {
    let (rows, _) = parse_lines(
        "000000000000000a: 00000002 00000000 00000000 0001 03 11 /a\n\
         000000000000000b: 00000002 00000000 00000000 0001 02 0 /l\n\
         000000000000000c: 00000002 00000000 00000000 0001 02 0 /l\n\
         000000000000000b: 00000002 00000000 00000000 0001 02 0 /l\n\
         000000000000000a: 00000003 00000000 00000000 0001 03 11 /a\n\
         0000000000000000: 00000002 00000000 00000000 0001 02 0 /h\n\
         0000000000000000: 00000002 00000000 00000000 0001 02 0 /h\n",
    );
    assert_eq!(rows.iter().map(|(inode, _)| *inode).collect::<Vec<_>>(), [11, 0, 0, 0, 0]);
}

/// A victim's listener and its row, and a name of an attacker that has the same row in it.
const VICTIM: &str = "00000000cf450cff: 00000002 00000000 00010000 0001 01 77 /run/victim";
const FORGED: &str = "00000000cf450cff: 00000009 00000000 00010000 0001 01 77 /tmp/other";

fn socket(inode: u64, state: u8, name: &str) -> UnixSocket {
    let name = name.strip_prefix('@').map_or_else(|| format!("{name}\0"), |name| format!("\0{name}"));
    UnixSocket { kind: 1, state, inode, name: Some(name.into_bytes()), ..UnixSocket::default() }
}

fn parse_with(lines: &str, known: &[UnixSocket]) -> (Vec<(u64, String)>, usize, bool) {
    let table = format!("{HEADINGS}{lines}");
    let mut all = Known::default();
    all.add(known);
    let (UnixRows { rows, bogus }, sure) = parse_known(table.as_bytes(), &all);
    (rows.iter().map(|r| (r.inode, String::from_utf8_lossy(r.path).into_owned())).collect(), bogus, sure)
}

#[test]
fn a_row_in_a_name_is_a_name() {
    let evil = format!("@x\n{FORGED}");
    let known = [socket(5, 10, &evil), socket(77, 10, "/run/victim")];
    let name = "0000000000000001: 00000002 00000000 00010000 0001 01 5 ";
    for lines in [format!("{name}{evil}\n{VICTIM}\n"), format!("{VICTIM}\n{name}{evil}\n")] {
        let (mut rows, bogus, sure) = parse_with(&lines, &known);
        rows.sort();
        assert_eq!(rows, [(5, evil.clone()), (77, "/run/victim".to_owned())]);
        assert_eq!((bogus, sure), (0, true));
    }
    // Without sock_diag nobody knows which of the two is true: none hides the other.
    let (rows, _) = parse_lines(&format!("{name}{evil}\n{VICTIM}\n"));
    assert!(rows.contains(&(77, "/run/victim".to_owned())), "{rows:?}");
    // A row behind a newline that shows is not believed.
    let (rows, bogus) = parse_lines(&format!("{name}@x\ny\n{FORGED}\n{VICTIM}\n"));
    assert_eq!((rows.len(), bogus), (2, 1), "{rows:?}");
    assert!(rows.contains(&(77, "/run/victim".to_owned())), "{rows:?}");
}

#[test]
fn connections_that_wait_have_the_name_of_their_listener() {
    let row = "00000000000000a1: 00000003 00000000 00000000 0001 02     0 @x";
    let known = [socket(5, 10, "@x"), socket(77, 10, "/run/victim")];
    let (rows, bogus, sure) = parse_with(&format!("{row}\n{}2\n", row.replace("a1:", "a2:")), &known);
    assert_eq!((rows, bogus, sure), (vec![(0, "@x".to_owned()), (0, "@x2".to_owned())], 0, false));
    // Two listeners of an attacker, so that a victim's row looks like a part of the longer name: it is shown all the same.
    let known = [socket(5, 10, "@x"), socket(6, 10, &format!("@x\n{VICTIM}")), socket(77, 10, "/run/victim")];
    let (rows, bogus, sure) = parse_with(&format!("{row}\n{VICTIM}\n"), &known);
    assert_eq!((rows, bogus, sure), (vec![(0, "@x".to_owned()), (77, "/run/victim".to_owned())], 0, true));
    // And the row of nobody in such a name is not.
    let known = [socket(5, 10, "@x"), socket(6, 10, &format!("@x\n{FORGED}")), socket(77, 10, "/run/victim")];
    let (rows, _, sure) = parse_with(&format!("{row}\n{FORGED}\n{VICTIM}\n"), &known);
    assert_eq!((rows, sure), (vec![(0, "@x".to_owned()), (77, "/run/victim".to_owned())], true));
}

#[test]
fn a_socket_that_is_not_known_is_believed_where_it_cannot_be_in_a_name() {
    let row = |inode, path| format!("00000000000000{inode}: 00000002 00000000 00010000 0001 01 {inode}{path}\n");
    let known = [socket(11, 10, "/a")];
    let (rows, bogus, sure) =
        parse_with(&[row(11, " /a"), row(12, ""), row(13, " /b"), row(14, " /c"), row(11, " /a")].concat(), &known);
    let expected = [(11, "/a"), (12, ""), (13, "/b")];
    assert_eq!(rows, expected.map(|(inode, path)| (inode, path.to_owned())));
    assert_eq!((bogus, sure), (1, false));
}

#[test]
fn nothing() {
    for table in ["", "\n", "Num", HEADINGS] {
        assert_eq!(parse(table.as_bytes()), UnixRows { rows: vec![], bogus: 0 });
    }
}
