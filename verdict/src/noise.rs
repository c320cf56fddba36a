//! What block levels do while nothing grows: they wander, and they are uneven.

/// One block level of one incarnation, in the units of a fit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    /// When, in windows: 0 at the window's end, -1 at its start.
    pub(crate) x: f64,
    /// The level.
    pub(crate) y: f64,
    /// How many samples it rests on, against the usual number of the fit.
    pub(crate) weight: f64,
    /// How long its incarnation had lived, in windows.
    pub(crate) age: f64,
}

/// A first-order autoregressive wander in continuous time (Uhlenbeck and Ornstein, 1930) with independent noise on top;
/// the scale of both together is estimated elsewhere.
///
/// Continuous time, since settled stretches lie at uneven distances.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise {
    /// How long a wander lasts, in windows.
    pub(crate) memory: f64,
    /// The variance of the wander, 1, or 0 where there is none.
    pub(crate) wander: f64,
    /// The variance of the independent noise of a block of the usual size.
    pub(crate) independent: f64,
}

/// The columns that every fit has, in front of those of its shapes: the level, the instant, what was measured.
pub(crate) const LEVEL: usize = 0;
pub(crate) const TIME: usize = 1;
pub(crate) const VALUE: usize = 2;
/// Where the columns of shapes begin.
pub(crate) const SHAPES: usize = 3;

/// The cross products of one incarnation's columns after whitening and after its own level is taken out.
#[derive(Clone, Debug)]
pub(crate) struct Products {
    columns: usize,
    /// Row by row; only the upper triangle is filled.
    sums: Vec<f64>,
    /// The logarithm of the determinants that restricted likelihood takes off (Harville, 1974), halved.
    pub(crate) log_volume: f64,
}

impl Products {
    /// Nothing yet, to add others to.
    pub(crate) fn zero(columns: usize) -> Self {
        Self {
            columns,
            sums: vec![0.0; columns * columns],
            log_volume: 0.0,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (sum, more) in self.sums.iter_mut().zip(&other.sums) {
            *sum += more;
        }
        self.log_volume += other.log_volume;
    }

    /// The product of two columns.
    pub(crate) fn of(&self, a: usize, b: usize) -> f64 {
        self.sums[a.min(b) * self.columns + a.max(b)]
    }
}

impl Noise {
    /// Every noise that a fit considers, from independent blocks to a wander that outlasts the window four times and
    /// cannot be told from a random walk, the memory `factor` times longer each time.
    ///
    /// `spacing` is the usual distance of two blocks, in windows.
    pub(crate) fn candidates(spacing: f64, factor: f64, shares: &[f64]) -> Vec<Self> {
        let mut candidates = vec![Self {
            memory: 0.0,
            wander: 0.0,
            independent: 1.0,
        }];
        let spacing = spacing.clamp(1e-4, 1.0);
        let mut memory = 0.7 * spacing;
        while memory < 8.0 {
            // Against what the wander does from one block to the next, or a long memory would drown in the smallest
            // independent noise.
            let step = 1.0 - (-2.0 * spacing / memory).exp();
            candidates.extend(shares.iter().map(|share| Self {
                memory,
                wander: 1.0,
                independent: share * step,
            }));
            memory *= factor;
        }
        candidates
    }

    /// Whitens one incarnation's columns, in time order, by a Kalman filter over its innovations (Harvey and Phillips,
    /// 1979), so that the cost is linear in the points.
    ///
    /// `rows` has for each point its value in each column, see [`SHAPES`].
    pub(crate) fn products(self, points: &[Point], rows: &[f64]) -> Products {
        let columns = rows.len() / points.len().max(1);
        let mut products = Products::zero(columns);
        let mut state = vec![0.0; columns];
        let mut innovation = vec![0.0; columns];
        let mut doubt = self.wander;
        let mut before: Option<f64> = None;
        for (point, seen) in points.iter().zip(rows.chunks_exact(columns)) {
            if let Some(x) = before {
                let kept = (-(point.x - x) / self.memory.max(1e-12)).exp();
                for value in &mut state {
                    *value *= kept;
                }
                doubt = kept * kept * doubt + self.wander * (1.0 - kept * kept);
            }
            before = Some(point.x);
            let spread = doubt + self.independent / point.weight;
            let gain = doubt / spread;
            let root = spread.sqrt();
            for ((value, state), new) in seen.iter().zip(&mut state).zip(&mut innovation) {
                let surprise = value - *state;
                *state += gain * surprise;
                *new = surprise / root;
            }
            doubt *= 1.0 - gain;
            products.log_volume += root.ln();
            for (i, left) in innovation.iter().enumerate() {
                let row = &mut products.sums[i * columns + i..(i + 1) * columns];
                for (sum, right) in row.iter_mut().zip(&innovation[i..]) {
                    *sum += left * right;
                }
            }
        }
        products.sweep_level();
        products
    }
}

impl Products {
    /// Takes the incarnation's own level out of every other column.
    fn sweep_level(&mut self) {
        let level: Vec<f64> = self.sums[..self.columns].to_vec();
        for i in 1..self.columns {
            for j in i..self.columns {
                self.sums[i * self.columns + j] -= level[i] * level[j] / level[LEVEL];
            }
        }
        self.log_volume += 0.5 * (level[LEVEL].ln() + self.of(TIME, TIME).ln());
    }
}
