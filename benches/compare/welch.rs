//! Welch's t-test over the times of two classes of inputs: whether they differ, and by how much.

use std::hint::black_box;
use std::time::Instant;

/// The largest |t|, and by how many nanoseconds the classes differ without the slowest tenth.
#[derive(Clone, Copy)]
pub(crate) struct T {
    pub(crate) most: f64,
    pub(crate) difference: f64,
}

/// Times `work` on inputs of two classes, which are all refused.
pub(crate) fn welch<P: AsRef<[u8]> + AsMut<[u8]>>(
    samples: usize,
    classes: [&P; 2],
    place: &mut P,
    work: impl Fn(&P) -> bool,
) -> T {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut times: Vec<(usize, f64)> = Vec::with_capacity(samples);
    for number in 0..samples + samples / 10 {
        // Marsaglia's xorshift64.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let class = usize::from(random >> 40 & 1 == 1);
        place.as_mut().copy_from_slice(classes[class].as_ref());
        let start = Instant::now();
        let taken = black_box(work(black_box(place)));
        let time = start.elapsed();
        assert!(!taken, "every input is wrong");
        // The first tenth warms up.
        if number >= samples / 10 {
            times.push((class, time.as_nanos() as f64));
        }
    }
    let mut sorted: Vec<f64> = times.iter().map(|(_, time)| *time).collect();
    sorted.sort_by(f64::total_cmp);
    let quantile = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
    // dudect's: more of them near the fast end.
    let crops = (1..=CROPS).map(|n| quantile(1.0 - 0.5_f64.powf(10.0 * n as f64 / CROPS as f64)));
    let of = |limit: f64| t(times.iter().filter(|(_, time)| *time <= limit));
    let most = crops
        .chain([f64::INFINITY])
        .map(|limit| of(limit).most)
        .fold(0.0, f64::max);
    T {
        most,
        difference: of(quantile(0.9)).difference,
    }
}

/// Welch's t of two classes.
fn t<'a>(times: impl Iterator<Item = &'a (usize, f64)>) -> T {
    // Count, mean and sum of squared differences, each updated as Welford does.
    let mut classes = [(0.0, 0.0, 0.0); 2];
    for (class, time) in times {
        let (count, mean, squares) = &mut classes[*class];
        *count += 1.0;
        let before = time - *mean;
        *mean += before / *count;
        *squares += before * (time - *mean);
    }
    let [a, b] = classes;
    let error = |(count, _, squares): (f64, f64, f64)| squares / (count - 1.0) / count;
    let difference = a.1 - b.1;
    let deviation = (error(a) + error(b)).sqrt();
    let most = match a.0 > 1.0 && b.0 > 1.0 && deviation > 0.0 {
        true => (difference / deviation).abs(),
        false => 0.0,
    };
    T { most, difference }
}

const CROPS: usize = 100;
