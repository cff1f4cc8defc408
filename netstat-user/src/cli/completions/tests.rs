use super::*;

/// What completes the last word of a line.
fn completed(line: &str) -> Vec<String> {
    let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
    let last = words.len() - 1;
    let mut command = command(&words[..last], &words[last]);
    let found = clap_complete::engine::complete(&mut command, words, last, None).unwrap();
    found.iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned()).collect()
}

#[test]
fn options_and_verbs_complete() {
    assert_eq!(completed("netstat-user --lis"), ["--listening"]);
    assert_eq!(completed("netstat-user --all-n"), ["--all-netns"]);
    assert_eq!(completed("netstat-user ev"), ["events"]);
    assert_eq!(completed("netstat-user events --dur"), ["--duration"]);
    assert_eq!(completed("netstat-user agent --recent-"), ["--recent-count"]);
    assert!(completed("netstat-user ").contains(&"doctor".to_owned()));
}

#[test]
fn values_complete_also_behind_a_comma() {
    assert_eq!(completed("netstat-user events --proto udpl"), ["udplite", "udplite4", "udplite6"]);
    assert_eq!(completed("netstat-user events --state ESTABLISHED,TIME"), ["ESTABLISHED,TIME_WAIT"]);
    assert_eq!(completed("netstat-user events --state=LIS"), ["--state=LISTEN"]);
    assert_eq!(completed("netstat-user events --probe raw"), ["raw_tp"]);
    assert_eq!(completed("netstat-user -A inet,ne"), ["inet,netrom"]);
    assert_eq!(completed("netstat-user --completions f"), ["fish"]);
}

#[test]
fn a_list_is_offered_nothing_that_it_has() {
    assert!(!completed("netstat-user events --event open,").contains(&"open,open".to_owned()));
    assert!(completed("netstat-user events --event=open,").contains(&"--event=open,close".to_owned()));
    assert_eq!(completed("netstat-user events --event open,ope"), Vec::<String>::new());
    assert_eq!(completed("netstat-user --state LISTEN,LIS"), Vec::<String>::new());
    assert_eq!(completed("netstat-user --sort cookie,-coo"), Vec::<String>::new());
    assert_eq!(completed("netstat-user --sort coo"), ["cookie"]);
}

#[test]
fn as_netstat_there_are_options_and_no_verbs() {
    assert_eq!(completed("netstat --lis"), ["--listening"]);
    assert_eq!(completed("/usr/bin/netstat --state LIS"), ["LISTEN"]);
    assert_eq!(completed("netstat ev"), Vec::<String>::new());
}

/// Words of a command line where the last has blanks.
fn continued(options: &str, expression: &str) -> Vec<String> {
    let words: Vec<OsString> = options.split(' ').chain(["--where", expression]).map(Into::into).collect();
    let last = words.len() - 1;
    let found = clap_complete::engine::complete(&mut command(&words[..last], &words[last]), words, last, None).unwrap();
    let whole = found.iter().map(|candidate| candidate.get_value().to_string_lossy().into_owned());
    let begin = expression.rfind([' ', '=', '(', '!']).map_or(0, |at| at + 1);
    whole.map(|whole| whole.strip_prefix(&expression[..begin]).unwrap().to_owned()).collect()
}

#[test]
fn fields_complete_wherever_they_may_be_named() {
    assert_eq!(completed("netstat-user --columns local.addr,remote.p"), ["local.addr,remote.port"]);
    assert_eq!(completed("netstat-user --count-by coo"), ["cookie"]);
    assert_eq!(completed("netstat-user --sort proto,-coo"), ["proto,-cookie"]);
    assert_eq!(completed("netstat-user --sort -coo"), ["-cookie"]);
    assert_eq!(completed("netstat-user events --event clo"), ["close"]);
    assert_eq!(completed("netstat-user events --columns clos"), ["closed_by.pid", "closed_by.comm", "closed_by"]);
    assert_eq!(completed("netstat-user --columns loca"), ["local.addr", "local.port", "local_addrs", "local"]);
}

#[test]
fn counts_are_sorted_by_what_is_counted() {
    assert_eq!(
        completed("netstat-user --count-by state,uid --sort "),
        ["state", "uid", "count", "-state", "-uid", "-count"]
    );
    assert_eq!(completed("netstat-user --count-by=comm --sort -c"), ["-comm", "-count"]);
    assert!(!completed("netstat-user --sort ").contains(&"count".to_owned()));
}

#[test]
fn fields_that_no_row_has_are_not_offered() {
    let offers = |line: &str, field: &str| {
        let bare = completed(&format!("{line} --columns ")).contains(&field.to_owned());
        let compared = continued(line, "").contains(&field.to_owned());
        assert!(bare || !compared, "{line} {field}");
        bare
    };
    for field in ["time", "event", "reason", "duration_ns"] {
        assert!(!offers("netstat-user -tan", field) && offers("netstat-user -tan --recent 1m", field), "{field}");
        assert!(offers("netstat-user events", field), "{field}");
    }
    for field in ["states", "states.ESTABLISHED"] {
        assert!(offers("netstat-user events --life", field), "{field}");
        for line in ["netstat-user", "netstat-user --recent 1m", "netstat-user events"] {
            assert!(!offers(line, field), "{line} {field}");
        }
    }
    assert!(offers("netstat-user -x", "path") && offers("netstat-user", "path"));
    assert!(!offers("netstat-user -t", "path") && !offers("netstat-user -x", "local.addr"));
    assert!(offers("netstat-user -S", "local_addrs") && !offers("netstat-user --proto udp", "local_addrs"));
    assert!(completed("netstat-user -r --columns ").is_empty(), "routes have no such columns");
}

#[test]
fn states_complete_in_the_case_that_is_typed() {
    let states = |typed: &str| completed(&format!("netstat-user --state {typed}"));
    assert_eq!(states("est"), ["established"]);
    assert_eq!(states("EST"), ["ESTABLISHED"]);
    assert_eq!(states("lis"), ["listening"]);
    assert_eq!(states("time-"), ["time-wait"]);
    assert_eq!(states("fin_"), ["fin_wait1", "fin_wait2"]);
    assert_eq!(states("established,conn"), ["established,connected"]);
    assert_eq!(states("SYNC"), ["SYNCHRONIZED"]);
    for group in ["connected", "synchronized", "bucket", "big", "all"] {
        assert!(states("").contains(&group.to_owned()), "{group}");
    }
    assert_eq!(completed("netstat-user kill --state=connec"), ["--state=connected"]);
}

#[test]
fn protocols_complete_where_their_sockets_are_listed() {
    let protocols = |line: &str| completed(&format!("{line} --proto "));
    for protocol in ["tcp", "tcp4", "tcp6", "udp4", "raw4", "udplite4", "sctp", "unix"] {
        assert!(protocols("netstat-user").contains(&protocol.to_owned()), "{protocol}");
        let internet = !["sctp", "unix"].contains(&protocol);
        for verb in ["events", "kill"] {
            let offered = protocols(&format!("netstat-user {verb}")).contains(&protocol.to_owned());
            assert_eq!(offered, internet, "{verb} {protocol}");
        }
    }
}

#[test]
fn expressions_complete_by_what_stands_before() {
    let tables = |expression: &str| continued("netstat-user", expression);
    assert_eq!(tables("state=LISTEN and not(local.po"), ["local.port"]);
    for word in ["src", "dst", "sport", "dport", "state", "exclude", "not", "recv_q"] {
        for before in ["", "not ", "recv_q > 4K and ", "(", "!", "autobound "] {
            assert!(tables(before).contains(&word.to_owned()), "`{before}' {word}");
        }
    }
    assert_eq!(tables("sp"), ["sport"]);
    assert_eq!(tables("state synch"), ["synchronized"]);
    assert_eq!(tables("exclude time-"), ["time-wait"]);
    assert_eq!(tables("state = estab"), ["established"]);
    assert_eq!(tables("state=ESTAB"), ["ESTABLISHED"]);
    assert_eq!(tables("state eq estab"), ["established"]);
    assert_eq!(tables("proto != udpl"), ["udplite", "udplite6"]);
    assert_eq!(continued("netstat-user events", "reason = re"), ["reset_received", "reset_sent", "refused"]);
    assert_eq!(continued("netstat-user events", "proto = u"), ["udp", "udp6", "udplite", "udplite6"]);
    assert_eq!(tables("recv_q > 4K a"), ["and", "autobound", "age_ns"]);
    assert_eq!(tables("recv_q >"), Vec::<String>::new());
    assert_eq!(tables("recv_q > 4"), Vec::<String>::new());
    assert_eq!(tables("sport "), Vec::<String>::new());
    assert_eq!(tables("recv_q !"), Vec::<String>::new());
}

/// Whatever is offered the program takes.
#[test]
fn what_is_offered_is_accepted() {
    let lines =
        ["netstat-user", "netstat-user -t", "netstat-user -x", "netstat-user --recent 1m", "netstat-user events"];
    for line in lines.into_iter().chain(["netstat-user events --life", "netstat-user kill --pid 1"]) {
        for option in ["--state", "--proto", "--columns", "--count-by", "--sort"] {
            // Not every verb has every one, and some exclude another.
            let excluded = line.contains("--life") && option == "--state";
            if excluded || completed(&format!("{line} {option}")) != [option] {
                continue;
            }
            for word in ["", "s", "S", "c", "C"].iter().flat_map(|typed| completed(&format!("{line} {option} {typed}")))
            {
                // Events have an order where they are counted alone.
                let counts = match (line.contains("events"), option) {
                    (true, "--sort") => format!(
                        " --count-by={}",
                        Some(word.trim_start_matches('-')).filter(|&word| word != "count").unwrap_or("comm")
                    ),
                    _ => String::new(),
                };
                let argv = format!("{line} {option}={word}{counts}");
                let parsed = crate::cli::parse(argv.split(' ').map(OsString::from), false);
                assert!(parsed.is_ok(), "{argv}: {parsed:?}");
            }
        }
        for field in continued(line, "").iter().filter(|word| crate::field::Field::named(word).is_some()) {
            for value in continued(line, &format!("{field} = ")) {
                let argv = line.split(' ').map(str::to_owned).chain(["--where".into(), format!("{field} = {value}")]);
                let parsed = crate::cli::parse(argv.map(OsString::from), false);
                assert!(parsed.is_ok(), "{line}: {field} = {value}: {parsed:?}");
            }
        }
    }
}

#[test]
fn every_shell_has_a_script() {
    for shell in SHELLS {
        let script = script(shell).unwrap();
        assert!(script.contains(VARIABLE) && script.contains("netstat-user"), "{script}");
    }
    assert_eq!(script("csh"), None);
    assert!(answer("csh", []).is_err());
}

#[test]
fn the_tree_is_sound_and_has_every_verb() {
    command(&[], OsStr::new("")).debug_assert();
    let verbs: Vec<_> = command(&[], OsStr::new("")).get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    // Each is a verb to the parser: its `--help` is no table.
    for verb in &verbs {
        let help = crate::cli::parse(["netstat-user".into(), verb.into(), "--help".into()], false);
        assert!(matches!(help, Ok(crate::cli::Invocation::Print(_))), "{verb}");
    }
    // And the other way round: the synopsis names no verb that does not complete.
    for line in classic::command().render_usage().to_string().lines() {
        let words: Vec<_> = line.trim_start().trim_start_matches("Usage: ").split(' ').collect();
        if let ["netstat-user", verb, ..] = words[..]
            && !verb.starts_with('[')
        {
            assert!(verbs.iter().any(|known| known == verb), "{verb} does not complete");
        }
    }
}
