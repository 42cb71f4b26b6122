//! 64 bytes back and forth, and the yardsticks for that.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;

use multiproc::{Connection, Pipe, Result};

use super::common::os::Board;
use super::common::team::{Gate, Team};
use super::common::turns::{Job, Log, play};

fn with_pipe(gate: Gate, pipe: Connection<(), ()>, job: Job) -> Result<Log> {
    gate.pass(job.processor)?;
    let pipe = RefCell::new(pipe);
    let turn = Cell::new(0_u8);
    let ring = || pipe.borrow_mut().send_bytes(&[turn.get(); 64]).expect("the other one is there");
    let wait = || {
        let mut message = [0; 64];
        assert_eq!(pipe.borrow_mut().recv_bytes_into(&mut message)?, 64);
        assert_eq!((message[0], message[63]), (turn.get(), turn.get()));
        // The one who asks first goes on when the answer has come, the other one before it answers the next time.
        turn.set(turn.get().wrapping_add(u8::from(job.index == 0)));
        Ok(())
    };
    if job.index == 0 {
        return play(job, ring, wait);
    }
    let answer = || {
        ring();
        turn.set(turn.get().wrapping_add(1));
    };
    play(job, answer, wait)
}

pub(crate) fn pipes(jobs: [Job; 2]) -> Result<Vec<Log>> {
    let (one, other) = Pipe::duplex()?;
    let mut team = Team::new()?;
    for (job, end) in jobs.into_iter().zip([one, other]) {
        let gate = team.gate().clone();
        team.spawn(with_pipe, (&gate, end, job))?;
    }
    team.run()
}

/// Runs both with a board as their standard input.
macro_rules! on_board {
    ($jobs:expr, $with:expr) => {{
        let board = Board::new();
        let mut team = Team::new()?;
        for job in $jobs {
            let gate = team.gate().clone();
            team.spawn_with(Some(OwnedFd::from(board.file())), None, $with, (&gate, job))?;
        }
        team.run()
    }};
}

fn with_futexes(gate: Gate, job: Job) -> Result<Log> {
    let board = Board::from_stdin();
    gate.pass(job.processor)?;
    let [mine, other] = [board.line(job.index), board.line(1 - job.index)];
    let wait = || {
        mine.wait(false);
        Ok(())
    };
    play(job, || other.ring(), wait)
}

/// Both always sleep.
pub(crate) fn futexes(jobs: [Job; 2]) -> Result<Vec<Log>> {
    on_board!(jobs, with_futexes)
}

fn with_ball(gate: Gate, job: Job) -> Result<Log> {
    let board = Board::from_stdin();
    gate.pass(job.processor)?;
    let line = board.line(0);
    let count = Cell::new(0);
    let next = || {
        count.set(count.get() + 1);
        count.get()
    };
    let wait = || {
        line.catch(next());
        Ok(())
    };
    play(job, || line.throw(next()), wait)
}

/// Both always look.
pub(crate) fn balls(jobs: [Job; 2]) -> Result<Vec<Log>> {
    on_board!(jobs, with_ball)
}
