//! Whether a web address, a mail address, a phone number can be somebody's in public.
//! Nothing here asks the network: it is about the form alone.

use std::str::FromStr;

use url::{Host, Url};

use crate::messages::phone;

/// Longest mail address, in characters.
pub(super) const MAIL_MAX_CHARS: usize = 254;
/// Longest local part of a mail address, in characters.
const MAIL_LOCAL_MAX_CHARS: usize = 64;
/// Longest label of a host name, in characters.
const LABEL_MAX_CHARS: usize = 63;

/// Top-level names that lead nowhere in public: reserved ones, and those that private
/// networks use.
const PRIVATE_TOP_LEVELS: &[&str] = &[
    "alt",
    "arpa",
    "corp",
    "domain",
    "example",
    "home",
    "host",
    "intern",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "mail",
    "onion",
    "private",
    "test",
    "workgroup",
];
/// Names that are reserved for examples.
const EXAMPLES: &[&str] = &["example.com", "example.net", "example.org"];

/// Mail services that give anybody an address for a few minutes.
const DISPOSABLE_DOMAINS: &[&str] = &[
    "0-mail.com",
    "10minutemail.com",
    "10minutemail.net",
    "20minutemail.com",
    "33mail.com",
    "anonbox.net",
    "burnermail.io",
    "byom.de",
    "crazymailing.com",
    "discard.email",
    "discardmail.com",
    "dispostable.com",
    "dropmail.me",
    "emailondeck.com",
    "emailtemporanea.net",
    "fakeinbox.com",
    "fakemail.net",
    "fakemailgenerator.com",
    "generator.email",
    "getairmail.com",
    "getnada.com",
    "grr.la",
    "guerrillamail.biz",
    "guerrillamail.com",
    "guerrillamail.de",
    "guerrillamail.net",
    "guerrillamail.org",
    "guerrillamailblock.com",
    "harakirimail.com",
    "inboxbear.com",
    "inboxkitten.com",
    "incognitomail.org",
    "jetable.org",
    "mail-temp.com",
    "mail.tm",
    "mailcatch.com",
    "maildrop.cc",
    "mailexpire.com",
    "mailinator.com",
    "mailinator.net",
    "mailnesia.com",
    "mailnull.com",
    "mailpoof.com",
    "mailsac.com",
    "mailtemp.net",
    "minuteinbox.com",
    "moakt.com",
    "mohmal.com",
    "mytemp.email",
    "nada.email",
    "owlymail.com",
    "sharklasers.com",
    "spam4.me",
    "spambox.us",
    "spamgourmet.com",
    "spamspot.com",
    "temp-mail.io",
    "temp-mail.org",
    "tempail.com",
    "tempinbox.com",
    "tempmail.com",
    "tempmail.dev",
    "tempmail.net",
    "tempmail.plus",
    "tempmailaddress.com",
    "tempmailo.com",
    "temporarymail.com",
    "tempr.email",
    "throwaway.email",
    "throwawaymail.com",
    "tmpmail.net",
    "tmpmail.org",
    "trash-mail.com",
    "trashmail.com",
    "trashmail.de",
    "trashmail.net",
    "wegwerfmail.de",
    "yopmail.com",
    "yopmail.fr",
    "yopmail.net",
];

/// Why a web address is none that anybody can open.
pub(super) fn website_fault(url: &Url) -> Option<String> {
    if url.scheme() != "https" {
        return Some(format!("it starts with {}:, where https: is expected", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("it carries a user name or a password".to_owned());
    }
    match url.host() {
        None => Some("it names no host".to_owned()),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => Some("its host is an IP address instead of a name".to_owned()),
        Some(Host::Domain(name)) => host_fault(name),
    }
}

/// Why a host name is none that can be looked up in public.
fn host_fault(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    if !is_host_name(&name) {
        return Some(format!("its host {name} is not a full host name"));
    }
    if let Some((_, top_level)) = name.rsplit_once('.')
        && PRIVATE_TOP_LEVELS.contains(&top_level)
    {
        return Some(format!("its host ends in .{top_level}, which leads nowhere in public"));
    }
    is_below(&name, EXAMPLES).then(|| format!("its host {name} is reserved for examples"))
}

/// Whether `name` has the form of a host name with a top-level domain.
fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_MAX_CHARS).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let top_level = name.rsplit_once('.').map(|(_, top_level)| top_level);
    name.split('.').all(is_label) && top_level.is_some_and(|label| !label.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Whether `host` is one of `domains` or below one.
fn is_below(host: &str, domains: &[&str]) -> bool {
    domains.iter().any(|domain| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

/// The host of a mail address, in lower-case ASCII, when it has the form of one.
pub(super) fn mail_host(address: &str) -> Option<String> {
    let (local, host) = address.rsplit_once('@')?;
    let is_local = (1..=MAIL_LOCAL_MAX_CHARS).contains(&local.chars().count())
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && local.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c));
    let Ok(Host::Domain(host)) = Host::parse(host) else { return None };
    (is_local && is_host_name(&host) && address.chars().count() <= MAIL_MAX_CHARS).then_some(host)
}

/// Whether mail to `host` goes to a service for addresses of a few minutes.
pub(super) fn is_disposable(host: &str) -> bool {
    is_below(host, DISPOSABLE_DOMAINS)
}

/// Whether `code` is a country with telephones: two capital letters.
pub(super) fn is_country(code: &str) -> bool {
    phonenumber::country::Id::from_str(code).is_ok()
}

/// What the numbering plans say of a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Numbering {
    /// No such number is given out.
    Invalid,
    /// It is one of this country, when a country has it to itself.
    Of(Option<String>),
}

/// Looks a number up in the numbering plans. `number` as the Cloud API takes it.
pub(super) fn numbering(number: &str) -> Numbering {
    let Some(digits) = phone::digits(number) else { return Numbering::Invalid };
    match phonenumber::parse(None, format!("+{digits}")) {
        Ok(parsed) if phonenumber::is_valid(&parsed) => {
            Numbering::Of(parsed.country().id().map(|id| id.as_ref().to_owned()))
        }
        _ => Numbering::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_website_is_a_name_that_can_be_looked_up_in_public() {
        for good in
            ["https://acme-shop.com", "https://www.müller.de/über", "https://a.co.uk:8443/x?y", "https://x.io./"]
        {
            assert_eq!(website_fault(&Url::parse(good).unwrap()), None, "{good}");
        }
        for (bad, why) in [
            ("http://acme-shop.com", "https"),
            ("https://127.0.0.1/", "IP address"),
            ("https://2130706433/", "IP address"),
            ("https://[::1]/", "IP address"),
            ("https://localhost/", "full host name"),
            ("https://shop.localhost/", ".localhost"),
            ("https://intranet/", "full host name"),
            ("https://shop.corp/", ".corp"),
            ("https://router.lan/", ".lan"),
            ("https://printer.local/", ".local"),
            ("https://shop.test/", ".test"),
            ("https://www.example.com/", "examples"),
            ("https://ada:secret@acme-shop.com/", "password"),
            ("https://-acme.com/", "full host name"),
        ] {
            let fault = website_fault(&Url::parse(bad).unwrap()).unwrap_or_default();
            assert!(fault.contains(why), "{bad}: {fault:?}");
        }
    }

    #[test]
    fn a_mail_address_has_a_name_and_a_host() {
        for good in ["ada@acme-shop.com", "a.b+c@mail.acme.co.uk", "ada@müller.de", "ada@ACME.com"] {
            assert!(mail_host(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "ada",
            "@acme.com",
            "ada@",
            "ada@acme",
            "a b@acme.com",
            ".a@acme.com",
            "a..b@acme.com",
            "ada@ac me.com",
            "ada@acme.com/x",
            "ada@acme.com:25",
            "ada@[127.0.0.1]",
            "ada@-acme.com",
            "ada@acme..com",
            "ada@acme.com?x",
            "ada@acme.1",
            "a\u{0}@acme.com",
        ] {
            assert_eq!(mail_host(bad), None, "{bad}");
        }
        assert_eq!(mail_host(&format!("{}@acme.com", "a".repeat(65))), None);
        assert_eq!(mail_host("ada@ACME.com").as_deref(), Some("acme.com"));
    }

    #[test]
    fn a_disposable_mail_service_is_known_with_its_subdomains() {
        for host in ["mailinator.com", "abc.mailinator.com", "yopmail.com"] {
            assert!(is_disposable(host), "{host}");
        }
        for host in ["notmailinator.com", "mailinator.com.acme.com", "gmail.com"] {
            assert!(!is_disposable(host), "{host}");
        }
    }

    #[test]
    fn a_number_is_known_with_its_country() {
        let of = |country: &str| Numbering::Of(Some(country.to_owned()));
        assert_eq!(numbering("+49 30 12345678"), of("DE"));
        assert_eq!(numbering("16505551234"), of("US"));
        assert_eq!(numbering("+1 416 555 0123"), of("CA"));
        assert_eq!(numbering("447400123456"), of("GB"));
        for bad in ["+999123456", "+4930", "15550783881", "hello"] {
            assert_eq!(numbering(bad), Numbering::Invalid, "{bad}");
        }
        assert!(is_country("DE") && is_country("BR") && !is_country("de") && !is_country("XX") && !is_country(""));
    }
}
