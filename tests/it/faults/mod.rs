//! Faults that programs out in the field met, each with the right value: what a message may lose, what memory may stay, what a
//! larger family may cost, what a user would write first, what a real-time thread may do.

mod batches;
mod carried;
mod hints;
mod late;
mod memory;
mod realtime;
mod scale;
mod surface;
mod types;
