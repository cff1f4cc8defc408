//! Questions that are asked every day, the command that answers each, and what it printed.

/// A question with its answer.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The verb; empty for the tables.
    pub of: &'static str,
    /// What is asked.
    pub question: &'static str,
    /// The command.
    pub command: &'static str,
    /// Lines of its output; long ones are cut to the page.
    pub output: &'static str,
}

const fn example(of: &'static str, question: &'static str, command: &'static str, output: &'static str) -> Example {
    Example { of, question, command, output }
}

/// The examples of every page, each from a real run.
pub const EXAMPLES: [Example; 10] = [
    example(
        "",
        "Who listens on TCP?",
        "netstat-user -tlnp",
        "\
Active Internet connections (only servers)
Proto Recv-Q Send-Q Local Address   Foreign Address State  PID/Program name
tcp        0      0 127.0.0.1:8080  0.0.0.0:*       LISTEN 17029/python3",
    ),
    example(
        "",
        "Which connections closed within the last ten seconds, and why?",
        "netstat-user -tnp --recent 10s",
        "\
… State       PID/Program name     Ended          Ago       Lived
… CLOSE       9936/python3         closed         19.1ms    210us
… CLOSE       9936/python3         refused        19.0ms    51us",
    ),
    example(
        "",
        "The same for a program?",
        "netstat-user -tlp --json",
        "\
{\"proto\":\"tcp\",\"recv_q\":0,\"send_q\":0,\"local\":{\"addr\":\"127.0.0.1\",
 \"port\":8080},\"remote\":{\"addr\":\"0.0.0.0\",\"port\":0},\"state\":\"LISTEN\",…}",
    ),
    example(
        "events",
        "What happens to the sockets of process 25621?",
        "netstat-user events --pid 25621",
        "\
17:49:28 open  tcp  -                  -               25621/python3 created
17:49:28 state tcp  127.0.0.1:-     -> 127.0.0.1:49587 CLOSE -> SYN_SENT …
17:49:28 close tcp  127.0.0.1:40114 -> 127.0.0.1:49587 refused 100us …",
    ),
    example(
        "events",
        "How long do connections live, and what do they carry?",
        "netstat-user events --life",
        "\
17:49:32.362059 tcp  127.0.0.1:36910 -> 127.0.0.1:44519 closed 60.5ms
rx 4.8K tx 3 rtt 1.2ms retrans 0 25773/python3 created
connect 43us, established 50.2ms, closing 10.2ms",
    ),
    example(
        "events",
        "Why do connections fail, and who makes them?",
        "netstat-user events --failed",
        "\
17:49:36.423602 close tcp  127.0.0.1:54814 -> 127.0.0.1:54575 refused 95us …
17:49:36.413247 close tcp  127.0.0.1:54810 -> 127.0.0.1:54575 reset_sent …",
    ),
    example(
        "agent",
        "How do I keep an agent that the group netadmin may ask?",
        "netstat-user agent --mode 660 --group netadmin",
        "\
tracing: sock_create=cgroup accept=syscall … tcp_state=tp_btf …
agent: serving /run/netstat-user/agent.sock",
    ),
    example(
        "kill",
        "How do I close what a worker leaked, and look first?",
        "netstat-user kill --lport 8080 --state established --dry-run",
        "\
would close tcp      127.0.0.1:8080          127.0.0.1:56952  ESTABLISHED …",
    ),
    example(
        "doctor",
        "Is tracing whole here?",
        "netstat-user doctor",
        "Tracing is whole: nothing essential is missing.",
    ),
    example(
        "doctor",
        "The same in a script?",
        "netstat-user doctor --json",
        "{\"kind\":\"verdict\",\"level\":\"ok\",\"source\":\"A trial of our own\",…}",
    ),
];
