//! Guarantee: every error code that the Cloud API is known to give has one class, and the class alone decides what happens
//! to the message. A code that is not known is judged by the HTTP status.
//!
//! Sources: Meta's error reference and changelog as of December 2025, and the codes that client libraries have met beyond
//! it. The classes are our judgement, but for the waits, which Meta states: 4^X seconds for a pair, ten minutes for a
//! template that is synced, an hour for a flow, 72 hours for registrations.

/// What a code means for the message that met it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A passing fault: again, later and later.
    Backoff,
    /// Too much to one person: this pair waits.
    Pair,
    /// May pass: one more try.
    RetryOnce,
    /// Not before five minutes.
    HoldFiveMinutes,
    /// Not before ten minutes.
    HoldTenMinutes,
    /// Not before an hour.
    HoldOneHour,
    /// Not before a day, and only after a person has looked.
    HoldOneDay,
    /// Not before three days.
    HoldThreeDays,
    /// Over on WhatsApp for this person; another channel may be used.
    Fallback,
    /// Over: the person wants no more of these.
    Suppress,
    /// Nothing goes over this number until a person acts.
    PauseChannel,
    /// Nothing goes with this template until its state changes.
    PauseTemplate,
    /// Over: the request must change.
    Permanent,
    /// Over: an operator should see it.
    Operator,
    /// Over: a defect of ours.
    Bug,
    /// Says something, and fails nothing.
    Informational,
}

/// A code, or the first and the last of a row of codes, with its class and Meta's name for it. In the order of the codes.
#[rustfmt::skip]
pub const CODES: &[(i64, i64, Class, &str)] = &[
    (0, 0, Class::PauseChannel, "AuthException"),
    (1, 1, Class::RetryOnce, "API Unknown"),
    (2, 2, Class::Backoff, "API Service"),
    (3, 3, Class::PauseChannel, "API Method"),
    (4, 4, Class::Backoff, "Too many API calls"),
    (10, 10, Class::PauseChannel, "Permission Denied"),
    (17, 17, Class::Backoff, "User request limit reached"),
    (33, 33, Class::PauseChannel, "Parameter value not valid"),
    (100, 100, Class::Permanent, "Invalid parameter"),
    (104, 104, Class::Bug, "Access token required"),
    (190, 190, Class::PauseChannel, "Access token expired"),
    (200, 299, Class::PauseChannel, "API Permission"),
    (368, 368, Class::PauseChannel, "Temporarily blocked for policy violations"),
    (400, 400, Class::Permanent, "Bad request (encrypted messages endpoint)"),
    (403, 403, Class::PauseChannel, "Forbidden (encrypted messages endpoint)"),
    (613, 613, Class::Backoff, "Custom rate limit"),
    (803, 803, Class::Permanent, "Object not found"),
    (80007, 80007, Class::Backoff, "WABA rate limit"),
    (130429, 130429, Class::Backoff, "Rate limit hit"),
    (130472, 130472, Class::Fallback, "User is part of an experiment"),
    (130497, 130497, Class::Permanent, "Restricted from messaging users in this country"),
    (131000, 131000, Class::Backoff, "Something went wrong"),
    (131005, 131005, Class::PauseChannel, "Access denied"),
    (131008, 131008, Class::Permanent, "Required parameter missing"),
    (131009, 131009, Class::Permanent, "Parameter value is not valid"),
    (131016, 131016, Class::Backoff, "Service unavailable"),
    (131020, 131020, Class::Permanent, "Bad group"),
    (131021, 131021, Class::Permanent, "Recipient cannot be sender"),
    (131026, 131026, Class::Fallback, "Message undeliverable"),
    (131027, 131027, Class::RetryOnce, "Something went wrong"),
    (131030, 131030, Class::Permanent, "Recipient not in allowed list"),
    (131031, 131031, Class::PauseChannel, "Account locked"),
    (131035, 131035, Class::Informational, "Webhook not delivered within retention"),
    (131036, 131036, Class::Fallback, "Retry receipt failure"),
    (131037, 131037, Class::PauseChannel, "Display name not approved"),
    (131041, 131041, Class::Permanent, "Group unknown"),
    (131042, 131042, Class::PauseChannel, "Business eligibility - payment issue"),
    (131044, 131044, Class::PauseChannel, "Business payment issue (calls)"),
    (131045, 131045, Class::PauseChannel, "Incorrect certificate"),
    (131047, 131047, Class::Permanent, "Re-engagement message"),
    (131048, 131048, Class::HoldOneDay, "Spam rate limit hit"),
    (131049, 131049, Class::Fallback, "Not delivered to maintain healthy ecosystem engagement"),
    (131050, 131050, Class::Suppress, "User stopped marketing messages"),
    (131051, 131051, Class::Permanent, "Unsupported message type"),
    (131052, 131052, Class::Permanent, "Media download error"),
    (131053, 131053, Class::RetryOnce, "Media upload error"),
    (131055, 131055, Class::Permanent, "Method not allowed"),
    (131056, 131056, Class::Pair, "Pair rate limit hit"),
    (131057, 131057, Class::Backoff, "Account in maintenance mode"),
    (131059, 131059, Class::Permanent, "Invalid cursor"),
    (131060, 131060, Class::Informational, "Message unavailable"),
    (131062, 131062, Class::Permanent, "BSUID recipient not supported for this message"),
    (131063, 131063, Class::Permanent, "Marketing templates disabled for Cloud API"),
    (131064, 131064, Class::PauseChannel, "Messaging limit reached due to classification violations"),
    (131201, 131201, Class::Permanent, "Group request partially succeeded"),
    (131202, 131202, Class::Permanent, "Duplicate participants"),
    (131204, 131204, Class::Permanent, "Too many participants"),
    (131207, 131207, Class::Permanent, "Group suspended"),
    (131208, 131208, Class::Backoff, "Group rate limit"),
    (131209, 131209, Class::Permanent, "Group picture not square"),
    (131210, 131210, Class::Permanent, "Group picture under 192 px"),
    (131211, 131211, Class::Permanent, "Group creation limit"),
    (131212, 131212, Class::Permanent, "Participant not in group"),
    (131213, 131213, Class::Permanent, "Join request does not exist"),
    (131214, 131214, Class::Permanent, "Group creation temporarily disabled"),
    (131215, 131215, Class::Permanent, "Groups not eligible"),
    (132000, 132000, Class::Permanent, "Template parameter count mismatch"),
    (132001, 132001, Class::Permanent, "Template does not exist"),
    (132005, 132005, Class::Permanent, "Hydrated text too long"),
    (132007, 132007, Class::Permanent, "Template format character policy violated"),
    (132008, 132008, Class::Permanent, "Parameter values formatted incorrectly"),
    (132012, 132012, Class::Permanent, "Parameter format mismatch"),
    (132015, 132015, Class::PauseTemplate, "Template paused"),
    (132016, 132016, Class::PauseTemplate, "Template disabled"),
    (132018, 132018, Class::Permanent, "Template parameter invalid (v23+)"),
    (132068, 132068, Class::Permanent, "Flow blocked"),
    (132069, 132069, Class::HoldOneHour, "Flow throttled"),
    (133000, 133000, Class::Operator, "Incomplete deregistration"),
    (133004, 133004, Class::Backoff, "Server temporarily unavailable"),
    (133005, 133005, Class::Operator, "Two-step PIN mismatch"),
    (133006, 133006, Class::Operator, "Phone number re-verification needed"),
    (133008, 133008, Class::Operator, "Too many PIN guesses"),
    (133009, 133009, Class::Operator, "PIN guessed too fast"),
    (133010, 133010, Class::PauseChannel, "Phone number not registered"),
    (133015, 133015, Class::HoldFiveMinutes, "Wait a few minutes before registering"),
    (133016, 133016, Class::HoldThreeDays, "Register/deregister rate limit"),
    (134011, 134011, Class::Operator, "WhatsApp Payments terms not accepted"),
    (134100, 134100, Class::Permanent, "Only marketing messages supported"),
    (134101, 134101, Class::HoldTenMinutes, "Template still syncing"),
    (134102, 134102, Class::Operator, "Template unavailable for use"),
    (135000, 135000, Class::Permanent, "Generic user error"),
    (137000, 137000, Class::Permanent, "Recipient identity key mismatch"),
    (138000, 138025, Class::Permanent, "Calling not enabled"),
    (139000, 139004, Class::Operator, "Flow blocked by integrity"),
    (139100, 139103, Class::Permanent, "Bulk blocking failed"),
    (141000, 141014, Class::Operator, "Health codes 141002/141006/141010/141014"),
    (147001, 147005, Class::Permanent, "Business username not available"),
    (200005, 200007, Class::Operator, "Template insights unavailable"),
    (1752041, 1752041, Class::Informational, "Duplicate request"),
    (2388001, 2388001, Class::Operator, "Phone ownership / two-step not ready"),
    (2388012, 2388012, Class::Permanent, "Number already in your list"),
    (2388019, 2388019, Class::Permanent, "Template limit exceeded"),
    (2388040, 2388040, Class::Permanent, "Character limit exceeded"),
    (2388047, 2388047, Class::Permanent, "Header format incorrect"),
    (2388072, 2388072, Class::Permanent, "Body format incorrect"),
    (2388073, 2388073, Class::Permanent, "Footer format incorrect"),
    (2388091, 2388093, Class::Permanent, "Not eligible for registration code"),
    (2388103, 2388103, Class::Operator, "Cannot migrate phone number"),
    (2388293, 2388293, Class::Permanent, "Too many variables for the text length"),
    (2388299, 2388299, Class::Permanent, "Variable at start or end"),
    (2494100, 2494100, Class::Backoff, "Number in maintenance mode"),
    (2593079, 2593079, Class::Operator, "WABA already marked for migration"),
    (2593085, 2593085, Class::Operator, "WABA not eligible for OBO mobility"),
    (2593107, 2593107, Class::Permanent, "Sync request limit exceeded"),
    (2593108, 2593108, Class::Permanent, "Sync outside the 24 h after onboarding"),
    (2593109, 2593109, Class::Informational, "History sync turned off by the business"),
];

/// The class of a code; of one that is not known, by the HTTP status and by whether the error calls itself transient.
#[must_use]
pub fn class_of(code: i64, status: u16, transient: bool) -> Class {
    let at = CODES.partition_point(|(first, ..)| *first <= code);
    match CODES[..at].last() {
        Some((_, last, class, _)) if code <= *last => *class,
        _ if status >= 500 || status == 429 || transient => Class::Backoff,
        _ => Class::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_leads_to_its_class() {
        for (first, last, class, name) in CODES {
            for code in [*first, *last] {
                // What the status says does not matter then.
                assert_eq!(class_of(code, 503, true), *class, "{code} {name}");
                assert_eq!(class_of(code, 400, false), *class, "{code} {name}");
            }
        }
    }

    #[test]
    fn the_table_is_in_order_and_has_no_code_twice() {
        for pair in CODES.windows(2) {
            assert!(pair[0].0 <= pair[0].1 && pair[0].1 < pair[1].0, "{pair:?}");
        }
    }

    #[test]
    fn an_unknown_code_is_judged_by_the_status() {
        for (status, transient, class) in [
            (400, false, Class::Permanent),
            (404, false, Class::Permanent),
            (400, true, Class::Backoff),
            (429, false, Class::Backoff),
            (500, false, Class::Backoff),
            (503, false, Class::Backoff),
        ] {
            assert_eq!(class_of(999_999, status, transient), class, "{status} {transient}");
            assert_eq!(class_of(-1, status, transient), class, "{status} {transient}");
        }
    }
}
