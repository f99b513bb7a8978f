//! What the process takes: files, memory and time on a core, however many ask for them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Serving, get, listening, serve_quietly, serve_quietly_with, wire};

/// A server that may have so many files open.
fn serve_with_files(files: usize) -> Serving {
    let program = env!("CARGO_BIN_EXE_realizar-cli");
    let line = format!("ulimit -n {files} && exec '{program}' serve --listen 127.0.0.1:0 --threads 1");
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).stdin(Stdio::null());
    listening(shell)
}

#[test]
fn row_123_connections_leave_files_for_everything_else() {
    let server = serve_with_files(128);
    let mut crowd: Vec<TcpStream> = (0..200).map(|_| server.send("")).collect();
    // Of 128 files, 64 are for connections; they are taken in the order in which they came.
    let over = crowd.split_off(64);
    for mut stream in over {
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed at once");
    }
    for mut stream in crowd {
        stream.write_all(get("/livez").as_bytes()).unwrap();
        assert_eq!(wire::read_reply(&mut stream).status, 200);
    }
}

/// Resident memory of a process in bytes: now, and at its highest.
fn memory(id: u32) -> (usize, usize) {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse::<usize>().unwrap() << 10
    };
    (field("VmRSS:"), field("VmHWM:"))
}

/// Bytes that have come to a server and that it has not read.
fn unread(address: &str) -> usize {
    let port = address.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let here = format!(":{port:04X}");
    // Address here, address there, state, and the bytes on their way out and in.
    let waiting = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let ours = fields.get(1).is_some_and(|address| address.ends_with(&here)) && fields[3] == "01";
        let read = fields.get(4)?.split(':').nth(1)?;
        ours.then(|| usize::from_str_radix(read, 16).unwrap())
    };
    table.lines().skip(1).filter_map(waiting).sum()
}

#[test]
fn row_118_a_connection_takes_64_kib_at_most_before_it_asks() {
    const CONNECTIONS: usize = 400;
    let patient = ["--quiet", "--limit", "header-time=600", "--limit", "idle-time=600"];
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let header = |bytes: usize| {
        format!("GET /livez HTTP/1.1\r\nhost: localhost\r\nx: {}", "a".repeat(bytes)).into_bytes()
    };
    let mut request = header(30_000);
    request.extend_from_slice(b"\r\n\r\n");
    // The last is about as much as is kept before it is refused.
    for (name, bytes, answered) in [
        ("silence", Vec::new(), false),
        ("a request", request, true),
        ("HTTP/2", http2.to_vec(), true),
        ("a header", header(42_900), false),
    ] {
        let server = serve_quietly(&[&patient[..], &["--limit", "connections-per-address=1024"]].concat());
        for _ in 0..20 {
            assert_eq!(server.reply(get("/livez").as_bytes()).status, 200);
        }
        let (before, _) = memory(server.child.id());
        let mut all = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = server.send("");
            stream.write_all(&bytes).unwrap();
            if answered {
                assert_ne!(stream.read(&mut [0]).unwrap(), 0, "{name}");
            }
            all.push(stream);
        }
        while unread(&server.address) > 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(server.reply(get("/livez").as_bytes()).status, 200);
        let (after, _) = memory(server.child.id());
        let each = after.saturating_sub(before) / CONNECTIONS;
        assert!(each <= 64 << 10, "{name}: {each} bytes for each connection");
        assert!(each > 1 << 10, "{name}: {each} bytes for each connection are too few to be true");
        let open = |stream: &mut TcpStream| {
            stream.set_nonblocking(true).unwrap();
            !matches!(stream.read(&mut [0; 1 << 14]), Ok(0))
        };
        let open = all.iter_mut().map(open).filter(|open| *open).count();
        assert_eq!(open, CONNECTIONS, "{name}: all of them are still there");
    }
}

/// Time on a core that a process has had, in the clock's ticks of a hundredth of a second.
fn ticks(id: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn row_158_connections_beyond_the_open_files_wait_without_spinning() {
    // Fewer than are left for what is no connection: taking one fails before there are too many.
    let server = serve_with_files(20);
    let crowd: Vec<TcpStream> = (0..200).filter_map(|_| TcpStream::connect(&server.address).ok()).collect();
    assert!(crowd.len() > 40, "{}", crowd.len());
    std::thread::sleep(Duration::from_millis(300));
    let before = ticks(server.child.id());
    std::thread::sleep(Duration::from_secs(2));
    let spent = ticks(server.child.id()) - before;
    assert!(spent <= 10, "{spent} hundredths of a second of two seconds on a core, to wait for open files");
    drop(crowd);
    let start = Instant::now();
    // Until those who have left are gone, there are too many.
    let answered = || {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        let mut text = String::new();
        let sent = stream.write_all(get("/livez").as_bytes());
        let _ = sent.and_then(|()| stream.read_to_string(&mut text));
        text.starts_with("HTTP/1.1 200")
    };
    while !answered() {
        assert!(start.elapsed() <= Duration::from_secs(1), "{:?}", start.elapsed());
    }
}

#[test]
fn row_159_memory_stays_within_the_plan() {
    const PLAN: usize = 64 << 20;
    let plan = format!("memory-bytes={PLAN}");
    // So that what is resident is what the program takes: else glibc keeps much of what was given back.
    let allocator = [("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_THRESHOLD_", "131072")];
    let server = serve_quietly_with(&["--quiet", "--limit", &plan], &allocator);
    let small = r#"{"text":"x"}"#;
    for _ in 0..20 {
        assert_eq!(server.reply(wire::post("/tokenize", small).as_bytes()).status, 200);
    }
    let (before, _) = memory(server.child.id());
    // Many numbers and many objects in 2 MiB each, which become far more, and a text.
    let fill = |piece: &str| {
        format!(r#"{{"text":"x","more":[{piece}0]}}"#, piece = piece.repeat((2 << 20) / piece.len()))
    };
    let text = format!(r#"{{"text":"{}"}}"#, "a ".repeat(1 << 18));
    let bodies = [text, fill("0,"), fill(r#"{"a":0},"#)].map(|body| wire::post("/tokenize", &body));
    let replies: Vec<wire::Reply> = std::thread::scope(|scope| {
        let ask = |at: usize| {
            let (server, body) = (&server, &bodies[at % bodies.len()]);
            scope.spawn(move || (0..4).map(|_| server.reply(body.as_bytes())).collect::<Vec<_>>())
        };
        let all: Vec<_> = (0..24).map(ask).collect();
        all.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let refused = replies.iter().filter(|reply| reply.status != 200);
    let refused =
        refused.map(|reply| assert_eq!((reply.status, reply.code().as_str()), (503, "memory_full"))).count();
    assert!(refused > 0, "there was never too little memory");
    let (_, most) = memory(server.child.id());
    let taken = most.saturating_sub(before);
    assert!(taken <= PLAN + PLAN / 10, "{taken} bytes at the highest, of {PLAN} that are planned");
    // Afterwards there is room for what fits.
    for body in [&bodies[0], &wire::post("/tokenize", small)] {
        assert_eq!(server.reply(body.as_bytes()).status, 200);
    }
}
