//! Guarantee: of a sender whose network keeps profiles, people's phones show what is answered here, and a change is told
//! as done only when the network has made it.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use waystation_adapter_sdk::{ManagementError, ProfileRequest, SendError, Sender as OutboundSender};

use super::{SenderProfile, SenderProfileChange};
use crate::{
    clock::Millis,
    error::{ApiError, ErrorKind},
    ids::SenderId,
    media::Media,
    plugins::{Adapter, AdapterHost},
    tenancy::{Directory, Sender},
};

/// How long to wait when a network has not said it, in milliseconds.
const LIMITED_MS: u64 = 60_000;

/// The way to the networks that keep profiles. Clones share everything.
#[derive(Clone)]
#[allow(missing_debug_implementations, reason = "a bundle of handles")]
pub struct ProfileNetworks {
    /// Who the senders are.
    pub directory: Directory,
    /// What reaches their networks.
    pub adapters: Arc<AdapterHost>,
    /// The pictures.
    pub media: Media,
}

/// A sender whose network keeps its profile.
pub(super) struct AtNetwork {
    media: Media,
    adapter: Arc<Adapter>,
    sender: Arc<Sender>,
}

impl ProfileNetworks {
    /// The network of a sender, if it keeps profiles.
    pub(super) async fn of(&self, id: SenderId) -> Result<Option<AtNetwork>, ApiError> {
        let Some(sender) = self.directory.any_sender(id).await? else { return Ok(None) };
        let adapter = self.adapters.get(&sender.adapter);
        let keeps = adapter.filter(|adapter| adapter.description().capabilities.keeps_profiles);
        Ok(keeps.map(|adapter| AtNetwork { media: self.media.clone(), adapter, sender }))
    }
}

impl AtNetwork {
    /// The profile as the network has it.
    pub(super) async fn read(&self, now: Millis) -> Result<SenderProfile, ApiError> {
        let profile = self.adapter.profile(&self.request(Map::new(), now)).await.map_err(|error| told(&error))?;
        Ok(read(&profile.0))
    }

    /// Has the network make a change.
    pub(super) async fn change(&self, change: &SenderProfileChange, now: Millis) -> Result<(), ApiError> {
        let mut members = members(change);
        if let Some(Value::String(handle)) = members.get_mut("profile_picture_handle")
            && !handle.is_empty()
        {
            let given = self.media.give_sample(&self.adapter, &self.sender, handle).await;
            // One that is none of ours may be the network's.
            if let Some(theirs) = given.map_err(|error| told_of_picture(&error))? {
                *handle = theirs;
            }
        }
        if members.is_empty() {
            return Ok(());
        }
        self.adapter.profile(&self.request(members, now)).await.map(drop).map_err(|error| told(&error))
    }

    fn request(&self, change: Map<String, Value>, now: Millis) -> ProfileRequest {
        ProfileRequest {
            sender: OutboundSender { id: self.sender.id.to_string(), phone: self.sender.phone.clone() },
            connection: self.sender.connection.clone(),
            change,
            at_ms: now,
        }
    }
}

/// What a network answered; members that are not known, or of another type, are left out.
fn read(answer: &Map<String, Value>) -> SenderProfile {
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let websites = answer.get("websites").and_then(Value::as_array).into_iter().flatten();
    SenderProfile {
        about: text("about"),
        address: text("address"),
        description: text("description"),
        email: text("email"),
        vertical: text("vertical"),
        websites: websites.filter_map(|website| website.as_str().map(str::to_owned)).collect(),
        profile_picture_handle: String::new(),
        profile_picture_url: text("profile_picture_url"),
    }
}

/// The members of a change, as the Cloud API has them.
fn members(change: &SenderProfileChange) -> Map<String, Value> {
    let vertical = change.vertical.as_ref().map(|vertical| vertical.to_ascii_uppercase());
    let all = [
        ("about", json!(change.about)),
        ("address", json!(change.address)),
        ("description", json!(change.description)),
        ("email", json!(change.email)),
        ("vertical", json!(vertical)),
        ("websites", json!(change.websites)),
        ("profile_picture_handle", json!(change.profile_picture_handle)),
    ];
    all.into_iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.to_owned(), value)).collect()
}

fn told(error: &ManagementError) -> ApiError {
    match error {
        ManagementError::Rejected { error } => {
            ApiError::new(ErrorKind::ParameterInvalid, format!("The network of the sender refuses this: {error}."))
        }
        ManagementError::RateLimited { after_ms, error } => {
            let details = format!("The network of the sender takes no more of this now: {error}.");
            ApiError::new(ErrorKind::RateLimited, details).retry_after_ms(after_ms.unwrap_or(LIMITED_MS))
        }
        ManagementError::Unavailable { .. } | ManagementError::Ambiguous { .. } | ManagementError::Unsupported => {
            unavailable(error)
        }
    }
}

fn told_of_picture(error: &SendError) -> ApiError {
    match error {
        SendError::Rejected { error } => ApiError::breach(
            "/profile_picture_handle",
            format!("names a picture that the network of the sender refuses: {error}"),
        ),
        error => unavailable(error),
    }
}

fn unavailable(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(ErrorKind::Unavailable, format!("The network of the sender did not do this: {error}."))
}

#[cfg(test)]
mod tests {
    use waystation_adapter_sdk::UpstreamError;

    use super::*;

    #[test]
    fn only_what_is_to_change_goes_to_the_network() {
        let change = SenderProfileChange {
            about: Some("Bread".to_owned()),
            vertical: Some("restaurant".to_owned()),
            websites: Some(Vec::new()),
            ..SenderProfileChange::default()
        };
        let expected = json!({"about": "Bread", "vertical": "RESTAURANT", "websites": []});
        assert_eq!(Value::Object(members(&change)), expected);
    }

    #[test]
    fn what_the_network_shows_is_read_and_the_rest_left_out() {
        let answer = json!({
            "about": "Bread", "websites": ["https://a.example", 7], "email": null, "news": 1,
            "profile_picture_url": "https://pps.example/1",
        });
        let read = read(answer.as_object().unwrap());
        assert_eq!((read.about.as_str(), read.email.as_str()), ("Bread", ""));
        assert_eq!(read.websites, ["https://a.example"]);
        assert_eq!(read.profile_picture_url, "https://pps.example/1");
    }

    #[test]
    fn a_refusal_is_the_requests_and_an_outage_is_not() {
        let error = || UpstreamError::with_code(100, "About is too long");
        let refused = told(&ManagementError::Rejected { error: error() });
        assert_eq!(refused.kind, ErrorKind::ParameterInvalid);
        assert!(refused.details.contains("About is too long"), "{}", refused.details);
        let limited = told(&ManagementError::RateLimited { after_ms: Some(7), error: error() });
        assert_eq!((limited.kind, limited.retry_after_ms), (ErrorKind::RateLimited, Some(7)));
        let down = told(&ManagementError::Unavailable { error: error(), needs_operator: true });
        assert_eq!(down.kind, ErrorKind::Unavailable);
    }
}
