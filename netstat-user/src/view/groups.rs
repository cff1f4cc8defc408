//! `-g`: multicast groups.

use crate::lang::Lang;
use crate::model::net::Group;
use crate::model::visible::escape;
use crate::view::json::Object;
use crate::view::text::{left, put};

/// Title and heading.
pub fn heading(out: &mut Vec<u8>, lang: &Lang) {
    out.extend_from_slice(b"IPv6/");
    out.extend_from_slice(lang.text("IPv4 Group Memberships\n"));
    out.extend_from_slice(lang.text("Interface       RefCnt Group\n"));
    out.extend_from_slice(b"--------------- ------ ---------------------\n");
}

/// A row; `name` is the name or address of the group.
pub fn row(out: &mut Vec<u8>, group: &Group, name: &[u8]) {
    left(out, &escape(&group.iface), 15);
    put!(out, " {:<6} ", group.refs);
    out.extend_from_slice(name);
    out.push(b'\n');
}

/// A group as a JSON object.
pub fn json(out: &mut Vec<u8>, group: &Group) {
    let mut object = Object::begin(out);
    object.string("family", if group.group.is_ipv6() { b"inet6" } else { b"inet" });
    object.string("interface", &group.iface);
    object.number("refcnt", group.refs);
    object.string("group", group.group.to_string().as_bytes());
    object.end();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table() {
        let group = Group { iface: b"lo\n".to_vec(), refs: 70000, group: "ff02::1".parse().unwrap() };
        let mut out = Vec::new();
        heading(&mut out, &Lang::german_utf8());
        row(&mut out, &group, b"ip6-allnodes");
        json(&mut out, &group);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "IPv6/IPv4-Gruppenmitgliedschaften\nSchnittstelle   RefZäh Grupp\n\
             --------------- ------ ---------------------\n\
             lo\\n            70000  ip6-allnodes\n\
             {\"family\":\"inet6\",\"interface\":\"lo\\n\",\"refcnt\":70000,\"group\":\"ff02::1\"}\n"
        );
    }
}
