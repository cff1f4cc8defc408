//! What `-h` prints: one screen of 24 lines, the next prompt included.

/// The program's page, whose name is empty, and those of verbs.
pub const PAGES: [(&str, &str); 5] = [
    (
        "",
        "\
Which sockets exist, who owns them, and what happened to them.
Usage: netstat-user [OPTIONS]   tables of sockets; netstat's options and bytes
       netstat-user events      what happens to sockets, as it happens
       netstat-user agent       keep the table of all sockets, and serve it
       netstat-user kill        close the sockets that an expression selects
       netstat-user doctor      what can be traced here, and what mends the rest
  -t -u -x           only TCP, only UDP, only UNIX sockets
  -a, -l             every socket; only listening ones; --all-netns: everywhere
  -n, --numeric      numbers instead of names; --json: one object per line
  -p, -e, -o         process; user and inode; timers; --info: what ss -i shows
  -r, -i, -s         routes, interfaces, counters instead of sockets
      --where EXPR   only these rows, as 'dport = :443' (--pid --port --state …)
      --columns F,…  these fields (--columns help lists all); --sort F --limit N
      --count-by F   how many rows per value of a field
      --recent DUR   also what closed within this time (needs the agent)
Examples:
  netstat-user -tlnp                    who listens on TCP
  netstat-user -tan --count-by state    how many are in each state
  netstat-user -tanp --recent 5m        and those closed recently
  netstat-user events --life            each connection when it ends
  netstat-user events --failed          why connections fail, and whose they are
  netstat-user doctor                   is tracing complete here?
Everything: netstat-user --help, or --man | man -l -; of a verb: VERB --help
",
    ),
    (
        "events",
        "\
What happens to sockets, as it happens: opened, each TCP state, closed.
Usage: netstat-user events [OPTIONS]
  -v, --verbose          every fact, in UTC; short lines in local time without
      --json             one object per line
      --event EVENT,…    only these: open, state, close
      --life             one line per connection, when it ends
      --failed           only connections that failed, each with the reason
      --proto PROTO,…    only these: tcp tcp6 udp udp6 …
      --port N           only this port, at either end (--lport, --rport)
      --pid PID          only what this process owns (--comm NAME)
      --netns self|NAME|INODE,…   only these namespaces (without: all)
      --where EXPR       only what this holds for, as 'dst 10.0.0.0/8'
      --columns F,…      these fields (--columns help; --count-by F,…: counts)
      --count N          end after N lines (--duration DUR: after a time)
Examples:
  netstat-user events                      everything, until Ctrl-C
  netstat-user events --life --pid 1234    the connections of a process
  netstat-user events --failed             why connections fail, and whose
  netstat-user events --proto udp --rport 53   who asks port 53
  netstat-user events --json --duration 60s    a minute, for programs
  netstat-user events --event close --strict   every end; exit 3 after a loss
-> the local end connected, <- the remote end did. Everything: events --help
",
    ),
    (
        "agent",
        "\
Keep the table of all sockets in one process, and serve it on a local socket.
Usage: netstat-user agent [OPTIONS]
      --socket PATH      where to serve: /run/netstat-user/agent.sock
      --mode MODE        who may ask, in octal: 600, 660 for a group, 666
      --group GROUP      the group of the socket
      --recent DUR       how long closed sockets are kept (10m)
      --buffer SIZE      the kernel's ring buffer (16M)
Examples:
  netstat-user agent                              for root and its own user
  netstat-user agent --mode 660 --group netadmin  for a group too
Everything: netstat-user agent --help
",
    ),
    (
        "kill",
        "\
Close the sockets that an expression selects, whichever processes hold them.
Usage: netstat-user kill --where EXPR [OPTIONS]
      --where EXPR       ss's filter language, and FIELD OP VALUE
      --pid --lport --rport --state --comm …   short spellings of expressions
      --netns NAME       in this network namespace: a name, INODE or self
      --dry-run          only list them
      --yes              do not ask; needed without a terminal
      --json             one object per socket, and what became of it (--schema)
Examples:
  netstat-user kill --state close-wait --comm worker --dry-run
  netstat-user kill --where 'dst 10.0.0.0/8 and dport = 5432' --yes
Exit code 0: closed, or there was none; 1: one could not be, or the answer: no.
Everything: netstat-user kill --help
",
    ),
    (
        "doctor",
        "\
What can be traced here, what cannot and why, and the line that mends it.
Usage: netstat-user doctor [OPTIONS]
      --json             one object per finding, and the verdict (--schema)
      --agent PATH       ask the agent behind this socket
      --no-agent         ask no agent: attach the programs for a moment
Examples:
  netstat-user doctor                 ask the agent; without one, try it here
  netstat-user doctor --no-agent      try it here
Exit code 0: nothing essential is missing; 1: something is, or no answer.
Everything: netstat-user doctor --help
",
    ),
];
