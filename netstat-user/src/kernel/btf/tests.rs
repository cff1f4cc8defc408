use super::*;
use aya_obj::btf::BtfKind;

/// A blob with `struct s { int a; struct { u8 b_bits:3; long c; }; }`, as a compiler would lay it out.
fn blob() -> Vec<u8> {
    let strings = b"\0s\0a\0c\0b\0int\0";
    let (s, a, c, b, int) = (1u32, 3u32, 5u32, 7u32, 9u32);
    let mut types = Vec::new();
    let mut word = |w: u32| types.extend_from_slice(&w.to_le_bytes());
    // 1: int
    [int, 1 << 24, 4, 32].into_iter().for_each(&mut word);
    // 2: the unnamed struct, with the kind flag: a bit field of three bits, and a member at bit 64
    [0, 1 << 31 | 4 << 24 | 2, 16, b, 1, 3 << 24, c, 1, 64].into_iter().for_each(&mut word);
    // 3: struct s
    [s, 4 << 24 | 2, 24, a, 1, 0, 0, 2, 64].into_iter().for_each(&mut word);
    let mut blob = vec![0x9f, 0xeb, 1, 0];
    for w in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
        blob.extend_from_slice(&w.to_le_bytes());
    }
    blob.extend_from_slice(&types);
    blob.extend_from_slice(strings);
    blob
}

#[test]
fn finds_members_through_unnamed_structs() {
    let blob = blob();
    let btf = Btf::parse(&blob, &|_| true).unwrap();
    assert_eq!(btf.offset("s", "a"), Some(0));
    assert_eq!(btf.offset("s", "c"), Some(16));
    assert_eq!(btf.offset("s", "b"), None, "a bit field has no byte offset");
    assert_eq!(btf.offset("s", "nothing"), None);
    assert_eq!(btf.offset("t", "a"), None);
}

#[test]
fn a_member_has_a_shape() {
    let strings = b"\0s\0n\0q\0t\0f\0x\0";
    let (s, n, q, t, f, x) = (1, 3, 5, 7, 9, 11);
    let member = |name: u32, typ: u32, bits: u32| [name, typ, bits];
    let types = [
        // 1: an int of eight bytes; 2: a typedef of it; 3: that, volatile; 4: a pointer to it; 5: seven of them
        &[0, KIND_INT << 24, 8, 64][..],
        &[0, KIND_TYPEDEF << 24, 1],
        &[0, KIND_VOLATILE << 24, 2],
        &[0, KIND_PTR << 24, 3],
        &[0, KIND_ARRAY << 24, 0, 3, 1, 7],
        // 6: an empty struct; 7: a forward declaration; 8: a typedef of itself
        &[0, KIND_STRUCT << 24, 0],
        &[0, KIND_FWD << 24, 0],
        &[0, KIND_TYPEDEF << 24, 8],
        &[s, KIND_STRUCT << 24 | 6, 80],
        &member(n, 3, 0),
        &member(q, 4, 64),
        &member(t, 5, 128),
        &member(f, 6, 576),
        &member(x, 7, 576),
        &member(s, 8, 576),
    ]
    .concat();
    let blob = blob_of(&types, strings, &[]);
    let btf = Btf::parse(&blob, &|_| true).unwrap();
    let shapes = [
        ("n", TypeShape::Number(8)),
        ("q", TypeShape::Pointer),
        ("t", TypeShape::Array(7)),
        ("f", TypeShape::Compound(0)),
    ];
    for (member, shape) in shapes.into_iter().chain([("x", TypeShape::Other), ("s", TypeShape::Other)]) {
        assert_eq!(btf.member("s", member).map(|(_, shape)| shape), Some(shape), "{member}");
    }
}

#[test]
fn refuses_what_it_cannot_walk() {
    let whole = blob();
    for len in 0..whole.len() {
        // Any prefix is an error or a smaller blob; none may panic.
        let _ = Btf::parse(&whole[..len], &|_| true).map(|btf| btf.offset("s", "c"));
    }
    assert_eq!(Btf::parse(b"\x9f\xeb\x02", &|_| true).err(), Some(BtfError::Magic));
}

/// The words of a blob's types; `layouts` is (fixed, each) of every kind from 0 on.
pub fn blob_of(types: &[u32], strings: &[u8], layouts: &[(u8, u8)]) -> Vec<u8> {
    let types: Vec<u8> = types.iter().flat_map(|word| word.to_le_bytes()).collect();
    let layouts: Vec<u8> = layouts.iter().flat_map(|&(fixed, each)| [fixed, each, 0, 0]).collect();
    let header = if layouts.is_empty() { HEADER } else { HEADER_WITH_LAYOUTS };
    let (types_len, layouts_len) = (types.len() as u32, layouts.len() as u32);
    let mut blob = vec![0x9f, 0xeb, 1, 0];
    let lengths = [header as u32, 0, types_len, types_len + layouts_len, strings.len() as u32, types_len, layouts_len];
    blob.extend(lengths.iter().flat_map(|word| word.to_le_bytes()).take(header - 4));
    [&types[..], &layouts, strings].iter().for_each(|section| blob.extend_from_slice(section));
    blob
}

/// `int`, something of a new kind with a tail of this many words, `struct s { int a; int *p; }`, the new kind again.
fn blob_with(kind: u32, vlen: u32, tail: &[u32], layouts: &[(u8, u8)]) -> Vec<u8> {
    let strings = b"\0s\0a\0p\0int\0new\0";
    let (s, a, p, int, new) = (1, 3, 5, 7, 11);
    let unknown = [&[new, kind << 24 | vlen, 1], tail].concat();
    let strukt = [s, KIND_STRUCT << 24 | 2, 16, a, 1, 0, p, 3, 64];
    let types =
        [&[int, 1 << 24, 4, 32], &unknown[..], &[0, KIND_PTR << 24, 1], &strukt, &unknown, &[s, KIND_TYPEDEF << 24, 4]];
    blob_of(&types.concat(), strings, layouts)
}

#[test]
fn a_kind_of_a_later_kernel_is_passed_over() {
    let cases: [(u32, u32, &[u32]); 7] = [
        (20, 0, &[]),
        (20, 0, &[7]),
        (31, 2, &[3, 1, 5, 2]),
        (20, 3, &[1, 2, 3]),
        (63, 2, &[1, 1, 0, 3, 1, 32]),
        (24, 0, &[1, 2]),
        (24, 0, &[1, 2, 3]),
    ];
    for (kind, vlen, tail) in cases {
        let blob = blob_with(kind, vlen, tail, &[]);
        let btf = Btf::parse(&blob, &|_| true).unwrap_or_else(|error| panic!("{kind} {vlen} {tail:?}: {error}"));
        assert_eq!(btf.member("s", "a"), Some((0, TypeShape::Number(4))), "{kind} {vlen} {tail:?}");
        assert_eq!(btf.member("s", "p"), Some((8, TypeShape::Pointer)));
        // aya, which gives up at such a kind, gets them as something that it knows.
        let all = aya::Btf::parse(&blob, aya::Endianness::Little);
        assert!(all.is_err(), "aya knows kind {kind} by now");
        let btf = aya::Btf::parse(&btf.named_alone(), aya::Endianness::Little).unwrap();
        assert!(btf.id_by_type_name_kind("s", BtfKind::Struct).is_err());
        assert_eq!(btf.id_by_type_name_kind("s", BtfKind::Typedef).unwrap(), 6);
    }
}

#[test]
fn a_blob_may_say_how_long_its_types_are() {
    // A tail that nobody would guess.
    let tail = [1, 2, 3, 4, 5, 6, 7];
    assert!(matches!(
        Btf::parse(&blob_with(20, 2, &tail, &[]), &|_| true),
        Err(BtfError::UnknownKind { id: 2, kind: 20 })
    ));
    let mut layouts = vec![(0, 0); 21];
    layouts[20] = (4, 12);
    let blob = blob_with(20, 2, &tail, &layouts);
    let btf = Btf::parse(&blob, &|_| true).unwrap();
    assert_eq!(btf.member("s", "p"), Some((8, TypeShape::Pointer)));
    for len in 0..blob.len() {
        let _ = Btf::parse(&blob[..len], &|_| true).map(|btf| btf.named_alone());
    }
}

#[test]
fn the_running_kernels_types_with_a_kind_unknown_to_anybody() {
    let Ok(mut blob) = std::fs::read("/sys/kernel/btf/vmlinux") else { return };
    let offsets = |blob: &[u8]| {
        let btf = Btf::parse(blob, &|_| true).unwrap();
        netstat_ebpf::Field::of_tracer().map(|(_, strukt, member)| btf.member(strukt, member)).collect::<Vec<_>>()
    };
    let before = offsets(&blob);
    let starts = Btf::parse(&blob, &|_| false).unwrap().starts;
    for &start in &starts[1..] {
        // Two kinds that no member is resolved through.
        let kind = &mut blob[HEADER + start as usize + 7];
        match u32::from(*kind & 0x1f) {
            KIND_DECL_TAG => *kind = *kind & 0x80 | 21,
            KIND_FUNC_PROTO => *kind = *kind & 0x80 | 22,
            _ => {}
        }
    }
    assert_eq!(offsets(&blob), before);
    assert!(aya::Btf::parse(&blob, aya::Endianness::Little).is_err());
}

#[test]
fn aya_finds_the_numbers_that_the_running_kernel_has() {
    let Ok(blob) = std::fs::read("/sys/kernel/btf/vmlinux") else { return };
    let wanted: [&[u8]; 3] = [b"tcp_set_state", b"btf_trace_inet_sock_set_state", b"bpf_iter_task_file"];
    let named = Btf::parse(&blob, &|name| wanted.contains(&name)).unwrap().named_alone();
    let [all, few] = [&blob, &named].map(|blob| aya::Btf::parse(blob, aya::Endianness::Little).unwrap());
    for (name, kind) in wanted.into_iter().zip([BtfKind::Func, BtfKind::Typedef, BtfKind::Func]) {
        let name = std::str::from_utf8(name).unwrap();
        let number = |btf: &aya::Btf| btf.id_by_type_name_kind(name, kind).unwrap();
        assert_eq!(number(&few), number(&all), "{name}");
    }
    assert!(named.len() < blob.len());
}

#[test]
fn knows_the_running_kernel() {
    let Ok(blob) = std::fs::read("/sys/kernel/btf/vmlinux") else { return };
    let btf = Btf::parse(&blob, &|_| true).unwrap();
    assert_eq!(btf.tracepoint_args("inet_sock_set_state"), Some(3));
    assert_eq!(btf.function_args("tcp_set_state"), Some(2));
    assert_eq!(btf.offset("sock_common", "skc_daddr"), Some(0));
    let (lock, owned) = (btf.offset("sock", "sk_lock").unwrap(), btf.offset("sock", "sk_lock.owned").unwrap());
    assert!((lock..lock + 16).contains(&owned));
    assert_eq!(btf.offset("sock", "sk_lock.nothing"), None);
    assert_eq!(btf.offset("sock", "sk_err.owned"), None, "a number has no members");
    for (_, strukt, member) in netstat_ebpf::Field::of_tracer() {
        assert!(btf.offset(strukt, member).is_some(), "{strukt}.{member}");
    }
}
