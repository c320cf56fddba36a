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
    /// The load in the same block, 0 where growth is not judged at equal load.
    pub(crate) load: f64,
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

/// Which cross products of columns a fit asks for: those of the first `shared` columns with every column, and of each
/// other with itself and its neighbour. Where one form is tried at a time beside those that are taken up, nothing asks
/// what two that are tried have in common.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) columns: usize,
    pub(crate) shared: usize,
}

impl Layout {
    /// Where the product of two columns is kept.
    pub(crate) fn place(self, a: usize, b: usize) -> usize {
        let (first, second) = (a.min(b), a.max(b));
        let row = if first < self.shared {
            return first * self.columns + second;
        } else {
            self.shared + (second - first)
        };
        debug_assert!(second - first < 2, "nothing asks for {a} with {b}");
        row * self.columns + first
    }

    /// With every product of so many columns.
    pub(crate) fn of_all(columns: usize) -> Self {
        Self {
            columns,
            shared: columns,
        }
    }

    fn rows(self) -> usize {
        self.shared + if self.shared < self.columns { 2 } else { 0 }
    }
}

/// The cross products of one incarnation's columns after whitening and after its own level is taken out.
#[derive(Clone, Debug)]
pub(crate) struct Products {
    layout: Layout,
    /// A row for each shared column, of which only the upper triangle is filled, then the squares of the others, then
    /// their products with their right neighbours.
    sums: Vec<f64>,
    /// The logarithm of the determinants that restricted likelihood takes off (Harville, 1974), halved.
    pub(crate) log_volume: f64,
}

impl Products {
    /// Nothing yet, to add to.
    fn zero(layout: Layout) -> Self {
        Self {
            layout,
            sums: vec![0.0; layout.rows() * layout.columns],
            log_volume: 0.0,
        }
    }

    /// Those of all incarnations together; `None` of none.
    pub(crate) fn sum(each: &[Self]) -> Option<Self> {
        let mut total = Self::zero(each.first()?.layout);
        for one in each {
            for (sum, more) in total.sums.iter_mut().zip(&one.sums) {
                *sum += more;
            }
            total.log_volume += one.log_volume;
        }
        Some(total)
    }

    /// Those of a few columns alone beside the instant and what was measured, where `course`, a sum of all columns from
    /// the instant on with these weights, is taken by the incarnation times a random factor: `ratio` is the factor's
    /// variance over that of the noise. (The covariance gains a product of one column with itself, so that its inverse
    /// loses one: Sherman and Morrison, 1950.)
    pub(crate) fn loosened(&self, columns: &[usize], course: &[f64], ratio: f64) -> Self {
        let all: Vec<usize> = (LEVEL..SHAPES).chain(columns.iter().copied()).collect();
        let layout = Layout::of_all(all.len());
        let with: Vec<f64> = all
            .iter()
            .map(|a| {
                let each = all[TIME..].iter().zip(course);
                each.filter(|(_, weight)| **weight != 0.0)
                    .map(|(b, weight)| weight * self.of(*a, *b))
                    .sum()
            })
            .collect();
        let itself: f64 = with[TIME..].iter().zip(course).map(|(a, b)| a * b).sum();
        let growth = 1.0 + ratio * itself;
        let mut loosened = Self::zero(layout);
        for i in TIME..all.len() {
            for j in i..all.len() {
                let product = self.of(all[i], all[j]) - ratio / growth * with[i] * with[j];
                loosened.sums[layout.place(i, j)] = product;
            }
        }
        let time = loosened.of(TIME, TIME) / self.of(TIME, TIME);
        loosened.log_volume = self.log_volume + 0.5 * (growth.ln() + time.ln());
        loosened
    }

    /// The product of two columns.
    pub(crate) fn of(&self, a: usize, b: usize) -> f64 {
        self.sums[self.layout.place(a, b)]
    }

    /// The product at a [place](Layout::place).
    pub(crate) fn at(&self, place: usize) -> f64 {
        self.sums[place]
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

    /// Whether the level wanders about as slowly as the window is long, or slower.
    pub(crate) fn wanders(self) -> bool {
        self.memory > 0.3 && self.independent < self.wander
    }

    /// How much of a wander is left at each point of one incarnation of what it was at the point before.
    pub(crate) fn kept(self, points: &[Point]) -> Vec<f64> {
        let gaps = points.windows(2).map(|pair| pair[1].x - pair[0].x);
        let kept = gaps.map(|gap| (-gap / self.memory.max(1e-12)).exp());
        std::iter::once(1.0).chain(kept).collect()
    }

    /// Whitens one incarnation's columns, in time order, by a Kalman filter over its innovations (Harvey and Phillips,
    /// 1979), so that the cost is linear in the points.
    ///
    /// `rows` has for each point its value in each column, see [`SHAPES`]; for `kept` see [`Noise::kept`], which does
    /// not change with the independent noise.
    pub(crate) fn products(
        self,
        points: &[Point],
        kept: &[f64],
        rows: &[f64],
        layout: Layout,
    ) -> Products {
        let columns = layout.columns;
        let mut products = Products::zero(layout);
        let mut state = vec![0.0; columns];
        let mut innovations = vec![0.0; AT_ONCE * columns];
        let mut doubt = self.wander;
        let mut volume = Volume::default();
        let chunks = points.chunks(AT_ONCE).zip(kept.chunks(AT_ONCE));
        for ((points, kept), rows) in chunks.zip(rows.chunks(AT_ONCE * columns)) {
            let whitened = innovations.chunks_exact_mut(columns);
            let seen = points.iter().zip(kept).zip(rows.chunks_exact(columns));
            for (((point, kept), seen), whitened) in seen.zip(whitened) {
                doubt = kept * kept * doubt + self.wander * (1.0 - kept * kept);
                let spread = doubt + self.independent / point.weight;
                let gain = doubt / spread;
                let inverse_root = 1.0 / spread.sqrt();
                for ((value, state), new) in seen.iter().zip(&mut state).zip(whitened) {
                    let expected = *state * kept;
                    let surprise = value - expected;
                    *state = expected + gain * surprise;
                    *new = surprise * inverse_root;
                }
                doubt *= 1.0 - gain;
                volume.add(spread);
            }
            innovations[points.len() * columns..].fill(0.0);
            products.add_innovations(&innovations);
        }
        products.log_volume = volume.log() / 2.0;
        products.sweep_level();
        products
    }
}

/// The points of which products are added up at a time: sums are read and written once for all of them.
const AT_ONCE: usize = 4;

/// The logarithm of a product, taken seldom.
struct Volume {
    log: f64,
    product: f64,
}

impl Default for Volume {
    fn default() -> Self {
        Self {
            log: 0.0,
            product: 1.0,
        }
    }
}

impl Volume {
    fn add(&mut self, factor: f64) {
        self.product *= factor;
        if !(1e-100..1e100).contains(&self.product) {
            self.log += self.product.ln();
            self.product = 1.0;
        }
    }

    fn log(&self) -> f64 {
        self.log + self.product.ln()
    }
}

impl Products {
    fn add_innovations(&mut self, innovations: &[f64]) {
        let Layout { columns, shared } = self.layout;
        let (first, second) = innovations.split_at(2 * columns);
        let ((a, b), (c, d)) = (first.split_at(columns), second.split_at(columns));
        let (rows, others) = self.sums.split_at_mut(shared * columns);
        for (i, row) in rows.chunks_exact_mut(columns).enumerate() {
            let left = (a[i], b[i], c[i], d[i]);
            let right = a[i..].iter().zip(&b[i..]).zip(&c[i..]).zip(&d[i..]);
            for (sum, (((a, b), c), d)) in row[i..].iter_mut().zip(right) {
                *sum = *sum + left.0 * a + left.1 * b + left.2 * c + left.3 * d;
            }
        }
        if shared < columns {
            let (squares, neighbours) = others.split_at_mut(columns);
            for one in [a, b, c, d] {
                let tried = &one[shared..];
                for (sum, value) in squares[shared..].iter_mut().zip(tried) {
                    *sum += value * value;
                }
                let pairs = tried.iter().zip(&tried[1..]);
                for (sum, (left, right)) in neighbours[shared..].iter_mut().zip(pairs) {
                    *sum += left * right;
                }
            }
        }
    }

    /// Takes the incarnation's own level out of every other column.
    fn sweep_level(&mut self) {
        let Layout { columns, shared } = self.layout;
        let level: Vec<f64> = self.sums[..columns].to_vec();
        for i in 1..columns {
            let last = if i < shared {
                columns
            } else {
                (i + 2).min(columns)
            };
            for j in i..last {
                let place = self.layout.place(i, j);
                self.sums[place] -= level[i] * level[j] / level[LEVEL];
            }
        }
        self.log_volume += 0.5 * (level[LEVEL].ln() + self.of(TIME, TIME).ln());
    }
}
