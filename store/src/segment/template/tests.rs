//! Tables against the texts themselves: every text comes back as it was, and a needle is found where a
//! plain search finds it, and nowhere else.

use std::cell::RefCell;

use proptest::prelude::*;

use super::super::VERSION;
use super::super::codec::{Cursor, Decoded};
use super::super::frame::FrameReader;
use super::column::Coding;
use super::{Cells, Decoding, Finished, Listener, Place, Sink, Source, Table, write};
use crate::Needle;

/// Frames in memory.
pub(super) struct Frames {
    finished: Finished,
    reader: RefCell<FrameReader>,
    cells: Cells,
}

/// Does not listen.
struct Nobody;

impl Listener for Nobody {
    fn digits_min(&self) -> usize {
        0
    }

    fn piece(&mut self, _: &[u8]) {}

    fn word(&mut self, _: &[u8]) {}
}

impl Frames {
    /// What was put in a sink, with so many cells for its columns.
    pub(super) fn of(mut sink: Sink, cells: u32) -> Self {
        let (finished, reader) = (sink.finish().unwrap(), RefCell::default());
        Self { finished, reader, cells: Cells::new(cells) }
    }
}

impl Source for Frames {
    fn with<T>(&self, place: Place, read: impl FnOnce(&[u8]) -> Decoded<T>) -> Decoded<T> {
        if place.len == 0 {
            return read(&[]);
        }
        let Finished { frames, within } = &self.finished;
        let mut raw = Vec::new();
        match &frames[place.frame as usize] {
            Some((frame, stored)) => {
                self.reader.borrow_mut().read_or_copy(*frame, stored, &mut raw)?;
            }
            None => raw.extend_from_slice(within),
        }
        read(&raw[place.offset as usize..][..place.len as usize])
    }

    fn cells(&self) -> &Cells {
        &self.cells
    }
}

/// A table that went through its bytes.
fn stored(texts: &[Vec<u8>]) -> (Table, Frames) {
    let (mut bytes, mut spans) = (Vec::new(), Vec::new());
    for text in texts {
        let start = u32::try_from(bytes.len()).unwrap();
        bytes.extend_from_slice(text);
        spans.push((start, u32::try_from(bytes.len()).unwrap()));
    }
    let mut sink = Sink::new(1).unwrap();
    let table = write(&bytes, &spans, &mut sink, &mut Nobody).unwrap();
    let mut described = Vec::new();
    table.encode(&mut described);
    let mut decoding = Decoding::new(VERSION);
    let table = Table::decode(&mut Cursor::new(&described), 0, &mut decoding).unwrap();
    (table, Frames::of(sink, decoding.cells()))
}

fn check_texts(texts: &[Vec<u8>]) {
    let (table, frames) = stored(texts);
    let all: Vec<u32> = (0..).take(texts.len()).collect();
    // A few are decoded one by one, until all of them are.
    let few: Vec<u32> = all.iter().copied().step_by(71).collect();
    let others: Vec<u32> = all.iter().rev().copied().step_by(97).collect();
    let others: Vec<u32> = others.into_iter().rev().collect();
    let parts = [&few, &others, &all[..], &few, &all[..all.len() / 7], &all[all.len() / 2..]];
    for wanted in parts {
        let loaded = table.load_these(wanted, &frames).unwrap();
        for number in wanted {
            let (text, mut made) = (&texts[*number as usize], Vec::new());
            loaded.push(*number as usize, &mut made);
            assert_eq!(String::from_utf8_lossy(&made), String::from_utf8_lossy(text));
            assert_eq!(&made, text);
            assert_eq!(loaded.len_of(*number as usize), text.len());
        }
    }
}

/// Compares with a plain search.
fn check_needle(table: &Table, frames: &Frames, texts: &[Vec<u8>], needle: &Needle) {
    let hits = table.having(needle, frames).unwrap();
    for (number, text) in (0..).zip(texts) {
        let expected = needle.find(text).is_some();
        let text = String::from_utf8_lossy(text);
        assert_eq!(hits.any_in(number..number + 1), expected, "{needle:?} in {text:?}");
    }
}

/// Small numbers in no order: enough for texts, and the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn one_of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        let sides = u64::try_from(texts.len()).unwrap();
        texts[usize::try_from(self.roll(sides)).unwrap()]
    }
}

/// A line as some service might write it.
fn line(dice: &mut Dice) -> String {
    const WORDS: [&str; 8] = ["accepted", "failed", "für", "root", "kernel", "added", "K", "ſ"];
    const AGENTS: [&str; 4] =
        ["Mozilla/5.0 (X11; Linux x86_64)", "curl/8.4.0", "-", "Mozilla/5.0 (\\\"odd\\\")"];
    let (id, small, word) = (dice.roll(1 << 40), dice.roll(12), dice.one_of(&WORDS));
    match dice.roll(9) {
        0 => format!("level={word} id={id:016x} took={small}ms path=/v1/item/{}", id % 97),
        1 => format!(
            "10.0.{}.{small} - - [{small:02}/Oct/2026:0{}:{:02}] \"GET /a/{}?q={word} HTTP/1.1\" {} {} \"{}\"",
            id % 4,
            small % 9,
            id % 60,
            id % 11,
            200 + small,
            id % 5000,
            dice.one_of(&AGENTS)
        ),
        2 => format!(
            r#"{{"ts":{},"level":"{word}","msg":"job {} of {small} {word}","nested":{{"a":{},"b":"{:04x}"}}}}"#,
            1_793_534_400 + id % 1000,
            id % 7,
            small * 37,
            id % 65536
        ),
        3 => format!("{word} {} {} {word}", dice.one_of(&WORDS), dice.one_of(&WORDS)),
        4 => format!("    at com.example.Job$Worker.run(Job.java:{})", 10 + small),
        5 => {
            format!("blk_-{id} size {} src /10.1.1.{small}:{}", small * 1_000_003, 50_000 + id % 9)
        }
        6 => format!("{:08x}-{:04X}-{small:03}", id % (1 << 32), id % 65536),
        7 => String::new(),
        _ => format!(
            r#"{{"log":"{{\"k\":\"{word} {small}\",\"n\":{}}}","stream":"stdout"}}"#,
            id % 100
        ),
    }
}

fn lines(seed: u64, count: usize) -> Vec<Vec<u8>> {
    let mut dice = Dice(seed);
    (0..count).map(|_| line(&mut dice).into_bytes()).collect()
}

#[test]
fn texts_come_back_as_they_were() {
    for seed in 0..4 {
        check_texts(&lines(seed, 3000));
    }
    check_texts(&[]);
    check_texts(&vec![Vec::new(); 100]);
    check_texts(&vec![b"\xff\xfe\x00 no text 17".to_vec(); 20]);
}

#[test]
fn numbers_keep_their_look() {
    let numbers = |numbers: &[&str]| -> Vec<Vec<u8>> {
        let line = |number: &&str| format!("n {number} end").into_bytes();
        numbers.iter().cycle().take(40).map(line).collect()
    };
    check_texts(&numbers(&["0", "7", "18446744073709551615", "10"]));
    check_texts(&numbers(&["00", "07", "99"]));
    check_texts(&numbers(&["0", "01", "2"]));
    check_texts(&numbers(&["9999999999999999999", "1"]));
    check_texts(&numbers(&["00000000000000000001", "99999999999999999999"]));
    check_texts(&numbers(&["dead", "beef", "0000"]));
    check_texts(&numbers(&["DEAD", "BEEF", "00F0"]));
    check_texts(&numbers(&["dEAD", "BEEF", "00F0"]));
    check_texts(&numbers(&["abc12", "def45", "00000"]));
}

/// How many lines needles are cut out of; `TIMBERLINE_NEEDLE_LINES` asks for more.
fn needle_lines() -> usize {
    let asked = std::env::var("TIMBERLINE_NEEDLE_LINES").ok();
    asked.and_then(|lines| lines.parse().ok()).unwrap_or(24)
}

/// Needles cut out of lines at every place and of many lengths, as they are, in the other case, and with
/// a byte changed.
#[test]
fn needles_are_found_where_they_are() {
    let count = needle_lines();
    let mut pairs = 0;
    for seed in 0..count.div_ceil(24) {
        let texts = lines(100 + seed as u64, 400);
        let (table, frames) = stored(&texts);
        for text in texts.iter().filter(|text| !text.is_empty()).take(24) {
            for start in 0..text.len() {
                for len in [1, 2, 3, 5, 8, 13, 21, 34, 55] {
                    let Some(bytes) = text.get(start..start + len) else { break };
                    check_needle(&table, &frames, &texts, &Needle::new(bytes));
                    let mut changed = bytes.to_vec();
                    changed[len / 2] ^= 1;
                    check_needle(&table, &frames, &texts, &Needle::new(&changed));
                    pairs += 2;
                    if len < 9 {
                        pairs += 1;
                        let swapped = Needle::in_either_case(&bytes.to_ascii_uppercase()).unwrap();
                        check_needle(&table, &frames, &texts, &swapped);
                    }
                }
            }
        }
    }
    println!("{pairs} needles, each in 400 lines");
}

/// Ids looked for as they are, cut at every place, and changed in one digit.
#[test]
fn ids_are_found_whole_and_in_part() {
    let mut dice = Dice(7);
    let mut id = |digits: usize| -> String {
        (0..digits).map(|_| char::from_digit(dice.roll(16) as u32, 16).unwrap()).collect()
    };
    let ids: Vec<[String; 3]> = (0..400).map(|_| [id(32), id(40).to_uppercase(), id(17)]).collect();
    let texts: Vec<Vec<u8>> = (0_u64..)
        .zip(&ids)
        .map(|(n, [a, b, c])| {
            let number = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % 10_u64.pow(19);
            format!("trace={a} span={b} odd={c} blk_{number} {number:019}").into_bytes()
        })
        .collect();
    let (table, frames) = stored(&texts);
    let check = |needle: &[u8]| check_needle(&table, &frames, &texts, &Needle::new(needle));
    for text in texts.iter().step_by(97) {
        let words = text.split(|byte| !byte.is_ascii_alphanumeric());
        for word in words.filter(|word| word.len() > 8) {
            check(word);
            check(&word.to_ascii_lowercase());
            for start in 0..word.len() {
                for len in [2, 3, 4, 5, 8, 9, 31] {
                    check(&word[start..word.len().min(start + len)]);
                }
            }
            let mut other = word.to_vec();
            other[word.len() / 2] ^= 1;
            check(&other);
        }
    }
    for [a, b, _] in &ids[..20] {
        check(format!("={a} s").as_bytes());
        check(format!("{} odd", &b[1..]).as_bytes());
        for needle in [a.to_ascii_uppercase(), b.to_ascii_lowercase(), b[3..].to_owned()] {
            let needle = Needle::in_either_case(needle.as_bytes()).unwrap();
            check_needle(&table, &frames, &texts, &needle);
        }
    }
}

/// Values that are digits and letters in turn have templates among themselves, which needles lie across.
#[test]
fn digits_with_units_are_found_whole_and_in_part() {
    let mut dice = Dice(11);
    let texts: Vec<Vec<u8>> = (0..400)
        .map(|_| {
            let (nanos, took, worker) =
                (dice.roll(1_000_000_000), dice.roll(90_000), dice.roll(50_000));
            let unit = dice.one_of(&["ms", "µs", "s", "ns"]);
            format!("at 46.{nanos:09}Z took={took}{unit} by worker{worker}x7 r{nanos:x}")
                .into_bytes()
        })
        .collect();
    let (table, frames) = stored(&texts);
    let nested = table.templates.iter().flat_map(|template| &template.slots);
    let nested = nested.filter(|column| matches!(column.coding, Coding::Templates(_))).count();
    assert!(nested >= 3, "{table:?}");
    check_texts(&texts);
    for text in texts.iter().step_by(37) {
        for start in 0..text.len() {
            for len in [1, 2, 3, 4, 6, 9, 14, 20] {
                let Some(bytes) = text.get(start..start + len) else { break };
                check_needle(&table, &frames, &texts, &Needle::new(bytes));
                let mut changed = bytes.to_vec();
                changed[len / 2] ^= 1;
                check_needle(&table, &frames, &texts, &Needle::new(&changed));
                let swapped = Needle::in_either_case(&bytes.to_ascii_uppercase()).unwrap();
                check_needle(&table, &frames, &texts, &swapped);
            }
        }
    }
}

proptest! {
    /// Texts of few letters, in which needles lie across slots in many ways.
    #[test]
    fn dense_needles_are_found_where_they_are(
        texts in prop::collection::vec("[ab1 ]{0,12}|x[12]{1,3} y[12]{1,3}x", 1..60),
        needles in prop::collection::vec("[abxy12 ]{1,5}", 1..20),
    ) {
        let texts: Vec<Vec<u8>> =
            texts.iter().cycle().take(texts.len() * 8).map(|text| text.clone().into_bytes()).collect();
        check_texts(&texts);
        let (table, frames) = stored(&texts);
        for needle in &needles {
            check_needle(&table, &frames, &texts, &Needle::new(needle.as_bytes()));
        }
    }

    /// Whatever the bytes are, a description is read or refused.
    #[test]
    fn arbitrary_descriptions_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut decoding = Decoding::new(VERSION);
        if let Ok(table) = Table::decode(&mut Cursor::new(&bytes), 0, &mut decoding) {
            let cells = Cells::new(decoding.cells());
            let frames = Frames { finished: Finished::default(), reader: RefCell::default(), cells };
            let _ = table.having(&Needle::new(b"a1"), &frames);
            let _ = table.load_these(&[0, 1, 5], &frames).map(|table| table.len_of(1));
        }
    }
}

/// A shared frame that is full while templates of values are tried takes less than what was in it did before.
#[test]
fn what_shares_a_frame_with_others_does_not_count_against_templates() {
    let times = |row: usize| {
        let micros = row.wrapping_mul(0x9e37_79b9) % 1_000_000;
        format!("2018-03-24T17:{:02}:{:02}.{micros:06}Z", row / 60 % 60, row % 60)
    };
    for columns in 70..90 {
        let small =
            |row: usize| (0..columns).map(move |n| format!("\"k{n}\":{},", row * (n + 1) + n));
        let line = |row| format!("{}\"ts\":\"{}\"", small(row).collect::<String>(), times(row));
        let lines: Vec<Vec<u8>> = (0..400).map(|row| line(row).into_bytes()).collect();
        let (table, _) = stored(&lines);
        let [template] = &table.templates[..] else { panic!("{table:?}") };
        let Some(times) = template.slots.last() else { panic!("{template:?}") };
        assert!(matches!(times.coding, Coding::Templates(_)), "{columns}: {times:?}");
    }
}
