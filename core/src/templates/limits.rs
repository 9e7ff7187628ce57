//! The Cloud API's limits of templates.

/// Longest name, in characters.
pub const NAME_MAX_CHARS: usize = 512;
/// Longest header text, in characters.
pub const HEADER_MAX_CHARS: usize = 60;
/// Longest body, in characters, with its parameters in as well.
pub const BODY_MAX_CHARS: usize = 1_024;
/// Longest body of a carousel's card, in characters.
pub const CARD_BODY_MAX_CHARS: usize = 160;
/// Longest footer, in characters.
pub const FOOTER_MAX_CHARS: usize = 60;
/// Buttons at most.
pub const BUTTONS_MAX: usize = 10;
/// Buttons with an address at most.
pub const URL_BUTTONS_MAX: usize = 2;
/// Longest address of a button, in characters.
pub const URL_MAX_CHARS: usize = 2_000;
/// Longest text of a button, in characters.
pub const BUTTON_TEXT_MAX_CHARS: usize = 25;
/// Longest phone number of a button, in characters.
pub const PHONE_MAX_CHARS: usize = 20;
/// Longest code to copy, in characters.
pub const COUPON_MAX_CHARS: usize = 20;
/// Over this length of a code one of the Cloud API's sources warns, in characters.
pub const COUPON_WARN_CHARS: usize = 15;
/// Longest one-time password, in characters.
pub const OTP_MAX_CHARS: usize = 15;
/// Shortest and longest life of a one-time password, in minutes.
pub const CODE_EXPIRATION_MINUTES: (i64, i64) = (1, 90);
/// Apps that a code can be filled into at most.
pub const SUPPORTED_APPS_MAX: usize = 5;
/// Cards of a carousel, least and most.
pub const CARDS: (usize, usize) = (2, 10);
/// Buttons of a carousel's card at most.
pub const CARD_BUTTONS_MAX: usize = 2;
/// Longest text of a limited-time offer, in characters.
pub const OFFER_TEXT_MAX_CHARS: usize = 16;
/// Longest body with a limited-time offer, in characters.
pub const OFFER_BODY_MAX_CHARS: usize = 600;
/// How long a one-time password is worth delivering, in seconds, least and most.
pub const TTL_AUTHENTICATION_SECONDS: (i64, i64) = (30, 900);
/// The same of a utility template.
pub const TTL_UTILITY_SECONDS: (i64, i64) = (30, 43_200);
/// The same of a marketing template.
pub const TTL_MARKETING_SECONDS: (i64, i64) = (43_200, 2_592_000);
/// Thirty days, as the Cloud API writes it.
pub const TTL_THIRTY_DAYS: i64 = -1;

/// Templates of an account at most while its business is not verified, each language counted.
pub const PER_ACCOUNT_UNVERIFIED: i64 = 250;
/// The same of a verified business.
pub const PER_ACCOUNT_VERIFIED: i64 = 6_000;
/// Templates created within an hour at most, on networks other than the sandbox's.
pub const CREATED_PER_HOUR: i64 = 100;
/// Changes of an approved template within 24 hours at most, there.
pub const EDITS_PER_DAY: i64 = 1;
/// The same within 30 days.
pub const EDITS_PER_MONTH: i64 = 10;
/// How long the name of a deleted template cannot be used, there, in days.
pub const DELETED_NAME_DAYS: i32 = 30;

/// Components of a template that are read at most.
pub const COMPONENTS_MAX: usize = 20;
/// Languages in a chain of fallbacks at most.
pub const FALLBACK_MAX_LANGUAGES: usize = 10;
