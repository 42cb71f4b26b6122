//! Areas of circles by 3.14: floating-point results arrive bit by bit as they were computed.

use multiproc::Pool;

#[allow(clippy::approx_constant, reason = "as the original program has it")]
fn area(radius: f64) -> f64 {
    3.14 * radius * radius
}

fn main() -> multiproc::Result<()> {
    let pool = Pool::with_workers(3)?;
    println!("{:?}", pool.map(area, [5.0, 89.0, 8956.0, 474.0, 5266.0, 74.0])?);
    Ok(())
}
