use super::*;
use crate::model::INFO_FIELDS;
use std::collections::HashSet;

#[test]
fn every_field_stands_at_its_place_under_a_name_of_its_own() {
    let mut names = HashSet::new();
    for (at, spec) in FIELDS.iter().enumerate() {
        assert_eq!(spec.field as usize, at);
        assert_eq!(Field::named(spec.name), Some(spec.field));
        assert!(names.insert(spec.name), "{} stands there twice", spec.name);
        assert!(!spec.doc.is_empty() && !spec.doc.ends_with('.'), "{}", spec.name);
        assert_ne!(spec.rows(), RowKinds::NONE, "no row has {}", spec.name);
        assert!(!spec.always.meets(spec.asked), "{} is there always or when asked for", spec.name);
        if let Some((group, _)) = spec.field.nested() {
            assert!(GROUPS.contains(&group), "{}", spec.name);
        }
    }
    for name in GROUPS {
        assert!(group(name).count() > 1 && Field::named(name).is_none(), "{name}");
    }
}

/// The fields that the design promises, beyond those of the JSON objects.
#[test]
fn nothing_that_was_promised_is_missing() {
    let promised = "cgroup unit container pod netns_name owners.comm age_ns state_age_ns peer.pid peer.comm peer.container \
        info.rtt_us info.rttvar_us info.cwnd info.ssthresh info.mss info.pmtu info.congestion info.retransmits info.lost \
        info.bytes_sent info.bytes_acked info.bytes_received info.segs_in info.segs_out info.delivery_rate \
        info.pacing_rate info.last_send_ms info.last_recv_ms info.min_rtt_us";
    for name in promised.split_whitespace() {
        assert!(Field::named(name).is_some(), "{name}");
    }
}

#[test]
fn the_kernels_values_of_a_connection_are_the_fields_of_info_in_their_units() {
    let named: HashSet<String> = INFO_FIELDS.iter().map(|value| format!("info.{}", value.name)).collect();
    for field in group("info").filter(|field| *field != Field::InfoCongestion) {
        let (name, kind) = (field.name(), field.spec().kind);
        assert!(named.contains(name), "{name} is no value");
        let of_name = match name.rsplit_once('_') {
            Some((_, "us")) => Some(Unit::Micros),
            Some((_, "ms")) => Some(Unit::Millis),
            _ => None,
        };
        let unit = match kind {
            ValueKind::Span(unit) => Some(unit),
            _ => None,
        };
        assert_eq!(unit, of_name, "{name}");
        assert!(unit.is_some() || matches!(kind, ValueKind::Number | ValueKind::Bytes), "{name}");
    }
    assert_eq!(group("info").count(), INFO_FIELDS.len() + 1, "a value is no field");
}

#[test]
fn the_words_of_a_field_are_several_and_differ() {
    for spec in &FIELDS {
        let ValueKind::Word(words) = spec.kind else { continue };
        let once: HashSet<&str> = words.iter().copied().collect();
        assert!(once.len() == words.len() && once.len() > 1 && !once.contains(""), "{}", spec.name);
    }
}

#[test]
fn columns_are_fields_and_groups_of_the_rows_that_are_listed() {
    let inet = RowKinds::INET;
    assert_eq!(
        Column::parse_list("local.port, state,owners", inet),
        Ok(vec![Column::Field(Field::LocalPort), Column::Field(Field::State), Column::Group("owners")])
    );
    let unknown = |name: &str| Column::parse(name, inet).unwrap_err().to_string();
    assert!(unknown("local.prt").contains("did you mean `local.port'?"), "{}", unknown("local.prt"));
    assert!(!unknown("zzzzzzz").contains("did you mean"), "{}", unknown("zzzzzzz"));
    assert!(unknown("path").ends_with("a field `path': UNIX sockets (-x) have it"), "{}", unknown("path"));
    assert!(unknown("reason").ends_with(": closed sockets (--recent 5m) and events (netstat-user events) have it"));
    assert!(unknown("owner").ends_with("; did you mean `owners'?"), "{}", unknown("owner"));
    assert!(unknown("count").contains("--count-by"), "{}", unknown("count"));
    assert!(
        unknown("owners.nme").ends_with("; of `owners' there are owners.pid owners.program owners.comm owners.owner")
    );
    assert_eq!(Column::parse_list("state,", inet), Err(ColumnError::Empty));
    assert_eq!(Column::Group("local").fields().collect::<Vec<_>>(), [Field::LocalAddr, Field::LocalPort]);
}

#[test]
fn values_are_ordered_with_the_unknown_last() {
    let mut values =
        [Value::Null, Value::text(Some(b"b")), Value::Number(10), Value::text(Some(b"a")), Value::Number(9)];
    values.sort();
    let sorted = [Value::Number(9), Value::Number(10), Value::text(Some(b"a")), Value::text(Some(b"b")), Value::Null];
    assert_eq!(values, sorted);
}

#[test]
fn the_nearest_word_is_the_one_with_the_fewest_mistakes() {
    for (word, known, near) in [
        ("tpc", &["tcp6", "tcp4", "tcp", "udp"][..], Some("tcp")),
        ("sprt", &["src", "sport", "dport"], Some("sport")),
        ("listning", &["listen", "listening", "closing"], Some("listening")),
        ("evnts", &["agent", "events", "doctor"], Some("events")),
        ("count", &["container", "comm", "cookie"], None),
        ("zzz", &["tcp", "udp"], None),
        ("cols", &["color", "columns", "count"], Some("columns")),
        ("cl", &["color", "columns"], None),
    ] {
        assert_eq!(nearest(word, known.iter().copied()), near, "{word}");
    }
}
