use super::*;
use crate::field::RowKinds;
use crate::view::columns::Kept;

fn table(names: &str, rows: &[Kept], terminal: Option<usize>) -> String {
    let columns = Column::parse_list(names, RowKinds::INET).unwrap();
    let rows: Vec<Cells> = rows.iter().map(|row| cells(&columns, row)).collect();
    let mut table = ColumnTable::new(&columns, false);
    rows.iter().for_each(|row| table.widen(row));
    terminal.into_iter().for_each(|terminal| table.fit(terminal));
    let mut out = Vec::new();
    table.heading(&mut out);
    rows.iter().for_each(|row| table.row(&mut out, row));
    String::from_utf8(out).unwrap()
}

fn rows() -> [Kept; 2] {
    let text = |text: &'static [u8]| Value::text(Some(text));
    [
        Kept(vec![
            (Field::LocalAddr, Value::Addr([127, 0, 0, 1].into())),
            (Field::LocalPort, Value::Number(0)),
            (Field::RecvQ, Value::Number(12_345)),
            (Field::TimerSeconds, Value::Number(1205)),
            (Field::OwnersPid, Value::List(vec![Value::Number(7), Value::Number(9)])),
            (Field::OwnersProgram, Value::List(vec![text(b"a\x1b b\xff"), Value::Null])),
        ]),
        Kept(vec![(Field::State, text(b"LISTEN")), (Field::Cgroup, text("/sys/längst".as_bytes()))]),
    ]
}

#[test]
fn columns_are_as_wide_as_their_values() {
    assert_eq!(
        table("local,recv_q,timer.seconds,state,owners,cgroup", &rows(), None),
        "local        recv_q  timer.seconds  state   owners                cgroup\n\
         127.0.0.1:*   12345          12.05  -       7/a\\x1b\\x20b\\xff,9/-  -\n\
         -                 -              -  LISTEN  -                     /sys/längst\n"
    );
    assert_eq!(table("timer", &rows(), None), "timer\nseconds=12.05\n-\n");
}

#[test]
fn no_name_leaves_its_place_empty_or_passes_for_unknown() {
    let named =
        |name: &'static [u8]| Kept(vec![(Field::Comm, Value::text(Some(name))), (Field::Pid, Value::Number(7))]);
    let rows = [named(b""), named(b"-"), Kept(vec![(Field::Pid, Value::Number(8))])];
    assert_eq!(table("comm,pid", &rows, None), "comm  pid\n\"\"      7\n\\x2d    7\n-       8\n");
}

#[test]
fn a_comma_in_a_name_ends_no_element() {
    let text = |bytes: &'static [u8]| Value::text(Some(bytes));
    let row = [Kept(vec![
        (Field::OwnersPid, Value::List(vec![Value::Number(7)])),
        (Field::OwnersProgram, Value::List(vec![text(b"a,1/sshd")])),
        (Field::OwnersComm, Value::List(vec![text(b"a,b"), text(b"c")])),
        (Field::Comm, text(b"a,b")),
    ])];
    assert_eq!(
        table("owners,owners.comm,comm", &row, None),
        "owners         owners.comm  comm\n7/a\\x2c1/sshd  a\\x2cb,c     a,b\n"
    );
}

#[test]
fn times_in_nanoseconds_have_units() {
    let row = [Kept(vec![
        (Field::StateAgeNs, Value::Number(3_004_000_000)),
        (Field::AgeNs, Value::Number(35_120)),
        (Field::InfoRttUs, Value::Number(35)),
    ])];
    assert_eq!(
        table("state_age_ns,age_ns,info.rtt_us", &row, None),
        "state_age_ns  age_ns  info.rtt_us\n       3.00s    35us           35\n"
    );
}

#[test]
fn a_time_loses_its_fraction_and_its_day_and_keeps_its_zone() {
    let less = |room| String::from_utf8(less_precise(b"2026-01-02T03:04:05.678901234Z", room).into_owned()).unwrap();
    assert_eq!(less(30), "2026-01-02T03:04:05.678901234Z");
    assert_eq!(less(29), "2026-01-02T03:04:05.678901Z");
    assert_eq!(less(26), "2026-01-02T03:04:05.678Z");
    assert_eq!(less(23), "2026-01-02T03:04:05Z");
    assert_eq!(less(19), "03:04:05.678901234Z");
    assert_eq!(less(CLOCK), "03:04:05.678Z");
    assert_eq!(less(9), "03:04:05Z");
}

#[test]
fn rows_that_come_one_by_one_have_the_usual_room() {
    let columns = Column::parse_list("remote,reason,pid", RowKinds::CLOSED).unwrap();
    let heading = |terminal| {
        let mut table = ColumnTable::new(&columns, false).roomy(&columns);
        table.fit(terminal);
        let mut out = Vec::new();
        table.heading(&mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(heading(46), "remote                 reason              pid\n");
    assert_eq!(heading(40), "remote           reason              pid\n");
    assert_eq!(heading(37), "remote           reason           pid\n", "no address is cut");
    assert_eq!(heading(36), "remote           reason              pid\n", "nothing is cut in vain");
    let table = ColumnTable::new(&columns, false).roomy(&columns);
    let mut out = Vec::new();
    table.heading(&mut out);
    table.row(&mut out, &[b"255.255.255.255:65535".to_vec(), b"reset_received".to_vec(), b"4194304".to_vec()]);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "remote                 reason              pid\n255.255.255.255:65535  reset_received  4194304\n"
    );
}

#[test]
fn states_failures_and_headings_have_colour() {
    let columns = Column::parse_list("state,reason,pid", RowKinds::CLOSED).unwrap();
    let mut table = ColumnTable::new(&columns, true);
    let row = [b"LISTEN".to_vec(), b"refused".to_vec(), b"7".to_vec()];
    table.widen(&row);
    let mut out = Vec::new();
    table.heading(&mut out);
    table.row(&mut out, &row);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "\x1b[2mstate\x1b[0m   \x1b[2mreason\x1b[0m   \x1b[2mpid\x1b[0m\n\x1b[36mLISTEN\x1b[0m  \x1b[31mrefused\x1b[0m    7\n"
    );
}

#[test]
fn a_terminal_cuts_the_widest() {
    assert_eq!(table("owners,cgroup", &rows(), Some(18)), "owners    cgroup\n7/a\\x1b~  -\n-         /sys/lä~\n");
    assert_eq!(table("cgroup", &rows(), Some(8)), "cgroup\n-\n/sys/lä~\n");
    assert_eq!(table("cgroup", &rows(), Some(7)), "cgroup\n-\n/sys/längst\n", "nothing is cut in vain");
    let wide = [Kept(vec![(Field::Cgroup, Value::text(Some("日本語日本語".as_bytes())))])];
    assert_eq!(table("cgroup", &wide, Some(8)), "cgroup\n日本語~\n");
}
