//! `strftime_now`: today's date in the prompt, as some templates write it.

use std::time::{SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] = [
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
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

/// Formats a time in UTC by C's conversions, as far as templates use them; an unknown one stays as it is.
pub(crate) fn strftime(format: &str, time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let days = seconds / 86_400;
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let (year, month, day) = civil(days);
    let month_name = MONTHS[month as usize - 1];
    let day_name = DAYS[(days % 7) as usize];
    let mut out = String::new();
    let mut rest = format.chars().peekable();
    while let Some(letter) = rest.next() {
        if letter != '%' {
            out.push(letter);
            continue;
        }
        let bare = rest.next_if_eq(&'-').is_some();
        let text = match rest.peek() {
            Some('Y') => year.to_string(),
            Some('y') => format!("{:02}", year % 100),
            Some('m') => format!("{month:02}"),
            Some('B') => month_name.to_owned(),
            Some('b') => month_name[..3].to_owned(),
            Some('d') => format!("{day:02}"),
            Some('e') => format!("{day:2}"),
            Some('j') => format!("{:03}", days - first_day(year) + 1),
            Some('A') => day_name.to_owned(),
            Some('a') => day_name[..3].to_owned(),
            Some('H') => format!("{hour:02}"),
            Some('I') => format!("{:02}", (hour + 11) % 12 + 1),
            Some('p') => (if hour < 12 { "AM" } else { "PM" }).to_owned(),
            Some('M') => format!("{minute:02}"),
            Some('S') => format!("{second:02}"),
            Some('F') => format!("{year}-{month:02}-{day:02}"),
            Some('T') => format!("{hour:02}:{minute:02}:{second:02}"),
            Some('%') => "%".to_owned(),
            _ => {
                out.push_str(if bare { "%-" } else { "%" });
                continue;
            }
        };
        rest.next();
        // `%-d`: the number without what fills it up.
        let filled = bare && text.len() > 1;
        out.push_str(if filled { text.trim_start_matches(['0', ' ']) } else { &text });
        if filled && text.bytes().all(|digit| digit == b'0') {
            out.push('0');
        }
    }
    out
}

/// The first day of a year of the Gregorian calendar, counted from 1970-01-01.
fn first_day(year: u64) -> u64 {
    let before = year - 1;
    365 * before + before / 4 - before / 100 + before / 400 - 719_162
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Counts in eras of 400 years that begin on 1 March, so that the leap day is the last day of a year.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn known_times() {
        // Checked with `date -u -d @SECONDS`.
        for (seconds, format, expected) in [
            (0, "%Y-%m-%d %A", "1970-01-01 Thursday"),
            (951_782_400, "%d %b %Y", "29 Feb 2000"),
            (1_709_251_199, "%F %T", "2024-02-29 23:59:59"),
            (1_709_251_200, "%B %e, %Y", "March  1, 2024"),
            (1_764_270_000, "%a %d %B %y, %I:%M %p", "Thu 27 November 25, 07:00 PM"),
            (1_764_201_600, "%I %p %H %S", "12 AM 00 00"),
            (4_102_444_799, "%F", "2099-12-31"),
            (1_709_251_200, "%-d %-m %j %-j %e", "1 3 061 61  1"),
            (1_704_067_200, "%j %-H:%-M %-I", "001 0:0 12"),
            (1_735_603_200, "%j %-e %-B", "366 31 December"),
            (0, "100%% %q %-q %- %", "100% %q %-q %- %"),
        ] {
            let time = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(strftime(format, time), expected, "{seconds} {format}");
        }
        assert_eq!(
            strftime("%Y", UNIX_EPOCH - Duration::from_secs(5)),
            "1970",
            "before the epoch: the epoch"
        );
    }
}
