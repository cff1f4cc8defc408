//! The table of cases: adding one is adding a word.

use crate::case::Case;
use crate::compare::Mask;
use crate::scenes::Scene;

type Env = &'static [(&'static str, &'static str)];

const GERMAN: Env = &[("LC_ALL", "de_DE.UTF-8")];
const LATIN1: Env = &[("LC_ALL", "de_DE.ISO-8859-1")];

/// Command lines that are compared in English and in German, in both charsets where `LATIN1` is said.
struct Group {
    scene: Scene,
    mask: Mask,
    languages: &'static [Env],
    args: &'static [&'static str],
}

const ENGLISH_ONLY: &[Env] = &[&[]];
const TWO: &[Env] = &[&[], GERMAN];
const THREE: &[Env] = &[&[], GERMAN, LATIN1];

const GROUPS: &[Group] = &[
    // Internet sockets, letter by letter.
    Group {
        scene: Scene::Sockets,
        mask: Mask::None,
        languages: TWO,
        args: &[
            "", "-a", "-l", "-n", "-an", "-ln", "-al", "-e", "-ee", "-ae", "-p", "-ap", "-lp", "-W", "-aW", "-anW",
            "-v", "-t", "-u", "-w", "-ta", "-tl", "-tn", "-tan", "-tln", "-ua", "-ul", "-un", "-uan", "-uln", "-wa",
            "-wl", "-wan", "-wln", "-tu", "-tuan", "-tuwan", "-tae", "-tap", "-taW", "-tapenW", "-tapen", "-uapen",
            "-wapen", "-tulpen", "-tulpn", "-tunap", "-4", "-6", "-46", "-4a", "-6a", "-4an", "-6an", "-4tan", "-6tan",
            "-4uan", "-6uan", "-4wan", "-6wan", "-64an", "-4l", "-6l", "-6anW", "-tan4W", "-U", "-Uan", "-x", "-xa",
            "-xl", "-xan", "-xap", "-xae", "-xlp", "-xalpeno", "-xt", "-xtan", "-xuap",
        ],
    },
    Group {
        scene: Scene::Sockets,
        mask: Mask::Timers,
        languages: TWO,
        args: &["-o", "-ao", "-tao", "-tano", "-tapeno", "-uano", "-wano", "-alpenoW", "-tanoW", "-6tano"],
    },
    Group { scene: Scene::Sockets, mask: Mask::Timers, languages: &[LATIN1], args: &["-alpeno", "-a", "-tanop"] },
    // Long names, their abbreviations, and families.
    Group {
        scene: Scene::Sockets,
        mask: Mask::None,
        languages: ENGLISH_ONLY,
        args: &[
            "--tcp --all",
            "--tcp --all --numeric",
            "--udp --listening",
            "--raw --numeric --all",
            "--udplite",
            "--unix",
            "--unix --all --programs",
            "--all --numeric-hosts",
            "--all --numeric-ports",
            "--all --numeric-users --extend",
            "--tcp --list",
            "--all --wide --numeric",
            "--inet",
            "--inet --all -n",
            "--inet6 -an",
            "--ip -an",
            "--inet --inet6 -an",
            "--protocol=inet -an",
            "--protocol=inet6 -an",
            "--protocol=unix -a",
            "--protocol=inet,inet6 -an",
            "--protocol inet -an",
            "-A inet -an",
            "-A inet6 -an",
            "-A unix -a",
            "-Ainet,unix -an",
            "-A inet -A inet6 -tan",
            "-A inet,inet6 -tuan",
            "--tcp foo",
            "foo bar",
            "-t -a -n",
            "-na -t",
            "-tan 5",
            "-tan -- -x",
            "-tan -d",
            "-tN",
            "-atv",
            "-4x",
            "-6xa",
            "-tx4an",
            "-lat",
            "-lan",
            "-aln",
            "-tapenl",
            "--verbose -tan",
            "--extend --tcp -a -n",
            "--symbolic -ta",
        ],
    },
    // The tables no kernel would fill so: every state, every timer, numbers wider than their columns.
    Group {
        scene: Scene::Tree("tables"),
        mask: Mask::None,
        languages: THREE,
        args: &[
            "", "-a", "-l", "-an", "-anW", "-aneo", "-anp", "-alpeno", "-tano", "-uano", "-wano", "-Uano", "-xa",
            "-xap",
        ],
    },
    Group {
        scene: Scene::Tree("tables"),
        mask: Mask::None,
        languages: ENGLISH_ONLY,
        args: &[
            "-San", "-San4", "-Sanpe", "-Sl", "-S", "-SaW", "-anv", "-6anpeo", "-4anpeo", "-U6a", "-U4n", "-wn", "-un",
        ],
    },
    // A kernel that has nothing, or no IPv6.
    Group {
        scene: Scene::Tree("absent"),
        mask: Mask::None,
        languages: TWO,
        args: &[
            "",
            "-a",
            "-t",
            "-tu",
            "-w",
            "-U",
            "-x",
            "-xt",
            "-M",
            "-v",
            "-S",
            "-p",
            "-tv",
            "-4",
            "-6",
            "-g",
            "--ax25",
            "-A inet,ax25",
        ],
    },
    Group {
        scene: Scene::Tree("no-ipv6"),
        mask: Mask::None,
        languages: ENGLISH_ONLY,
        args: &["", "-an", "-6an", "-tan", "-t6", "-t46", "-u6", "-w6", "-g", "-r", "-v", "-av"],
    },
    // Every flag a route can have, and numbers wider than their columns.
    Group {
        scene: Scene::Tree("routes"),
        mask: Mask::None,
        languages: TWO,
        args: &[
            "-r",
            "-rn",
            "-rne",
            "-rnee",
            "-rC",
            "-rnCee",
            "-rFC",
            "-r -6",
            "-rn -6",
            "-rC -6",
            "-rn -4 -6",
            "-g",
            "-gn",
        ],
    },
    // The zoo again, as it once was: nothing moves, nothing is masked.
    Group {
        scene: Scene::Tree("captured"),
        mask: Mask::None,
        languages: TWO,
        args: &[
            "", "-a", "-l", "-an", "-alpeno", "-tapen", "-tano", "-uane", "-wan", "-xap", "-r", "-rn", "-ree",
            "-rn -6", "-g", "-s", "-s -6",
        ],
    },
    Group {
        scene: Scene::Tree("families"),
        mask: Mask::None,
        languages: THREE,
        args: &["-A ax25", "-A ax25 -a", "-A netrom -a", "-A x25 -a", "-an"],
    },
    Group {
        scene: Scene::Tree("families"),
        mask: Mask::None,
        languages: ENGLISH_ONLY,
        args: &[
            "--ax25",
            "--ax25 -a",
            "--ax25 -l",
            "--x25",
            "--x25 -l",
            "--netrom",
            "--netrom -l",
            "-A netrom",
            "-A x25",
            "--ax25 --netrom -a",
            "-A ax25,netrom,x25 -ap",
            "-rn --x25",
            "-re -A ax25,netrom,rose,x25",
            "-rC -A netrom",
        ],
    },
    Group {
        scene: Scene::Tree("families"),
        mask: Mask::None,
        languages: THREE,
        args: &["-r -A ax25", "-r -A netrom", "-r -A rose", "-r -A x25"],
    },
    // Files that are there without those they usually come with.
    Group {
        scene: Scene::Tree("halves"),
        mask: Mask::None,
        languages: ENGLISH_ONLY,
        args: &[
            "",
            "-an",
            "-tan",
            "-uan",
            "-wan",
            "-tuan",
            "-San",
            "-Sl",
            "-S",
            "-g",
            "-gn",
            "-gv",
            "-6an",
            "-4an",
            "-x",
            "-A unix,inet",
            "-A inet,unix -v",
            "-4x",
            "-tx",
            "-6xv",
            "-t4",
            "-t6an",
            "-vn",
            "-v4",
        ],
    },
    // What is well-formed and yet unusual: another protocol than 0, an inode twice, retransmissions of a raw socket.
    Group {
        scene: Scene::Tree("odd"),
        mask: Mask::None,
        languages: TWO,
        args: &["-a", "-xa", "-xl", "-wano", "-wao", "-uano", "-g", "-gn", "-Sa", "-Sae", "-San", "-SanoW"],
    },
    Group {
        scene: Scene::Tree("odd"),
        mask: Mask::None,
        languages: ENGLISH_ONLY,
        args: &[
            "-Sa --numeric-ports",
            "-Sa --numeric-users",
            "-Sa --numeric-hosts",
            "-SaN",
            "-wa --numeric-ports",
            "-wuaN",
        ],
    },
    Group {
        scene: Scene::Tree("families-old"),
        mask: Mask::None,
        languages: TWO,
        args: &["--ax25", "--ax25 -a", "-A ax25 -l"],
    },
    // Routes, interfaces, groups.
    Group {
        scene: Scene::Network,
        mask: Mask::None,
        languages: TWO,
        args: &[
            "-r",
            "-rn",
            "-re",
            "-ren",
            "-ree",
            "-reen",
            "-rv",
            "-rF",
            "-rC",
            "-rFC",
            "-rCe",
            "-rCee",
            "-r -4",
            "-r -6",
            "-rn -6",
            "-rn -4 -6",
            "-rn -6 -4",
            "-rne -6",
            "-rnC -6",
            "-rnFC -6",
            "-i",
            "-ia",
            "-ie",
            "-iae",
            "-iee",
            "-in",
            "-iW",
            "-iv",
            "-g",
            "-gn",
        ],
    },
    Group {
        scene: Scene::Network,
        mask: Mask::None,
        languages: ENGLISH_ONLY,
        args: &[
            "--route",
            "--route --numeric",
            "--route --extend -n",
            "--route --inet6 -n",
            "-rn -A inet",
            "-rn -A inet6",
            "-rn -A inet,inet6",
            "-rn -A inet6,inet",
            "-rnW",
            "-rna",
            "-rnl",
            "-rnp",
            "-rno",
            "-rnt",
            "-rn --fib",
            "-rn --cache",
            "--interfaces",
            "--interfaces --all",
            "-i eth1",
            "-ian",
            "-ial",
            "-ip",
            "-it",
            "--groups",
            "--groups --numeric",
            "-gt",
            "-gx",
            "-gl",
            "-iv -a",
            "-rnx",
            "-rn -A unix",
        ],
    },
    Group {
        scene: Scene::Network,
        mask: Mask::None,
        languages: &[LATIN1],
        args: &["-r", "-i", "-ia", "-iae", "-g", "-ree"],
    },
    Group {
        scene: Scene::Bare,
        mask: Mask::None,
        languages: TWO,
        args: &["", "-a", "-r", "-rn -6", "-i", "-ia", "-iae", "-g", "-x", "-t", "-av"],
    },
    // Statistics, with every counter of every kernel.
    Group {
        scene: Scene::Tree("counters"),
        mask: Mask::None,
        languages: TWO,
        args: &["-s", "-st", "-su", "-sw", "-s -6", "-s -4", "-sS"],
    },
    Group {
        scene: Scene::Tree("counters"),
        mask: Mask::None,
        languages: ENGLISH_ONLY,
        args: &[
            "--statistics",
            "--statistics --tcp",
            "-stu",
            "-stuw",
            "-sU",
            "-st -6",
            "-su -6",
            "-sw -6",
            "-sn",
            "-sa",
            "-se",
            "-sp",
            "-sv",
            "-sW",
            "-s -4 -6",
            "-s -x",
            "-s -A inet6",
            "-s -A inet",
            "-s -A unix",
            "-s -A ax25",
        ],
    },
    Group {
        scene: Scene::Tree("counters-zero"),
        mask: Mask::None,
        languages: ENGLISH_ONLY,
        args: &["-s", "-st", "-su", "-sw", "-s -6", "-sS"],
    },
    Group {
        scene: Scene::Tree("counters-one"),
        mask: Mask::None,
        languages: ENGLISH_ONLY,
        args: &["-s", "-s -6", "-sS"],
    },
    Group { scene: Scene::Tree("counters-huge"), mask: Mask::None, languages: ENGLISH_ONLY, args: &["-s", "-s -6"] },
    Group {
        scene: Scene::Tree("counters-old"),
        mask: Mask::None,
        languages: ENGLISH_ONLY,
        args: &["-s", "-st", "-su", "-sw", "-s -6", "-sS"],
    },
    Group { scene: Scene::Sockets, mask: Mask::None, languages: TWO, args: &["-s", "-s -6", "-st", "-su"] },
    // What is refused, or wins over what.
    Group {
        scene: Scene::Sockets,
        mask: Mask::None,
        languages: TWO,
        args: &[
            "-M",
            "-Z",
            "-A foo",
            "-A inet,foo",
            "-A ''",
            "-A ipx",
            "-A ax25",
            "-A x25",
            "-A netrom",
            "-A rose",
            "--ipx",
            "--ax25",
            "--x25",
            "--netrom",
            "--rose",
            "-S",
            "-tS",
            "-St",
            "-Sx",
            "-2",
            "-f",
            "-t2",
            "-tf",
            "--l2cap",
            "--rfcomm",
            "--bluetooth",
            "-s -4 -6",
            "-sx",
            "-gv",
            "-Mv",
            "-SA inet",
            "-rA bluetooth",
        ],
    },
];

/// Cases that are one of a kind, or whose messages we word ourselves.
fn singles() -> Vec<Case> {
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

/// Every case.
pub fn all() -> Vec<Case> {
    let grouped = GROUPS.iter().flat_map(|group| {
        let with = move |args: &'static str| {
            group.languages.iter().map(move |env| Case::new(group.scene, args).env(env).mask(group.mask))
        };
        group.args.iter().copied().flat_map(with)
    });
    grouped.chain(singles()).collect()
}
