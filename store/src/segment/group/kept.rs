//! Groups that stay open for a while when nobody reads them.
//!
//! Who looks at the newest lines looks again soon, and who goes through lines page by page asks for the next ones of
//! the same group: what was decompressed for a few lines is as much as for many. Groups of which nobody wanted but a few
//! lines are kept, unless they take up much, as one does that was read as a whole.

use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;

use super::Group;

/// Bytes that all of them may take up in a process.
const BYTES_MAX: usize = 8 << 20;

/// No more are kept, however small they are.
const GROUPS_MAX: usize = 16;

/// A group that takes up more is not kept.
const GROUP_BYTES_MAX: usize = BYTES_MAX / 2;

/// Those that are kept, the one used last at the end.
static KEPT: LazyLock<Kept> = LazyLock::new(Kept::default);

#[derive(Debug, Default)]
struct Kept(Mutex<Vec<Arc<Group>>>);

/// Takes a group that somebody is done with.
pub(super) fn let_go(group: Arc<Group>) {
    if group.is_worth_keeping() {
        KEPT.let_go(group, BYTES_MAX, GROUP_BYTES_MAX);
    }
}

impl Kept {
    fn let_go(&self, group: Arc<Group>, bytes_max: usize, group_bytes_max: usize) {
        // What is not kept any more is freed when nobody waits.
        let mut gone = Vec::new();
        let mut kept = self.0.lock();
        if let Some(place) = kept.iter().position(|other| Arc::ptr_eq(other, &group)) {
            gone.push(kept.remove(place));
        }
        // Others may have read more of it meanwhile, or be at it now.
        if group.memory_bytes() > group_bytes_max {
            drop(kept);
            return;
        }
        kept.push(group);
        let mut bytes = 0;
        let fits = |group: &&Arc<Group>| {
            bytes += group.memory_bytes();
            bytes <= bytes_max
        };
        let fitting = kept.iter().rev().take(GROUPS_MAX).take_while(fits).count();
        let too_many = kept.len() - fitting;
        gone.extend(kept.drain(..too_many));
        drop(kept);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::super::{GroupBuilder, GroupScratch};
    use super::*;
    use crate::segment::template::Sink;
    use crate::{LineColumn, Metadata, Row};

    const LINES: u32 = 1000;

    /// A group whose lines at these places were made.
    fn read_at(places: &[u32]) -> Arc<Group> {
        let (mut builder, mut file) = (GroupBuilder::new(), Vec::new());
        for number in 0..LINES {
            let line = format!("order {} took {number} ms", number * 7919 % 10_007);
            builder.push(number.into(), line.as_bytes(), &Metadata::default());
        }
        let entry = builder.finish(&mut Sink::new(1).unwrap(), &mut file).unwrap();
        let scratch = &mut GroupScratch::default();
        let group = Group::open((u64::MAX, 0), &entry, &file, scratch).unwrap();
        let (mut rows, mut text) = (vec![Row::default(); places.len()], Vec::new());
        group.lines(places, LineColumn::Text, &file, scratch, &mut text, &mut rows).unwrap();
        assert!(text.ends_with(format!("took {} ms", places.last().unwrap()).as_bytes()));
        Arc::new(group)
    }

    #[test]
    fn groups_that_gave_a_few_lines_are_worth_keeping() {
        assert!(read_at(&[3, 997]).is_worth_keeping());
        assert!(!read_at(&(0..LINES).collect::<Vec<_>>()).is_worth_keeping());
    }

    #[test]
    fn those_used_last_are_kept_as_long_as_there_is_room() {
        let bytes = read_at(&[7]).memory_bytes();
        assert!((2000..20_000).contains(&bytes), "{bytes}");
        let kept = Kept::default();
        let groups: Vec<Weak<Group>> = (0..3)
            .map(|_| {
                Arc::downgrade(&{
                    let group = read_at(&[7]);
                    kept.let_go(Arc::clone(&group), 2 * bytes, bytes);
                    group
                })
            })
            .collect();
        let alive = || groups.iter().map(|group| group.strong_count()).collect::<Vec<_>>();
        assert_eq!(alive(), [0, 1, 1]);
        // The older one is used again, and then there is one more.
        kept.let_go(groups[1].upgrade().unwrap(), 2 * bytes, bytes);
        kept.let_go(read_at(&[7]), 2 * bytes, bytes);
        assert_eq!(alive(), [0, 1, 0]);
        // One that has grown goes.
        kept.let_go(groups[1].upgrade().unwrap(), 2 * bytes, bytes - 1);
        assert_eq!(alive(), [0, 0, 0]);
        (0..2 * GROUPS_MAX).for_each(|_| kept.let_go(read_at(&[7]), usize::MAX, bytes));
        assert_eq!(kept.0.lock().len(), GROUPS_MAX);
    }
}
