//! What a business may call itself: one list of categories, each mapped to the vertical
//! that the upstream's business profile knows, and with what its commerce policy says of
//! the trade.
//!
//! The list is finer than the upstream's, because its verticals do not tell a tobacconist
//! from a bookshop and its policy does. Codes are kept in rows and never change meaning.

use serde::Serialize;

/// What the commerce policy says of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trade {
    /// Nothing.
    Open,
    /// It is regulated: possible with a licence, in some countries, or in part.
    Regulated,
    /// It is not to be traded.
    Prohibited,
}

/// A category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Category {
    /// Its name in rows and requests.
    #[schema(example = "restaurant")]
    pub code: &'static str,
    /// Its name for people.
    #[schema(example = "Restaurant")]
    pub title: &'static str,
    /// The vertical of the upstream's business profile.
    #[schema(example = "RESTAURANT")]
    pub vertical: &'static str,
    /// What the commerce policy says of it.
    pub trade: Trade,
}

const fn open(code: &'static str, title: &'static str, vertical: &'static str) -> Category {
    Category { code, title, vertical, trade: Trade::Open }
}

const fn regulated(code: &'static str, title: &'static str, vertical: &'static str) -> Category {
    Category { code, title, vertical, trade: Trade::Regulated }
}

const fn prohibited(code: &'static str, title: &'static str, vertical: &'static str) -> Category {
    Category { code, title, vertical, trade: Trade::Prohibited }
}

/// Every category, by title within its trade.
pub const CATEGORIES: &[Category] = &[
    open("automotive", "Automotive", "AUTO"),
    open("beauty", "Beauty, spa and salon", "BEAUTY"),
    open("clothing", "Clothing and apparel", "APPAREL"),
    open("consulting", "Consulting and professional services", "PROF_SERVICES"),
    open("ecommerce", "Online shop", "RETAIL"),
    open("education", "Education", "EDU"),
    open("entertainment", "Entertainment", "ENTERTAIN"),
    open("event_planning", "Event planning and services", "EVENT_PLAN"),
    open("grocery", "Food and groceries", "GROCERY"),
    open("hotel", "Hotel and lodging", "HOTEL"),
    open("information_technology", "Information technology", "PROF_SERVICES"),
    open("insurance", "Insurance", "FINANCE"),
    open("legal", "Legal services", "PROF_SERVICES"),
    open("logistics", "Logistics and delivery", "TRAVEL"),
    open("media", "Media and publishing", "ENTERTAIN"),
    open("medical", "Medical practice and health", "HEALTH"),
    open("nonprofit", "Non-profit organisation", "NONPROFIT"),
    open("other", "Other", "OTHER"),
    open("public_service", "Public service and government", "GOVT"),
    open("real_estate", "Real estate", "PROF_SERVICES"),
    open("restaurant", "Restaurant", "RESTAURANT"),
    open("retail", "Shopping and retail", "RETAIL"),
    open("telecommunications", "Telecommunications", "PROF_SERVICES"),
    open("travel", "Travel and transportation", "TRAVEL"),
    open("utilities", "Energy, water and waste", "PROF_SERVICES"),
    regulated("alcohol", "Alcoholic drinks", "ALCOHOL"),
    regulated("banking", "Banking, loans and payments", "FINANCE"),
    regulated("cryptocurrency", "Cryptocurrency", "FINANCE"),
    regulated("dating", "Dating and matchmaking", "OTHER"),
    regulated("debt_collection", "Debt collection", "FINANCE"),
    regulated("medical_devices", "Medical devices", "HEALTH"),
    regulated("online_gambling", "Online gambling and gaming", "ONLINE_GAMBLING"),
    regulated("otc_drugs", "Over-the-counter drugs", "OTC_DRUGS"),
    regulated("pets", "Animals and pets", "RETAIL"),
    regulated("pharmacy", "Pharmacy", "HEALTH"),
    regulated("physical_gambling", "Casinos, lotteries and betting shops", "PHYSICAL_GAMBLING"),
    regulated("political", "Political party or campaign", "NONPROFIT"),
    regulated("supplements", "Food supplements", "HEALTH"),
    prohibited("adult", "Adult products and services", "OTHER"),
    prohibited("multi_level_marketing", "Multi-level marketing", "OTHER"),
    prohibited("recreational_drugs", "Recreational drugs", "OTHER"),
    prohibited("tobacco", "Tobacco, vaping and accessories", "RETAIL"),
    prohibited("weapons", "Weapons and ammunition", "RETAIL"),
];

impl Category {
    /// The category with this code.
    #[must_use]
    pub fn parse(code: &str) -> Option<&'static Self> {
        CATEGORIES.iter().find(|category| category.code == code)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The verticals of the upstream's business profile.
    const VERTICALS: [&str; 21] = [
        "ALCOHOL",
        "APPAREL",
        "AUTO",
        "BEAUTY",
        "EDU",
        "ENTERTAIN",
        "EVENT_PLAN",
        "FINANCE",
        "GOVT",
        "GROCERY",
        "HEALTH",
        "HOTEL",
        "NONPROFIT",
        "ONLINE_GAMBLING",
        "OTC_DRUGS",
        "OTHER",
        "PHYSICAL_GAMBLING",
        "PROF_SERVICES",
        "RESTAURANT",
        "RETAIL",
        "TRAVEL",
    ];

    #[test]
    fn every_category_has_a_vertical_and_every_vertical_a_category() {
        let used: BTreeSet<&str> = CATEGORIES.iter().map(|category| category.vertical).collect();
        assert_eq!(used, BTreeSet::from(VERTICALS));
        let codes: BTreeSet<&str> = CATEGORIES.iter().map(|category| category.code).collect();
        assert_eq!(codes.len(), CATEGORIES.len(), "a code names one category");
        for category in CATEGORIES {
            assert_eq!(Category::parse(category.code), Some(category));
        }
        assert_eq!(Category::parse("RESTAURANT"), None);
    }

    #[test]
    fn the_verticals_that_the_policy_regulates_are_marked() {
        for vertical in ["ALCOHOL", "ONLINE_GAMBLING", "OTC_DRUGS", "PHYSICAL_GAMBLING"] {
            let category = CATEGORIES.iter().find(|category| category.vertical == vertical).unwrap();
            assert_eq!(category.trade, Trade::Regulated, "{vertical}");
        }
    }
}
