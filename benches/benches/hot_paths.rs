//! The hot paths' times. `cargo bench -p timberline-benches`; a name, such as `-- json`, picks some.

use criterion::{BatchSize, Criterion};
use timberline_benches::hot::{Fixture, HOT_PATHS, HotPath, Work};

/// How often a path is measured: a flush takes long enough for a few to tell.
const SAMPLES: usize = 20;

fn main() {
    let mut criterion = Criterion::default().sample_size(SAMPLES).configure_from_args();
    let fixture = Fixture::new().expect("the corpus is made");
    for path in HOT_PATHS {
        measure(&mut criterion, &fixture, path);
    }
    criterion.final_summary();
}

fn measure(criterion: &mut Criterion, fixture: &Fixture, path: HotPath) {
    let prepare = || path.prepare(fixture).expect("the path is prepared");
    let finish = |work: &mut Work<'_>| work().expect("the work is done");
    criterion.bench_function(path.name, |bencher| {
        if path.is_repeatable {
            let mut work = prepare();
            bencher.iter(|| finish(&mut work));
        } else {
            // Taking the work by reference leaves its end, where the store is closed, out of the time.
            bencher.iter_batched_ref(prepare, finish, BatchSize::PerIteration);
        }
    });
}
