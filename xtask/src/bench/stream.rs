//! `bench stream`: what a tracer of every TCP state change costs a machine that makes connections as fast as it can.

use super::{Series, load, number, print_table, program};
use crate::{apt, sh};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tracer {
    None,
    Text,
    Json,
    /// A filter that lets nothing pass, of what the kernel side decides by itself.
    Nothing,
    TcpStates,
}

impl Tracer {
    const ALL: [Self; 5] = [Self::None, Self::Text, Self::Json, Self::Nothing, Self::TcpStates];

    /// What `events` is started with; none of ours if it is not.
    const fn options(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Text => Some(&["--proto", "tcp", "-v"]),
            Self::Json => Some(&["--proto", "tcp", "--json"]),
            Self::Nothing => Some(&["--proto", "tcp", "-v", "--where", "sport = :1"]),
            Self::None | Self::TcpStates => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::None => "no tracer",
            Self::Text => "events --proto tcp -v > file",
            Self::Json => "events --proto tcp --json > file",
            Self::Nothing => "events --proto tcp --where 'sport = :1' > file",
            Self::TcpStates => "tcpstates > /dev/null",
        }
    }
}

/// One round of one tracer.
struct Sample {
    per_second: f64,
    made: u64,
    /// Connections whose SYN_SENT → ESTABLISHED is in the output.
    found: Option<u64>,
    lost: Option<u64>,
    /// Processor time of the tracer's process, of one core, while the load ran.
    cpu_percent: Option<f64>,
    /// From its start until it said that it traces.
    ready: Option<Duration>,
}

/// What all rounds of a tracer gave.
#[derive(Default)]
struct Total {
    per_second: Series,
    made: u64,
    found: Option<u64>,
    lost: Option<u64>,
    cpu_percent: Series,
    ready: Series,
    problem: Option<String>,
}

pub fn run(args: &[String]) -> Result<()> {
    let mut args = args.to_vec();
    let rounds = number(&mut args, "--rounds", 7)?;
    let duration = Duration::from_secs(number(&mut args, "--seconds", 3)?);
    if args.first().is_some_and(|arg| arg == "--") {
        args.remove(0);
    } else if !args.is_empty() {
        bail!("bench stream takes --rounds N, --seconds N, and after -- more options for `events`");
    }
    apt::install(apt::BENCH)?;
    let bench = Bench { program: program()?, more: args, folder: sh::root().join("target/bench"), duration };
    fs::create_dir_all(&bench.folder)?;

    let mut totals: [Total; 5] = Default::default();
    for round in 0..rounds as usize {
        for step in 0..Tracer::ALL.len() {
            // Each round begins with another tracer, so that none always follows the same one.
            let at = (round + step) % Tracer::ALL.len();
            let total = &mut totals[at];
            if total.problem.is_some() {
                continue;
            }
            match bench.sample(Tracer::ALL[at]) {
                Ok(sample) => total.add(&sample),
                Err(error) => total.problem = Some(format!("{error:#}")),
            }
        }
        eprintln!("round {} of {rounds}", round + 1);
    }
    report(&totals, rounds, duration);
    Ok(())
}

impl Total {
    fn add(&mut self, sample: &Sample) {
        self.per_second.push(sample.per_second);
        self.made += sample.made;
        let sum = |total: Option<u64>, new: Option<u64>| new.map(|new| total.unwrap_or(0) + new).or(total);
        self.found = sum(self.found, sample.found);
        self.lost = sum(self.lost, sample.lost);
        if let Some(cpu) = sample.cpu_percent {
            self.cpu_percent.push(cpu);
        }
        if let Some(ready) = sample.ready {
            self.ready.push(ready.as_secs_f64() * 1000.0);
        }
    }
}

fn report(totals: &[Total], rounds: u64, duration: Duration) {
    println!(
        "One thread connects, accepts and resets on loopback, {} s a round, {rounds} rounds; median (least–greatest).\n",
        duration.as_secs()
    );
    let heading = ["tracer", "connections/s", "cost", "lost", "found/made", "tracer CPU %", "ready after ms"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    let base = totals[0].per_second.median();
    let or_dash = |value: Option<u64>| value.map_or("-".to_owned(), |value| value.to_string());
    for (tracer, total) in Tracer::ALL.iter().zip(totals) {
        let cost = 100.0 * (1.0 - total.per_second.median() / base);
        rows.push(vec![
            tracer.name().to_owned(),
            total.per_second.shown(0),
            if *tracer == Tracer::None || cost.is_nan() { "-".to_owned() } else { format!("{cost:.1} %") },
            or_dash(total.lost),
            total.found.map_or("-".to_owned(), |found| format!("{found}/{}", total.made)),
            total.cpu_percent.shown(0),
            total.ready.shown(0),
        ]);
    }
    print_table(&rows);
    for (tracer, total) in Tracer::ALL.iter().zip(totals) {
        if let Some(problem) = &total.problem {
            println!("{}: stopped: {problem}", tracer.name());
        }
    }
}

struct Bench {
    program: PathBuf,
    /// More options for `events`.
    more: Vec<String>,
    folder: PathBuf,
    duration: Duration,
}

impl Bench {
    fn sample(&self, tracer: Tracer) -> Result<Sample> {
        let output = self.folder.join("stream.out");
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let mut running = match tracer {
            Tracer::None => None,
            Tracer::TcpStates => Some(Running::tcpstates()?),
            Tracer::Text | Tracer::Json | Tracer::Nothing => Some(Running::events(self, tracer, &output)?),
        };
        let warm_up = load::reset_loop(&listener, Duration::from_millis(300))?;
        let before = running.as_ref().map(Running::cpu);
        let measured = load::reset_loop(&listener, self.duration)?;
        let after = running.as_ref().map(Running::cpu);
        let cpu = before.zip(after).map(|(before, after)| after.saturating_sub(before));
        let stderr = running.as_mut().map(Running::stop).transpose()?;
        let ours = tracer.options().is_some();
        Ok(Sample {
            per_second: measured.per_second(),
            made: warm_up.connections + measured.connections,
            found: if ours { Some(connections_in(&output, port)?) } else { None },
            lost: if ours { Some(lost_in(&stderr.unwrap_or_default())?) } else { None },
            ready: running.as_ref().and_then(|running| running.ready),
            cpu_percent: cpu.map(|cpu| 100.0 * cpu.as_secs_f64() / measured.elapsed.as_secs_f64()),
        })
    }
}

/// A tracer at work; killed when dropped.
struct Running {
    child: Child,
    stderr: mpsc::Receiver<String>,
    said: Vec<String>,
    ready: Option<Duration>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended by itself unless something went wrong.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn spawn(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", sh::shown(command)))?;
        let pipe = child.stderr.take().context("no standard error")?;
        let (send, stderr) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, stderr, said: Vec::new(), ready: None })
    }

    fn events(bench: &Bench, tracer: Tracer, output: &Path) -> Result<Self> {
        let mut command = Command::new(&bench.program);
        command.arg("events").args(tracer.options().unwrap_or_default()).args(&bench.more);
        let file = File::create(output).with_context(|| format!("cannot write {}", output.display()))?;
        let start = Instant::now();
        let mut running = Self::spawn(command.stdout(file))?;
        let deadline = start + Duration::from_secs(20);
        loop {
            match running.stderr.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.starts_with("tracing:") => {
                    running.ready = Some(start.elapsed());
                    return Ok(running);
                }
                Ok(line) => running.said.push(line),
                Err(_) => bail!("no line `tracing:` came: {}", running.said.join("; ")),
            }
        }
    }

    /// It says nothing when it is ready. It reads tracefs, which need not be mounted here: mounted for it alone.
    fn tcpstates() -> Result<Self> {
        let tcpstates = apt::tool("tcpstates").context("tcpstates (package libbpf-tools) is not installed")?;
        let script = "test -e /sys/kernel/tracing/events || mount -t tracefs tracefs /sys/kernel/tracing; exec \"$0\"";
        let mut command = Command::new("unshare");
        let mut running =
            Self::spawn(command.args(["--mount", "sh", "-c", script]).arg(tcpstates).stdout(Stdio::null()))?;
        thread::sleep(Duration::from_secs(2));
        if let Some(status) = running.child.try_wait()? {
            let said: Vec<_> = running.stderr.iter().collect();
            bail!("tcpstates ended with {status}: {}", said.join("; "));
        }
        Ok(running)
    }

    /// Processor time of the process until now, threads included; 10 ms steps.
    fn cpu(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // Fields 14 and 15, counted after the name, which may hold blanks.
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
        Duration::from_millis(10 * fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>())
    }

    /// Interrupts it, waits for its end, and returns what it wrote to standard error.
    fn stop(&mut self) -> Result<String> {
        kill_process(Pid::from_child(&self.child), Signal::INT)?;
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("it did not end within 30 s of SIGINT");
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.said.extend(self.stderr.iter());
        Ok(self.said.join("\n"))
    }
}

/// How many connections of ours to the port reached ESTABLISHED at their client's end, by the lines of text or JSON. Other
/// namespaces may use the same port.
fn connections_in(output: &Path, port: u16) -> Result<u64> {
    let pid = std::process::id();
    let text = [format!(":{port} "), format!(" {pid}/")];
    let json = [format!("\"port\":{port}}}"), format!("\"pid\":{pid},")];
    let mut reader = BufReader::new(File::open(output)?);
    let mut line = Vec::new();
    let mut found = 0;
    while reader.read_until(b'\n', &mut line)? > 0 {
        let shown = String::from_utf8_lossy(&line);
        let all_of = |words: &[String]| words.iter().all(|word| shown.contains(word));
        let established = shown.contains("SYN_SENT") && shown.contains("ESTABLISHED");
        found += u64::from(established && (all_of(&text) || all_of(&json)));
        line.clear();
    }
    Ok(found)
}

/// The number before `lost` in the closing summary.
fn lost_in(stderr: &str) -> Result<u64> {
    let words: Vec<_> = stderr.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let lost = words.windows(2).rev().find(|pair| pair[1] == "lost").and_then(|pair| pair[0].parse().ok());
    lost.with_context(|| format!("no count of lost events in its summary: {stderr}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lost_count_is_read_from_the_summary() {
        assert_eq!(lost_in("tracing: tcp\nnetstat-user: 1200 events, 34 lost").unwrap(), 34);
        assert!(lost_in("tracing: tcp").is_err());
    }
}
