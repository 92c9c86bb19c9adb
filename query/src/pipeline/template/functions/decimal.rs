//! Exact decimal numbers, as many digits as it takes.
//!
//! Floats come in by their shortest decimal form and leave as the nearest float, so `addf 0.1 0.2`
//! is 0.3. Operands have at most 17 digits and a template few operands: schoolbook arithmetic does.

use std::cmp::Ordering;

/// Decimal places of a quotient.
const DIVISION_PLACES: i64 = 16;

/// `digits * 10^exponent`, negated with `is_negative`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Decimal {
    is_negative: bool,
    /// Least significant first, without zeros at the end; empty for zero.
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    /// `None` for what is not finite.
    pub(super) fn from_float(float: f64) -> Option<Decimal> {
        if !float.is_finite() {
            return None;
        }
        let text = format!("{:e}", float.abs());
        let (mantissa, exponent) = text.split_once('e')?;
        let decimals = mantissa.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        let digits = mantissa.bytes().rev().filter(u8::is_ascii_digit).map(|b| b - b'0').collect();
        let exponent = exponent.parse::<i64>().ok()? - i64::try_from(decimals).ok()?;
        Some(Decimal::new(float < 0.0, digits, exponent))
    }

    fn new(is_negative: bool, mut digits: Vec<u8>, exponent: i64) -> Decimal {
        strip(&mut digits);
        Decimal { is_negative: is_negative && !digits.is_empty(), digits, exponent }
    }

    /// The nearest float; infinite where there is none.
    pub(super) fn to_float(&self) -> f64 {
        let digits = self.digits.iter().rev().map(|digit| char::from(b'0' + digit));
        let text: String = digits.collect();
        let sign = if self.is_negative { "-" } else { "" };
        if text.is_empty() {
            return 0.0;
        }
        format!("{sign}{text}e{}", self.exponent).parse().unwrap_or_default()
    }

    pub(super) fn negated(&self) -> Decimal {
        Decimal::new(!self.is_negative, self.digits.clone(), self.exponent)
    }

    pub(super) fn plus(&self, other: &Decimal) -> Decimal {
        let exponent = self.exponent.min(other.exponent);
        let (a, b) = (self.scaled_to(exponent), other.scaled_to(exponent));
        if self.is_negative == other.is_negative {
            return Decimal::new(self.is_negative, add(&a, &b), exponent);
        }
        match order(&a, &b) {
            Ordering::Less => Decimal::new(other.is_negative, subtract(&b, &a), exponent),
            _ => Decimal::new(self.is_negative, subtract(&a, &b), exponent),
        }
    }

    pub(super) fn times(&self, other: &Decimal) -> Decimal {
        let mut digits = vec![0u8; self.digits.len() + other.digits.len()];
        for (i, a) in self.digits.iter().enumerate() {
            let mut carry = 0;
            for (slot, b) in digits[i..].iter_mut().zip(other.digits.iter().chain([&0])) {
                let sum = *slot + a * b + carry;
                *slot = sum % 10;
                carry = sum / 10;
            }
        }
        let exponent = self.exponent + other.exponent;
        Decimal::new(self.is_negative != other.is_negative, digits, exponent)
    }

    /// The quotient to 16 decimal places, half rounded away from zero; `None` by zero.
    pub(super) fn divided_by(&self, other: &Decimal) -> Option<Decimal> {
        if other.digits.is_empty() {
            return None;
        }
        let shift = self.exponent - other.exponent + DIVISION_PLACES;
        let (numerator, denominator) = (
            shifted(&self.digits, shift.max(0)),
            shifted(&other.digits, shift.saturating_neg().max(0)),
        );
        let (mut quotient, remainder) = divide(&numerator, &denominator);
        if order(&add(&remainder, &remainder), &denominator).is_ge() {
            quotient = add(&quotient, &[1]);
        }
        Some(Decimal::new(self.is_negative != other.is_negative, quotient, -DIVISION_PLACES))
    }

    fn scaled_to(&self, exponent: i64) -> Vec<u8> {
        shifted(&self.digits, self.exponent - exponent)
    }
}

fn strip(digits: &mut Vec<u8>) {
    let length = digits.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
    digits.truncate(length);
}

/// `digits * 10^places`.
fn shifted(digits: &[u8], places: i64) -> Vec<u8> {
    if digits.is_empty() {
        return Vec::new();
    }
    let mut all = vec![0; usize::try_from(places).unwrap_or_default()];
    all.extend_from_slice(digits);
    all
}

fn order(a: &[u8], b: &[u8]) -> Ordering {
    a.len().cmp(&b.len()).then_with(|| a.iter().rev().cmp(b.iter().rev()))
}

fn add(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut sum = Vec::with_capacity(a.len().max(b.len()) + 1);
    let mut carry = 0;
    for i in 0..a.len().max(b.len()) {
        let digit = a.get(i).unwrap_or(&0) + b.get(i).unwrap_or(&0) + carry;
        sum.push(digit % 10);
        carry = digit / 10;
    }
    sum.push(carry);
    strip(&mut sum);
    sum
}

/// `a - b`, where `a` is not the smaller.
fn subtract(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut difference = Vec::with_capacity(a.len());
    let mut borrow = 0;
    for (i, digit) in a.iter().enumerate() {
        let taken = b.get(i).unwrap_or(&0) + borrow;
        borrow = u8::from(*digit < taken);
        difference.push(digit + 10 * borrow - taken);
    }
    strip(&mut difference);
    difference
}

/// Quotient and remainder, digit by digit.
fn divide(a: &[u8], b: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut quotient = vec![0; a.len()];
    let mut remainder: Vec<u8> = Vec::with_capacity(b.len() + 1);
    for (digit, slot) in a.iter().zip(&mut quotient).rev() {
        remainder.insert(0, *digit);
        strip(&mut remainder);
        while order(&remainder, b).is_ge() {
            remainder = subtract(&remainder, b);
            *slot += 1;
        }
    }
    strip(&mut quotient);
    (quotient, remainder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(float: f64) -> Decimal {
        Decimal::from_float(float).unwrap()
    }

    #[test]
    fn decimal_fractions_are_exact() {
        assert_eq!(of(0.1).plus(&of(0.2)).to_float(), 0.3);
        assert_eq!(of(0.3).plus(&of(-0.1)).to_float(), 0.2);
        assert_eq!(of(1.1).times(&of(1.1)).to_float(), 1.21);
        assert_eq!(of(-0.5).plus(&of(0.5)).to_float(), 0.0);
    }

    #[test]
    fn quotients_have_sixteen_places() {
        for (a, b, quotient) in [
            (1.0, 3.0, 0.3333333333333333),
            (2.0, 3.0, 0.6666666666666667),
            (-1.0, 8.0, -0.125),
            (1.0, 3e16, 0.0),
            (2.0, 3e16, 1e-16),
            (1e300, 1e-8, 1e308),
            (1e-8, 1e300, 0.0),
            (0.0, 5.0, 0.0),
        ] {
            assert_eq!(of(a).divided_by(&of(b)).unwrap().to_float(), quotient, "{a} / {b}");
        }
        assert_eq!(of(1.0).divided_by(&of(0.0)), None);
    }

    #[test]
    fn extremes_neither_panic_nor_get_lost() {
        assert_eq!(of(f64::MAX).times(&of(f64::MAX)).to_float(), f64::INFINITY);
        assert_eq!(of(f64::MAX).plus(&of(f64::MIN_POSITIVE)).to_float(), f64::MAX);
        assert_eq!(of(5e-324).to_float(), 5e-324);
        assert_eq!(Decimal::from_float(f64::NAN), None);
    }

    #[test]
    fn sums_and_products_agree_with_integers() {
        for a in (-2000..2000).step_by(173) {
            for b in (-3000..3000).step_by(271) {
                let (x, y) = (of(f64::from(a)), of(f64::from(b)));
                assert_eq!(x.plus(&y).to_float(), f64::from(a + b));
                assert_eq!(x.times(&y).to_float(), f64::from(a * b));
            }
        }
    }
}
