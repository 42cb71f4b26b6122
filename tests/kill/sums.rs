//! What a run came to, and the line that says it.

use std::fmt;
use std::ops::AddAssign;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) operations: usize,
    /// Those of which every instruction was tried.
    pub(crate) whole: usize,
    pub(crate) points: usize,
    /// Broken variants that were caught.
    pub(crate) broken: usize,
    pub(crate) hangs: usize,
    pub(crate) violations: usize,
    pub(crate) failed: usize,
}

impl Sums {
    fn fields(&mut self) -> [(&'static str, &mut usize); 7] {
        let Self { operations, whole, points, broken, hangs, violations, failed } = self;
        [
            ("operations", operations),
            ("whole", whole),
            ("points", points),
            ("broken", broken),
            ("hangs", hangs),
            ("violations", violations),
            ("failed", failed),
        ]
    }

    /// The sums in a line that [`Sums`] has written.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let words = line.strip_prefix("kill: operations=").map(|_| line.split(' '))?;
        let mut sums = Self::default();
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            for (field, sum) in sums.fields() {
                if field == name {
                    *sum = value.parse().ok()?;
                }
            }
        }
        Some(sums)
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, mut other: Self) {
        for ((_, sum), (_, more)) in self.fields().into_iter().zip(other.fields()) {
            *sum += *more;
        }
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sums = *self;
        let words = sums.fields().map(|(name, sum)| format!("{name}={sum}"));
        write!(f, "kill: {}", words.join(" "))
    }
}
