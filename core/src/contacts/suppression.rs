//! Who must not be written to, how far that goes, and who said so.

use crate::{
    clock::{Millis, rfc3339},
    error::ErrorKind,
    ids::SuppressionId,
};

/// The name of a suppression's channel that stands for every channel.
pub const EVERY_CHANNEL: &str = "all";

/// What a suppression holds back.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Every message.
    All,
    /// Marketing only.
    Marketing,
}

impl Reach {
    /// The name that rows and answers carry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Marketing => "marketing",
        }
    }

    /// What a row carries. What an older version does not know holds everything back.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        if name == Self::Marketing.name() { Self::Marketing } else { Self::All }
    }
}

/// Who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SuppressionSource {
    /// The person wrote a keyword.
    Keyword,
    /// The person pressed a button that is an opt-out.
    Button,
    /// The network refused a message, since the person wants no marketing.
    Network,
    /// The person changed it in WhatsApp's own settings.
    Preference,
    /// The business, by hand.
    Manual,
}

impl SuppressionSource {
    /// Every source.
    pub const ALL: [Self; 5] = [Self::Keyword, Self::Button, Self::Network, Self::Preference, Self::Manual];

    /// The name that rows and answers carry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keyword => "keyword",
            Self::Button => "button",
            Self::Network => "network",
            Self::Preference => "preference",
            Self::Manual => "manual",
        }
    }

    /// The source of this name. What an older version does not know counts as by hand: nobody
    /// but the business ends it.
    #[must_use]
    pub fn parse(name: &str) -> Self {
        Self::ALL.into_iter().find(|source| source.name() == name).unwrap_or(Self::Manual)
    }

    /// How it came, in words.
    const fn words(self) -> &'static str {
        match self {
            Self::Keyword => "by a keyword that the person sent",
            Self::Button => "by a button that the person pressed",
            Self::Network => "as the network told when it refused a message",
            Self::Preference => "in the person's WhatsApp settings",
            Self::Manual => "by the business itself",
        }
    }
}

/// Somebody who must not be written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suppression {
    /// Its id.
    pub id: SuppressionId,
    /// Whom it protects; none once the contact was erased.
    pub address: Option<String>,
    /// On which channel, or [`EVERY_CHANNEL`].
    pub channel: String,
    /// What it holds back.
    pub reach: Reach,
    /// Who said so.
    pub source: SuppressionSource,
    /// Why, where somebody gave a reason.
    pub detail: Option<String>,
    /// Since when.
    pub created_at: Millis,
}

/// A suppression as it is asked for before every message.
#[derive(Debug, Clone)]
pub(crate) struct Suppressed {
    pub(crate) person: String,
    pub(crate) channel: String,
    pub(crate) reach: Reach,
    pub(crate) source: SuppressionSource,
    pub(crate) created_at: Millis,
    /// The one message that goes out all the same: it confirms the opt-out.
    pub(crate) confirmation_id: Option<String>,
}

impl Suppressed {
    /// Whether it holds back a message over `channel`, marketing or not.
    pub(crate) fn holds(&self, channel: &str, marketing: bool) -> bool {
        (self.channel == channel || self.channel == EVERY_CHANNEL) && (self.reach == Reach::All || marketing)
    }

    /// What a message that it holds back is refused with.
    pub(crate) fn kind(&self) -> ErrorKind {
        match self.reach {
            Reach::All => ErrorKind::RecipientOptedOut,
            Reach::Marketing => ErrorKind::MarketingOptedOut,
        }
    }

    /// Since when and how, for whoever sent the message.
    pub(crate) fn details(&self) -> String {
        let what = match self.reach {
            Reach::All => "no more messages",
            Reach::Marketing => "no more marketing",
        };
        format!("The recipient wants {what}, since {}, {}.", rfc3339(self.created_at), self.source.words())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suppressed(channel: &str, reach: Reach) -> Suppressed {
        Suppressed {
            person: String::new(),
            channel: channel.to_owned(),
            reach,
            source: SuppressionSource::Keyword,
            created_at: 0,
            confirmation_id: None,
        }
    }

    #[test]
    fn a_suppression_holds_back_what_is_in_its_reach_and_nothing_else() {
        for (channel, reach, on, marketing, holds) in [
            ("whatsapp", Reach::All, "whatsapp", false, true),
            ("whatsapp", Reach::All, "sms", true, false),
            ("whatsapp", Reach::Marketing, "whatsapp", true, true),
            ("whatsapp", Reach::Marketing, "whatsapp", false, false),
            (EVERY_CHANNEL, Reach::All, "sms", false, true),
            (EVERY_CHANNEL, Reach::Marketing, "sms", false, false),
        ] {
            assert_eq!(suppressed(channel, reach).holds(on, marketing), holds, "{channel} {reach:?} {on} {marketing}");
        }
    }

    #[test]
    fn what_is_not_known_holds_more_rather_than_less() {
        assert_eq!(Reach::parse("a newer one"), Reach::All);
        assert_eq!(SuppressionSource::parse("a newer one"), SuppressionSource::Manual);
        for source in SuppressionSource::ALL {
            assert_eq!(SuppressionSource::parse(source.name()), source);
        }
    }
}
