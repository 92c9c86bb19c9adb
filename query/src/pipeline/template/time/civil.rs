//! The proleptic Gregorian calendar.

use super::Civil;

pub(in super::super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(in super::super) const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const SECONDS_PER_DAY: i64 = 86_400;
const DAYS_PER_ERA: i64 = 146_097;
const YEARS_PER_ERA: i64 = 400;

/// Days from 1 March of year 0 to the Unix epoch. Years that start in March put the leap day last.
const EPOCH_DAYS: i64 = 719_468;

/// The calendar's reading of seconds since the epoch of a local clock.
pub(super) fn from_clock(clock: i64) -> Civil {
    let day_number = clock.div_euclid(SECONDS_PER_DAY);
    let second = clock.rem_euclid(SECONDS_PER_DAY);
    let (year, month, day) = date(day_number);
    Civil {
        year,
        month,
        day,
        year_day: day_number - days(year, 1, 1) + 1,
        // The epoch was a Thursday.
        weekday: (day_number + 4).rem_euclid(7),
        hour: second / 3600,
        minute: second / 60 % 60,
        second: second % 60,
    }
}

fn date(day_number: i64) -> (i64, i64, i64) {
    let days = day_number + EPOCH_DAYS;
    let era = days.div_euclid(DAYS_PER_ERA);
    let day_of_era = days.rem_euclid(DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March have 153 days in every five.
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * YEARS_PER_ERA + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// Days from the Unix epoch to a date.
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(YEARS_PER_ERA);
    let year_of_era = year.rem_euclid(YEARS_PER_ERA);
    let month = (month + 9) % 12;
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era.saturating_mul(DAYS_PER_ERA).saturating_add(day_of_era - EPOCH_DAYS)
}

/// Seconds of a local clock since its epoch.
pub(super) fn clock(day_number: i64, hour: i64, minute: i64, second: i64) -> i64 {
    day_number.saturating_mul(SECONDS_PER_DAY).saturating_add(hour * 3600 + minute * 60 + second)
}

pub(super) fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

pub(super) fn days_in(month: i64, year: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_day_numbers_agree() {
        for number in (-800_000..800_000).step_by(37) {
            let (year, month, day) = date(number);
            assert_eq!(days(year, month, day), number);
            assert!((1..=days_in(month, year)).contains(&day));
        }
    }

    #[test]
    fn known_days() {
        let epoch = from_clock(0);
        assert_eq!((epoch.year, epoch.month, epoch.day, epoch.weekday), (1970, 1, 1, 4));
        let leap = from_clock(1_709_164_800);
        assert_eq!((leap.year, leap.month, leap.day, leap.year_day), (2024, 2, 29, 60));
    }
}
