//! Fetches files at the same time, each in a process of its own, while one bar shows how far all of them are.
//!
//! ```sh
//! cargo run --example fetch_files                                   # three files from a server of its own
//! cargo run --example fetch_files http://example.com/ http://…      # yours, into this folder
//! ```
//!
//! Expect a line for each file, `data_0.txt` and so on, with its size. Without addresses the files go to a folder that is removed
//! at the end.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use multiproc::{Error, Process, Producer, Queue, Result};
use serde::{Deserialize, Serialize};

/// What a process says about its file.
#[derive(Serialize, Deserialize)]
enum Progress {
    Expects(u64),
    Got(u64),
}

/// Fetches one file into another; how many bytes it has.
fn fetch(address: String, path: PathBuf, progress: Producer<Progress>) -> Result<u64> {
    let mut response = ureq::get(&address).call().map_err(Error::other)?;
    progress.put(Progress::Expects(response.body().content_length().unwrap_or(0)))?;
    let mut reader = response.body_mut().as_reader();
    let mut file = File::create(&path)?;
    let (mut buffer, mut size) = ([0; 16 * 1024], 0);
    loop {
        let len = reader.read(&mut buffer)?;
        if len == 0 {
            return Ok(size);
        }
        file.write_all(&buffer[..len])?;
        size += len as u64;
        progress.put(Progress::Got(len as u64))?;
    }
}

/// Fetches all of them at once and says what came.
fn fetch_all(addresses: &[String], folder: PathBuf) -> Result<()> {
    let (producer, consumer) = Queue::new()?.split();
    let start = |(number, address): (usize, &String)| {
        let path = folder.join(format!("data_{number}.txt"));
        let builder = Process::builder().name(address.as_str()).end_with_parent(true);
        builder.spawn(fetch, (address, path, &producer))
    };
    let processes = addresses.iter().enumerate().map(start).collect::<Result<Vec<_>>>()?;
    // The children have the only producers now: the messages end when the last child has.
    drop(producer);
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}");
    let bar = ProgressBar::new(0).with_style(style.map_err(Error::other)?);
    for message in consumer {
        match message? {
            Progress::Expects(len) => bar.inc_length(len),
            Progress::Got(len) => bar.inc(len),
        }
    }
    bar.finish();
    for (number, process) in processes.into_iter().enumerate() {
        println!("saved data_{number}.txt, {} bytes", process.join()??);
    }
    Ok(())
}

fn main() -> Result<()> {
    let addresses: Vec<String> = std::env::args().skip(1).collect();
    if !addresses.is_empty() {
        return fetch_all(&addresses, PathBuf::from("."));
    }
    let server = TcpListener::bind("127.0.0.1:0")?;
    let address = server.local_addr()?;
    let addresses: Vec<_> = (1..=3).map(|n| format!("http://{address}/{n}00000")).collect();
    std::thread::spawn(move || serve(&server));
    let folder = std::env::temp_dir().join(format!("fetch_files-{}", std::process::id()));
    fs::create_dir(&folder)?;
    let outcome = fetch_all(&addresses, folder.clone());
    fs::remove_dir_all(folder)?;
    outcome
}

/// A server for this example: whoever asks for `/1000` gets as many bytes.
fn serve(server: &TcpListener) {
    for client in server.incoming().flatten() {
        std::thread::spawn(move || answer(&client));
    }
}

fn answer(mut client: &TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(client).lines().map_while(std::io::Result::ok);
    let first = lines.next().unwrap_or_default();
    // The rest of the question, up to the empty line.
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let path = first.split(' ').nth(1).unwrap_or_default();
    let len: usize = path.trim_start_matches('/').parse().unwrap_or(0);
    write!(client, "HTTP/1.1 200 OK\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n")?;
    let line = b"All work and no play makes a dull file. ";
    let body: Vec<u8> = line.iter().copied().cycle().take(len).collect();
    client.write_all(&body)
}
