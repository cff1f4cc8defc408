//! Cases that are one of a kind, or whose messages we word ourselves.

use super::{Env, GERMAN};
use crate::case::Case;
use crate::scenes::Scene;

/// All of them.
pub fn all() -> Vec<Case> {
    use Scene::{Network, Sockets, Tree};
    let mut cases = Vec::new();
    // Usage errors: netstat's exit code and silence on standard output, in words of our own.
    for args in [
        "-I",
        "-I=lo",
        "-q",
        "-j",
        "--foo",
        "--num",
        "--ip6",
        "--econet",
        "--ash",
        "--tcpm",
        "-A",
        "--protocol",
        "-rr",
        "-ri",
        "-ir",
        "-rs",
        "-is",
        "-ii",
        "-ss",
        "-rM",
        "-Ms",
        "-?",
        "--tcp=1",
        "--numeric=yes",
        "-t -q",
        "-rn -A econet",
        "-rn -A ash",
        "-r -x",
        "--route --interfaces",
        "--interfaces=eth1",
        "--tc --al --prog",
        "--uni",
        "--p=inet",
        "--ip=inet",
    ] {
        cases.push(Case::new(Sockets, args).own_words());
    }
    // getopt's own messages, byte for byte: a letter of two bytes is two to it.
    for args in
        ["-q", "-ä", "-täl", "--ü", "--foo=é", "--num", "--uni", "--in=ß", "--tcp=é", "--tcpm", "-A", "--protocol"]
    {
        cases.push(Case::new(Sockets, args).first_line());
    }
    cases.push(Case::new(Sockets, "-A ä"));
    // Whoever wants POSIX has words end the options.
    for args in ["foo -tln", "-t foo -ln", "-tln foo", "-tl -- -n", "foo -q"] {
        cases.push(Case::new(Sockets, args).env(&[("POSIXLY_CORRECT", "1")]));
        cases.push(Case::new(Sockets, args).env(&[("POSIXLY_CORRECT", "")]));
    }
    for args in ["-r", "-r -6", "-rC", "-i", "-ie", "-s", "-s -6", "-sS"] {
        cases.push(Case::new(Tree("absent"), args).own_words());
    }
    for args in ["-rn -A ax25", "-rn -A ipx", "-rn -A x25", "-rn -A rose", "-rn -A ddp"] {
        cases.push(Case::new(Network, args));
        cases.push(Case::new(Network, args).env(GERMAN));
    }
    // netstat's reason for the second of the two files depends on where its output goes.
    cases.push(Case::new(Network, "-rn -A netrom").own_words());
    // Other users: what they may not see, and how it is said.
    for args in ["-tanp", "-anp", "-xap", "-tan", "-uap", "-x", "-r", "-s", "-lp", "-tanpe"] {
        cases.push(Case::new(Sockets, args).uid(65_534));
        cases.push(Case::new(Sockets, args).uid(65_534).env(GERMAN));
    }
    for args in ["-tanp", "-tlp", "-xlp"] {
        cases.push(Case::new(Sockets, args).uid(1000));
        cases.push(Case::new(Sockets, args).uid(54_321));
    }
    for args in ["-i", "-ie", "-rn", "-g"] {
        cases.push(Case::new(Network, args).uid(65_534));
    }
    // How the language is chosen.
    let environments: [Env; 19] = [
        &[("LANG", "de_DE.UTF-8")],
        &[("LC_MESSAGES", "de_DE.UTF-8")],
        &[("LC_CTYPE", "de_DE.UTF-8")],
        &[("LC_NUMERIC", "de_DE.UTF-8")],
        &[("LANG", "de_DE.UTF-8"), ("LC_MESSAGES", "C")],
        &[("LANG", "de_DE.UTF-8"), ("LC_NUMERIC", "C")],
        &[("LANG", "de_DE.UTF-8"), ("LC_CTYPE", "C")],
        &[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")],
        &[("LANG", "de_DE.UTF-8"), ("LC_ALL", "")],
        &[("LANG", "C"), ("LC_ALL", "de_DE.UTF-8")],
        &[("LANG", "C.UTF-8"), ("LC_MESSAGES", "de_DE.UTF-8")],
        &[("LANG", "C.UTF-8"), ("LANGUAGE", "de")],
        &[("LANG", "de_DE.UTF-8"), ("LANGUAGE", "en")],
        &[("LANG", "de_DE.UTF-8"), ("LANGUAGE", "xx:de")],
        &[("LANG", "de_DE.ISO-8859-1"), ("LC_CTYPE", "de_DE.UTF-8")],
        &[("LANG", "de_DE.utf8")],
        &[("LANG", "de_AT.UTF-8")],
        &[("LANG", "de_DE")],
        &[("LC_ALL", "nonsense"), ("LANG", "de_DE.UTF-8")],
    ];
    for env in environments {
        cases.push(Case::new(Tree("tables"), "-alpeno").env(env));
    }
    for env in [&environments[1], &environments[6], &environments[12]] {
        cases.push(Case::new(Network, "-ia").env(env));
    }
    // A locale that was never generated.
    cases.push(Case::new(Sockets, "-an").env(GERMAN).binds(&[("empty", "/usr/lib/locale")]));
    // Other name files.
    let names: [&'static [(&'static str, &'static str)]; 6] = [
        &[("etc-odd/hosts", "/etc/hosts")],
        &[("etc-odd/services", "/etc/services")],
        &[("etc-odd/passwd", "/etc/passwd")],
        &[("etc-odd/protocols", "/etc/protocols")],
        &[("etc-odd/nsswitch.conf", "/etc/nsswitch.conf")],
        &[
            ("etc-odd/empty", "/etc/hosts"),
            ("etc-odd/empty", "/etc/services"),
            ("etc-odd/empty", "/etc/protocols"),
            ("etc-odd/empty", "/etc/passwd"),
        ],
    ];
    for binds in names {
        cases.push(Case::new(Sockets, "-ae").binds(binds));
        cases.push(Case::new(Sockets, "-aeW --numeric-ports").binds(binds));
        cases.push(Case::new(Tree("tables"), "-ae").binds(binds));
    }
    let networks: [&'static [(&'static str, &'static str)]; 2] = [
        &[("etc-odd/networks", "/etc/networks")],
        &[("etc-odd/empty", "/etc/networks"), ("etc-odd/empty", "/etc/hosts")],
    ];
    for binds in networks {
        cases.push(Case::new(Network, "-r").binds(binds));
        cases.push(Case::new(Network, "-ree").binds(binds));
        cases.push(Case::new(Network, "-g").binds(binds));
    }
    // Every second anew, headings and all.
    for (scene, args) in
        [(Sockets, "-tanc"), (Network, "-ic"), (Network, "-rnc"), (Tree("counters"), "-sc"), (Sockets, "-xc")]
    {
        cases.push(Case::new(scene, args).stop(1600));
    }
    cases.push(Case::new(Sockets, "--continuous -lt").stop(1600));
    cases
}
