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

/// The cross products of one incarnation's blocks after whitening and after its own level is taken out. `s` is the
/// instant, `q` its square, `y` the level.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Products {
    pub(crate) ss: f64,
    pub(crate) sq: f64,
    pub(crate) qq: f64,
    pub(crate) sy: f64,
    pub(crate) qy: f64,
    pub(crate) yy: f64,
    /// The logarithm of the determinants that restricted likelihood takes off (Harville, 1974), halved.
    pub(crate) log_volume: f64,
}

impl Noise {
    /// Every noise that a fit considers, from independent blocks to a wander that outlasts the window four times and
    /// cannot be told from a random walk, doubling the memory each time.
    ///
    /// `spacing` is the usual distance of two blocks, in windows.
    pub(crate) fn candidates(spacing: f64) -> Vec<Self> {
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
            candidates.extend([0.001, 0.3, 1.0, 4.0, 16.0].map(|share| Self {
                memory,
                wander: 1.0,
                independent: share * step,
            }));
            memory *= 2.0;
        }
        candidates
    }

    /// Whitens one incarnation's points, in time order, by a Kalman filter over its innovations (Harvey and Phillips,
    /// 1979), so that the cost is linear in the points.
    pub(crate) fn products(self, points: &[Point]) -> Products {
        let mut state = [0.0; 4];
        let mut doubt = self.wander;
        let mut log_determinant = 0.0;
        let mut sums = [[0.0; 4]; 4];
        let mut before: Option<f64> = None;
        for point in points {
            if let Some(x) = before {
                let kept = (-(point.x - x) / self.memory.max(1e-12)).exp();
                state = state.map(|value| value * kept);
                doubt = kept * kept * doubt + self.wander * (1.0 - kept * kept);
            }
            before = Some(point.x);
            let spread = doubt + self.independent / point.weight;
            let gain = doubt / spread;
            let seen = [1.0, point.x, point.x * point.x, point.y];
            let mut innovation = [0.0; 4];
            for (k, value) in seen.into_iter().enumerate() {
                innovation[k] = value - state[k];
                state[k] += gain * innovation[k];
            }
            doubt *= 1.0 - gain;
            log_determinant += spread.ln();
            for (row, left) in sums.iter_mut().zip(innovation) {
                for (sum, right) in row.iter_mut().zip(innovation) {
                    *sum += left * right / spread;
                }
            }
        }
        let level = sums[0][0];
        let swept = |i: usize, j: usize| sums[i][j] - sums[0][i] * sums[0][j] / level;
        let ss = swept(1, 1);
        Products {
            ss,
            sq: swept(1, 2),
            qq: swept(2, 2),
            sy: swept(1, 3),
            qy: swept(2, 3),
            yy: swept(3, 3),
            log_volume: (log_determinant + level.ln() + ss.ln()) / 2.0,
        }
    }
}
