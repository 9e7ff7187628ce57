//! The first page: how the installation stands, over all tenants, in one look. Those who
//! stand for a part of it go straight to that part.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use serde::Serialize;
use waystation_core::{
    access::Role,
    clock::{Millis, now_ms},
    messages::state::State,
    store::Overview,
};

use crate::{
    AdapterCard, Dashboard, businesses,
    failure::Failure,
    pages::{self, Frame, Page, Place},
    see_other,
    session::SignedIn,
    text::{self, Time},
};

/// How far back messages are counted, in milliseconds.
const WINDOW_MS: Millis = 24 * 60 * 60 * 1_000;

#[derive(Serialize)]
struct View {
    now: Time,
    quiet: bool,
    facts: Vec<Fact>,
    total: String,
    statuses: Vec<Status>,
    adapters: Vec<Adapter>,
}

/// A number with its name and, where it says something, a remark in a tone.
#[derive(Serialize)]
struct Fact {
    name: &'static str,
    value: String,
    tone: &'static str,
    remark: Option<&'static str>,
}

#[derive(Serialize)]
struct Status {
    name: &'static str,
    tone: &'static str,
    meaning: &'static str,
    count: String,
    percent: String,
    /// Where its part of the whole bar begins, in hundredths of a percent.
    start: i64,
    /// How long that part is, in the same.
    share: i64,
    none: bool,
}

#[derive(Serialize)]
struct Adapter {
    name: String,
    version: String,
    channel: String,
    health: String,
    tone: &'static str,
}

pub(crate) async fn show(
    request: HttpRequest,
    dashboard: web::Data<Dashboard>,
    signed_in: SignedIn,
) -> Result<HttpResponse, Failure> {
    match &signed_in.user().role {
        Role::PlatformOwner | Role::Reviewer => {}
        Role::ResellerAdmin(_) => return Ok(see_other(businesses::PATH)),
        Role::BusinessOwner(own) => return Ok(see_other(&format!("{}/{own}", businesses::PATH))),
    }
    let now = now_ms();
    let overview = dashboard.store.overview(now - WINDOW_MS).await?;
    let frame = Frame::of("Overview", Place::Overview, &signed_in, &dashboard).with_notice_of(&request);
    let view = View::new(&overview, (dashboard.adapters)(), now);
    pages::respond(StatusCode::OK, Page::Overview, frame, view)
}

impl View {
    fn new(overview: &Overview, adapters: Vec<AdapterCard>, now: Millis) -> Self {
        let total = overview.messages.iter().map(|(_, count)| count).sum();
        Self {
            now: Time::new(now, now),
            quiet: total == 0,
            facts: facts(overview),
            total: text::count(total),
            statuses: statuses(&overview.messages, total),
            adapters: adapters.into_iter().map(Adapter::from).collect(),
        }
    }
}

fn facts(overview: &Overview) -> Vec<Fact> {
    let plain = |name, number| Fact { name, value: text::count(number), tone: "none", remark: None };
    let bad_when_any = |name, number, tone, remark| Fact {
        tone: if number > 0 { tone } else { "none" },
        remark: (number > 0).then_some(remark),
        ..plain(name, number)
    };
    vec![
        plain("Resellers", overview.resellers),
        plain("Businesses", overview.businesses),
        plain("Senders", overview.senders),
        plain("Webhooks waiting", overview.deliveries_waiting),
        bad_when_any("Webhooks dead", overview.deliveries_dead, "bad", "Every try failed"),
        bad_when_any("Receipts unmatched", overview.receipts_unmatched, "warn", "No message found"),
    ]
}

/// A line for every status there is, in the ladder's order, so that the table keeps
/// its shape from visit to visit.
fn statuses(counts: &[(State, i64)], total: i64) -> Vec<Status> {
    let mut before = 0;
    State::ALL
        .into_iter()
        .map(|state| {
            let count = counts.iter().filter(|(of, _)| *of == state).map(|(_, count)| count).sum();
            let start = text::share(before, total);
            before += count;
            let (tone, meaning) = describe(state);
            Status {
                name: state.name(),
                tone,
                meaning,
                count: text::count(count),
                percent: text::percent(count, total),
                start,
                share: text::share(before, total) - start,
                none: count == 0,
            }
        })
        .collect()
}

fn describe(state: State) -> (&'static str, &'static str) {
    match state {
        State::Accepted => ("wait", "On disk, not tried yet"),
        State::Queued => ("wait", "Waiting for its next try"),
        State::Sending => ("wait", "A try is running"),
        State::Sent => ("info", "Taken by the network"),
        State::Failed => ("bad", "Refused, or given up by the network"),
        State::Expired => ("warn", "Too old before the network took it"),
        State::Delivered => ("ok", "On the recipient's device"),
        State::Read => ("ok", "Opened by the recipient"),
        State::Scheduled => ("wait", "To be sent later"),
        State::Canceled => ("warn", "Taken back before it was sent"),
        State::Played => ("ok", "Played by the recipient"),
    }
}

impl From<AdapterCard> for Adapter {
    fn from(card: AdapterCard) -> Self {
        let AdapterCard { name, version, channel, health } = card;
        let tone = if health == "ready" { "ok" } else { "bad" };
        Self { name, version, channel, health, tone }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_the_bar_fill_it_without_a_gap() {
        let rows = statuses(&[(State::Sent, 1), (State::Failed, 1), (State::Read, 1)], 3);
        let mut end = 0;
        for row in &rows {
            assert_eq!(row.start, end);
            end += row.share;
        }
        assert_eq!(end, 10_000);
        assert_eq!(rows.len(), 11);
    }
}
