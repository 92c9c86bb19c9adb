//! How many cases of each group pass at least.

use std::collections::BTreeMap;
use std::path::Path;

/// The least number of passing cases by group; `group.text` for the error texts that are equal.
pub type Floors = BTreeMap<String, usize>;

const HEAD: &str = "\
# How many cases of each group pass at least; `.text` counts error texts that are equal to the letter.
# UPDATE_FLOORS=1 cargo test -p timberline --test conformance raises them to what passes now.
";

/// Reads `name = number` lines.
pub fn read(path: &Path) -> Floors {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let floors = lines.map(|line| {
        let (name, number) = line.split_once('=').expect("name = number");
        (name.trim().to_owned(), number.trim().parse().unwrap())
    });
    floors.collect()
}

/// Writes them, each the higher of what it was and what passes now.
pub fn raise(path: &Path, floors: &Floors, passed: &Floors) {
    let mut raised = floors.clone();
    for (name, passed) in passed {
        let floor = raised.entry(name.clone()).or_default();
        *floor = (*floor).max(*passed);
    }
    let lines = raised.iter().map(|(name, floor)| format!("{name} = {floor}\n"));
    std::fs::write(path, format!("{HEAD}{}", lines.collect::<String>())).unwrap();
}
