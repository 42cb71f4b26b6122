//! Draws the Mandelbrot set in as many processes as there are processors, each in its own rows of one shared array, and writes a
//! PNG.
//!
//! Expect the time that one process takes, that all of them take together, and a checksum of the pixels, which is the same
//! every time. With `--kill` one of the workers is killed in the middle of its rows; another draws them.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::File;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use multiproc::{Array, ArrayPart, Consumer, Process, Producer, Queue, cpu_count};
use serde::{Deserialize, Serialize};

const HELP: &str = "\
Draws the Mandelbrot set in several processes.

usage: parallel_image [options]

  --workers N      processes (default: one for each processor)
  --size W H       pixels (default: 480 320)
  --output FILE    write a PNG
  --kill           kill a worker in the middle of its rows
";

/// Rows that are drawn at a time.
const BAND: usize = 8;
/// Steps after which a point counts as inside.
const STEPS: u32 = 250;

type Pixel = [u8; 3];
type AnyResult<T> = Result<T, Box<dyn Error>>;

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Size {
    width: usize,
    height: usize,
}

/// What a worker tells.
#[derive(Serialize, Deserialize)]
enum Told {
    /// The band that starts at this pixel is drawn.
    Drawn(usize),
    /// The worker with this number stands in the middle of a band, and waits for its end.
    Victim(usize),
}

fn main() -> AnyResult<()> {
    let Some(options) = parse(std::env::args().skip(1))? else {
        print!("{HELP}");
        return Ok(());
    };
    let size = options.size;
    let start = Instant::now();
    let mut alone = vec![Pixel::default(); size.width * size.height];
    draw(size, 0, &mut alone);
    let single = start.elapsed();

    let (image, shared) = draw_together(&options)?;
    assert!(image == alone, "both ways draw the same");
    let digits = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "{} x {} pixels: one process {:.1} ms, {} workers {:.1} ms, {:.2} x",
        size.width,
        size.height,
        digits(single),
        options.workers,
        digits(shared),
        single.as_secs_f64() / shared.as_secs_f64(),
    );
    println!("checksum {:016x}", checksum(&image));
    if let Some(path) = options.output {
        write(&path, size, &image)?;
        println!("written to {path}");
    }
    Ok(())
}

/// The image, and how long it took without the start of the processes.
fn draw_together(options: &Options) -> AnyResult<(Vec<Pixel>, Duration)> {
    let size = options.size;
    let image: Array<Pixel> = Array::zeroed(size.width * size.height)?;
    let bands = image.chunks(size.width * BAND)?;
    let mut missing: BTreeSet<usize> = bands.iter().map(|band| band.range().start).collect();
    let bar = ProgressBar::new(missing.len() as u64)
        .with_style(ProgressStyle::with_template("{bar:40} {pos}/{len} bands, {eta} to go")?);
    let mut time = round(options, options.kill, bands, &bar, &mut missing)?;
    while !missing.is_empty() {
        println!("{} bands are missing: others draw them", missing.len());
        // What the dead worker had is lost with it; a new cut of the array has the same bands once more.
        let bands = image.chunks(size.width * BAND)?;
        let again =
            bands.into_iter().filter(|band| missing.contains(&band.range().start)).collect();
        time += round(options, false, again, &bar, &mut missing)?;
    }
    bar.finish_and_clear();
    let pixels = match image.to_vec() {
        // The dead worker's rows are whole by now; nobody but us can know that.
        Err(error) if error.is_owner_died() => image.recover()?.to_vec(),
        pixels => pixels?,
    };
    Ok((pixels, time))
}

/// Starts workers, gives them the bands, and listens until all have ended.
fn round(
    options: &Options,
    kill: bool,
    bands: Vec<ArrayPart<Pixel>>,
    bar: &ProgressBar,
    missing: &mut BTreeSet<usize>,
) -> AnyResult<Duration> {
    let (give, take) = Queue::new()?.split();
    let (tell, listen) = Queue::new()?.split();
    let workers: Vec<_> = (0..options.workers)
        .map(|number| {
            let victim = (kill && number == 0).then_some(number);
            Process::spawn(work, (options.size, victim, &take, &tell))
        })
        .collect::<multiproc::Result<_>>()?;
    drop((take, tell));
    let start = Instant::now();
    for band in bands {
        give.put(band)?;
    }
    // No more: workers end when there is nothing left.
    drop(give);
    for told in &listen {
        match told? {
            Told::Drawn(band) => {
                missing.remove(&band);
                bar.inc(1);
            }
            Told::Victim(number) => workers[number].handle().kill()?,
        }
    }
    let time = start.elapsed();
    for worker in workers {
        match worker.join() {
            Err(error) if kill && error.is_child() => println!("a worker was killed"),
            other => other??,
        }
    }
    Ok(time)
}

/// Draws bands until there are no more.
fn work(
    size: Size,
    victim: Option<usize>,
    bands: Consumer<ArrayPart<Pixel>>,
    tell: Producer<Told>,
) -> multiproc::Result<()> {
    for band in &bands {
        let band = band?;
        let start = band.range().start;
        let mut pixels = band.claim()?;
        if let Some(number) = victim {
            let half = pixels.len() / 2;
            draw(size, start, &mut pixels[..half]);
            tell.put(Told::Victim(number))?;
            loop {
                std::thread::park();
            }
        }
        draw(size, start, &mut pixels);
        drop(pixels);
        tell.put(Told::Drawn(start))?;
    }
    Ok(())
}

/// Draws the pixels from number `start` on.
fn draw(size: Size, start: usize, pixels: &mut [Pixel]) {
    let scale = 3.0 / size.width as f64;
    for (index, pixel) in (start..).zip(pixels) {
        let (column, row) = (index % size.width, index / size.width);
        let x = (column as f64 - size.width as f64 * 0.75) * scale;
        let y = (row as f64 - size.height as f64 / 2.0) * scale;
        *pixel = colour(escape(x, y));
    }
}

/// How many steps a point takes to get away.
fn escape(x: f64, y: f64) -> u32 {
    let (mut re, mut im) = (0.0, 0.0);
    for step in 0..STEPS {
        let (re2, im2) = (re * re, im * im);
        if re2 + im2 > 4.0 {
            return step;
        }
        (re, im) = (re2 - im2 + x, 2.0 * re * im + y);
    }
    STEPS
}

fn colour(steps: u32) -> Pixel {
    if steps == STEPS {
        return [0, 0, 0];
    }
    let part = |factor: u32, from: u32| ((steps * factor + from) % 256) as u8;
    [part(3, 20), part(5, 30), part(9, 90)]
}

/// FNV-1a over all bytes.
fn checksum(pixels: &[Pixel]) -> u64 {
    let start = 0xcbf2_9ce4_8422_2325;
    pixels
        .as_flattened()
        .iter()
        .fold(start, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

fn write(path: &str, size: Size, pixels: &[Pixel]) -> AnyResult<()> {
    let file = File::create(path).map_err(|error| format!("cannot write {path}: {error}"))?;
    let mut encoder = png::Encoder::new(file, size.width as u32, size.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header()?.write_image_data(pixels.as_flattened())?;
    Ok(())
}

struct Options {
    workers: usize,
    size: Size,
    output: Option<String>,
    kill: bool,
}

/// The options, or `None` if the help text was asked for.
fn parse(mut arguments: impl Iterator<Item = String>) -> AnyResult<Option<Options>> {
    let size = Size { width: 480, height: 320 };
    let mut options = Options { workers: cpu_count(), size, output: None, kill: false };
    while let Some(argument) = arguments.next() {
        let mut number = || match arguments.next().map(|text| text.parse()) {
            Some(Ok(number)) if number > 0 => Ok(number),
            _ => Err(format!("{argument} expects a number from 1 on behind it")),
        };
        match argument.as_str() {
            "--help" | "-h" => return Ok(None),
            "--kill" => options.kill = true,
            "--workers" => options.workers = number()?,
            "--size" => options.size = Size { width: number()?, height: number()? },
            "--output" => {
                let path = arguments.next().ok_or("--output expects a path behind it")?;
                options.output = Some(path);
            }
            unknown => return Err(format!("unknown option {unknown}, see --help").into()),
        }
    }
    Ok(Some(options))
}
