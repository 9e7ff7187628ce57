//! Times, amounts and plurals as languages write them, from CLDR.

use icu_casemap::CaseMapper;
use icu_datetime::{
    DateTimeFormatter,
    fieldsets::{T, YMD, YMDE},
    input::{Date, DateTime, Time},
};
use icu_decimal::{DecimalFormatter, input::Decimal};
use icu_experimental::dimension::currency::{CurrencyType, formatter::CurrencyFormatter};
use icu_locale_core::{Locale, extensions::unicode};
use icu_plurals::{PluralCategory, PluralRules};
use jiff::{civil::Time as CivilTime, tz::TimeZone};

/// Digits of an amount at most.
const AMOUNT_MAX_DIGITS: usize = 30;

/// How much of a time is written, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DateStyle {
    Short,
    Medium,
    Long,
    Full,
    Time,
    DateTime,
}

const STYLES: [(&str, DateStyle); 6] = [
    ("short", DateStyle::Short),
    ("medium", DateStyle::Medium),
    ("long", DateStyle::Long),
    ("full", DateStyle::Full),
    ("time", DateStyle::Time),
    ("datetime", DateStyle::DateTime),
];

impl DateStyle {
    pub(super) fn parse(name: &str) -> Option<Self> {
        STYLES.iter().find(|(known, _)| *known == name).map(|(_, style)| *style)
    }

    pub(super) fn names() -> String {
        STYLES.map(|(name, _)| format!("\"{name}\"")).join(", ")
    }
}

/// The locale of a template's language or of a language tag; English where CLDR has never heard of it.
pub(super) fn locale_of(language: &str) -> Locale {
    language.replace('_', "-").parse().unwrap_or(icu_locale_core::locale!("en"))
}

pub(super) fn is_locale(tag: &str) -> bool {
    tag.parse::<Locale>().is_ok_and(|locale| !locale.id.language.is_unknown())
}

pub(super) fn is_currency(code: &str) -> bool {
    code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase())
}

pub(super) fn upper(text: &str, locale: &Locale) -> String {
    CaseMapper::new().uppercase_to_string(text, &locale.id).into_owned()
}

/// What cannot be written, as what it should have been.
pub(super) type Unfit = &'static str;

const NO_TIME: Unfit = "must be a date or a time in RFC 3339, for example \"2026-11-25T09:00:00Z\"";

/// A time of RFC 3339, or a date, in `zone` if there is one, else as it is written.
pub(super) fn date(text: &str, style: DateStyle, zone: Option<&str>, locale: &Locale) -> Result<String, Unfit> {
    let pieces = jiff::fmt::temporal::Pieces::parse(text).map_err(|_| NO_TIME)?;
    let (mut date, mut time) = (pieces.date(), pieces.time());
    if let Some(zone) = zone {
        let zone = TimeZone::get(zone).map_err(|_| "has a zone that is no time zone: \"Europe/Berlin\" is one")?;
        if let (Some(_), Some(_)) = (time, pieces.to_numeric_offset()) {
            let local = text.parse::<jiff::Timestamp>().map_err(|_| NO_TIME)?.to_zoned(zone).datetime();
            (date, time) = (local.date(), Some(local.time()));
        }
    }
    let fits = |n: i8| u8::try_from(n).map_err(|_| NO_TIME);
    let day = || Date::try_new_iso(i32::from(date.year()), fits(date.month())?, fits(date.day())?).map_err(|_| NO_TIME);
    let of_day = || time.ok_or("must have a time of day for this style, for example \"2026-11-25T09:00:00Z\"");
    let cannot = |_| "is a time that cannot be written in this language";
    let prefs = locale.into();
    Ok(match style {
        DateStyle::Short => {
            DateTimeFormatter::try_new(prefs, YMD::short()).map_err(cannot)?.format(&day()?).to_string()
        }
        DateStyle::Medium => {
            DateTimeFormatter::try_new(prefs, YMD::medium()).map_err(cannot)?.format(&day()?).to_string()
        }
        DateStyle::Long => DateTimeFormatter::try_new(prefs, YMD::long()).map_err(cannot)?.format(&day()?).to_string(),
        DateStyle::Full => DateTimeFormatter::try_new(prefs, YMDE::long()).map_err(cannot)?.format(&day()?).to_string(),
        DateStyle::Time => {
            DateTimeFormatter::try_new(prefs, T::hm()).map_err(cannot)?.format(&clock(of_day()?)?).to_string()
        }
        DateStyle::DateTime => {
            let formatter = DateTimeFormatter::try_new(prefs, YMD::medium().with_time_hm()).map_err(cannot)?;
            formatter.format(&DateTime { date: day()?, time: clock(of_day()?)? }).to_string()
        }
    })
}

fn clock(time: CivilTime) -> Result<Time, Unfit> {
    let fits = |n: i8| u8::try_from(n).map_err(|_| NO_TIME);
    Time::try_new(fits(time.hour())?, fits(time.minute())?, fits(time.second())?, 0).map_err(|_| NO_TIME)
}

/// A decimal number as data have it: `1250`, `12.50`, `-3`.
pub(super) fn number(text: &str) -> Option<Decimal> {
    let plain = |byte: u8| byte.is_ascii_digit() || byte == b'.' || byte == b'-';
    (text.len() <= AMOUNT_MAX_DIGITS && text.bytes().all(plain)).then(|| text.parse().ok()).flatten()
}

pub(super) fn money(amount: &Decimal, currency: &str, locale: &Locale) -> Result<String, Unfit> {
    let cannot = "has a currency that is not one of ISO 4217";
    let code = unicode::Value::try_from_str(currency).map_err(|_| cannot)?;
    let currency = CurrencyType::try_from(&code).map_err(|_| cannot)?;
    let formatter = CurrencyFormatter::try_new_symbol(locale.into(), currency, Default::default());
    let formatter = formatter.map_err(|_| "is an amount that cannot be written in this language")?;
    Ok(formatter.format_fixed_decimal(amount).to_string())
}

/// Which word a language takes with a number, and the number as it writes it.
pub(super) fn plural(number: &Decimal, locale: &Locale) -> Result<(&'static str, String), Unfit> {
    let cannot = "is a number that cannot be written in this language";
    let rules = PluralRules::try_new_cardinal(locale.into()).map_err(|_| cannot)?;
    let word = match rules.category_for(number) {
        PluralCategory::Zero => "zero",
        PluralCategory::One => "one",
        PluralCategory::Two => "two",
        PluralCategory::Few => "few",
        PluralCategory::Many => "many",
        PluralCategory::Other => "other",
    };
    let formatter = DecimalFormatter::try_new(locale.into(), Default::default()).map_err(|_| cannot)?;
    Ok((word, formatter.format(number).to_string()))
}
