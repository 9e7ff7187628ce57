//! What a tenant is told of its templates, in the Cloud API's shape: the review, pauses, quality, categories.

use serde_json::{Value, json};

use super::payload::ascii;
use crate::{
    clock::Millis,
    ids::{AccountId, TemplateId},
    messages::Category,
};

/// Something that happened to a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice<'n> {
    /// It can be sent, or cannot any more.
    Status {
        /// `APPROVED`, `REJECTED`, `PAUSED`, `DISABLED`, `REINSTATED`.
        event: &'static str,
        /// What it is for.
        category: Category,
        /// The Cloud API's word for why.
        rejection: Option<&'n str>,
        /// Why, in words.
        reason: Option<&'n str>,
        /// What would help.
        recommendation: Option<&'n str>,
        /// Which pause it is.
        title: Option<&'n str>,
    },
    /// Its quality is another.
    Quality {
        /// What it was.
        before: &'n str,
        /// What it is.
        now: &'n str,
    },
    /// The network has moved it to another category.
    Category {
        /// What it was for.
        before: Category,
        /// What it is for.
        now: Category,
    },
    /// The network will move it to another category.
    CategoryAnnounced {
        /// What it is for.
        now: Category,
        /// What it will be for.
        correct: Category,
        /// When, in Unix milliseconds.
        at: Millis,
    },
}

impl Notice<'_> {
    fn field(&self) -> &'static str {
        match self {
            Self::Status { .. } => "message_template_status_update",
            Self::Quality { .. } => "message_template_quality_update",
            Self::Category { .. } | Self::CategoryAnnounced { .. } => "template_category_update",
        }
    }

    /// The body that tells of it, of the template with this id, name and language.
    #[must_use]
    pub fn body(&self, account: AccountId, (id, name, language): (TemplateId, &str, &str), now: Millis) -> String {
        let mut value = json!({
            "message_template_id": id.0,
            "message_template_name": name,
            // With a hyphen, as the Cloud API has it here and nowhere else.
            "message_template_language": language.replace('_', "-"),
        });
        let upper = |category: &Category| Value::from(category.name().to_ascii_uppercase());
        match self {
            Self::Status { event, category, rejection, reason, recommendation, title } => {
                value["event"] = (*event).into();
                value["message_template_category"] = upper(category);
                value["reason"] = rejection.unwrap_or("NONE").into();
                match *event {
                    "REJECTED" if reason.is_some() || recommendation.is_some() => {
                        value["rejection_info"] = json!({"reason": reason, "recommendation": recommendation});
                    }
                    "DISABLED" => value["disable_info"] = json!({"disable_date": (now / 1_000).to_string()}),
                    "PAUSED" => value["other_info"] = json!({"title": title, "description": reason}),
                    _ => {}
                }
            }
            Self::Quality { before, now } => {
                value["previous_quality_score"] = (*before).into();
                value["new_quality_score"] = (*now).into();
            }
            Self::Category { before, now } => {
                value["previous_category"] = upper(before);
                value["new_category"] = upper(now);
            }
            Self::CategoryAnnounced { now, correct, at } => {
                value["new_category"] = upper(now);
                value["correct_category"] = upper(correct);
                value["category_update_timestamp"] = (at / 1_000).into();
            }
        }
        ascii(&json!({
            "object": "whatsapp_business_account",
            "entry": [{
                "id": account.to_string(),
                "time": now / 1_000,
                "changes": [{"field": self.field(), "value": value}],
            }],
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(notice: &Notice<'_>) -> (Value, Value) {
        let template = (TemplateId(168_955_690_812_983), "abandoned_cart", "en_US");
        let body = notice.body(AccountId(102_290_129_340_398), template, 1_751_247_548_000);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["object"], "whatsapp_business_account");
        assert_eq!(body["entry"][0]["id"], "102290129340398");
        assert_eq!(body["entry"][0]["time"], 1_751_247_548);
        let change = &body["entry"][0]["changes"][0];
        assert_eq!(change["value"]["message_template_id"], 168_955_690_812_983_i64, "a number");
        assert_eq!(change["value"]["message_template_name"], "abandoned_cart");
        assert_eq!(change["value"]["message_template_language"], "en-US");
        (change["field"].clone(), change["value"].clone())
    }

    fn status(event: &'static str) -> Notice<'static> {
        Notice::Status {
            event,
            category: Category::Marketing,
            rejection: (event == "REJECTED").then_some("INVALID_FORMAT"),
            reason: (event != "APPROVED").then_some("It says nothing."),
            recommendation: None,
            title: (event == "PAUSED").then_some("FIRST_PAUSE"),
        }
    }

    #[test]
    fn a_review_has_the_cloud_apis_shape() {
        let (field, approved) = told(&status("APPROVED"));
        assert_eq!(field, "message_template_status_update");
        assert_eq!((&approved["event"], &approved["reason"]), (&json!("APPROVED"), &json!("NONE")));
        assert_eq!(approved["message_template_category"], "MARKETING");
        let (_, rejected) = told(&status("REJECTED"));
        assert_eq!(rejected["reason"], "INVALID_FORMAT");
        assert_eq!(rejected["rejection_info"]["reason"], "It says nothing.");
        assert_eq!(told(&status("PAUSED")).1["other_info"]["title"], "FIRST_PAUSE");
        assert_eq!(told(&status("DISABLED")).1["disable_info"]["disable_date"], "1751247548");
    }

    #[test]
    fn quality_and_category_have_fields_of_their_own() {
        let (field, value) = told(&Notice::Quality { before: "GREEN", now: "YELLOW" });
        assert_eq!(field, "message_template_quality_update");
        assert_eq!(
            (&value["previous_quality_score"], &value["new_quality_score"]),
            (&json!("GREEN"), &json!("YELLOW"))
        );
        let (field, value) = told(&Notice::Category { before: Category::Utility, now: Category::Marketing });
        assert_eq!(field, "template_category_update");
        assert_eq!((&value["previous_category"], &value["new_category"]), (&json!("UTILITY"), &json!("MARKETING")));
        let (_, value) = told(&Notice::CategoryAnnounced {
            now: Category::Utility,
            correct: Category::Marketing,
            at: 1_746_169_200_000,
        });
        assert_eq!(value["correct_category"], "MARKETING");
        assert_eq!(value["category_update_timestamp"], 1_746_169_200);
    }
}
