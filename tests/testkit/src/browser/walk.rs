//! Every page that a person can get to: all that links lead to, found by following them,
//! so that a page that is added is looked at without being listed anywhere.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use anyhow::{Result, bail};

use super::Browser;

/// More pages than a demo has.
const PAGES_MAX: usize = 1_000;

/// The addresses that a page's links lead to, without those that save a file.
const LINKS: &str = "
return [...document.querySelectorAll('a[href]:not([download])')]
    .filter((link) => link.origin === location.origin)
    .map((link) => link.pathname + link.search);
";

/// A page on the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Its path, with its query if it has one.
    pub path: String,
    /// Its kind, as a file may be called: the path without ids and values.
    pub kind: String,
    /// Which of its kind it is, from 1.
    pub number: usize,
}

/// Opens `start` and every page of the dashboard that links lead to from there, and calls
/// `visit` on each while it is open. Of those that differ only in ids and values it opens
/// as many as `of_a_kind` says for their kind. Returns them in the order they were visited.
///
/// # Errors
/// A page cannot be opened, `visit` fails, or there is no end of pages.
pub async fn walk(
    browser: &Browser,
    start: &str,
    of_a_kind: impl Fn(&str) -> usize,
    mut visit: impl AsyncFnMut(&Stop) -> Result<()>,
) -> Result<Vec<Stop>> {
    let mut known = BTreeSet::from([start.to_owned()]);
    let mut next = VecDeque::from([start.to_owned()]);
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let mut stops = Vec::new();
    while let Some(path) = next.pop_front() {
        let kind = kind_of(&path);
        if kinds.get(&kind).is_some_and(|seen| *seen >= of_a_kind(&kind)) {
            continue;
        }
        browser.open(&path).await?;
        let here = browser.path().await?;
        if here != path && !known.insert(here.clone()) {
            // It leads on to a page that has its turn anyway.
            continue;
        }
        let kind = kind_of(&here);
        let seen = kinds.entry(kind.clone()).or_default();
        *seen += 1;
        let stop = Stop { path: here, kind, number: *seen };
        if browser.script("return document.contentType", vec![]).await? != "text/html" {
            // The browser asks for an icon of what has no place to name one.
            browser.console().await?;
            continue;
        }
        let links: Vec<String> = serde_json::from_value(browser.script(LINKS, vec![]).await?)?;
        for link in links {
            if is_ours(&link) && known.insert(link.clone()) {
                next.push_back(link);
            }
        }
        visit(&stop).await?;
        stops.push(stop);
        if stops.len() > PAGES_MAX {
            bail!("more than {PAGES_MAX} pages, the last {:?}", stops.last());
        }
    }
    Ok(stops)
}

/// The dashboard, and the one page of the documentation that is made by us.
fn is_ours(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    path == "/docs/errors" || path.starts_with("/admin/")
}

/// The path without what differs from one page to another of its kind.
fn kind_of(address: &str) -> String {
    let (path, query) = address.split_once('?').unwrap_or((address, ""));
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != "admin");
    let parts = parts.map(|part| if part.contains(|each: char| each.is_ascii_digit()) { "ID" } else { part });
    let names = query.split('&').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty());
    let kind = parts.chain(names).collect::<Vec<_>>().join("-");
    if kind.is_empty() { "overview".to_owned() } else { kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_that_differ_in_ids_and_values_are_of_a_kind() {
        assert_eq!(kind_of("/admin/"), "overview");
        assert_eq!(kind_of("/admin/businesses/01KQ7/documents"), "businesses-ID-documents");
        assert_eq!(kind_of("/admin/businesses?state=draft&page=2"), "businesses-state-page");
        assert_eq!(kind_of("/admin/businesses?state=approved&page=3"), "businesses-state-page");
        assert!(is_ours("/admin/keys?page=2") && is_ours("/docs/errors"));
        assert!(!is_ours("/docs/") && !is_ours("/administration"));
    }
}
