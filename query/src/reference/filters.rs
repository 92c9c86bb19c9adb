//! Line filters, label filters and matchers.

use std::net::IpAddr;

use regex::Regex;
use timberline_store::MatchOp;

use super::labels::EntryLabels;
use super::parsers::{Piece, find, pieces};
use crate::golang::{
    compile_regex, compile_regex_str, parse_bytes, parse_duration, parse_float, translate_regex,
};
use crate::syntax::{
    Comparison, LabelFilter, LabelMatcher, LineFilter, LineFilterOp, LineOperand, NameOrMatcher,
};

/// Whether a value passes a matcher: of a selector, `drop` or `keep`.
pub(super) fn matches(matcher: &LabelMatcher, value: &str) -> Result<bool, String> {
    let regex = || {
        let source = translate_regex(&matcher.value)?;
        Regex::new(&format!("^(?s:{source})$")).map_err(|error| error.to_string())
    };
    Ok(match matcher.op {
        MatchOp::Equal => value == matcher.value,
        MatchOp::NotEqual => value != matcher.value,
        MatchOp::Matches => regex()?.is_match(value),
        MatchOp::NotMatches => !regex()?.is_match(value),
    })
}

/// Whether a line passes a line filter.
pub(super) fn passes_line(filter: &LineFilter, line: &[u8]) -> Result<bool, String> {
    use LineFilterOp::{Contains, Matches, NotContains, NotMatches, NotPattern, Pattern};
    let is_positive = matches!(filter.op, Contains | Matches | Pattern);
    // An alternative that always holds is none, unless it is the only one.
    let (mut any_test, mut any_holds, mut any_trivial) = (false, false, false);
    for operand in &filter.operands {
        let (holds, is_trivial) = match (operand, filter.op) {
            (LineOperand::Ip(_), Matches | NotMatches | Pattern | NotPattern) => {
                return Err("ip: invalid operation".to_owned());
            }
            (LineOperand::Ip(pattern), _) if filter.operands.len() == 1 => {
                (has_address(line, &addresses(pattern)?), false)
            }
            (LineOperand::Ip(text) | LineOperand::Text(text), Contains | NotContains) => {
                (find(line, text.as_bytes()).is_some(), text.is_empty())
            }
            (LineOperand::Text(text), Matches | NotMatches) => {
                let is_trivial = matches!(text.as_str(), "" | ".*");
                (is_trivial || compile_regex(text)?.is_match(line), is_trivial)
            }
            (LineOperand::Text(text), Pattern | NotPattern) => (covers(text, line)?, false),
        };
        any_test |= !is_trivial;
        any_holds |= holds && !is_trivial;
        any_trivial |= is_trivial;
    }
    Ok(match is_positive {
        true => any_holds || !any_test,
        false => !any_holds && !any_trivial,
    })
}

/// Whether a pattern covers a line.
fn covers(pattern: &str, line: &[u8]) -> Result<bool, String> {
    let pieces = pieces(pattern)?;
    if pieces.iter().any(|piece| matches!(piece, Piece::Capture(name) if name != "_")) {
        return Err("named captures are not allowed".to_owned());
    }
    if pieces.is_empty() || line.is_empty() {
        return Ok(pieces.is_empty() && line.is_empty());
    }
    let mut at = 0;
    for (index, piece) in pieces.iter().enumerate() {
        let Piece::Literal(literal) = piece else { continue };
        match find(&line[at..], literal) {
            None => return Ok(false),
            Some(0) if index > 0 => return Ok(false),
            Some(found) => at += found + literal.len(),
        }
    }
    let is_open = matches!(pieces.last(), Some(Piece::Capture(_)));
    Ok(is_open == (at < line.len()))
}

/// The first and the last address that a pattern means.
fn addresses(pattern: &str) -> Result<(IpAddr, IpAddr), String> {
    let invalid = || format!("ip: invalid pattern: {pattern:?}");
    let parse = |text: &str| text.parse::<IpAddr>().map_err(|_| invalid());
    if let Some((first, last)) = pattern.split_once('-') {
        let (first, last) = (parse(first)?, parse(last)?);
        let is_range = first.is_ipv4() == last.is_ipv4() && first <= last;
        return is_range.then_some((first, last)).ok_or_else(invalid);
    }
    let Some((address, length)) = pattern.split_once('/') else {
        return Ok((parse(pattern)?, parse(pattern)?));
    };
    let length: usize = length.parse().map_err(|_| invalid())?;
    // The bits behind the prefix are all zeros in the first address and all ones in the last.
    let bits = |octets: &[u8], fill: u8| -> Vec<u8> {
        let bit = |at: usize| if at < length { octets[at / 8] >> (7 - at % 8) & 1 } else { fill };
        let octet = |at: usize| (0..8).fold(0, |octet, offset| octet << 1 | bit(at * 8 + offset));
        (0..octets.len()).map(octet).collect()
    };
    match parse(address)? {
        IpAddr::V4(address) if length <= 32 => {
            let of =
                |fill| -> [u8; 4] { bits(&address.octets(), fill).try_into().unwrap_or_default() };
            Ok((of(0).into(), of(1).into()))
        }
        IpAddr::V6(address) if length <= 128 => {
            let of =
                |fill| -> [u8; 16] { bits(&address.octets(), fill).try_into().unwrap_or_default() };
            Ok((of(0).into(), of(1).into()))
        }
        _ => Err(invalid()),
    }
}

/// Whether one of the addresses stands in the text.
fn has_address(text: &[u8], (first, last): &(IpAddr, IpAddr)) -> bool {
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let v4 = rest[0].is_ascii_digit() && rest[1..].iter().take(3).any(|&byte| byte == b'.');
        let digits = rest.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let is_group = (1..=4).contains(&digits) && rest.get(digits) == Some(&b':');
        let is_gap = rest.starts_with(b"::") && rest.get(2).is_some_and(u8::is_ascii_hexdigit);
        let belongs = |byte: &&u8| match v4 {
            true => byte.is_ascii_digit() || **byte == b'.',
            false => byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'),
        };
        if !v4 && !is_group && !is_gap {
            at += 1;
            continue;
        }
        let run: Vec<u8> = rest.iter().take_while(belongs).copied().collect();
        let address = String::from_utf8_lossy(&run).parse::<IpAddr>();
        let is_meant = |address: IpAddr| {
            address.is_ipv4() == first.is_ipv4() && *first <= address && address <= *last
        };
        if address.is_ok_and(is_meant) {
            return true;
        }
        at += run.len();
    }
    false
}

/// Refuses what does not compile.
pub(super) fn check(filter: &LabelFilter) -> Result<(), String> {
    match filter {
        LabelFilter::Ip { pattern, .. } => addresses(pattern).map(drop),
        LabelFilter::And(left, right) | LabelFilter::Or(left, right) => {
            check(left)?;
            check(right)
        }
        _ => Ok(()),
    }
}

/// Whether an entry passes a label filter. May set its error.
pub(super) fn passes(filter: &LabelFilter, labels: &mut EntryLabels<'_>) -> Result<bool, String> {
    Ok(match filter {
        LabelFilter::Matcher(matcher) => {
            let own = labels.error.as_deref().filter(|_| matcher.name == "__error__");
            text_passes(matcher, own.or_else(|| labels.get(&matcher.name)).unwrap_or_default())?
        }
        LabelFilter::Ip { name, negated, pattern } => {
            let range = addresses(pattern)?;
            let text = labels.get(name);
            labels.error.is_some()
                || text.is_some_and(|text| has_address(text.as_bytes(), &range) != *negated)
        }
        LabelFilter::Number { name, op, value } => {
            let parsed = labels.get(name).map(parse_float);
            compared(parsed, labels, |found| holds(*op, &found, value))
        }
        LabelFilter::Duration { name, op, nanos } => {
            let parsed = labels.get(name).map(parse_duration);
            compared(parsed, labels, |found| holds(*op, &found, nanos))
        }
        LabelFilter::Bytes { name, op, bytes } => {
            let parsed = labels.get(name).map(parse_bytes);
            compared(parsed, labels, |found| holds(*op, &found, bytes))
        }
        LabelFilter::And(left, right) => {
            let (left, right) = (passes(left, labels)?, passes(right, labels)?);
            left && right
        }
        LabelFilter::Or(left, right) => passes(left, labels)? || passes(right, labels)?,
    })
}

fn text_passes(matcher: &LabelMatcher, text: &str) -> Result<bool, String> {
    let value = matcher.value.as_str();
    let whole = || match value {
        ".*" => Ok(true),
        ".+" => Ok(!text.is_empty()),
        _ => compile_regex_str(&format!("^(?:{value})$")).map(|regex| regex.is_match(text)),
    };
    Ok(match matcher.op {
        MatchOp::Equal => text == value,
        MatchOp::NotEqual => text != value,
        MatchOp::Matches => whole()?,
        MatchOp::NotMatches => !whole()?,
    })
}

fn compared<T>(
    parsed: Option<Result<T, String>>,
    labels: &mut EntryLabels<'_>,
    holds: impl FnOnce(T) -> bool,
) -> bool {
    match parsed {
        None => false,
        Some(Ok(value)) => holds(value),
        Some(Err(details)) => {
            if labels.error.is_none() {
                labels.fail("LabelFilterErr", &details);
            }
            true
        }
    }
}

fn holds<T: PartialOrd>(op: Comparison, left: &T, right: &T) -> bool {
    match op {
        Comparison::Equal => left == right,
        Comparison::NotEqual => left != right,
        Comparison::Greater => left > right,
        Comparison::GreaterOrEqual => left >= right,
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left <= right,
    }
}

/// `| drop …`
pub(super) fn drop_labels(
    items: &[NameOrMatcher],
    labels: &mut EntryLabels<'_>,
) -> Result<(), String> {
    for item in items {
        let name = match item {
            NameOrMatcher::Name(name) => name,
            NameOrMatcher::Matcher(matcher) => &matcher.name,
        };
        let value = match name.as_str() {
            "__error__" => labels.error.as_deref(),
            "__error_details__" => labels.details.as_deref(),
            name => labels.get(name),
        };
        if let NameOrMatcher::Matcher(matcher) = item
            && !matches(matcher, value.unwrap_or_default())?
        {
            continue;
        }
        match name.as_str() {
            "__error__" => labels.error = None,
            "__error_details__" => labels.details = None,
            name => labels.delete(name),
        }
    }
    Ok(())
}

/// `| keep …`
pub(super) fn keep_labels(
    items: &[NameOrMatcher],
    labels: &mut EntryLabels<'_>,
) -> Result<(), String> {
    for (name, value) in labels.all() {
        let mut kept = name == "__preserve_error__";
        for item in items {
            kept |= match item {
                NameOrMatcher::Name(listed) => *listed == name,
                NameOrMatcher::Matcher(matcher) => {
                    matcher.name == name && matches(matcher, &value)?
                }
            };
        }
        if !kept {
            labels.delete(&name);
        }
    }
    Ok(())
}
